"""What is sent when: kinds of requests, their order and their pace."""

import random
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, Self
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, model_validator

from model_store.errors import ImpastoError
from service.bench.pictures import Pictures

Order = Literal["mixed", "sorted"]


class Kind(NamedTuple):
    """Requests that a server can treat alike: one route, one model, one size."""

    name: str
    path: str
    """With its query."""
    bodies: tuple[bytes, ...]
    """Sent in turn."""
    media_type: str
    answer_pixels: int


class Request(NamedTuple):
    """One request."""

    kind: Kind
    body: bytes


class BadWorkload(ImpastoError):
    """What was asked for does not go together."""


class Workload(BaseModel):
    """What is sent, in which order and how fast.

    Raises:
        BadWorkload: some of the processes would have nothing to do.
        pydantic.ValidationError: a number is out of range.
    """

    model_config = ConfigDict(frozen=True)

    kinds: tuple[Kind, ...] = Field(min_length=1)
    order: Order = "mixed"
    """Mixed deals out all kinds equally often, shuffled; sorted sends all of one kind, then the next."""
    concurrency: int = Field(default=8, ge=1)
    """Closed loop: clients that each wait for an answer before they send again."""
    rate: float | None = Field(default=None, gt=0)
    """Open loop, instead: requests a second at random times (Poisson), whatever is answered."""
    duration: float = Field(default=10.0, gt=0)
    """Seconds in which requests are sent; all are waited for."""
    requests: int | None = Field(default=None, ge=1)
    """How many are sent, instead of for how long."""
    warm_up: float = Field(default=2.0, ge=0)
    """Seconds of the same load before, mixed, which are answered in full and not counted."""
    processes: int = Field(default=1, ge=1)
    api_key: str | None = Field(default=None, exclude=True, repr=False)
    seed: int = 0

    @model_validator(mode="after")
    def _has_work_for_all_processes(self) -> Self:
        if self.rate is None and self.processes > self.concurrency:
            raise BadWorkload(f"{self.processes} processes need as many clients, not {self.concurrency}")
        if self.requests is not None and self.processes > self.requests:
            raise BadWorkload(f"{self.processes} processes need as many requests, not {self.requests}")
        return self

    def progress(self, elapsed: float, sent: int) -> float:
        """From 0 at the start to 1, where nothing more is sent.

        Args:
            elapsed: seconds since the start.
            sent: requests since the start.
        """
        return elapsed / self.duration if self.requests is None else sent / self.requests

    def share(self, index: int) -> "Workload":
        """What the process of an index sends; all shares together are the workload."""
        return self.model_copy(
            update={
                "concurrency": _share(self.concurrency, self.processes, index),
                "rate": None if self.rate is None else self.rate / self.processes,
                "requests": None if self.requests is None else _share(self.requests, self.processes, index),
                "processes": 1,
                "seed": self.seed * self.processes + index,
            }
        )

    def warming_up(self) -> "Workload":
        """The workload of the warm-up."""
        return self.model_copy(update={"order": "mixed", "duration": self.warm_up, "requests": None})

    def arrivals(self) -> Iterator[float]:
        """Seconds from the start at which requests are sent in the open loop, without end.

        Raises:
            ValueError: the workload has no rate.
        """
        if self.rate is None:
            raise ValueError("a workload without a rate has no times")
        generator = random.Random(self.seed)  # noqa: S311
        offset = 0.0
        while True:
            offset += generator.expovariate(self.rate)
            yield offset


class Deck:
    """Deals out requests in a workload's order.

    No two have the same body, because a server may compute equal requests once.
    """

    def __init__(self, workload: Workload) -> None:
        self._seed = workload.seed
        self._kinds = workload.kinds
        self._order = workload.order
        self._generator = random.Random(workload.seed)  # noqa: S311
        self._shuffled: list[Kind] = []
        self._dealt: Counter[str] = Counter()

    def deal(self, progress: float) -> Request:
        """The next request.

        Args:
            progress: 0 to 1, how much of the workload is done.
        """
        kind = self._draw() if self._order == "mixed" else self._kinds[int(progress * len(self._kinds))]
        body = kind.bodies[self._dealt[kind.name] % len(kind.bodies)]
        self._dealt[kind.name] += 1
        return Request(kind, body + _serial_box(self._seed, self._dealt.total()))

    def _draw(self) -> Kind:
        if not self._shuffled:
            self._shuffled = list(self._kinds)
            self._generator.shuffle(self._shuffled)
        return self._shuffled.pop()


def stylize(styles: Sequence[str], pictures: Sequence[Pictures]) -> tuple[Kind, ...]:
    """Every picture in every style, sizes within styles."""
    return tuple(_kind(style, "/stylize", {"style": style}, each, factor=1) for style in styles for each in pictures)


def super_resolve(factor: int, pictures: Sequence[Pictures]) -> tuple[Kind, ...]:
    """Every picture, enlarged."""
    return tuple(_kind(f"×{factor}", "/super-resolve", {"factor": str(factor)}, each, factor) for each in pictures)


def _kind(model: str, path: str, query: dict[str, str], pictures: Pictures, factor: int) -> Kind:
    return Kind(
        name=f"{model} {pictures.name}",
        path=f"{path}?{urlencode(query)}",
        bodies=pictures.files,
        media_type=pictures.media_type,
        answer_pixels=pictures.width * pictures.height * factor**2,
    )


def _serial_box(seed: int, number: int) -> bytes:
    """Bytes that decoders skip behind a picture: AVIF consists of boxes, of which `free` ones mean nothing."""
    return struct.pack(">I4sII", 16, b"free", seed, number)


def _share(total: int, parts: int, index: int) -> int:
    return total // parts + (index < total % parts)

"""The workload of a measurement: the kinds of requests, their order and their pace."""

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
    """A kind of requests that a server can compute in one batch: the same route, model and size."""

    name: str
    """The name in reports: the model, and the size or the name of the file."""
    path: str
    """The path of the URL, with its query."""
    bodies: tuple[bytes, ...]
    """The pictures, which are sent in turn."""
    media_type: str
    answer_pixels: int
    """The number of pixels in each answer."""


class Request(NamedTuple):
    """One request, with the bytes of its picture."""

    kind: Kind
    body: bytes


class BadWorkload(ImpastoError):
    """The options of a workload contradict each other."""


class Workload(BaseModel):
    """The requests of a measurement, their order and their pace.

    Raises:
        BadWorkload: Some of the processes would have nothing to do.
        pydantic.ValidationError: A number is out of range.
    """

    model_config = ConfigDict(frozen=True)

    kinds: tuple[Kind, ...] = Field(min_length=1)
    order: Order = "mixed"
    """The order of the kinds: `mixed` shuffles them, equally often; `sorted` sends all of one kind, then the next."""
    concurrency: int = Field(default=8, ge=1)
    """Number of clients in the closed loop, each of which waits for an answer before it sends again."""
    rate: float | None = Field(default=None, gt=0)
    """Requests a second in the open loop, which sends at random times (Poisson), or None for the closed loop."""
    duration: float = Field(default=10.0, gt=0)
    """Seconds in which requests are sent; all answers are waited for."""
    requests: int | None = Field(default=None, ge=1)
    """Number of requests to send, instead of a duration."""
    warm_up: float = Field(default=2.0, ge=0)
    """Seconds of the same load, mixed, before the measurement; all its answers are waited for and none are counted."""
    processes: int = Field(default=1, ge=1)
    """Number of processes that share the load."""
    api_key: str | None = Field(default=None, exclude=True, repr=False)
    """API key to send, or None."""
    seed: int = 0
    """Seed of the order and of the random times."""

    @model_validator(mode="after")
    def _has_work_for_all_processes(self) -> Self:
        if self.rate is None and self.processes > self.concurrency:
            raise BadWorkload(f"{self.processes} processes need as many clients, not {self.concurrency}")
        if self.requests is not None and self.processes > self.requests:
            raise BadWorkload(f"{self.processes} processes need as many requests, not {self.requests}")
        return self

    def progress(self, elapsed: float, sent: int) -> float:
        """Return the share of the workload that is done, from 0 at the start; from 1 on nothing more is sent.

        Args:
            elapsed: Seconds since the start.
            sent: Number of requests sent since the start.
        """
        return elapsed / self.duration if self.requests is None else sent / self.requests

    def share(self, index: int) -> "Workload":
        """Return the part of the workload that one of the processes sends.

        Args:
            index: The number of the process, from 0.
        """
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
        """Return the workload of the warm-up."""
        return self.model_copy(update={"order": "mixed", "duration": self.warm_up, "requests": None})

    def arrivals(self) -> Iterator[float]:
        """Yield the seconds from the start at which requests are sent in the open loop, without end.

        Raises:
            ValueError: The workload has no rate.
        """
        if self.rate is None:
            raise ValueError("a workload without a rate has no times")
        generator = random.Random(self.seed)  # noqa: S311
        offset = 0.0
        while True:
            offset += generator.expovariate(self.rate)
            yield offset


class Deck:
    """A source of requests in the order of a workload.

    No two requests have the same body, because a server may compute equal requests only once.

    Args:
        workload: The workload whose requests are dealt.
    """

    def __init__(self, workload: Workload) -> None:
        self._seed = workload.seed
        self._kinds = workload.kinds
        self._order = workload.order
        self._generator = random.Random(workload.seed)  # noqa: S311
        self._shuffled: list[Kind] = []
        self._dealt: Counter[str] = Counter()

    def deal(self, progress: float) -> Request:
        """Return the next request.

        Args:
            progress: The share of the workload that is done, from 0 to less than 1.
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
    """Return the requests to paint every picture in every style: all pictures of a style, then the next style."""
    return tuple(_kind(style, "/stylize", {"style": style}, each, factor=1) for style in styles for each in pictures)


def super_resolve(factor: int, pictures: Sequence[Pictures]) -> tuple[Kind, ...]:
    """Return the requests to enlarge every picture."""
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
    """Return bytes that decoders skip at the end of a picture file.

    They are a box as AVIF files consist of, of the type `free`, which has no meaning; other formats ignore any bytes
    after their end.
    """
    return struct.pack(">I4sII", 16, b"free", seed, number)


def _share(total: int, parts: int, index: int) -> int:
    return total // parts + (index < total % parts)

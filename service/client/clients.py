"""The sync and the async client, which differ only in how they wait."""

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from model_store.card import Card, Task
from service.client.answer import Answer
from service.client.errors import ConnectionFailed, UnexpectedAnswer, error_of
from service.client.retrying import DEADLINE_HEADER, is_worth_retrying, seconds_to_wait

PictureSource = str | os.PathLike[str] | bytes | BinaryIO
"""A path, encoded bytes, or a binary file."""
Style = str | Mapping[str, float]
"""A name or `name@version`, or a blend: of such names their shares, or the same as text, as in `muse:0.7,candy:0.3`."""
Format = Literal["auto", "jpeg", "png", "webp", "avif"]

_TIMEOUT = httpx.Timeout(10.0, read=300.0, write=60.0)
_CARD, _CARDS = TypeAdapter(Card), TypeAdapter(list[Card])
_Parsed = TypeVar("_Parsed")


class _Calls:
    """The requests, by what they are for; shared by both clients."""

    @staticmethod
    def stylize(picture: PictureSource, style: Style, format: Format, quality: int) -> dict[str, Any]:  # noqa: A002
        blend = style if isinstance(style, str) else ",".join(f"{name}:{share}" for name, share in style.items())
        return _post("/stylize", picture, style=blend, format=format, quality=quality)

    @staticmethod
    def super_resolve(
        picture: PictureSource, factor: int, format: Format, quality: int, fidelity: float, **switches: bool  # noqa: A002
    ) -> dict[str, Any]:  # fmt: skip
        # Sent only when asked for, because a server that does not know one yet refuses it.
        asked = {name: "true" for name, is_on in switches.items() if is_on}
        if fidelity != 1:
            asked["fidelity"] = str(fidelity)
        return _post("/super-resolve", picture, factor=factor, format=format, quality=quality, **asked)

    @staticmethod
    def models() -> dict[str, Any]:
        return {"method": "GET", "url": "/models"}

    @staticmethod
    def model(task: Task, name: str) -> dict[str, Any]:
        return {"method": "GET", "url": f"/models/{task}/{quote(name, safe='@')}"}


class Client:
    """Calls an Impasto server.

    Args:
        url: of the server.
        timeout: seconds for each phase, or an `httpx.Timeout`.
        retries: how often a call is repeated after 408, 429, 5xx or a broken connection.
        deadline: seconds that the server may take for an answer; after more it gives up, `DeadlineExceeded` is raised,
            and the call is not repeated. The server's own limit if not given.
        transport: for tests and special networks; see httpx.
    """

    def __init__(
        self,
        url: str = "http://localhost:8000",
        *,
        timeout: float | httpx.Timeout = _TIMEOUT,
        retries: int = 2,
        deadline: float | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=url, timeout=timeout, headers=_headers(deadline), transport=transport)
        self._retries = retries

    def stylize(
        self, picture: PictureSource, *, style: Style, format: Format = "auto", quality: int = 90  # noqa: A002
    ) -> Answer:  # fmt: skip
        """Paints a photo in a style.

        Args:
            picture: the photo; JPEG, PNG, WebP or AVIF.
            style: a name from `models`, as in `muse` or `muse@1`, or a blend of up to 8, each with a share, as in
                `muse:0.7,candy:0.3` or `{"muse": 0.7, "candy": 0.3}`; shares are at least 0, and divided by their sum.
            format: of the answer; `auto` keeps the photo's.
            quality: 1 to 100, of JPEG, WebP and AVIF.

        Raises:
            ClientError: see `service.client.errors`.
            OSError: the photo cannot be read.
        """
        return Answer.from_response(self._send(_Calls.stylize(picture, style, format, quality)))

    def super_resolve(
        self,
        picture: PictureSource,
        *,
        factor: int = 4,
        format: Format = "auto",  # noqa: A002
        quality: int = 90,
        fidelity: float = 1.0,
        blurred: bool = False,
        self_ensemble: bool = False,
        match_histogram: bool = False,
    ) -> Answer:
        """Enlarges a picture by a whole factor.

        Args:
            picture: JPEG, PNG, WebP or AVIF.
            factor: of enlargement; the server must have a model for it.
            format: of the answer; `auto` keeps the picture's.
            quality: 1 to 100, of JPEG, WebP and AVIF.
            fidelity: from 1, true to the picture, to 0, sharp with made-up detail; below 1 the server must have a model
                of the feature loss.
            blurred: whether the picture is soft because it was blurred before it was shrunk, as photos of many cameras
                are; the server must have a model for it.
            self_ensemble: whether to take the mean over the picture's eight turns and mirrorings: about 0.2 dB better,
                and eight times the work.
            match_histogram: whether to give the answer the picture's distribution of colours, channel by channel.

        Raises:
            ClientError: see `service.client.errors`.
            OSError: the picture cannot be read.
        """
        call = _Calls.super_resolve(
            picture,
            factor,
            format,
            quality,
            fidelity,
            blurred=blurred,
            self_ensemble=self_ensemble,
            match_histogram=match_histogram,
        )
        return Answer.from_response(self._send(call))

    def models(self) -> list[Card]:
        """The cards of all models of the server."""
        return _parse(_CARDS, self._send(_Calls.models()))

    def model(self, task: Task, name: str) -> Card:
        """The card of one model, as in `model("stylize", "muse@1")`."""
        return _parse(_CARD, self._send(_Calls.model(task, name)))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, call: dict[str, Any]) -> httpx.Response:
        attempt = 0
        while True:
            attempt += 1
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self._http.request(**call)
            except httpx.TransportError as error:
                outcome = error
            if attempt > self._retries or not is_worth_retrying(outcome):
                return _checked(outcome)
            time.sleep(seconds_to_wait(outcome, attempt))


class AsyncClient:
    """Calls an Impasto server from async code; arguments, methods and errors as for `Client`."""

    def __init__(
        self,
        url: str = "http://localhost:8000",
        *,
        timeout: float | httpx.Timeout = _TIMEOUT,
        retries: int = 2,
        deadline: float | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=timeout, headers=_headers(deadline), transport=transport)
        self._retries = retries

    async def stylize(
        self, picture: PictureSource, *, style: Style, format: Format = "auto", quality: int = 90  # noqa: A002
    ) -> Answer:  # fmt: skip
        """See `Client.stylize`."""
        call = await asyncio.to_thread(_Calls.stylize, picture, style, format, quality)
        return Answer.from_response(await self._send(call))

    async def super_resolve(
        self,
        picture: PictureSource,
        *,
        factor: int = 4,
        format: Format = "auto",  # noqa: A002
        quality: int = 90,
        fidelity: float = 1.0,
        blurred: bool = False,
        self_ensemble: bool = False,
        match_histogram: bool = False,
    ) -> Answer:
        """See `Client.super_resolve`."""
        call = await asyncio.to_thread(
            _Calls.super_resolve,
            picture,
            factor,
            format,
            quality,
            fidelity,
            blurred=blurred,
            self_ensemble=self_ensemble,
            match_histogram=match_histogram,
        )
        return Answer.from_response(await self._send(call))

    async def models(self) -> list[Card]:
        """See `Client.models`."""
        return _parse(_CARDS, await self._send(_Calls.models()))

    async def model(self, task: Task, name: str) -> Card:
        """See `Client.model`."""
        return _parse(_CARD, await self._send(_Calls.model(task, name)))

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _send(self, call: dict[str, Any]) -> httpx.Response:
        attempt = 0
        while True:
            attempt += 1
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._http.request(**call)
            except httpx.TransportError as error:
                outcome = error
            if attempt > self._retries or not is_worth_retrying(outcome):
                return _checked(outcome)
            await asyncio.sleep(seconds_to_wait(outcome, attempt))


def _headers(deadline: float | None) -> dict[str, str]:
    return {} if deadline is None else {DEADLINE_HEADER: str(max(1, round(deadline * 1000)))}


def _post(path: str, picture: PictureSource, **options: str | int) -> dict[str, Any]:
    headers = {"Content-Type": "application/octet-stream"}
    return {"method": "POST", "url": path, "params": options, "content": _read(picture), "headers": headers}


def _read(picture: PictureSource) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, (str, os.PathLike)):
        return Path(picture).read_bytes()
    return picture.read()


def _parse(adapter: TypeAdapter[_Parsed], response: httpx.Response) -> _Parsed:
    try:
        return adapter.validate_json(response.content)
    except ValidationError as error:
        raise UnexpectedAnswer(f"the answer of {response.url} is not that of an Impasto server: {error}") from error


def _checked(outcome: httpx.Response | httpx.TransportError) -> httpx.Response:
    if isinstance(outcome, httpx.TransportError):
        raise ConnectionFailed(f"no answer from the server: {outcome!r}") from outcome
    if not outcome.is_success:
        raise error_of(outcome)
    return outcome

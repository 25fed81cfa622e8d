"""The sync and the async client, which differ only in how they wait."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from typing import Literal, Self, Unpack, overload

import httpx

from model_store.card import Card, Task
from service.client import calls
from service.client.answer import Answer
from service.client.mapping import Progress, Tally, map_in_tasks, map_in_threads
from service.client.options import MapOptions, Style, StylizeOptions, SuperResolveOptions
from service.client.picture import PictureSource
from service.client.retrying import Outcome, Retries

OnProgress = Callable[[Progress], object] | None


class Client:
    """Calls an Impasto server. Threads may share it.

    Args:
        url: of the server.
        api_key: for a server that asks for one.
        timeout: seconds for each phase, or an `httpx.Timeout`; by default 10 to connect, 60 for the server to take the
            next part of a picture, and 300 to wait for the next part of its answer.
        retries: how often a call is repeated after 408, 429, 5xx or a broken connection.
        deadline: seconds that the server may take for an answer; after more it gives up, `DeadlineExceeded` is raised,
            and the call is not repeated. The server's own limit if not given.
        transport: for tests and special networks; see httpx.
    """

    def __init__(
        self,
        url: str = "http://localhost:8000",
        *,
        api_key: str | None = None,
        timeout: float | httpx.Timeout = calls.TIMEOUT,
        retries: int = 2,
        deadline: float | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = calls.headers_of(deadline, api_key)
        self._http = httpx.Client(
            base_url=url, timeout=timeout, headers=headers, limits=calls.LIMITS, transport=transport
        )
        self._retries = retries

    def stylize(self, picture: PictureSource, *, style: Style, **options: Unpack[StylizeOptions]) -> Answer:
        """Paints a photo in a style.

        Args:
            picture: the photo; see `PictureSource`. Encoded, it is in a format that the server reads: JPEG, PNG, WebP,
                AVIF, TIFF, GIF or HEIC.
            style: a name from `models`, as in `muse` or `muse@1`, or a blend, as in `muse:0.7,candy:0.3` or
                `{"muse": 0.7, "candy": 0.3}`.
            **options: see `StylizeOptions`.

        Raises:
            ClientError: see `service.client.errors`.
            OSError: the photo cannot be read.
        """
        return self._transform("stylize", picture, {"style": style, **options})

    def super_resolve(self, picture: PictureSource, **options: Unpack[SuperResolveOptions]) -> Answer:
        """Enlarges a picture by a whole factor.

        Args:
            picture: see `PictureSource`; likewise.
            **options: see `SuperResolveOptions`.

        Raises:
            ClientError: see `service.client.errors`.
            OSError: the picture cannot be read.
        """
        return self._transform("super-resolve", picture, options)

    @overload
    def map(
        self,
        pictures: Iterable[PictureSource],
        *,
        concurrency: int = 8,
        on_progress: OnProgress = None,
        return_errors: Literal[False] = False,
        **options: Unpack[MapOptions],
    ) -> Generator[Answer, None, None]: ...
    @overload
    def map(
        self,
        pictures: Iterable[PictureSource],
        *,
        concurrency: int = 8,
        on_progress: OnProgress = None,
        return_errors: Literal[True],
        **options: Unpack[MapOptions],
    ) -> Generator[Answer | Exception, None, None]: ...
    def map(
        self,
        pictures: Iterable[PictureSource],
        *,
        concurrency: int = 8,
        on_progress: OnProgress = None,
        return_errors: bool = False,
        **options: Unpack[MapOptions],
    ) -> Generator[Answer | Exception, None, None]:
        """Paints many photos in a style, or enlarges many pictures; several at once.

        Args:
            pictures: taken as they are needed, at most `2 * concurrency` ahead of the answers.
            concurrency: calls at once, in threads. While the server is busy (429) they wait, beside their retries.
            on_progress: is called after each call, from its thread, by one at a time.
            return_errors: whether to give what a call raised in the place of its answer, and go on.
            **options: with `style` those of `stylize`, else those of `super_resolve`.

        Returns:
            The answers in the order of the pictures. `close` it to end early: calls that have begun are waited for, and
            no others are made.

        Raises:
            ClientError: see `service.client.errors`.
            OSError: a picture cannot be read.
        """
        stopped = threading.Event()
        tally = Tally(pictures, on_progress)

        def work(picture: PictureSource) -> Answer | Exception:
            try:
                answer = self._transform(calls.task_of(options), picture, options, stopped)
            except Exception as error:
                tally.count(failed=True)
                if return_errors:
                    return error
                raise
            tally.count(failed=False)
            return answer

        return map_in_threads(work, pictures, concurrency, stopped.set)

    def models(self) -> list[Card]:
        """The cards of all models of the server."""
        return calls.parse_cards(self._send(calls.models()))

    def model(self, task: Task, name: str) -> Card:
        """The card of one model, as in `model("stylize", "muse@1")`."""
        return calls.parse_card(self._send(calls.model(task, name)))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _transform(
        self, task: Task, picture: PictureSource, options: Mapping[str, object], stopped: threading.Event | None = None
    ) -> Answer:
        return Answer.from_response(self._send(calls.transform(task, picture, options), stopped))

    def _send(self, call: calls.Call, stopped: threading.Event | None = None) -> httpx.Response:
        """Makes a call; one of many until they are stopped."""
        request = call.request(self._http)
        retries = Retries(self._retries, waits_while_busy=stopped is not None)
        while True:
            outcome: Outcome
            try:
                outcome = self._http.send(request)
            except httpx.RequestError as error:
                outcome = error
            seconds = retries.seconds_after(outcome)
            if seconds is None:
                return calls.checked(outcome)
            if stopped is None:
                time.sleep(seconds)
            elif stopped.wait(seconds):
                return calls.checked(outcome)


class AsyncClient:
    """Calls an Impasto server from async code; arguments, methods and errors as for `Client`.

    A call that is cancelled hangs up, and the server drops its picture.
    """

    def __init__(
        self,
        url: str = "http://localhost:8000",
        *,
        api_key: str | None = None,
        timeout: float | httpx.Timeout = calls.TIMEOUT,
        retries: int = 2,
        deadline: float | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = calls.headers_of(deadline, api_key)
        self._http = httpx.AsyncClient(
            base_url=url, timeout=timeout, headers=headers, limits=calls.LIMITS, transport=transport
        )
        self._retries = retries

    async def stylize(self, picture: PictureSource, *, style: Style, **options: Unpack[StylizeOptions]) -> Answer:
        """See `Client.stylize`."""
        return await self._transform("stylize", picture, {"style": style, **options})

    async def super_resolve(self, picture: PictureSource, **options: Unpack[SuperResolveOptions]) -> Answer:
        """See `Client.super_resolve`."""
        return await self._transform("super-resolve", picture, options)

    @overload
    def map(
        self,
        pictures: Iterable[PictureSource],
        *,
        concurrency: int = 8,
        on_progress: OnProgress = None,
        return_errors: Literal[False] = False,
        **options: Unpack[MapOptions],
    ) -> AsyncGenerator[Answer, None]: ...
    @overload
    def map(
        self,
        pictures: Iterable[PictureSource],
        *,
        concurrency: int = 8,
        on_progress: OnProgress = None,
        return_errors: Literal[True],
        **options: Unpack[MapOptions],
    ) -> AsyncGenerator[Answer | Exception, None]: ...
    def map(
        self,
        pictures: Iterable[PictureSource],
        *,
        concurrency: int = 8,
        on_progress: OnProgress = None,
        return_errors: bool = False,
        **options: Unpack[MapOptions],
    ) -> AsyncGenerator[Answer | Exception, None]:
        """See `Client.map`; but calls that have begun are cancelled by `aclose`, and when its reader is cancelled."""
        tally = Tally(pictures, on_progress)

        async def work(picture: PictureSource) -> Answer | Exception:
            try:
                answer = await self._transform(calls.task_of(options), picture, options, waits_while_busy=True)
            except Exception as error:
                tally.count(failed=True)
                if return_errors:
                    return error
                raise
            tally.count(failed=False)
            return answer

        return map_in_tasks(work, pictures, concurrency)

    async def models(self) -> list[Card]:
        """See `Client.models`."""
        return calls.parse_cards(await self._send(calls.models()))

    async def model(self, task: Task, name: str) -> Card:
        """See `Client.model`."""
        return calls.parse_card(await self._send(calls.model(task, name)))

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _transform(
        self, task: Task, picture: PictureSource, options: Mapping[str, object], *, waits_while_busy: bool = False
    ) -> Answer:
        call = await asyncio.to_thread(calls.transform, task, picture, options)
        return Answer.from_response(await self._send(call, waits_while_busy=waits_while_busy))

    async def _send(self, call: calls.Call, *, waits_while_busy: bool = False) -> httpx.Response:
        request = call.request(self._http)
        retries = Retries(self._retries, waits_while_busy=waits_while_busy)
        while True:
            outcome: Outcome
            try:
                outcome = await self._http.send(request)
            except httpx.RequestError as error:
                outcome = error
            seconds = retries.seconds_after(outcome)
            if seconds is None:
                return calls.checked(outcome)
            await asyncio.sleep(seconds)

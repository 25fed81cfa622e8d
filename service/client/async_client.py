"""The client of a server for asynchronous code, with the same methods as the synchronous one."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Literal, Self, Unpack, overload

import httpx

from model_store.card import Card, Task
from service.client import calls
from service.client.answer import Answer
from service.client.film import AsyncFilm, FilmSource, opened
from service.client.mapping import OnProgress, Tally, map_in_tasks
from service.client.options import MapOptions, Style, StylizeOptions, SuperResolveOptions
from service.client.picture import PictureSource
from service.client.retrying import Outcome, Retries


class AsyncClient:
    """A client of an Impasto server for asynchronous code.

    It takes the same arguments as `Client`, and has the same methods, which raise the same errors. Tasks of one event
    loop may share one client: use it in an `async with` block, or await `close`. When a call is cancelled, the client
    closes its connection and the server drops the picture.

    Example:
        async with AsyncClient("http://localhost:8000") as client:
            answer = await client.stylize("in.jpg", style="muse")
            async for answer in client.map(paths, style="muse"):
                ...

    Args:
        url: The address of the server; see `Client`.
        api_key: The API key to send, or None; see `Client`.
        timeout: Seconds that each phase of a call may take; see `Client`.
        retries: How often a call is repeated; see `Client`.
        deadline: Seconds in which the server must answer; see `Client`.
        transport: An asynchronous httpx transport to send requests with, or None.
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
        """Paint a photo in a style.

        Args:
            picture: The photo: a path, the bytes of a file, a file opened in binary mode, a PIL image or a NumPy array;
                see `PictureSource`.
            style: The name of a style, such as `muse` or `muse@1`, or a blend of styles; see `Client.stylize`.
            **options: The other options, all of which have defaults; see `StylizeOptions`.

        Returns:
            The painting, as large as the photo unless `size` was given.

        Raises:
            ClientError: The call failed; `service.client.errors` lists the classes.
            OSError: The photo cannot be read.
            TypeError: There is no such option, or `picture` is not a picture.
            ValueError: The array does not have the shape or type of a picture.
        """
        return await self._transform("stylize", picture, {"style": style, **options})

    async def super_resolve(self, picture: PictureSource, **options: Unpack[SuperResolveOptions]) -> Answer:
        """Enlarge a picture by a whole factor, by default 4.

        Args:
            picture: The picture: a path, the bytes of a file, a file opened in binary mode, a PIL image or a NumPy
                array; see `PictureSource`.
            **options: The options, all of which have defaults; see `SuperResolveOptions`.

        Returns:
            The picture, `factor` times as wide and high as the upload unless `scale` or `size` was given.

        Raises:
            ClientError: The call failed; `service.client.errors` lists the classes.
            OSError: The picture cannot be read.
            TypeError: There is no such option, or `picture` is not a picture.
            ValueError: The array does not have the shape or type of a picture.
        """
        return await self._transform("super-resolve", picture, options)

    async def stylize_video(self, film: FilmSource, *, style: Style, **options: Unpack[StylizeOptions]) -> AsyncFilm:
        """Paint a film in a style, each frame mixed with the painting before it, so that it is calm.

        Example:
            film = await client.stylize_video("in.mp4", style="muse")
            await film.save("out.mp4")

        Args:
            film: The film: a path, or a file opened in binary mode.
            style: The name of a style, or a blend of styles; see `stylize`.
            **options: The other options, which hold for the frames; see `StylizeOptions`. Films have no `format`.

        Returns:
            The painted film, an MP4 with the film's own sound, which is read while the server makes it.

        Raises:
            ClientError: The call failed; `service.client.errors` lists the classes.
            OSError: The film cannot be read.
            TypeError: There is no such option, or `film` is not a film.
        """
        return await self._film("stylize", film, {"style": style, **options})

    async def super_resolve_video(self, film: FilmSource, **options: Unpack[SuperResolveOptions]) -> AsyncFilm:
        """Enlarge a film, frame by frame, by default 4 times.

        Args:
            film: The film: a path, or a file opened in binary mode.
            **options: The options, which hold for the frames; see `SuperResolveOptions`. Films have no `format`.

        Returns:
            The enlarged film, an MP4 with the film's own sound, which is read while the server makes it.

        Raises:
            ClientError: The call failed; `service.client.errors` lists the classes.
            OSError: The film cannot be read.
            TypeError: There is no such option, or `film` is not a film.
        """
        return await self._film("super-resolve", film, options)

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
        """Paint many photos in a style, or enlarge many pictures, several at the same time.

        Args:
            pictures: The pictures, each a `PictureSource`. They are read when they are needed: at most
                `2 * concurrency` of them are ahead of the answers.
            concurrency: The number of calls made at the same time, each in a task; at least 1, by default 8. While the
                server is busy (429) a call waits and is repeated without limit, which does not count as a retry.
            on_progress: A function that is called with the `Progress` after each picture.
            return_errors: Whether the exception of a call that failed takes the place of its answer, and the others go
                on. By default it is raised when its turn comes, which ends the iteration.
            **options: The options of `stylize` if they include `style`, else those of `super_resolve`.

        Returns:
            An asynchronous generator of the answers in the order of the pictures. Its `aclose` ends it early and
            cancels the calls that have begun, as does cancelling the task that iterates over it.

        Raises:
            ClientError: A call failed; `service.client.errors` lists the classes.
            OSError: A picture cannot be read.
            TypeError: There is no such option, or one of `pictures` is not a picture.
            ValueError: An array does not have the shape or type of a picture.
        """
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
        """Return the cards of all models of the server: each model's newest version.

        Raises:
            ClientError: The call failed; `service.client.errors` lists the classes.
        """
        return calls.parse_cards(await self._send(calls.models()))

    async def model(self, task: Task, name: str) -> Card:
        """Return the card of one model: how it was made and how good it measured to be.

        Args:
            task: The task of the model, `stylize` or `super-resolve`.
            name: The name of the model, with or without a version. Without one, the newest version is meant.

        Raises:
            UnknownModel: The server has no such model.
            ClientError: The call failed in another way; `service.client.errors` lists the classes.
        """
        return calls.parse_card(await self._send(calls.model(task, name)))

    async def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
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

    async def _film(self, task: Task, film: FilmSource, options: Mapping[str, object]) -> AsyncFilm:
        with opened(film) as upload:
            return AsyncFilm(await self._send(calls.film(task, upload, options, is_async=True), is_streamed=True))

    async def _send(
        self, call: calls.Call, *, waits_while_busy: bool = False, is_streamed: bool = False
    ) -> httpx.Response:
        request = call.request(self._http)
        retries = Retries(self._retries, waits_while_busy=waits_while_busy)
        while True:
            outcome: Outcome
            try:
                outcome = await self._http.send(request, stream=is_streamed)
                if not outcome.is_success:
                    await outcome.aread()
            except httpx.RequestError as error:
                outcome = error
            seconds = retries.seconds_after(outcome)
            if seconds is None:
                return calls.checked(outcome)
            await asyncio.sleep(seconds)

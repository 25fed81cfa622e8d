"""The client of a server for synchronous code."""

import threading
import time
from collections.abc import Generator, Iterable, Mapping
from typing import Literal, Self, Unpack, overload

import httpx

from model_store.card import Card, Task
from service.client import calls
from service.client.answer import Answer
from service.client.film import Film, FilmSource, opened
from service.client.mapping import OnProgress, Tally, map_in_threads
from service.client.options import MapOptions, Style, StylizeOptions, SuperResolveOptions
from service.client.picture import PictureSource
from service.client.retrying import Outcome, Retries


class Client:
    """A client of an Impasto server for synchronous code.

    Threads may share one client. It keeps connections open between calls: use it in a `with` block, or call `close`.

    Example:
        with Client("http://localhost:8000") as client:
            client.stylize("in.jpg", style="muse").save("out.jpg")

    Args:
        url: The address of the server. The default is a server on this machine, at port 8000.
        api_key: The API key to send, for a server that asks for one. None, the default, sends no key.
        timeout: Seconds that each phase of a call may take, or an `httpx.Timeout` with a limit for each phase. The
            default is 10 to connect, 60 for the server to take the next part of the upload, and 300 to wait for the
            next part of the answer.
        retries: How often a call is repeated after a status of 408, 429, 500, 502, 503 or 504, or after a broken
            connection. The default is 2; 0 turns retrying off. The client waits longer each time, or as long as the
            server's `Retry-After` says.
        deadline: Seconds in which the server must answer. When they are over, the server gives up, `DeadlineExceeded`
            is raised, and the call is not repeated. None, the default, leaves it to the server's own limit.
        transport: An httpx transport to send requests with, for tests and special networks. None, the default, is a
            transport over the network.
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
        """Paint a photo in a style.

        Example:
            answer = client.stylize("photo.jpg", style={"muse": 0.7, "candy": 0.3}, strength=0.8)
            answer.save("painting.jpg")

        Args:
            picture: The photo: a path, the bytes of a file, a file opened in binary mode, a PIL image or a NumPy array;
                see `PictureSource`. Files may be JPEG, PNG, WebP, AVIF, TIFF, GIF or, if the server reads it, HEIC.
            style: The name of a style, such as `muse` or `muse@1`; or a blend of up to 8 styles with their shares, as a
                mapping or as text, such as `muse:0.7,candy:0.3`. `models` lists the styles.
            **options: The other options, all of which have defaults; see `StylizeOptions`.

        Returns:
            The painting, as large as the photo unless `size` was given.

        Raises:
            ClientError: The call failed; `service.client.errors` lists the classes.
            OSError: The photo cannot be read.
            TypeError: There is no such option, or `picture` is not a picture.
            ValueError: The array does not have the shape or type of a picture.
        """
        return self._transform("stylize", picture, {"style": style, **options})

    def super_resolve(self, picture: PictureSource, **options: Unpack[SuperResolveOptions]) -> Answer:
        """Enlarge a picture by a whole factor, by default 4.

        Example:
            client.super_resolve("small.png", factor=8).save("large.png")

        Args:
            picture: The picture: a path, the bytes of a file, a file opened in binary mode, a PIL image or a NumPy
                array; see `PictureSource`. Files may be in the same formats as for `stylize`.
            **options: The options, all of which have defaults; see `SuperResolveOptions`.

        Returns:
            The picture, `factor` times as wide and high as the upload unless `scale` or `size` was given.

        Raises:
            ClientError: The call failed; `service.client.errors` lists the classes.
            OSError: The picture cannot be read.
            TypeError: There is no such option, or `picture` is not a picture.
            ValueError: The array does not have the shape or type of a picture.
        """
        return self._transform("super-resolve", picture, options)

    def stylize_video(self, film: FilmSource, *, style: Style, **options: Unpack[StylizeOptions]) -> Film:
        """Paint a film in a style, each frame mixed with the painting before it, so that it is calm.

        Example:
            client.stylize_video("in.mp4", style="muse").save("out.mp4")

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
        return self._film("stylize", film, {"style": style, **options})

    def super_resolve_video(self, film: FilmSource, **options: Unpack[SuperResolveOptions]) -> Film:
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
        return self._film("super-resolve", film, options)

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
        """Paint many photos in a style, or enlarge many pictures, several at the same time.

        Example:
            for path, answer in zip(paths, client.map(paths, style="muse")):
                answer.save(out / path.name)

        Args:
            pictures: The pictures, each a `PictureSource`. They are read when they are needed: at most
                `2 * concurrency` of them are ahead of the answers, so a generator may be endless.
            concurrency: The number of calls made at the same time, each in a thread; at least 1, by default 8. While
                the server is busy (429) a call waits and is repeated without limit, which does not count as a retry.
            on_progress: A function that is called with the `Progress` after each picture. It is called from the threads
                of the calls, but by one thread at a time.
            return_errors: Whether the exception of a call that failed takes the place of its answer, and the others go
                on. By default it is raised when its turn comes, which ends the iteration.
            **options: The options of `stylize` if they include `style`, else those of `super_resolve`.

        Returns:
            A generator of the answers in the order of the pictures. Call its `close` to end early: it waits for the
            calls that have begun, and no others are made.

        Raises:
            ClientError: A call failed; `service.client.errors` lists the classes.
            OSError: A picture cannot be read.
            TypeError: There is no such option, or one of `pictures` is not a picture.
            ValueError: An array does not have the shape or type of a picture.
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
        """Return the cards of all models of the server: each model's newest version.

        Example:
            styles = [card.name for card in client.models() if card.task == "stylize"]

        Raises:
            ClientError: The call failed; `service.client.errors` lists the classes.
        """
        return calls.parse_cards(self._send(calls.models()))

    def model(self, task: Task, name: str) -> Card:
        """Return the card of one model: how it was made and how good it measured to be.

        Example:
            card = client.model("stylize", "muse@1")

        Args:
            task: The task of the model, `stylize` or `super-resolve`.
            name: The name of the model, with or without a version. Without one, the newest version is meant.

        Raises:
            UnknownModel: The server has no such model.
            ClientError: The call failed in another way; `service.client.errors` lists the classes.
        """
        return calls.parse_card(self._send(calls.model(task, name)))

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _transform(
        self, task: Task, picture: PictureSource, options: Mapping[str, object], stopped: threading.Event | None = None
    ) -> Answer:
        return Answer.from_response(self._send(calls.transform(task, picture, options), stopped))

    def _film(self, task: Task, film: FilmSource, options: Mapping[str, object]) -> Film:
        with opened(film) as upload:
            return Film(self._send(calls.film(task, upload, options), is_streamed=True))

    def _send(
        self, call: calls.Call, stopped: threading.Event | None = None, *, is_streamed: bool = False
    ) -> httpx.Response:
        """Send a call, and send it again as often as it may be repeated.

        Args:
            call: The call to make.
            stopped: The event that ends the waiting between attempts, for one of many calls. Such a call waits for as
                long as the server is busy.
            is_streamed: Whether the content of a successful response is left to be read.
        """
        request = call.request(self._http)
        retries = Retries(self._retries, waits_while_busy=stopped is not None)
        while True:
            outcome: Outcome
            try:
                outcome = self._http.send(request, stream=is_streamed)
                if not outcome.is_success:
                    outcome.read()
            except httpx.RequestError as error:
                outcome = error
            seconds = retries.seconds_after(outcome)
            if seconds is None:
                return calls.checked(outcome)
            if stopped is None:
                time.sleep(seconds)
            elif stopped.wait(seconds):
                return calls.checked(outcome)

"""The load that one process puts on a server: it sends the requests of a workload and counts the answers.

In the closed loop each client waits for its answer before it sends again; in the open loop requests are sent at planned
times, whatever was answered.
"""

import asyncio
import json
import os
import time
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from service.bench.tally import LoadProgress, Tally
from service.bench.workload import Deck, Request, Workload

_TIMEOUT_S = 60
"""Seconds after which a request counts as not answered."""
_PAUSE_S = 0.1
"""Seconds that a client of the closed loop waits after a failed connection, so that it does not count failures as fast
as it can."""
_KEEP_ALIVE_S = 3
"""Seconds that an idle connection is kept: fewer than servers keep it (uvicorn's default is 5), so that a server does
not close a connection just when a request is sent on it."""


class Load:
    """The load that one process puts on a server, and the tally of its answers.

    Args:
        url: The address of the server.
        workload: The requests to send, and when.
    """

    def __init__(self, url: str, workload: Workload) -> None:
        self.tally = Tally()
        self._workload = workload
        self._urls = {kind.path: URL(url.rstrip("/") + kind.path, encoded=True) for kind in workload.kinds}
        self._is_warm_up = True
        self._started = time.perf_counter()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            headers={"User-Agent": "impasto-bench"} | _authorization(self._workload.api_key),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    @property
    def progress(self) -> LoadProgress:
        """The progress of the warm-up or of the measurement so far."""
        tally = self.tally
        failed = tally.other_answers.total() + tally.transport_errors.total()
        elapsed = time.perf_counter() - self._started
        return LoadProgress(self._is_warm_up, elapsed, len(tally.good), len(tally.shed), failed, tally.in_flight)

    async def warm_up(self) -> None:
        """Send the requests of the warm-up and wait for their answers, none of which are counted."""
        try:
            if self._workload.warm_up:
                await self._run(self._workload.warming_up())
        finally:
            self.tally = Tally()
            self._is_warm_up = False

    async def measure(self) -> None:
        """Send the requests that are counted and wait for their answers.

        After a cancellation the tally has the answers that came before it.
        """
        try:
            await self._run(self._workload)
        finally:
            self.tally.seconds = time.perf_counter() - self._started

    async def _run(self, workload: Workload) -> None:
        self._started = time.perf_counter()
        if workload.rate is None:
            await self._run_closed(workload)
        else:
            await self._run_open(workload)

    async def _run_closed(self, workload: Workload) -> None:
        deck = Deck(workload)
        sent = 0

        async def client() -> None:
            nonlocal sent
            while (progress := workload.progress(time.perf_counter() - self._started, sent)) < 1:
                sent += 1
                if not await self._send(deck.deal(progress), time.perf_counter()):
                    await asyncio.sleep(_PAUSE_S)

        async with asyncio.TaskGroup() as clients:
            for _ in range(workload.concurrency):
                clients.create_task(client())

    async def _run_open(self, workload: Workload) -> None:
        deck = Deck(workload)
        async with asyncio.TaskGroup() as requests:
            for sent, offset in enumerate(workload.arrivals()):
                progress = workload.progress(offset, sent)
                if progress >= 1:
                    break
                planned = self._started + offset
                await asyncio.sleep(max(0.0, planned - time.perf_counter()))
                requests.create_task(self._send(deck.deal(progress), planned))

    async def _send(self, request: Request, planned: float) -> bool:
        """Send a request and count its outcome; its latency begins at the planned time, by `time.perf_counter`.

        Returns:
            Whether there was an answer.
        """
        tally, kind = self.tally, request.kind
        sent = time.perf_counter()
        tally.sent += 1
        tally.late.append(1000 * (sent - planned))
        try:
            async with self._session.post(
                self._urls[kind.path],
                data=request.body,
                headers={"Content-Type": kind.media_type},
                allow_redirects=False,
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            tally.transport_errors[_name(error)] += 1
            return False
        answered = time.perf_counter()
        latency, took = 1000 * (answered - planned), 1000 * (answered - sent)
        if response.status == 200 and response.content_type.startswith("image/"):
            tally.add_good(latency, took, response.headers.get("Server-Timing", ""), kind.answer_pixels)
        elif response.status == 429:
            tally.shed.append(latency)
        else:
            kind_of_answer = str(response.status) if response.status != 200 else f"200 {response.content_type}"
            tally.add_other(kind_of_answer, _detail(body))
        return True


def _authorization(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


def _name(error: aiohttp.ClientError | OSError) -> str:
    """Return the kind of a failed connection in a few words."""
    if isinstance(error, TimeoutError):
        return f"no answer in {_TIMEOUT_S} s"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "closed within the answer"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return type(error).__name__


def _detail(body: bytes) -> str:
    """Return the detail of a problem document, or the beginning of another body."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    detail = document.get("detail") if isinstance(document, dict) else None
    return str(detail or body[:200].decode(errors="replace"))

"""Measures a server with load from one or several processes, apart from the one that shows the progress."""

import asyncio
import multiprocessing
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import NamedTuple
from urllib.parse import urlsplit

from model_store.errors import ImpastoError
from service.bench.load import Load
from service.bench.report import LoadReport
from service.bench.tally import LoadProgress, Tally
from service.bench.workload import Workload

_REPORTS_EVERY_S = 0.25
_GO, _STOP = "go", "stop"


class BenchError(ImpastoError):
    """The server could not be measured."""


class _Ready(NamedTuple):
    """Said by a process before it warms up and before it measures; it goes on when all have said so."""


def measure(url: str, workload: Workload, watch: Callable[[LoadProgress], None] = lambda _: None) -> LoadReport:
    """Sends what the workload says and sums up what came back. SIGINT (Ctrl-C) ends it early, with what came so far.

    Args:
        url: of the server, as in `http://localhost:8000`.
        workload: what is sent when.
        watch: told several times a second how far it is.

    Raises:
        BenchError: nobody listens there, or a process that sends requests died.
    """
    _check_that_somebody_listens(url)
    context = multiprocessing.get_context("spawn")
    connections, processes = [], []
    for index in range(workload.processes):
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, url, workload.share(index)), daemon=True)
        process.start()
        theirs.close()
        connections.append(ours)
        processes.append(process)
    try:
        with _at_first_interrupt(lambda: _tell(connections, _STOP)):
            tally = _gather(connections, watch)
    finally:
        for connection in connections:
            connection.close()
        for process in processes:
            process.join()
    return LoadReport.of(url, workload, tally)


def _check_that_somebody_listens(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BenchError(f"{url!r} is not the address of a server: give one as in http://localhost:8000")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout=10).close()
    except OSError as error:
        raise BenchError(f"nobody listens at {url} ({error}): start a server with `impasto serve`") from error


def _gather(connections: Sequence[Connection], watch: Callable[[LoadProgress], None]) -> Tally:
    """Lets the processes begin together, and waits for what they counted."""
    total, pending, ready = Tally(), set(connections), 0
    latest: dict[Connection, LoadProgress] = {}
    while pending:
        for connection in wait(pending):
            assert isinstance(connection, Connection)  # noqa: S101
            try:
                message = connection.recv()
            except EOFError:
                raise BenchError("a process that sends requests died; its error stands above") from None
            if isinstance(message, Tally):
                total.merge(message)
                pending.remove(connection)
            elif isinstance(message, LoadProgress):
                latest[connection] = message
                watch(_sum(list(latest.values())))
            else:
                ready += 1
                if ready % len(connections) == 0:
                    _tell(connections, _GO)
    return total


def _sum(parts: Sequence[LoadProgress]) -> LoadProgress:
    is_warm_up, elapsed, *counts = zip(*parts, strict=True)
    return LoadProgress(any(is_warm_up), max(elapsed), *map(sum, counts))


def _tell(connections: Sequence[Connection], word: str) -> None:
    for connection in connections:
        with suppress(OSError):
            connection.send(word)


@contextmanager
def _at_first_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Acts on SIGINT instead of raising; only once, so that a second one still ends the program."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupted(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        act()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(connection: Connection, url: str, workload: Workload) -> None:
    """The life of a process that sends requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent says when to stop
    with suppress(BrokenPipeError):
        connection.send(asyncio.run(_load(connection, url, workload)))


async def _load(connection: Connection, url: str, workload: Workload) -> Tally:
    loop, task, go = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
    assert task is not None  # noqa: S101

    def listen() -> None:
        try:
            word = connection.recv()
        except EOFError:
            word = _STOP  # the parent is gone
        if word == _GO:
            go.set()
        else:
            loop.remove_reader(connection.fileno())
            task.cancel()

    async def all_are_ready() -> None:
        go.clear()
        connection.send(_Ready())
        await go.wait()

    async def report(load: Load) -> None:
        while True:
            connection.send(load.progress)
            await asyncio.sleep(_REPORTS_EVERY_S)

    loop.add_reader(connection.fileno(), listen)
    async with Load(url, workload) as load:
        try:
            await all_are_ready()
            reports = asyncio.create_task(report(load))
            await load.warm_up()
            await all_are_ready()
            await load.measure()
            reports.cancel()
        except asyncio.CancelledError:
            load.tally.interrupted = True
    return load.tally

"""The measurement of a server by one or several processes that send requests, while this one shows the progress."""

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
"""Seconds between the reports of a process about its progress."""
_GO, _STOP = "go", "stop"
"""The words that the parent says to a process that sends requests."""


class BenchError(ImpastoError):
    """The server could not be measured."""


class _Ready(NamedTuple):
    """The message by which a process says that it waits to warm up or to measure, until all processes do."""


def measure(url: str, workload: Workload, watch: Callable[[LoadProgress], None] = lambda _: None) -> LoadReport:
    """Send the requests of a workload to a server and report on the answers.

    SIGINT (Ctrl-C) ends the measurement early; the report is then about the answers that came so far.

    Args:
        url: The address of the server, as in `http://localhost:8000`.
        workload: The requests to send, and when.
        watch: A function that is called with the progress several times a second.

    Raises:
        BenchError: Nothing listens at the address, or a process that sends requests died.
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
    """Let the processes begin at the same time, and merge their tallies."""
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
    """Call a function at the first SIGINT instead of raising; a second SIGINT still ends the program."""
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
    """Run a process that sends requests, and return its tally over the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes; the parent says when to stop
    with suppress(BrokenPipeError):
        connection.send(asyncio.run(_load(connection, url, workload)))


async def _load(connection: Connection, url: str, workload: Workload) -> Tally:
    loop, task, go = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
    assert task is not None  # noqa: S101

    def listen() -> None:
        try:
            word = connection.recv()
        except EOFError:
            word = _STOP  # the parent has ended
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

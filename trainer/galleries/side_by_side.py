"""The training of styles side by side on a CPU, in several processes, each of which is one lane."""

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import NamedTuple, cast

import torch

from trainer.errors import Stopped
from trainer.galleries.gallery_file import Style
from trainer.galleries.lane import train_styles
from trainer.galleries.workshop import Event, Failed, Published, Workshop


class _Lane(NamedTuple):
    process: SpawnProcess
    receiver: Connection
    unsettled: set[str]
    """Names of the styles that were reported neither as published nor as failed."""


def train_side_by_side(styles: Sequence[Style], workshop: Workshop, jobs: int, report: Callable[[Event], None]) -> None:
    """Train styles in several processes, which share the cores.

    The first Ctrl-C or SIGTERM stops all of them after their current step; the second one ends them at once.

    Args:
        styles: Styles, which are dealt out to the processes in turn.
        workshop: Photos, store, folder and settings that all styles are trained with.
        jobs: Number of processes.
        report: Function that is called with each event.

    Raises:
        Stopped: Ctrl-C was typed or SIGTERM received; checkpoints were saved.
    """
    jobs = min(jobs, len(styles))
    threads = max(1, torch.get_num_threads() // max(1, jobs))
    lanes: dict[Connection, _Lane] = {}
    with _passing_on_signals(lanes) as stop:
        for first in range(jobs):
            if stop.is_set():
                break
            lane = _start(styles[first::jobs], workshop, threads)
            lanes[lane.receiver] = lane
        while lanes:
            for receiver in wait(list(lanes)):
                lane = lanes[cast("Connection", receiver)]
                try:
                    event: Event = lane.receiver.recv()
                except EOFError:
                    _end(lanes.pop(lane.receiver), report, is_stopped=stop.is_set())
                    continue
                if isinstance(event, Published | Failed):
                    lane.unsettled.discard(event.style)
                report(event)
    if stop.is_set():
        raise Stopped("stopped")


def _start(styles: Sequence[Style], workshop: Workshop, threads: int) -> _Lane:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(styles, workshop, threads, sender))
    # A terminal sends Ctrl-C to children, too. They inherit that SIGINT is blocked; only this process stops them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    sender.close()
    return _Lane(process, receiver, {style.name for style in styles})


def _work(styles: Sequence[Style], workshop: Workshop, threads: int, sender: Connection) -> None:
    """Train the styles of a lane in its process, and send the events to the parent."""
    torch.set_num_threads(threads)

    def report(event: Event) -> None:
        try:
            sender.send(event)
        except BrokenPipeError:  # the parent was killed: save, and make room for its successor
            signal.raise_signal(signal.SIGTERM)

    with contextlib.suppress(Stopped):
        train_styles(styles, workshop, report)


def _end(lane: _Lane, report: Callable[[Event], None], *, is_stopped: bool) -> None:
    lane.process.join()
    for style in lane.unsettled if not is_stopped else ():
        report(Failed(style, f"its process ended with the exit code {lane.process.exitcode}"))


@contextlib.contextmanager
def _passing_on_signals(lanes: dict[Connection, _Lane]) -> Iterator[threading.Event]:
    """Pass Ctrl-C and SIGTERM on to the lanes, the first as SIGTERM and the second as SIGKILL.

    No process is left behind at the end.
    """
    stop = threading.Event()

    def pass_on(_number: int, _frame: object) -> None:
        for lane in lanes.values():
            if stop.is_set():
                lane.process.kill()
            else:
                lane.process.terminate()
        stop.set()

    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    previous = {number: signal.signal(number, pass_on) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for lane in lanes.values():
            lane.process.terminate()
            lane.process.join()

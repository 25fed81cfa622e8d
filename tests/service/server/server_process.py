"""A server in processes of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

SECONDS = 60
IMPASTO = (str(Path(sys.executable).with_name("impasto")), "serve")


class ServerProcess:
    """A running server; its log is read as it is waited for."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.workers: list[int] = []
        """Process ids."""
        self.log: list[str] = []
        """The lines so far."""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The next line of the log in which the pattern is found."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"{pattern} is not in the log: {''.join(self.log)}")

    def next_worker(self) -> int:
        """The id of the next worker that starts; waits for it."""
        return int(self.wait_for(r"Started server process \[(\d+)\]")[1])

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Waits for it; the exit code."""
        _, rest = self.process.communicate(timeout=SECONDS)
        self.log += rest.splitlines(keepends=True)
        return self.process.returncode

    def stop(self) -> int:
        """Sends SIGTERM; the exit code."""
        self.terminate()
        return self.end()


@contextmanager
def serving(
    workers: int, *arguments: str, setting: int | None = None, command: Sequence[str] = IMPASTO
) -> Iterator[ServerProcess]:
    """Runs a server of so many workers.

    Args:
        workers: to wait for.
        arguments: of `impasto serve`.
        setting: IMPASTO_WORKERS, if that is to be another number.
        command: another that takes these arguments.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"IMPASTO_DEVICE": "cpu", "IMPASTO_STORE": "nothing-here", "OMP_NUM_THREADS": "1"}
    environment["IMPASTO_WORKERS"] = str(setting or workers)
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    process = subprocess.Popen(
        [*command, "--port", str(port), *arguments], stderr=subprocess.PIPE, text=True, env=environment
    )
    server = ServerProcess(process, f"http://127.0.0.1:{port}")
    try:
        for _ in range(workers):
            server.workers.append(server.next_worker())
        with httpx.Client(transport=httpx.HTTPTransport(retries=9)) as client:  # waits until the socket listens
            client.get(f"{server.url}/livez", timeout=SECONDS)
        yield server
    finally:
        for worker in server.workers:
            if is_running(worker):
                os.kill(worker, signal.SIGCONT)
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=SECONDS)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

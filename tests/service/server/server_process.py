"""A server that runs in processes of its own."""

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
    """A running server, whose log is read while a line of it is waited for."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.workers: list[int] = []
        """Process ids of the workers."""
        self.log: list[str] = []
        """Lines of the log that were read so far."""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read the log until the pattern is found in a line, and return the match."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"{pattern} is not in the log: {''.join(self.log)}")

    def next_worker(self) -> int:
        """Wait for the next worker to start, and return its process id."""
        return int(self.wait_for(r"Started server process \[(\d+)\]")[1])

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Wait for the end of the process, and return its exit code."""
        _, rest = self.process.communicate(timeout=SECONDS)
        self.log += rest.splitlines(keepends=True)
        return self.process.returncode

    def stop(self) -> int:
        """Send SIGTERM, wait for the end of the process, and return its exit code."""
        self.terminate()
        return self.end()


@contextmanager
def serving(
    workers: int,
    *arguments: str,
    setting: int | None = None,
    command: Sequence[str] = IMPASTO,
    device: str = "cpu",
) -> Iterator[ServerProcess]:
    """Run a server of so many workers during the `with` block.

    Args:
        workers: Number of workers to wait for.
        arguments: Arguments of the command.
        setting: Value of IMPASTO_WORKERS, if it is to differ from the number of workers.
        command: Command that takes the arguments of `impasto serve`.
        device: Value of IMPASTO_DEVICE.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"IMPASTO_DEVICE": device, "IMPASTO_STORE": "nothing-here", "OMP_NUM_THREADS": "1"}
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

"""The servers that benchmarks measure, started as users start them, and the options that benchmarks share."""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

_LOAD_BEFORE = os.getloadavg()[0]
"""The load average of the last minute before the benchmark; if it is high, the figures mean little."""
_PEERS = Path(__file__).parent / "peers"
_START_S = 180
"""Seconds that a server may take to become ready."""
_STOP_S = 45
"""Seconds that a server may take to end after SIGTERM."""


class Program(NamedTuple):
    """A server that can be started, with the option `--port`."""

    name: str
    command: tuple[str, ...]
    ready_path: str
    """The path that is answered with 200 when the server is ready."""


OURS = Program("impasto", (str(Path(sys.executable).with_name("impasto")), "serve"), "/readyz")
HANDWRITTEN = Program("handwritten", (sys.executable, str(_PEERS / "handwritten.py")), "/health")
LITSERVE = Program("litserve", (sys.executable, str(_PEERS / "litserve_peer.py")), "/health")


class Server(NamedTuple):
    """A running server."""

    url: str
    process: "subprocess.Popen[bytes]"
    started: float
    """The time by `time.perf_counter` just before the process was started."""
    ready_s: float
    """Seconds from the start until the server was ready."""

    def resident_mib(self) -> float:
        """Return the resident memory of the process and all its descendants, in MiB."""
        pages = 0
        for pid in _tree_of(self.process.pid):
            with contextlib.suppress(OSError):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def stop(self) -> float:
        """End the server by SIGTERM, as an orchestrator does, and return the seconds that it took.

        Raises:
            RuntimeError: The server did not end in time, or ended with an error.
        """
        asked = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"the server did not end within {_STOP_S} s of SIGTERM") from None
        if code not in (0, -signal.SIGTERM):
            raise RuntimeError(f"the server ended with {code}")
        return time.perf_counter() - asked


@contextmanager
def running(program: Program, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Start a server and wait until it is ready; at the end, stop it and all its processes.

    Args:
        program: The server to start.
        environment: Environment variables to add to those of this process.

    Raises:
        RuntimeError: The server did not become ready; the message has the end of what it printed.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*program.command, "--port", str(port)],
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            while not _is_ready(url + program.ready_path):
                if process.poll() is not None or time.perf_counter() - started > _START_S:
                    raise RuntimeError(f"{program.name} did not start:\n{_end_of(log)}")
                time.sleep(0.01)
            yield Server(url, process, started, time.perf_counter() - started)
        finally:
            tree = _tree_of(process.pid)
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
            for pid in tree - {process.pid}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.kill()
            process.wait()


def options_for(docstring: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks of servers have."""
    parser = argparse.ArgumentParser(description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--env", action="append", default=[], metavar="IMPASTO_X=Y", help="setting of Impasto's server; repeatable"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file to write the printed JSON to as well")
    return parser


def environment_of(options: argparse.Namespace) -> dict[str, str]:
    """Return the settings of `--env` as environment variables."""
    return dict(setting.split("=", 1) for setting in options.env)


def publish(options: argparse.Namespace, results: Mapping[str, Any]) -> None:
    """Print results as JSON, with the machine and the options, and write them to the file of `--json`."""
    print(write(options, results))


def write(options: argparse.Namespace, results: Mapping[str, Any]) -> str:
    """Write results as JSON to the file of `--json`, with the machine and the options; return the document."""
    chosen = {name: value for name, value in vars(options).items() if name != "json"}
    document = json.dumps({"machine": machine(), "load_before": _LOAD_BEFORE, "options": chosen, **results}, indent=2)
    if options.json:
        options.json.write_text(document + "\n")
    return document


def machine() -> str:
    """Return a description of the machine: its device and its cores."""
    try:
        import torch
    except ModuleNotFoundError:
        device = "CPU"
    else:
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return f"{device}, {os.cpu_count()} cores"


def _tree_of(pid: int) -> set[int]:
    """Return the ids of a process and all its descendants."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # the process may have ended since it was listed
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    tree = {pid}
    while children := {child for child, parent in parents.items() if parent in tree} - tree:
        tree |= children
    return tree


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
            return bool(response.status == 200)
    except OSError:  # the base class of urllib's errors
        return False


def _end_of(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")[-2000:]

"""Run what the documents say of starting and testing, as a newcomer would: in a fresh clone, one after the other.

    python tests/end_to_end/run_it.py
    python tests/end_to_end/run_it.py --compose podman-compose

A command that starts a server must paint a photo over HTTP, and its exit status after Ctrl-C is printed; so must the
command that the README gives after `make serve`. A command that ends by itself must succeed. Commands that need a GPU
are left out if there is none, which is printed.
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from PIL import Image

PROJECT = Path(__file__).parents[2]
PHOTO = PROJECT / "tests/pictures/coffee.jpg"
LONGEST_START_S = 3600
"""Seconds that a server may take to start, during which images may be built."""
ENDS_BY_ITSELF = ("make test",)
_DOCUMENTS = ("README.md", "docs/operating.md", "CONTRIBUTING.md")
_LINES = [line for name in _DOCUMENTS for line in (PROJECT / name).read_text().splitlines()]
COMMANDS = [
    line for line in dict.fromkeys(_LINES) if re.fullmatch(r"make (serve|test)|docker compose .*up( --build)?", line)
]
SECOND = _LINES[_LINES.index("make serve") + 1]
"""The command that the README gives for a second terminal, while `make serve` runs in the first."""
NEEDS_GPU = ("docker compose up", "docker compose --profile cuda")


def main() -> None:
    """Run the commands and print the outcome of each; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compose", default="docker compose", help="command to run instead of docker compose")
    parser.add_argument("--only", help="run only the commands that contain this text")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "impasto")
        subprocess.run(["git", "clone", "--quiet", PROJECT, clone], check=True)
        for command in COMMANDS:
            if options.only and options.only not in command:
                continue
            if command.startswith(NEEDS_GPU) and shutil.which("nvidia-smi") is None:
                print(f"left out, because there is no GPU: {command}", flush=True)
                continue
            started = time.monotonic()
            try:
                seen = run(command, shlex.split(command.replace("docker compose", options.compose)), clone)
            except (AssertionError, subprocess.CalledProcessError) as error:
                failed = True
                seen = f"FAILED: {error}"
            print(f"{command}: {seen} ({time.monotonic() - started:.0f} s)", flush=True)
    sys.exit(failed)


def run(command: str, words: list[str], clone: Path) -> str:
    """Run a command and return what was seen.

    Raises:
        AssertionError: The server does not do what a user expects.
        subprocess.CalledProcessError: The command failed.
    """
    if command in ENDS_BY_ITSELF:
        subprocess.run(words, cwd=clone, check=True, stdout=sys.stderr)
        return "succeeded"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
    environment = os.environ | {"PORT": port}
    if "--profile" in words:
        environment["COMPOSE_PROFILES"] = ""  # podman-compose would start these profiles, too
    with running(words, clone, environment) as process:
        seen = paint(f"http://127.0.0.1:{port}", process)
        if command == "make serve":
            subprocess.run(shlex.split(SECOND.replace("localhost:8000", f"localhost:{port}")), cwd=clone, check=True)
            with Image.open(clone / "painting.jpg") as painting:
                seen += f", and a {painting.format} of {painting.width}×{painting.height} by README's second command"
        if "monitoring" in command:
            seen += f", Prometheus' target is {target_health('http://127.0.0.1:9090')}"
    return f"{seen}, exit status {process.returncode}"


@contextmanager
def running(words: list[str], clone: Path, environment: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a process, end it by Ctrl-C, and remove what compose made."""
    process = subprocess.Popen(words, cwd=clone, env=environment, start_new_session=True, stdout=sys.stderr)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=120)
        if "up" in words:
            subprocess.run(
                [*words[: words.index("up")], "down", "-v"], cwd=clone, env=environment, check=True, stdout=sys.stderr
            )


def paint(url: str, process: "subprocess.Popen[bytes]") -> str:
    """Wait for a server, have it paint a photo, and return what it answered."""
    deadline = time.monotonic() + LONGEST_START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"it ended with exit status {process.returncode}"
        try:
            if httpx.get(f"{url}/readyz").is_success:
                break
        except httpx.TransportError:
            time.sleep(0.5)
    answer = httpx.post(f"{url}/stylize?style=muse", files={"image": PHOTO.read_bytes()}, timeout=60)
    assert answer.is_success, answer.text
    return f"painted {len(answer.content):,} bytes of {answer.headers['Content-Type']} by {answer.headers['X-Model']}"


def target_health(prometheus: str) -> str:
    """Wait until Prometheus has scraped the server, and return the health of the target."""
    health: list[str] = []
    deadline = time.monotonic() + 60
    while health != ["up"] and time.monotonic() < deadline:
        time.sleep(1)
        targets = httpx.get(f"{prometheus}/api/v1/targets").json()["data"]["activeTargets"]
        health = [target["health"] for target in targets]
    assert health == ["up"], f"Prometheus' targets are {health}"
    return health[0]


if __name__ == "__main__":
    main()

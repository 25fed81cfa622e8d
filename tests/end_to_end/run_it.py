"""Runs every command of README's "Run it" as a newcomer would: in a fresh clone, one after the other.

    python tests/end_to_end/run_it.py
    python tests/end_to_end/run_it.py --compose podman-compose

What serves must paint a photo over HTTP and end well; what ends by itself must succeed. A command that needs a GPU is
left out where there is none, and that is said.
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

PROJECT = Path(__file__).parents[2]
PHOTO = PROJECT / "tests/pictures/coffee.jpg"
LONGEST_START_S = 3600
"""Images are built then."""
ENDS_BY_ITSELF = ("make test",)
NEEDS_GPU = ("docker compose up", "docker compose --profile cuda")


def main() -> None:
    """Prints what became of each command; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compose", default="docker compose", help="what to call instead of docker compose")
    parser.add_argument("--only", help="commands that have this in them")
    options = parser.parse_args()
    readme = (PROJECT / "README.md").read_text()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "impasto")
        subprocess.run(["git", "clone", "--quiet", PROJECT, clone], check=True)
        for command in commands(readme, "Run it"):
            if options.only and options.only not in command:
                continue
            if command.startswith(NEEDS_GPU) and shutil.which("nvidia-smi") is None:
                print(f"left out, for want of a GPU: {command}", flush=True)
                continue
            started = time.monotonic()
            try:
                seen = run(command, shlex.split(command.replace("docker compose", options.compose)), clone)
            except (AssertionError, subprocess.CalledProcessError) as error:
                failed = True
                seen = f"FAILED: {error}"
            print(f"{command}: {seen} ({time.monotonic() - started:.0f} s)", flush=True)
    sys.exit(failed)


def commands(readme: str, section: str) -> list[str]:
    """The indented lines of a section."""
    text = readme.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^    (.+)$", text, re.MULTILINE)


def run(command: str, words: list[str], clone: Path) -> str:
    """What was seen.

    Raises:
        AssertionError, subprocess.CalledProcessError: it is not what a user would want.
    """
    if command in ENDS_BY_ITSELF:
        subprocess.run(words, cwd=clone, check=True, stdout=sys.stderr)
        return "succeeded"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
    environment = os.environ | {"PORT": port}
    if "--profile" in words:
        environment["COMPOSE_PROFILES"] = ""  # which podman-compose would add to them
    with running(words, clone, environment) as process:
        seen = paint(f"http://127.0.0.1:{port}", process)
        if "monitoring" in command:
            seen += f", Prometheus' target is {target_health('http://127.0.0.1:9090')}"
    return f"{seen}, exit status {process.returncode}"


@contextmanager
def running(words: list[str], clone: Path, environment: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """A process until Ctrl-C; then what compose left is taken away."""
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
    """Waits for a server and has it paint."""
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
    """Of the server, once it was scraped."""
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

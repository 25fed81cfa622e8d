"""The `cpu` image, run read-only and without any capabilities, as compose.yaml runs it."""

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image, ImageChops

from service.client import Client

pytestmark = pytest.mark.process

Run = Callable[..., Any]
"""The type of the fixture `run`; see conftest.py."""
CLIENTS = 8


def test_the_container_paints_and_enlarges(run: Run, photo: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Image.open(photo).resize((60, 40)).save(small)
    with run() as container, Client(container.url) as client:
        painting = client.stylize(photo, style="muse").to_pil()
        large = client.super_resolve(small, factor=4).to_pil()
    assert painting.size == Image.open(photo).size
    assert ImageChops.difference(painting, Image.open(photo)).getbbox() is not None
    assert large.size == (240, 160)


def test_the_container_has_no_privileges_and_writes_to_its_volumes_only(run: Run, photo: Path) -> None:
    with run() as container, Client(container.url) as client:
        client.stylize(photo, style="muse")
        assert int(container.execute("id", "-u").stdout) >= 1000
        assert container.execute("sh", "-c", "grep CapEff /proc/1/status").stdout.split()[1].strip("0") == ""
        for folder in ("/", "/etc", "/opt/impasto", "/opt/venv", "/home", "/run", "/usr", "/var"):
            assert container.execute("touch", f"{folder}/something").returncode != 0, folder
        for folder in ("/tmp", "/models", "/cache"):  # noqa: S108
            assert container.execute("touch", f"{folder}/something").returncode == 0, folder


def test_the_container_has_an_init_that_reaps_zombies(run: Run) -> None:
    with run() as container:
        container.execute("sh", "-c", "(sleep 0.2; echo gone > /tmp/orphan) & exit")
        container.execute("sh", "-c", "while ! test -e /tmp/orphan; do sleep 0.1; done; sleep 0.5")
        states = container.execute("sh", "-c", "grep -h State /proc/[0-9]*/status").stdout
        assert "Z (zombie)" not in states
        assert "State" in states


def test_the_health_check_asks_the_server(run: Run, engine: str, image: str) -> None:
    with run("-e", "http_proxy=http://127.0.0.1:9") as container:
        kind, *command = json.loads(container.inspect("{{json .Config.Healthcheck.Test}}"))
        assert kind == "CMD"
        assert container.execute(*command).returncode == 0
    without_server = [engine, "run", "--rm", "--network", "none", "--entrypoint", command[0], image, *command[1:]]
    assert subprocess.run(without_server, capture_output=True, check=False).returncode != 0


def test_the_image_has_no_cuda_libraries(engine: str, image: str) -> None:
    words = ["find", "/", "-xdev", "(", "-name", "libcud*", "-o", "-name", "libnv*", "-o", "-name", "torchvision", ")"]
    command = [engine, "run", "--rm", "--entrypoint", words[0], image, *words[1:]]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""


def test_sigterm_under_load_loses_no_accepted_request(
    run: Run, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: Counter[str] = Counter()
    answered: dict[str, int] = {}
    terminated = threading.Event()

    def ask_until_it_is_gone(url: str) -> None:
        while True:
            request_id = uuid4().hex
            try:
                # Each request gets its own connection, because the server may close an idle one at any time.
                response = httpx.post(
                    f"{url}/stylize?style=muse&size={256 + len(answered) % 64}",
                    content=photo.read_bytes(),
                    headers={"Content-Type": "image/jpeg", "X-Request-ID": request_id},
                    timeout=120,
                )
            except httpx.ConnectError:
                seen["not connected"] += 1
            except httpx.TransportError:
                seen["closed without an answer"] += 1
                unanswered.append(request_id)
            else:
                answered[request_id] = response.status_code
                seen[f"{response.status_code} {'after' if terminated.is_set() else 'before'} SIGTERM"] += 1
                continue
            return

    unanswered: list[str] = []
    with run("-e", "IMPASTO_LOG_FORMAT=json") as container:
        threads = [threading.Thread(target=ask_until_it_is_gone, args=[container.url]) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        while len(answered) < 2 * CLIENTS:
            terminated.wait(0.1)
        terminated.set()
        status = container.stop(75)
        for thread in threads:
            thread.join()
        logged = {line["request_id"]: line["status"] for line in container.log() if line.get("route") == "/stylize"}
    with capsys.disabled():
        print(f"\n{dict(seen)}, {len(logged)} logged, exit status {status}")
    assert status == 0
    assert seen["200 after SIGTERM"] >= 1
    assert logged == answered
    assert not set(unanswered) & set(logged)

"""Fixtures of the end-to-end tests: data to train from, and containers if the environment names an engine."""

import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
import safetensors.torch
from PIL import Image

from ..loss_network_weights import vgg19_normalised

PROJECT = Path(__file__).parents[2]
BUILD_ARGUMENTS = ("BASE", "TORCH_CPU_INDEX", "TORCH_VERSION")


class Container(NamedTuple):
    """A running container of the server, with the address of the server."""

    engine: str
    name: str
    url: str

    def execute(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the container."""
        return subprocess.run([self.engine, "exec", self.name, *command], capture_output=True, text=True, check=False)

    def stop(self, seconds: int) -> int:
        """Send SIGTERM, and SIGKILL after so many seconds, and return the exit status."""
        subprocess.run([self.engine, "stop", "-t", str(seconds), self.name], capture_output=True, check=True)
        return int(self.inspect("{{.State.ExitCode}}"))

    def inspect(self, template: str) -> str:
        """Return a fact that the engine knows about the container, by a Go template."""
        command = [self.engine, "inspect", "--format", template, self.name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of the container's log, each parsed from JSON."""
        done = subprocess.run([self.engine, "logs", self.name], capture_output=True, text=True, check=True)
        return [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]


Run = Callable[..., AbstractContextManager[Container]]


@pytest.fixture
def training_data(tmp_path: Path, photo: Path) -> Path:
    """Make a folder with `painting.jpg`, `photos/`, and random weights of a loss network, `vgg19.safetensors`."""
    folder = tmp_path / "data"
    (folder / "photos").mkdir(parents=True)
    shutil.copy(photo, folder / "painting.jpg")
    generator = np.random.default_rng(0)
    for number in range(4):
        blocks = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        blocks.resize((64, 64)).save(folder / f"photos/{number}.png")
    # Unlike `save_file`, `write_bytes` makes a file that the user of a container may read.
    (folder / "vgg19.safetensors").write_bytes(safetensors.torch.save(vgg19_normalised()))
    return folder


@pytest.fixture(scope="session")
def engine() -> str:
    """Return the container engine that IMPASTO_TEST_ENGINE names, `docker` or `podman`."""
    name = os.environ.get("IMPASTO_TEST_ENGINE")
    if name is None:
        pytest.skip("needs IMPASTO_TEST_ENGINE, docker or podman")
    assert shutil.which(name), f"there is no {name}"
    return name


@pytest.fixture(scope="session")
def image(engine: str) -> str:
    """Build the `cpu` image, with the arguments of docker/Dockerfile that the environment sets; return its name."""
    arguments = [f"--build-arg={name}={os.environ[name]}" for name in BUILD_ARGUMENTS if name in os.environ]
    command = [engine, "build", "--network", "host", "-f", "docker/Dockerfile", "--target", "cpu", *arguments]
    environment = os.environ | {"BUILDAH_FORMAT": "docker"}  # the default format of Podman has no health checks
    subprocess.run(
        [*command, "-t", "impasto-test:cpu", "."], cwd=PROJECT, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    return "impasto-test:cpu"


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Return a function that finds a port on which nothing listens."""

    def free_port() -> int:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            return int(listening.getsockname()[1])

    return free_port


@pytest.fixture(scope="session")
def wait_until_ready() -> Callable[[str], None]:
    """Return a function that waits until a server is ready."""

    def wait_until_ready(url: str) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{url}/readyz").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        raise AssertionError(f"{url} is not ready")

    return wait_until_ready


@pytest.fixture(scope="session")
def run(
    engine: str, image: str, free_port: Callable[[], int], wait_until_ready: Callable[[str], None]
) -> Callable[..., AbstractContextManager[Container]]:
    """Return a context manager that runs the image as compose.yaml does, with more options of the engine."""

    @contextmanager
    def run(*options: str) -> Iterator[Container]:
        port = free_port()
        container = Container(engine, f"impasto-test-{uuid.uuid4().hex[:8]}", f"http://127.0.0.1:{port}")
        hardened = ["--read-only", "--tmpfs", "/tmp:noexec", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]  # noqa: S108
        reachable = ["--network", "bridge", "-p", f"127.0.0.1:{port}:8000"]
        command = [engine, "run", "-d", "--name", container.name, *reachable, *hardened]
        subprocess.run([*command, *options, image], capture_output=True, check=True)
        try:
            wait_until_ready(container.url)
            yield container
        finally:
            subprocess.run([engine, "rm", "-f", "-v", container.name], capture_output=True, check=True)

    return run

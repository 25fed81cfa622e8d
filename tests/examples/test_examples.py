"""Each program of `examples/`, run by the commands that its docstring gives; a server stands for `localhost:8000`."""

import ast
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image, ImageChops

EXAMPLES = Path(__file__).parents[2] / "examples"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
TINY = "--steps 2 --batch 2 --size 32 --style-size 32 --held-out 1"
OPENCV = """
class VideoCapture:
    def __init__(self, number):
        self._left = 2

    def read(self):
        self._left -= 1
        return self._left >= 0, "photo.jpg"


class Buffer(bytes):
    def tobytes(self):
        return self


def imencode(suffix, frame):
    return True, Buffer(open(frame, "rb").read())
"""
"""A stand-in for OpenCV that has a camera of two frames."""

pytestmark = pytest.mark.process


def commands(name: str) -> list[str]:
    """Return the indented lines of a program's docstring."""
    docstring = ast.get_docstring(ast.parse((EXAMPLES / name).read_text())) or ""
    return re.findall(r"^    (.+)$", docstring, re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, photo: Path) -> Path:
    """Make a folder with small photos, a painting, and `examples` itself."""
    (tmp_path / "examples").symlink_to(EXAMPLES)
    (tmp_path / "photos").mkdir()
    with Image.open(photo) as coffee:
        for name in ("photo.jpg", "painting.jpg"):
            coffee.resize((96, 64)).save(tmp_path / name)
        for number in range(3):
            part = coffee.crop((100 * number, 0, 100 * number + 300, 300))
            part.resize((64, 64)).save(tmp_path / f"photos/{number}.jpg")
    return tmp_path


def start(command: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    own = {"PATH": PATH, "IMPASTO_DEVICE": "cpu", "IMPASTO_STORE": str(folder / "store"), **environment}
    return subprocess.run(
        shlex.split(command), cwd=folder, env=os.environ | own, capture_output=True, text=True, check=False
    )


def run(command: str, folder: Path, **environment: str) -> str:
    done = start(command, folder, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_program_has_a_test_and_is_short() -> None:
    tested = {"camera.py", "folder.py", "proxy.py", "train_and_serve.py", "without_a_server.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested
    assert all(len((EXAMPLES / name).read_text().splitlines()) <= 60 for name in tested)


def test_a_folder_of_photos_is_painted(folder: Path, served: str) -> None:
    (command,) = commands("folder.py")
    run(f"{command} --url {served}", folder)
    assert {path.name for path in (folder / "paintings").iterdir()} == {"0.jpg", "1.jpg", "2.jpg"}
    with Image.open(folder / "photos/0.jpg") as photo, Image.open(folder / "paintings/0.jpg") as painting:
        assert ImageChops.difference(photo, painting).getbbox() is not None


def test_a_broken_photo_of_a_folder_is_told_and_the_others_are_painted(folder: Path, served: str) -> None:
    (folder / "photos/1.jpg").write_bytes(b"not a picture")
    (command,) = commands("folder.py")
    done = start(f"{command} --url {served}", folder)
    assert done.returncode == 1
    assert "photos/1.jpg: 415" in done.stderr
    assert {path.name for path in (folder / "paintings").iterdir()} == {"0.jpg", "2.jpg"}


@contextmanager
def application(command: str, folder: Path, port: int) -> Iterator[None]:
    """Run a server on a port as long as the `with` block."""
    process = subprocess.Popen(["env", *shlex.split(command)], cwd=folder, env=os.environ | {"PATH": PATH})
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def test_the_proxy_paints_portraits_and_passes_on_what_is_wrong(folder: Path, served: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve, upload = (
        command.replace("http://localhost:8000", served).replace("8001", str(port)) for command in commands("proxy.py")
    )
    with application(serve, folder, port):
        run(upload, folder)
        refusal = run(upload.replace("photo.jpg", "examples/proxy.py").partition(" -o ")[0], folder)
    with Image.open(folder / "portrait.webp") as portrait:
        assert (portrait.format, max(portrait.size)) == ("WEBP", 256)
    assert "not a picture in a format" in refusal


def test_the_frames_of_a_camera_and_of_a_folder_are_painted(folder: Path, served: str) -> None:
    of_camera, of_folder = commands("camera.py")
    url = served.replace("http", "ws", 1)
    (folder / "opencv").mkdir()
    (folder / "opencv/cv2.py").write_text(OPENCV)
    python_path = os.pathsep.join([str(folder / "opencv"), os.environ.get("PYTHONPATH", "")])
    run(f"{of_camera} --url {url} --output camera", folder, PYTHONPATH=python_path)
    run(f"{of_folder} --url {url}", folder)
    for name, count, size in (("camera", 2, (96, 64)), ("live", 3, (64, 64))):
        frames = sorted((folder / name).iterdir())
        assert [frame.name for frame in frames] == [f"{number:04}.jpg" for number in range(1, count + 1)]
        with Image.open(frames[0]) as frame:
            assert frame.size == size


def test_the_camera_says_what_the_server_refuses_for_good(folder: Path, served: str) -> None:
    command = f"{commands('camera.py')[1]} --url {served.replace('http', 'ws', 1)} --style mus"
    done = start(command, folder)
    assert done.returncode == 1
    assert "did you mean muse?" in done.stderr


@pytest.mark.training
def test_a_style_is_trained_served_and_used(folder: Path) -> None:
    checkpoints = folder / "torch/hub/checkpoints"
    checkpoints.mkdir(parents=True)
    url = torchvision.models.VGG19_Weights.DEFAULT.url
    features = torchvision.models.vgg19(weights=None, num_classes=1).features.state_dict()
    torch.save({f"features.{key}": value for key, value in features.items()}, checkpoints / url.rsplit("/", 1)[-1])
    home = str(folder / "torch")
    from_scratch, from_muse = commands("train_and_serve.py")
    assert "by my-style@1" in run(f"{from_scratch} {TINY} --width 4", folder, TORCH_HOME=home)
    assert "by my-style@2" in run(f"{from_muse} {TINY} --run runs/again", folder, TORCH_HOME=home)
    with Image.open(folder / "painted.jpg") as painted:
        assert painted.size == (96, 64)


def test_nets_are_used_without_a_server(folder: Path) -> None:
    (command,) = commands("without_a_server.py")
    assert "The Muse, muse@1, then x4-pixel@2" in run(command, folder)
    with Image.open(folder / "painting.png") as painting:
        assert painting.size == (384, 256)

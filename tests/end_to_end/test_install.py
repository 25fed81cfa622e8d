"""The wheel, and an installation of it without extras."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the project's wheel by `make wheel`, which takes the environment as up to date, and return its path."""
    folder = tmp_path_factory.mktemp("wheel")
    installed = [f"VENV={sys.prefix}", "--assume-old", f"{sys.prefix}/dev.stamp"]
    subprocess.run(["make", "wheel", f"DIST={folder}", *installed], cwd=PROJECT, check=True)
    return next(folder.glob("impasto-*.whl"))


@pytest.fixture(scope="module")
def plain_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel without extras in an environment and return the path of its Python."""
    folder = tmp_path_factory.mktemp("plain")
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", wheel], check=True)
    return folder / "bin/python"


def test_the_wheel_has_the_bundled_models_the_playground_and_types_but_not_the_gallery_page(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for model in ("stylize/muse/1", "super-resolve/x4-pixel/1"):
        for file in ("model.safetensors", "card.json", "preview.jpg"):
            assert f"model_store/bundled/{model}/{file}" in names
    assert "model_store/bundled/README.md" not in names
    page = {f"service/playground/static/{name}" for name in ("index.html", "style.css", "main.js", "sample.jpg")}
    assert page <= names
    assert {f"{package}/py.typed" for package in ("impasto", "model_store", "service", "trainer")} <= names


def test_the_client_needs_neither_torch_nor_fastapi(plain_python: Path) -> None:
    script = "from impasto import AsyncClient, Card, Client; Client().close()"
    subprocess.run([plain_python, "-c", script], check=True)
    listed = subprocess.run([plain_python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    installed = {line.split()[0].lower() for line in listed.splitlines()}
    assert "httpx" in installed
    assert installed.isdisjoint({"torch", "torchvision", "fastapi", "numpy", "pillow"})


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("serve",), "impasto[serve]"),
        (("models", "ls"), "impasto[serve]"),
        (("bench", "http://localhost:8000"), "impasto[bench]"),
        (("stylize", __file__, "-o", "out.jpg", "--style", "muse"), "impasto[serve]"),
        (("train", "style", __file__, "--photos", ".", "--name", "muse"), "impasto[train]"),
    ],
)
def test_a_command_without_its_extra_says_how_to_install_it(
    plain_python: Path, words: tuple[str, ...], extra: str
) -> None:
    result = subprocess.run(
        [plain_python.with_name("impasto"), *words], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert result.returncode == 1
    assert f"pip install '{extra}'" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_doctor_lists_what_a_plain_installation_lacks(plain_python: Path) -> None:
    result = subprocess.run(
        [plain_python.with_name("impasto"), "doctor"], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert (result.returncode, result.stderr) == (0, "")
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "not installed" in lines["torch"]
    assert "pip install 'impasto[serve]'" in lines["serve"]
    assert "not examined" in lines["nets"]
    assert result.stdout.endswith("all is well\n")


def test_the_command_line_uses_a_server_without_any_extra(plain_python: Path) -> None:
    photo = PROJECT / "tests/pictures/coffee.jpg"
    command = ["stylize", photo, "-o", "out/", "--style", "muse", "--server", "http://127.0.0.1:9"]
    result = subprocess.run(
        [plain_python.with_name("impasto"), *command], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert result.returncode == 1
    assert result.stderr.startswith("impasto: no answer from http://127.0.0.1:9")

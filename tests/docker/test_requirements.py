"""The locked packages of the images, which must be those that the project asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).parents[2]
DOCKERFILE = (PROJECT / "docker/Dockerfile").read_text()
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
LOCKS = {path.stem: path.read_text() for path in (PROJECT / "docker/requirements").glob("*.txt")}


def versions(lock: str) -> dict[str, list[Version]]:
    """Return the versions of each package in a lock; there are several if they depend on the version of Python."""
    found: dict[str, list[Version]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(Version(version))
    return found


def argument(name: str) -> Version:
    """Return the default of a build argument."""
    match = re.search(rf"^ARG {name}=(.+)$", DOCKERFILE, re.MULTILINE)
    assert match
    return Version(match[1])


@pytest.mark.parametrize(
    ("lock", "extras"), [("server", ("serve", "remote", "heic", "tracing", "video")), ("trainer", ("train", "remote"))]
)
def test_a_lock_has_the_packages_and_versions_that_the_project_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    locked = versions(LOCKS[lock])
    optional = METADATA["optional-dependencies"]
    for each in map(Requirement, [*METADATA["dependencies"], *(each for extra in extras for each in optional[extra])]):
        if each.name in {"torch", "torchvision"}:
            assert each.name not in locked, "comes from the index of its device"
            assert argument(f"{each.name.upper()}_VERSION") in each.specifier
        else:
            assert locked[canonicalize_name(each.name)], each
            assert all(version in each.specifier for version in locked[canonicalize_name(each.name)]), each


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_hashes(lock: str) -> None:
    entries = re.split(r"^(?=[\w.-]+==)", LOCKS[lock], flags=re.MULTILINE)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


def test_torch_is_the_same_with_cuda_and_without() -> None:
    assert versions(LOCKS["torch-cuda"])["torch"] == [argument("TORCH_VERSION")]


def test_a_package_in_two_locks_has_one_version() -> None:
    server, cuda = versions(LOCKS["server"]), versions(LOCKS["torch-cuda"])
    both = server.keys() & cuda.keys()
    assert both
    for name in both:
        assert server[name] == cuda[name], name


def test_the_images_are_labelled_with_the_version_of_the_project() -> None:
    assert f'org.opencontainers.image.version="{METADATA["version"]}"' in DOCKERFILE

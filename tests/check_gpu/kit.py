"""The command line of `make gpu-kit`: gather the checkout and the wheels that a rented host lacks, in one folder.

    PYTHONPATH=tests python -m check_gpu.kit kit

The host is expected to have Python 3.12, torch, torchvision, Triton, NumPy and httpx. Bundled nets that the check does
not use are left out. The command needs git, uv, pip and a package index.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from check_gpu.environment import PROJECT

NETS = ("stylize/muse", "stylize/candy", "stylize/udnie", "super-resolve/x4-pixel", "super-resolve/x4-feature")
"""Bundled nets that the tests marked for CUDA and the benchmarks use."""
PACKAGES = ("editables", "hatchling", "litserve", "pytest")
"""Packages beside the extras `serve` and `bench`: to install the checkout, to run the tests, and a peer."""
HOST_PACKAGES = (
    *("torch", "torchvision", "triton", "numpy", "httpx"),
    *("filelock", "jinja2", "markupsafe", "mpmath", "networkx", "setuptools", "sympy"),
)
"""Packages that the host has: torch and its dependencies."""
MOST_BYTES = 60_000_000
"""Most bytes of the folder."""
_PYTHON = "3.12"
_PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(5, 35)] + ["manylinux2014_x86_64", "manylinux1_x86_64"]


def main() -> None:
    """Gather everything anew and print how large it is.

    Raises:
        SystemExit: The folder is too large.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder to gather everything in; it is replaced")
    parser.add_argument("--also", action="append", default=[], metavar="PACKAGE", help="repeatable")
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    copy_checkout(options.folder)
    gather_wheels(options.folder / "wheels", [*PACKAGES, *options.also])
    for part in (options.folder / "wheels", options.folder):
        print(f"{part}: {size_of(part) / 1e6:.1f} MB")
    if size_of(options.folder) > MOST_BYTES:
        sys.exit(f"{options.folder} has more than {MOST_BYTES / 1e6:.0f} MB")


def copy_checkout(folder: Path) -> None:
    """Copy all files that git does not ignore, except bundled nets that are not used."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if is_used(name) and (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)


def is_used(name: str) -> bool:
    """Return whether the check may use a file of the checkout."""
    bundled = "model_store/bundled/"
    return not name.startswith(bundled) or name.removeprefix(bundled).startswith(tuple(f"{net}/" for net in NETS))


def gather_wheels(folder: Path, packages: Iterable[str]) -> None:
    """Download the wheels of the extras and of some packages, in versions that go together."""
    folder.mkdir(parents=True)
    wanted = folder / "requirements.txt"
    resolve = [
        *("uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"),
        *("--config-file", str(PROJECT / "docker/requirements/uv.toml")),
        *("--python-version", _PYTHON, "--python-platform", "x86_64-manylinux_2_28"),
        *(word for package in HOST_PACKAGES for word in ("--no-emit-package", package)),
        *("--extra", "serve", "--extra", "bench", "-o", str(wanted), str(PROJECT / "pyproject.toml"), "-"),
    ]
    subprocess.run(resolve, input="\n".join(packages), text=True, check=True)
    download = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"),
        *("--python-version", _PYTHON, "--implementation", "cp"),
        *(word for platform in _PLATFORMS for word in ("--platform", platform)),
        *("--dest", str(folder), "--requirement", str(wanted)),
    ]
    subprocess.run(download, check=True)


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()

"""Examinations of what is installed: versions of packages, extras, and formats of pictures."""

import io
import platform
import re
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version

from service.cli.doctor.examination import Fact, Finding

_PACKAGES = (
    *("impasto", "torch", "torchvision", "triton", "numpy", "pillow", "safetensors", "fsspec"),
    *("pydantic", "httpx", "fastapi", "starlette", "uvicorn"),
)
_EXTRAS = {
    "serve": "serves, paints and enlarges on this machine",
    "train": "trains nets",
    "remote": "opens stores on buckets and web servers",
    "heic": "reads HEIC pictures",
    "video": "paints and enlarges films",
    "onnx": "exports models as ONNX",
    "tracing": "sends OpenTelemetry traces",
    "bench": "loads a server to measure it",
}
"""Purpose of each extra that is meant for users."""


def versions() -> Iterator[Fact | Finding]:
    """Report the versions of Python, of the system, and of the packages that matter most."""
    yield Fact("python", f"{platform.python_version()} ({platform.python_implementation()})")
    libc = " ".join(platform.libc_ver())
    yield Fact("system", f"{platform.system()} {platform.release()}, {platform.machine()}, {libc}")
    for package in _PACKAGES:
        yield Fact(package, _version(package) or "not installed", _version(package))


def extras() -> Iterator[Fact | Finding]:
    """Report which extras are installed, and how to install the others."""
    for extra, purpose in _EXTRAS.items():
        missing = sorted(_missing("impasto", extra))
        if missing:
            text = f"not installed; it {purpose}: pip install 'impasto[{extra}]' (lacks {', '.join(missing)})"
        else:
            text = f"installed; it {purpose}"
        yield Fact(extra, text, {"installed": not missing, "missing": list(missing)})


def formats() -> Iterator[Fact | Finding]:
    """Report which formats of pictures can be read and written, after writing each as a trial."""
    from PIL import Image

    from service.codec.formats import ANSWERS, MEDIA_TYPES

    Image.init()
    broken = {name: reason for name in MEDIA_TYPES if (reason := _why_not_written(name))}
    written = [name.upper() for name in MEDIA_TYPES if name not in broken]
    read = [name for name in ANSWERS if name in Image.OPEN]
    yield Fact("read", ", ".join(read), list(read))
    yield Fact("written", ", ".join(written), list(written))
    for name, reason in broken.items():
        yield Finding(
            f"Pillow {_version('pillow')} does not write {name.upper()} ({reason}): "
            "install it again by pip install --force-reinstall pillow"
        )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _missing(package: str, extra: str) -> set[str]:
    """Return the packages that an extra of a package asks for and that are not installed."""
    missing = set()
    for requirement in requires(package) or ():
        wanted, _, marker = requirement.partition(";")
        match = re.match(r"([\w.-]+)(?:\[([\w,.-]+)\])?", wanted)
        if match is None or not re.search(rf"""extra\s*==\s*['"]{extra}['"]""", marker):
            continue
        name, extras_of_it = match.groups()
        if _version(name) is None:
            missing.add(name)
        elif extras_of_it:
            missing |= set().union(*map(partial(_missing, name), extras_of_it.split(",")))
    return missing


def _why_not_written(name: str) -> str | None:
    """Return why Pillow cannot write a picture in a format and read it again, or None if it can."""
    from PIL import Image

    buffer = io.BytesIO()
    try:
        Image.new("RGB", (16, 16), "teal").save(buffer, name.upper())
        Image.open(buffer).load()
    except (OSError, KeyError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None

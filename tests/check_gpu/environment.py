"""The Python that the parts run on: what it has installed, and the installation of carried wheels."""

import json
import site
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]

_PROBE = """
import importlib.util, json, platform, sys
found = {"missing": [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]}
try:
    import torch
    parts = ["Python " + platform.python_version(), "torch " + torch.__version__]
    if importlib.util.find_spec("triton") is not None:
        import triton
        parts.append("Triton " + triton.__version__)
    found["has_cuda"] = torch.cuda.is_available()
    if found["has_cuda"]:
        device = torch.cuda.get_device_properties(0)
        parts.insert(0, f"{device.name} ({device.total_memory / 2**30:.0f} GiB, {device.major}.{device.minor})")
except ImportError as error:
    found["has_cuda"], parts = False, ["Python " + platform.python_version(), f"no torch ({error})"]
found["host"] = ", ".join(parts)
print(json.dumps(found))
"""


class Host(NamedTuple):
    """The device and the packages of a Python."""

    host: str
    """Name of the device and versions of the main packages, on one line."""
    has_cuda: bool
    missing: list[str]
    """Modules that were asked for and are not installed."""


def probe(python: str, modules: Iterable[str] = ()) -> Host:
    """Ask a Python for its device, its versions, and which of some modules it lacks."""
    done = subprocess.run([python, "-c", _PROBE, *modules], capture_output=True, text=True, check=True)
    return Host(**json.loads(done.stdout))


def install(wheels: Path, folder: Path) -> str:
    """Make a virtual environment with wheels, the checkout, and all packages of this Python; no index is asked.

    The option for the system's packages would not be enough: if this Python belongs to a virtual environment itself,
    that option gives the packages of the Python below it.

    Returns:
        The path of the environment's Python.

    Raises:
        subprocess.CalledProcessError: pip failed; it printed why.
    """
    python = folder / "bin/python"
    venv.create(folder, clear=True, symlinks=True)
    own = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "host.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in own))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", *map(str, sorted(wheels.glob("*.whl")))], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(PROJECT)], check=True)
    return str(python)

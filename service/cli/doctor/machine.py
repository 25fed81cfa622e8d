"""Examinations of the machine: its cores, its memory, and the device that nets run on."""

import os
import re
import shutil
import sysconfig
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.doctor.configuration import usable_device, usable_settings
from service.cli.doctor.examination import Fact, Finding

if TYPE_CHECKING:
    import torch

_DEVICE_FILES = Path("/dev")
_DRIVER = Path("/proc/driver/nvidia/version")
_GIB = 2**30


def machine() -> Iterator[Fact | Finding]:
    """Report the cores, the memory and the instructions of the processor that this process may use."""
    from service.device.cores import usable_cores

    cores, of_machine = usable_cores(), os.cpu_count() or 1
    yield Fact("cores", f"{cores} usable, of {of_machine} that the machine has", {"usable": cores, "all": of_machine})

    import torch

    from service.device.device import capacity_of, memory_of, share_cores

    share_cores()
    cpu = torch.device("cpu")
    memory, of_machine = memory_of(cpu), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Fact(
        "memory",
        f"{memory / _GIB:.1f} GiB usable, of {of_machine / _GIB:.1f} GiB that the machine has",
        {"usable_bytes": memory, "all_bytes": of_machine},
    )
    yield Fact("instructions", torch.backends.cpu.get_cpu_capability())
    yield Fact("threads of torch", str(torch.get_num_threads()), torch.get_num_threads())
    capacity = capacity_of(usable_device(), usable_settings().workers)
    yield Fact("computed at once", f"{capacity.lanes} batches of {capacity.batch}", dict(capacity._asdict()))


def device() -> Iterator[Fact | Finding]:
    """Report the device that nets run on; for CUDA also its memory, driver and compiler, or why it cannot be used."""
    from service.device.device import choose_device

    choice, in_use = usable_settings().device, usable_device()
    if in_use.type == "cuda":
        yield from _cuda(in_use)
        return
    yield Fact("device", "CPU", "cpu")
    files = _nvidia_device_files()
    if files:
        yield Fact("NVIDIA", f"{', '.join(files)}, driver {_driver()}", list(files))
    if files and choice != "cpu":
        yield Finding(f"{_why_not_cuda()}, or set IMPASTO_DEVICE=cpu to use the CPU")
    else:
        choose_device(choice)


def _nvidia_device_files() -> list[str]:
    """Return the files by which Linux lends NVIDIA's devices to this process."""
    files = [*_DEVICE_FILES.glob("nvidia[0-9]*"), *_DEVICE_FILES.glob("dxg")]
    return sorted(str(file) for file in files)


def _why_not_cuda() -> str:
    """Return why torch does not use an NVIDIA device that exists, and what to do."""
    import torch

    if torch.version.cuda is None:
        return (
            f"there is an NVIDIA device, and torch {torch.__version__} was built without CUDA: "
            "install torch for CUDA by pip install --force-reinstall torch"
        )
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
    else:
        reason = "it counts no device"
    return (
        f"there is an NVIDIA device, and torch for CUDA {torch.version.cuda} cannot use it ({reason}): "
        "look at nvidia-smi and install a driver for this CUDA or newer"
    )


def _cuda(device: "torch.device") -> Iterator[Fact | Finding]:
    import torch

    properties = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    capability = f"{properties.major}.{properties.minor}"
    yield Fact("device", f"CUDA: {properties.name}", properties.name)
    yield Fact("compute capability", f"{capability}, {properties.multi_processor_count} multiprocessors", capability)
    yield Fact(
        "device memory",
        f"{free / _GIB:.1f} GiB free of {total / _GIB:.1f} GiB",
        {"free_bytes": free, "all_bytes": total},
    )
    yield Fact("driver", _driver())
    yield Fact("CUDA of torch", str(torch.version.cuda))
    yield Fact("cuDNN", str(torch.backends.cudnn.version()))  # type: ignore[no-untyped-call]
    yield Fact("Triton", _triton())
    yield Fact("C compiler", *_compiler())


def _driver() -> str:
    if _DRIVER.is_file() and (match := re.search(r"\b\d+\.\d+(\.\d+)?\b", _DRIVER.read_text())):
        return match[0]
    return "of unknown version"


def _triton() -> str:
    try:
        return version("triton")
    except PackageNotFoundError:
        return "not installed, so nets run as they are, in float32: pip install triton"


def _compiler() -> tuple[str, bool]:
    """Return the compiler with which Triton would compile its launcher, and whether it can."""
    command = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if command is None:
        return "none, and Triton may need one: install gcc", False
    if not header.is_file():
        return f"{command}, without {header}, which Triton may need: install the headers of Python", False
    return f"{command}, with the headers of Python", True

"""The stages of the check and their parts, the most valuable first: correctness before speed."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from check_gpu.check import Stage
from check_gpu.part import JSON, Part

PROJECT = Path(__file__).parents[2]

_MARK = re.compile(r"\bmark\.cuda\b")
_ONLY_WITHOUT_CUDA = ("test_interpreted.py",)
"""Files of a folder `cuda` that are only for machines without a device."""
_FIRST = ("inference", "engine", "device", "models", "pipeline", "server", "trainer")
"""Folders of tests in the order in which they run; other tests follow."""
_NO_STORE = "no-store-but-the-bundled"
"""Value of IMPASTO_STORE with which only bundled models are found."""
_SHAPES = ("256x32", "1024x1", "256x1", "256x8", "512x8", "1024x4")
"""Sides and batches at which nets are measured, those with wanted figures first."""
_FEW_SHAPES = "--shape 64x1 --shape 48x2 --rounds 1"
_ROOM = "--env IMPASTO_MAX_PIXELS_IN_FLIGHT=400000000"
"""Option by which our server takes all clients at once, as its peers do."""


class Benchmark(NamedTuple):
    """A script of `tests/benchmarks` with its options."""

    name: str
    script: str
    share: float
    options: str
    small_options: str
    """Options for the rehearsal."""
    needs: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    writes: bool = True
    """Whether it writes a file of results while it runs, instead of only printing them at the end."""

    def part(self, python: str, environment: dict[str, str], *, rehearses: bool) -> Part:
        """Return the part that runs it."""
        command = (
            *(python, str(PROJECT / f"tests/benchmarks/{self.script}.py")),
            *(self.small_options if rehearses else self.options).split(),
            *(("--json", JSON) if self.writes else ()),
        )
        return Part(self.name, command, needs=self.needs, wants=self.wants, environment=environment)


def stages(python: str, rounds: int, *, rehearses: bool) -> list[Stage]:
    """Return all stages.

    Their shares are seconds of four minutes, or of eight for the rehearsal, in which every process takes its time to
    start and the interpreter is slow.

    Args:
        python: The path of the Python that has all packages.
        rounds: The number of rounds of benchmarks that measure servers in turn.
        rehearses: Whether to run everything small, on the CPU.
    """
    everywhere = {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    if rehearses:
        # One thread: several wait for each other many times as long where others use the cores, too.
        everywhere |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "TRITON_INTERPRET": "1"}
    device = {"IMPASTO_DEVICE": "cpu" if rehearses else "cuda", "IMPASTO_STORE": _NO_STORE}
    doctor = (python, "-c", "from model_store.command import main; main()", "doctor")
    least = 30 if rehearses else 0
    return [
        Stage(max(least, 20), (Part("installation", doctor, environment=everywhere | device, shows=True),)),
        Stage(240 if rehearses else 115, _tests(python, everywhere)),
        *(
            Stage(max(least, each.share), (each.part(python, everywhere | device, rehearses=rehearses),))
            for each in _benchmarks(rounds)
        ),
    ]


def _tests(python: str, environment: dict[str, str]) -> tuple[Part, ...]:
    """Return a part for each file with tests for CUDA: an error that ruins the device for a process ends with it.

    Files of a folder called `cuda` run whole, because some of their tests are for any device and choose CUDA by
    themselves.
    """
    tests = PROJECT / "tests"
    chosen: dict[str, list[str]] = {}
    for path in tests.rglob("test_*.py"):
        name = path.relative_to(tests).as_posix()
        if path.parent.name == "cuda" and path.name not in _ONLY_WITHOUT_CUDA:
            chosen[name] = []
        elif _MARK.search(path.read_text()):
            chosen[name] = ["-m", "cuda"]
    return tuple(
        Part(
            f"tests: {name.removeprefix('service/')}",
            (python, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", *chosen[name], str(tests / name)),
            is_test=True,
            environment=environment,
        )
        for name in sorted(chosen, key=lambda name: (_worth(name), name))
    )


def _worth(name: str) -> int:
    return next((number for number, room in enumerate(_FIRST) if room in name.split("/")), len(_FIRST))


def _benchmarks(rounds: int) -> list[Benchmark]:
    """Return the benchmarks."""
    shapes = " ".join(f"--shape {shape}" for shape in _SHAPES)
    senders = min(8, max(1, (os.cpu_count() or 1) // 2))
    clients = f"--clients 64 --processes {senders} --rounds {rounds}"
    return [
        Benchmark("net: style", "net", 15, f"--model muse {shapes}", f"--model muse {_FEW_SHAPES}"),
        Benchmark(
            "served beside the peers",
            "serving",
            60,
            f"--size 256 --size 1024 {clients} {_ROOM} --warm-up 2 --duration 3",
            f"--size 32 --size 64 --clients 2 --rounds 1 {_ROOM} --warm-up 0 --duration 1",
            needs=("aiohttp",),
            wants=("litserve",),
        ),
        Benchmark(
            "net: super-resolution",
            "net",
            10,
            f"--model x4-pixel --rounds 5 {shapes}",
            f"--model x4-pixel {_FEW_SHAPES}",
        ),
        Benchmark(
            "overload",
            "overload",
            20,
            f"{clients} --peak-duration 3 --duration 5",
            "--size 32 --clients 4 --rounds 1 --peak-duration 1 --duration 2",
            needs=("aiohttp",),
        ),
        Benchmark("first request after a start", "start_up", 10, f"--starts {rounds}", "--starts 1 --size 32"),
        Benchmark(
            "training step",
            "training_step",
            10,
            "--size 256 --batch 16",
            "--size 32 --batch 1 --steps 1",
            writes=False,
        ),
    ]

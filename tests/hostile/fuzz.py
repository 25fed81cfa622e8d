"""The fuzzer: it gives the codec mutated pictures in a process that may die, and keeps each input that it cannot take.

    python -m tests.hostile.fuzz --hours 1 --out runs/fuzz
    python -m tests.hostile.fuzz --hours 1 --out runs/fuzz-films --films

Where Atheris is installed, it chooses what to mutate next by the lines that inputs reach; without it, the small
pictures are mutated at random, and so are films in any case. A finding is a file in the folder of `--out`, and the text
beside it said about it; the exit code is 1 if there is one.
"""

import argparse
import importlib.util
import itertools
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from .mutations import MOST_BYTES, mutated

_PROJECT = Path(__file__).parents[2]
_LONGEST_S = 20
"""Seconds after which an input is given up; the process is then killed by the kernel, wherever it is."""
_AT_ATHERIS_LIKING = 0.3
"""Share of the inputs that Atheris mutates in its own ways, which know nothing of formats."""
_ROOM = 1 << 20
"""Bytes of a record."""
_HEAD = struct.Struct("=QQ")


class Record:
    """What a fuzzing process does at the moment, in a file that outlives it: how many inputs it had, and the last."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_ROOM))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _ROOM)

    def begin(self, file: bytes) -> None:
        """Note the next input."""
        count, _ = _HEAD.unpack_from(self._memory)
        self._memory[_HEAD.size : _HEAD.size + len(file)] = file
        _HEAD.pack_into(self._memory, 0, count + 1, len(file))

    @property
    def inputs(self) -> int:
        """Return the number of inputs so far."""
        return int(_HEAD.unpack_from(self._memory)[0])

    @property
    def last(self) -> bytes:
        """Return the last input."""
        _, length = _HEAD.unpack_from(self._memory)
        return self._memory[_HEAD.size : _HEAD.size + length]


class Campaign(NamedTuple):
    """What came of fuzzing for some time."""

    inputs: int
    seconds: float
    findings: list[Path]


def run(
    seconds: float, out: Path, *, is_guided: bool, of_films: bool = False, seed: int = 0, most_findings: int = 100
) -> Campaign:
    """Fuzz for some time, in one process after the other: each finding ends one.

    Args:
        seconds: Seconds that are fuzzed.
        out: Folder for the findings, and for the corpus that Atheris gathers.
        is_guided: Whether Atheris chooses the inputs.
        of_films: Whether films are mutated, and not pictures.
        seed: Number that the random choices of the first process begin with.
        most_findings: Largest number of findings, after which the campaign ends.
    """
    out.mkdir(parents=True, exist_ok=True)
    record = Record(out / "record")
    findings: list[Path] = []
    before, started = record.inputs, time.monotonic()
    with (out / "log").open("w+b") as log:
        for number in itertools.count(seed):
            left = seconds - (time.monotonic() - started)
            if left < 1 or len(findings) == most_findings:
                break
            log.truncate(0)
            kind = "films" if of_films else "guided" if is_guided else "random"
            words = ("--child", kind, "--hours", f"{left / 3600:.5f}")
            command = [sys.executable, "-m", "tests.hostile.fuzz", *words, "--out", str(out), "--seed", str(number)]
            with subprocess.Popen(command, cwd=_PROJECT, stdout=log, stderr=log, env=_environment()) as process:
                try:
                    code = process.wait(left + 3 * _LONGEST_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    code = process.wait()
            if code:
                log.seek(0)
                findings.append(_keep(out, record.last, log.read(), code))
    return Campaign(record.inputs - before, time.monotonic() - started, findings)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(_PROJECT), *filter(None, sys.path)])}


def _keep(out: Path, file: bytes, said: bytes, code: int) -> Path:
    number = sum(1 for _ in out.glob("finding-*.txt"))
    path = out / f"finding-{number}"
    path.write_bytes(file)
    path.with_suffix(".txt").write_bytes(said[-20_000:] + f"\nexit code {code}\n".encode())
    return path


def _fuzz_at_random(seconds: float, out: Path, seed: int) -> None:
    from .small_pictures import small_pictures

    trial = _trial(out)
    pictures = list(small_pictures().values())
    for picture in pictures:
        trial(picture)
    random, end = Random(seed), time.monotonic() + seconds  # noqa: S311
    while time.monotonic() < end:
        trial(mutated(random.choice(pictures), random.choice(pictures), random))


def _fuzz_films(seconds: float, out: Path, seed: int) -> None:
    from .film_trial import try_film
    from .small_films import small_films

    record = Record(out / "record")
    films = list(small_films().values())
    random, end = Random(seed), time.monotonic() + seconds  # noqa: S311
    while time.monotonic() < end:
        film = mutated(random.choice(films), random.choice(films), random)
        record.begin(film)
        signal.alarm(_LONGEST_S)
        try_film(film)
        signal.alarm(0)


def _fuzz_with_atheris(seconds: float, out: Path, seed: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["service.codec", "PIL"]):
        from .small_pictures import small_pictures

        trial = _trial(out)
    pictures = list(small_pictures().values())
    corpus = out / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, picture in enumerate(pictures):
        (corpus / f"seed-{number}").write_bytes(picture)

    def mutate(file: bytes, most: int, number: int) -> bytes:
        random = Random(number)  # noqa: S311
        if random.random() < _AT_ATHERIS_LIKING:
            return bytes(atheris.Mutate(file, most))
        return mutated(file, random.choice(pictures), random)[:most]

    limits = f"-timeout={_LONGEST_S}", f"-max_total_time={seconds:.0f}", f"-max_len={MOST_BYTES}", "-rss_limit_mb=0"
    places = f"-seed={seed + 1}", f"-artifact_prefix={out}/", str(corpus)
    atheris.Setup(["fuzz", *limits, *places], trial, custom_mutator=mutate)
    atheris.Fuzz()


def _trial(out: Path) -> Callable[[bytes], None]:
    """Return a function that tries one file, which is noted before."""
    from .trial import try_file

    record = Record(out / "record")

    def trial(file: bytes) -> None:
        record.begin(file)
        signal.alarm(_LONGEST_S)
        try_file(file)
        signal.alarm(0)

    return trial


def main() -> None:
    """Fuzz for the time that the command line gives, and print what came of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0, help="hours that are fuzzed")
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="folder of the findings")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="number that the choices begin with")
    parser.add_argument("--films", action="store_true", help="mutate films, and not pictures")
    parser.add_argument("--child", choices=("films", "guided", "random"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    seconds = options.hours * 3600
    if options.child == "guided":
        _fuzz_with_atheris(seconds, options.out, options.seed)
    elif options.child == "films":
        _fuzz_films(seconds, options.out, options.seed)
    elif options.child == "random":
        _fuzz_at_random(seconds, options.out, options.seed)
    else:
        is_guided = importlib.util.find_spec("atheris") is not None
        campaign = run(seconds, options.out.absolute(), is_guided=is_guided, of_films=options.films, seed=options.seed)
        findings = [str(path) for path in campaign.findings]
        hours = round(campaign.seconds / 3600, 3)
        print(json.dumps({"guided": is_guided, "inputs": campaign.inputs, "hours": hours, "findings": findings}))
        sys.exit(bool(findings))


if __name__ == "__main__":
    main()

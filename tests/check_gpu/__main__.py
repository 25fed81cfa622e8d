"""The command line of `make check-gpu`.

The exit code is 0 if all parts passed or had to be skipped, 1 if one did not, and 2 if there is no CUDA device.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from check_gpu.check import check
from check_gpu.environment import PROJECT, install, probe
from check_gpu.part import Outcome
from check_gpu.parts import stages
from check_gpu.report import Run, write

_ENVIRONMENT = PROJECT / "build/check-gpu"
"""Folder of the virtual environment that carried wheels are installed into."""
_MINUTES_OF_A_ROUND = 4.0
"""Minutes for each round of the benchmarks that measure servers in turn."""


def main() -> int:
    """Run the check and return its exit code."""
    parser = argparse.ArgumentParser(prog="check_gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=4.0, help="minutes for all parts together")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument(
        "--wheels", type=Path, help="folder of wheels from `make gpu-kit`, which are installed without an index"
    )
    parser.add_argument("--rehearse", action="store_true", help="run every part small, on the CPU")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started, start = time.monotonic(), datetime.now(UTC)

    host = probe(sys.executable)
    if not host.has_cuda and not options.rehearse:
        print(
            f"check-gpu: there is no CUDA device for torch here ({host.host}); rent one, or rehearse on the CPU by "
            "make check-gpu REHEARSE=1",
            file=sys.stderr,
        )
        return 2
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name in ("log.txt", "report.md", "report.json"):
        (out / name).unlink(missing_ok=True)
    python = sys.executable
    if options.wheels:
        try:
            python = install(options.wheels, _ENVIRONMENT)
        except subprocess.CalledProcessError as error:
            print(f"check-gpu: {options.wheels} cannot be installed: {error}", file=sys.stderr)
            return 1
    todo = stages(python, max(1, int(options.minutes / _MINUTES_OF_A_ROUND)), rehearses=options.rehearse)
    modules = {module for stage in todo for part in stage.parts for module in (*part.needs, *part.wants)}
    missing = frozenset(probe(python, modules).missing)
    run = Run(host.host, options.minutes, f"{start:%Y-%m-%d %H:%M} UTC", options.rehearse)
    told = 0

    def report(outcomes: Sequence[Outcome]) -> None:
        nonlocal told
        write(run, outcomes, time.monotonic() - started, out)
        ended = [each for each in outcomes if each.status not in {"running", "not reached"}]
        for each in ended[told:]:
            print(f"{each.status:10}{each.seconds:7.1f} s  {each.part.name}  {each.remark}", flush=True)
        told = len(ended)

    outcomes = check(todo, out, 60 * options.minutes - (time.monotonic() - started), report, missing)
    print(f"{out / 'report.md'}")
    return int(any(each.status not in {"passed", "skipped"} for each in outcomes))


if __name__ == "__main__":
    sys.exit(main())

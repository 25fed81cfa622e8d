"""Measure how fast one command paints many photos, compared with a shell loop of single commands.

    python tests/benchmarks/many_pictures.py --pictures 200

The photos are cut out of those in `tests/pictures`. The loop is measured on only `--loop-pictures` of them, evenly
spread, because each call takes the same time. `cores_busy` is the processor time of the command and its children
divided by the time that it took; on a machine with 2 cores it is at most 2. At the end the command is interrupted after
about a third of the photos and run again, which must make the others.
"""

import argparse
import json
import os
import random
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageStat
from servers import environment_of, options_for, publish

PHOTOS = Path(__file__).parents[1] / "pictures"
COMMAND = str(Path(sys.executable).with_name("impasto"))


def main() -> None:
    """Measure and print the results as JSON."""
    parser = options_for(__doc__)
    parser.add_argument("--pictures", type=int, default=200, help="number of photos")
    parser.add_argument("--loop-pictures", type=int, help="number of photos for the loop; default: all")
    parser.add_argument("--size", type=int, default=256, help="side of the photos in pixels")
    parser.add_argument("--style", default="muse", help="style to paint in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        publish(options, measure(options, Path(folder)))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return all figures, working in an empty folder."""
    environment = os.environ | environment_of(options)
    photos = cut(folder / "photos", options.pictures, options.size)
    looped = photos[:: max(1, len(photos) // (options.loop_pictures or len(photos)))]
    batch = [COMMAND, "stylize", *map(str, photos), "-o", str(folder / "batch"), "--style", options.style, "--json"]

    batch_s, busy = timed(batch, environment)
    (folder / "loop").mkdir()
    single = f"{shlex.quote(COMMAND)} stylize $photo -o {folder}/loop/ --style {shlex.quote(options.style)}"
    loop_s, loop_busy = timed(
        ["sh", "-c", f"for photo in {shlex.join(map(str, looped))}; do {single}; done"], environment
    )
    largest = max(mean_difference(folder / "loop" / each.name, folder / "batch" / each.name) for each in looped)

    again = [*batch[:-4], str(folder / "resumed"), *batch[-3:]]
    stopped, whole = interrupt(again, environment, len(photos) // 3, folder / "resumed")
    rest = summary_of(subprocess.run(again, env=environment, capture_output=True, text=True, check=True).stdout)
    return {
        "batch": {"pictures": len(photos), "seconds": batch_s, "a_second": len(photos) / batch_s, "cores_busy": busy},
        "loop": {"pictures": len(looped), "seconds": loop_s, "a_second": len(looped) / loop_s, "cores_busy": loop_busy},
        "batch_to_loop": (len(photos) / batch_s) / (len(looped) / loop_s),
        "largest_mean_difference": largest,
        "interrupted": stopped | {"whole_files": whole},
        "run_again": rest,
        "all_are_there": len(list((folder / "resumed").glob("*.jpg"))) == len(photos),
    }


def cut(folder: Path, number: int, size: int) -> list[Path]:
    """Cut squares out of real photos at random places, and return their paths."""
    folder.mkdir()
    sources = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]
    chance = random.Random(0)  # noqa: S311  (a fixed seed makes the same photos each time)
    paths = []
    for index in range(number):
        photo = sources[index % len(sources)]
        left, top = (chance.randrange(side - size + 1) for side in photo.size)
        paths.append(folder / f"{index:04}.jpg")
        photo.crop((left, top, left + size, top + size)).save(paths[-1], quality=90)
    return paths


def timed(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command and return the seconds that it takes and the number of cores that it keeps busy."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used / seconds


def interrupt(command: Sequence[str], environment: dict[str, str], at: int, out: Path) -> tuple[dict[str, Any], int]:
    """Interrupt a command by SIGINT after `at` pictures, and check that every file in `out` is whole.

    Returns:
        The summary that the command printed, and the number of files.
    """
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if len(lines) == at:
            process.send_signal(signal.SIGINT)
    process.wait()
    files = list(out.iterdir())
    for file in files:
        Image.open(file).load()
    return summary_of("".join(lines)), len(files)


def mean_difference(one: Path, other: Path) -> float:
    """Return the mean difference of two pictures in levels of 255.

    It need not be 0, because on one core sums are taken in another order than on two.
    """
    difference = ImageChops.difference(Image.open(one), Image.open(other))
    return max(ImageStat.Stat(difference).mean)


def summary_of(printed: str) -> dict[str, Any]:
    """Return the summary that a command printed on its last line."""
    summary: dict[str, Any] = json.loads(printed.splitlines()[-1])["summary"]
    return summary


if __name__ == "__main__":
    main()

"""How fast the command line makes many photos, against a shell loop of single calls; and whether it goes on.

    python tests/benchmarks/many_pictures.py --pictures 200

Real photos, cut out of those in `tests/pictures`. The loop is measured on some of them only, `--loop-pictures`, evenly
spread, as each call takes the same. `cores_busy` is the time on all cores of the command and all it starts, by the time
it took: with the 2 cores of a laptop, 2 would be all. Then the command is interrupted at about a third, and run again.
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
    """Measures and prints JSON."""
    parser = options_for(__doc__)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--loop-pictures", type=int, help="all of them if not given")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--style", default="muse")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        publish(options, measure(options, Path(folder)))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures; works in an empty folder."""
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
    """Squares of real photos, at random places."""
    folder.mkdir()
    sources = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]
    chance = random.Random(0)  # noqa: S311  (to be the same each time)
    paths = []
    for index in range(number):
        photo = sources[index % len(sources)]
        left, top = (chance.randrange(side - size + 1) for side in photo.size)
        paths.append(folder / f"{index:04}.jpg")
        photo.crop((left, top, left + size, top + size)).save(paths[-1], quality=90)
    return paths


def timed(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds that a command takes, and how many cores it keeps busy."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used / seconds


def interrupt(command: Sequence[str], environment: dict[str, str], at: int, out: Path) -> tuple[dict[str, Any], int]:
    """Presses Ctrl-C when so many are made; the summary, and how many files are there, all of them whole."""
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
    """Between two pictures, of 255; sums are taken in another order on one core than on two, which changes a little."""
    difference = ImageChops.difference(Image.open(one), Image.open(other))
    return max(ImageStat.Stat(difference).mean)


def summary_of(printed: str) -> dict[str, Any]:
    """What the command says last."""
    summary: dict[str, Any] = json.loads(printed.splitlines()[-1])["summary"]
    return summary


if __name__ == "__main__":
    main()

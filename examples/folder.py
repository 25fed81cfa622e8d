"""Paint every photo of a folder through `AsyncClient.map`, eight at a time.

    python examples/folder.py photos/ paintings/ --style muse

Install the client by `pip install .`, and start a server by `make serve`.
"""

import argparse
import asyncio
import sys
from contextlib import aclosing
from pathlib import Path

from impasto import AsyncClient, Progress

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def show(progress: Progress) -> None:
    """Print how many photos are done."""
    print(f"{progress.done + progress.failed} of {progress.total} photos", file=sys.stderr)


async def paint(photos: list[Path], output: Path, style: str, url: str) -> int:
    """Paint the photos into a folder, and return how many could not be painted."""
    failures = 0
    names = iter(photos)
    async with AsyncClient(url) as client:
        answers = client.map(photos, style=style, concurrency=8, on_progress=show, return_errors=True)
        async with aclosing(answers):
            async for answer in answers:  # in the order of the photos
                photo = next(names)
                if isinstance(answer, Exception):
                    failures += 1
                    print(f"{photo}: {answer}", file=sys.stderr)
                else:
                    answer.save(output / photo.name)
    return failures


def main() -> None:
    """Read the command line; the exit status is 1 if a photo could not be painted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--style", default="muse")
    parser.add_argument("--url", default="http://localhost:8000")
    options = parser.parse_args()
    options.paintings.mkdir(parents=True, exist_ok=True)
    photos = sorted(path for path in options.photos.iterdir() if path.suffix.lower() in SUFFIXES)
    sys.exit(1 if asyncio.run(paint(photos, options.paintings, options.style, options.url)) else 0)


if __name__ == "__main__":
    main()

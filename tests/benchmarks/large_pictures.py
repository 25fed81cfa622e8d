"""Compare large pictures, which are computed in tiles or in pieces, with the same pictures computed at once.

    python tests/benchmarks/large_pictures.py tiles --photo PHOTO --size 1500x1000
    python tests/benchmarks/large_pictures.py answers --photo PHOTO --size 600x400
    python tests/benchmarks/large_pictures.py painting --photo PHOTO --size 2400x1800

`tiles` enlarges with every bundled net for super-resolution, and `answers` makes whole answers to a picture with alpha,
with its histogram matched and with a self-ensemble. `difference` is the largest between the two ways, in 255ths; it is
1 at most, where a value lies between two levels. `painting` tells the same of a bundled style, how many times as long
the painting in pieces takes, and for each pixel the bytes of memory that it takes beside the photo, all of them in
float32. Without a photo, the picture is noise, to which nets for super-resolution add most.

To compute at once takes up to 2.7 kB of memory for each pixel of the picture.
"""

import argparse
import asyncio
import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timing import interleaved
from torch import Tensor

from model_store.nets import TransformNet
from model_store.store import BUNDLED, Store
from service.contract.options import SuperResolveOptions
from service.device.allocator import give_back_large_blocks
from service.engine.lane import Lane
from service.inference import inference_form, tiles
from service.inference.cpu import large_style_net
from service.pipeline.runtime import Runtime
from service.pipeline.settings import ComputeSettings

CPU = torch.device("cpu")
UNLIMITED = 10**15


def main() -> None:
    """Measure and print a JSON object for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tiles", "answers", "painting"])
    parser.add_argument("--model", action="append", help="name of a bundled net (default: all, or muse)")
    parser.add_argument("--photo", type=Path, help="photo that is resized to the size")
    parser.add_argument("--size", default="1500x1000", help="width and height in pixels")
    parser.add_argument("--tile-bytes", type=int, help="bytes for a tile, to have several in small pictures, too")
    parser.add_argument("--rounds", type=int, default=1, help="times that each painting is timed")
    options = parser.parse_args()
    give_back_large_blocks()
    width, height = map(int, options.size.split("x"))
    pixels = read(options.photo, width, height)
    if options.what == "painting":
        print(json.dumps(compare_painting((options.model or ["muse"])[0], pixels, options.rounds), ensure_ascii=False))
        return
    with tile_bytes(options.tile_bytes or tiles.TILE_BYTES):
        if options.what == "answers":
            for report in compare_answers(pixels):
                print(json.dumps(report, ensure_ascii=False), flush=True)
        else:
            names = options.model or sorted(Store(BUNDLED).names("super-resolve"))
            for name in names:
                print(json.dumps(compare_tiles(name, pixels), ensure_ascii=False), flush=True)


def read(photo: Path | None, width: int, height: int) -> Tensor:
    """Return a picture of this size, `(H, W, 3)`."""
    if photo is None:
        return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(np.array(Image.open(photo).convert("RGB").resize((width, height))))


@contextmanager
def tile_bytes(number: int) -> Iterator[None]:
    """Have tiles take this many bytes."""
    before, tiles.TILE_BYTES = tiles.TILE_BYTES, number
    try:
        yield
    finally:
        tiles.TILE_BYTES = before


def compare_tiles(name: str, pixels: Tensor) -> dict[str, object]:
    """Enlarge in tiles and at once."""
    net = inference_form(Store(BUNDLED).open("super-resolve", name).net.eval())
    height, width, _ = pixels.shape
    if not tiles.is_tiled(net, height, width):
        raise SystemExit(f"{name} computes {width}×{height} at once: ask for a larger size, or fewer --tile-bytes")
    seconds, tiled = timed(net, pixels)
    with tile_bytes(UNLIMITED):
        seconds_at_once, whole = timed(net, pixels)
    return {
        "model": name,
        "size": f"{width}×{height}",
        "difference": difference(tiled, whole),
        "tiled_s": round(seconds, 1),
        "at_once_s": round(seconds_at_once, 1),
    }


def compare_answers(pixels: Tensor) -> Iterator[dict[str, object]]:
    """Make answers in tiles and at once."""
    runtime = Runtime(Store(BUNDLED), CPU, ComputeSettings())
    height, width, _ = pixels.shape
    rows = torch.arange(height * width).view(height, width, 1) % 256
    upload = io.BytesIO()
    Image.fromarray(torch.cat([pixels, rows.byte()], -1).numpy(), "RGBA").save(upload, "PNG")
    for asked in ({"match_histogram": True}, {"self_ensemble": True}):
        options = SuperResolveOptions.model_validate(asked)
        tiled = asyncio.run(answer(runtime, upload.getvalue(), options))
        with tile_bytes(UNLIMITED):
            whole = asyncio.run(answer(runtime, upload.getvalue(), options))
        yield {"alpha": True, **asked, "size": f"{width}×{height}", "difference": difference(tiled, whole)}
    runtime.close()


async def answer(runtime: Runtime, upload: bytes, options: SuperResolveOptions) -> Tensor:
    """Return the pixels of the answer to an upload, `(H, W, 4)`."""
    model = await runtime.models.resolve(options)
    made = await runtime.pipeline.make(await runtime.pipeline.inspect(upload, options, model))
    return torch.from_numpy(np.array(Image.open(io.BytesIO(made.content))))


def compare_painting(name: str, pixels: Tensor, rounds: int) -> dict[str, object]:
    """Paint in pieces and at once, by the form and by the plain net."""
    plain = Store(BUNDLED).open("stylize", name).net.eval()
    form = inference_form(Store(BUNDLED).open("stylize", name).net.eval())
    height, width, _ = pixels.shape
    large_style_net._MOST_PIXELS_AT_ONCE = 0
    lane = Lane(CPU)
    before = forget_peak()
    lane.compute(form, [pixels])
    taken = peak() - before
    results: dict[str, Tensor] = {}

    def paint(name: str, net: TransformNet) -> None:
        (results[name],) = lane.compute(net, [pixels])

    works = [lambda: paint("in pieces", form), lambda: paint("plain", plain)]
    in_pieces, at_once = interleaved(works, rounds, 0, CPU)
    return {
        "model": name,
        "size": f"{width}×{height}",
        "difference": difference(results["in pieces"], results["plain"]),
        "in_pieces_s": round(in_pieces / 1000, 1),
        "plain_net_s": round(at_once / 1000, 1),
        "times_the_plain_net": round(in_pieces / at_once, 2),
        "bytes_per_pixel": round(taken / (height * width), 1),
    }


def timed(net: TransformNet, pixels: Tensor) -> tuple[float, Tensor]:
    """Return the seconds that a net takes, and what it makes."""
    started = time.perf_counter()
    (made,) = Lane(CPU).compute(net, [pixels])
    return time.perf_counter() - started, made


def difference(one: Tensor, other: Tensor) -> int:
    """Return the largest difference of two pictures, in 255ths."""
    return max(int((a.short() - b.short()).abs().max()) for a, b in zip(one, other, strict=True))


def peak() -> int:
    """Return the largest number of bytes of memory that this process had, since `forget_peak`; Linux only."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])  # type: ignore[index]


def forget_peak() -> int:
    """Have `peak` begin again, and return the bytes of memory that this process has."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


if __name__ == "__main__":
    main()

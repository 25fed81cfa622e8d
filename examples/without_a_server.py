"""Use the nets of the model store from Python, without a server: paint a photo, and enlarge the painting four times.

    python examples/without_a_server.py photo.jpg painting.png --style muse

Nets are plain `torch.nn.Module`s: float RGB in [0, 1] of shape `(N, 3, H, W)` goes in and comes out. Install them by
`pip install '.[serve]'`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from model_store.settings import StoreSettings


def read(path: Path, longest_side: int) -> Tensor:
    """Return a photo as float RGB in [0, 1], `(1, 3, H, W)`."""
    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    photo.thumbnail((longest_side, longest_side))
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 255


def write(picture: Tensor, path: Path) -> None:
    """Write such a picture to a file."""
    pixels = picture[0].mul(255).round().byte().permute(1, 2, 0)
    Image.fromarray(pixels.numpy()).save(path)


def main() -> None:
    """Read the command line, paint, enlarge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("painting", type=Path)
    parser.add_argument("--style", default="muse")
    parser.add_argument("--size", type=int, default=512, help="longest side of what is painted, in pixels")
    options = parser.parse_args()

    store = StoreSettings().open()  # IMPASTO_STORE, and the bundled nets
    style = store.open("stylize", options.style)
    enlarge = store.open("super-resolve", "x4-pixel")
    with torch.inference_mode():
        painting = enlarge.net(style.net(read(options.photo, options.size)))
    write(painting, options.painting)
    print(f"{options.painting}: {style.card.title}, {style.card.label}, then {enlarge.card.label}")


if __name__ == "__main__":
    main()

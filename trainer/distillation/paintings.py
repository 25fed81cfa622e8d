"""The paintings that a full net makes of photos, computed once and kept in the folder of a run."""

from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from model_store.nets import StyleNet, TransformNet
from trainer.data.squares import Squares
from trainer.errors import BadRun
from trainer.training.cpu_style_net import CpuStyleNet

_PART = 32
"""Number of photos whose paintings are kept in one file."""
_BATCH = 4
"""Number of photos that are painted at a time."""


def painted(
    net: TransformNet,
    photos: Squares,
    count: int,
    device: torch.device,
    folder: Path,
    identity: str,
    report: Callable[[int, int], None] = lambda _painted, _of: None,
) -> Tensor:
    """Return photos with their paintings, uint8 `(N, 6, S, S)` on the device: RGB of the photo, then of the painting.

    Paintings that an earlier call left in the folder are read.

    Args:
        net: Style net in evaluation mode.
        photos: Photos, of which the first `count` are painted.
        count: Largest number of photos.
        device: Device to paint on.
        folder: Folder of the paintings, which is made if there is none.
        identity: Text that identifies the net and the photos.
        report: Function that is called after each part with the number of photos that are painted, and that of all.

    Raises:
        BadRun: The folder has paintings of another net or of other photos, or cannot be written to.
        BadPhotos: All photos are broken.
    """
    painter = on_device(net, device)
    count = min(count, len(photos))
    pairs = torch.empty(count, 6, photos.size, photos.size, dtype=torch.uint8)
    folder.mkdir(exist_ok=True)
    for first in range(0, count, _PART):
        part = pairs[first : first + _PART]
        for number in range(len(part)):
            part[number, :3] = photos[first + number]
        path = folder / f"{first:06}.safetensors"
        kept = _read(path, identity)
        if kept is None or kept.shape != part[:, 3:].shape:
            kept = paint(painter, part[:, :3])
            _write(kept, path, identity)
        part[:, 3:] = kept
        report(first + len(part), count)
    return pairs.to(device)


def on_device(net: TransformNet, device: torch.device) -> TransformNet:
    """Return a net in the form that paints fastest on a device."""
    net = net.to(device)
    return CpuStyleNet(net) if isinstance(net, StyleNet) and device.type == "cpu" else net


@torch.inference_mode()
def paint(net: TransformNet, photos: Tensor) -> Tensor:
    """Return what a net makes of uint8 photos, `(N, 3, H, W)`, as uint8 on the CPU."""
    device = next(net.parameters()).device
    made = [net(batch.to(device) / 255) for batch in torch.split(photos, _BATCH)]
    return torch.cat([batch.mul(255).round().byte().cpu() for batch in made])


def _read(path: Path, identity: str) -> Tensor | None:
    """Read a part of the paintings; None if it is not there, or was cut off."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("identity")
            paintings: Tensor = file.get_tensor("paintings")
    except (OSError, SafetensorError):
        return None
    if found != identity:
        raise BadRun(f"{path.parent} has paintings of another net or of other photos: give another folder with --run")
    return paintings


def _write(paintings: Tensor, path: Path, identity: str) -> None:
    aside = path.with_suffix(".writing")
    try:
        safetensors.torch.save_file({"paintings": paintings.contiguous()}, aside, {"identity": identity})
        aside.replace(path)
    except (OSError, SafetensorError) as error:
        raise BadRun(f"cannot write paintings to {path.parent}: {error}") from error

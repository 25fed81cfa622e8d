"""The log of a run: its losses, as CSV and for TensorBoard, and its previews."""

import csv
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from model_store.nets import TransformNet
from trainer.errors import BadRun
from trainer.pictures.contact_sheet import to_image
from trainer.pictures.previews import preview
from trainer.training.loop import TrainingProgress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Shown(NamedTuple):
    """A named photo that previews are made from."""

    name: str
    photo: Tensor
    """Float RGB in [0, 1], `(1, 3, H, W)`."""


class RunLog:
    """The log in the folder of a run: `losses.csv`, the pictures in `previews/`, and TensorBoard's events.

    A resumed run goes on in the same files; lines about steps after its checkpoint are dropped.

    Args:
        folder: Existing folder of the run.
        step: Number of steps that were done before; 0 for a new run.
        photos: Photos that previews are made from.
    """

    def __init__(self, folder: Path, step: int, photos: Sequence[Shown] = ()) -> None:
        self._folder, self._photos = folder, photos
        self._csv = folder / "losses.csv"
        self._keep_until(step)
        self._board = _tensorboard(folder, step)

    def losses(self, progress: TrainingProgress, rate: float) -> None:
        """Add the losses of a step and its learning rate.

        Raises:
            BadRun: The losses cannot be written, as on a full disk.
        """
        row = {"step": progress.step, "seconds": round(progress.seconds, 2), "rate": rate, **progress.losses}
        try:
            is_new = not self._csv.exists() or self._csv.stat().st_size == 0
            with self._csv.open("a", newline="") as file:
                writer = csv.DictWriter(file, list(row))
                if is_new:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            raise BadRun(f"cannot write {self._csv}: {error}") from error
        if self._board is not None:
            for name, value in {"rate": rate, **progress.losses}.items():
                self._board.add_scalar(name, value, progress.step)

    def previews(self, net: TransformNet, step: int) -> None:
        """Write the preview of each photo to `previews/<step>-<name>.jpg`.

        Raises:
            BadRun: A preview cannot be written.
        """
        for shown in self._photos:
            picture = preview(net, shown.photo)
            path = self._folder / "previews" / f"{step:06}-{shown.name}.jpg"
            try:
                path.parent.mkdir(exist_ok=True)
                to_image(picture).save(path, quality=90)
            except OSError as error:
                raise BadRun(f"cannot write {path}: {error}") from error
            if self._board is not None:
                self._board.add_image(shown.name, picture[0], step)

    def close(self) -> None:
        """Write the events that are still in memory, and close the files."""
        if self._board is not None:
            self._board.close()

    def _keep_until(self, step: int) -> None:
        if not self._csv.is_file():
            return
        if step == 0:
            self._csv.unlink()
            return
        with self._csv.open(newline="", errors="replace") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        whole = [row for row in rows if len(row) == len(header) and row[0].isdigit() and int(row[0]) <= step]
        with self._csv.open("w", newline="") as file:
            csv.writer(file).writerows([header, *whole] if header else [])


def _tensorboard(folder: Path, step: int) -> "SummaryWriter | None":
    """Return a writer of TensorBoard's events, or None if its package is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (slow to import)

    return SummaryWriter(folder, purge_step=step + 1)

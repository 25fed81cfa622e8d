"""What a run tells while it goes on: losses as CSV and for TensorBoard, and pictures."""

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
from trainer.training.loop import Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Shown(NamedTuple):
    """A photo that previews are made of."""

    name: str
    photo: Tensor
    """Float RGB in [0, 1], `(1, 3, H, W)`."""


class RunLog:
    """`losses.csv`, `previews/` and TensorBoard's events in the folder of a run.

    A resumed run goes on in the same files; what they say of later steps than its checkpoint is dropped.

    Args:
        folder: of the run; it is there.
        step: where the run goes on.
        photos: to show.
    """

    def __init__(self, folder: Path, step: int, photos: Sequence[Shown] = ()) -> None:
        self._folder, self._photos = folder, photos
        self._csv = folder / "losses.csv"
        self._keep_until(step)
        self._board = _tensorboard(folder, step)

    def losses(self, progress: Progress, rate: float) -> None:
        """Adds the losses of a step, and the learning rate.

        Raises:
            BadRun: they cannot be written, as on a full disk.
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
        """Shows what a net makes of each photo, in `previews/<step>-<name>.jpg`.

        Raises:
            BadRun: they cannot be written.
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
        """Writes what is still in memory."""
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
    """A writer, if the package is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (slow to import)

    return SummaryWriter(folder, purge_step=step + 1)

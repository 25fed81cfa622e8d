"""The training of a gallery's styles that are not published yet, and the contact sheet of all its styles."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from model_store.card import parse_label
from model_store.nets import TransformNet
from trainer.data.squares import Crops
from trainer.errors import BadRecipe
from trainer.evaluation.gallery import Photo, before_and_after_rows
from trainer.galleries.gallery_file import Style
from trainer.galleries.lane import seconds_spent, train_styles
from trainer.galleries.plan import Plan, published_before
from trainer.galleries.side_by_side import train_side_by_side
from trainer.galleries.workshop import Event, Published, Workshop
from trainer.pictures.contact_sheet import contact_sheet
from trainer.pictures.picture_files import save
from trainer.training.checkpoint import published_label
from trainer.training.run import load_shown

SHEET = "sheet.jpg"
"""Name of the contact sheet in the folder of a gallery."""

_SHEET_PHOTOS, _SHEET_HEIGHT, _SHEET_QUALITY = 2, 256, 85


def train_gallery(
    styles: Sequence[Style],
    workshop: Workshop,
    report: Callable[[Event], None],
    *,
    jobs: int = 1,
    minutes: float | None = None,
) -> None:
    """Train and publish the styles that were not published from the workshop's folder yet.

    Args:
        styles: Styles of a gallery.
        workshop: Photos, store, folder and settings that all styles are trained with.
        report: Function that is called with each event, about twice a second for each style that is trained.
        jobs: Number of styles that are trained side by side, on a CPU.
        minutes: Minutes for all styles together, including those before an earlier stop. Each style gets as many of its
            steps as fit in its share of the time that is left when it begins; if not given, it gets all of them.

    Raises:
        BadRecipe: There is more than one job, and the device is a GPU.
        BadRun: A style was published from this folder with other settings.
        Stopped: Ctrl-C was typed or SIGTERM received; checkpoints were saved.
    """
    if jobs > 1 and workshop.device.type != "cpu":
        raise BadRecipe("--jobs is for a CPU: leave it out, one style keeps a GPU busy")
    published = {style.name: published_before(style, workshop.folder / style.name) for style in styles}
    for name, label in published.items():
        if label is not None:
            report(Published(name, label))
    if minutes is not None:
        spent = seconds_spent(styles, workshop.folder) / jobs
        workshop = workshop.until(time.time() + minutes * 60 - spent)
    left = [style for style in styles if published[style.name] is None]
    if jobs == 1:
        train_styles(left, workshop, report)
    else:
        train_side_by_side(left, workshop, jobs, report)


def draw_sheet(styles: Sequence[Style], workshop: Workshop) -> Path | None:
    """Draw a contact sheet of the published styles, with two photos and what the old and the new net make of each.

    The photos are the first of those for previews, or else of those held out.

    Returns:
        The path of the sheet; None if no style is published or there is no photo.
        BadOutput: The sheet cannot be written.
    """
    photos = _photos(styles, workshop)
    pairs = []
    for style in styles:
        folder = workshop.folder / style.name
        new, plan = published_label(folder), Plan.read(folder)
        if new is not None:
            old = plan.old if plan else None
            pairs.append((style.name, _open(old, workshop) if old else None, _open(new, workshop)))
    if not photos or not pairs:
        return None
    path = workshop.folder / SHEET
    save(contact_sheet(before_and_after_rows(photos, pairs), _SHEET_HEIGHT), path, quality=_SHEET_QUALITY)
    return path


def _photos(styles: Sequence[Style], workshop: Workshop) -> list[Photo]:
    if workshop.previews:
        shown = load_shown(workshop.previews[:_SHEET_PHOTOS])
        return [Photo(each.name, each.photo.to(workshop.device)) for each in shown]
    size = max(style.recipe({}).size for style in styles)
    held_out: Tensor = Crops(workshop.photos, min(workshop.held_out, _SHEET_PHOTOS)).of(size).held_out
    return [Photo("photo", photo[None].to(workshop.device) / 255) for photo in held_out]


def _open(label: str, workshop: Workshop) -> TransformNet:
    name = parse_label(label.removeprefix("stylize/"))
    return workshop.store.open("stylize", *name).net.to(workshop.device)

"""The tables and pictures of a super-resolution study, like figures 8 and 9 of the paper."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from model_store.nets.luma import luma
from trainer.data.photos import load_picture
from trainer.evaluation.reports import Cell, Column, ReportPicture, Table, bars
from trainer.evaluation.super_resolution_study import (
    Enlarger,
    Measured,
    Scores,
    Setting,
    compare,
    crop_to_multiple,
    enlarge,
    mean_scores,
)
from trainer.pictures.contact_sheet import Tile, contact_sheet
from trainer.pictures.picture_files import save

SHOWN_DETAIL = 256
"""Height that crops are shown at on a contact sheet, in pixels."""
_CROP, _STEP = 128, 16
"""Side of the crops of a contact sheet, and distance of the positions that are tried for them, in pixels."""
_DECIBELS_BELOW = 2.0
"""Distance from the beginning of the bars of a plot to the lowest PSNR, in dB."""

Means = Mapping[Setting, Mapping[str, Mapping[str, Scores]]]
"""Mean scores, keyed by setting, data set and name of the enlarger."""


def means(measured: Iterable[Measured]) -> Means:
    """Average scores over the pictures of each data set."""
    groups: dict[Setting, dict[str, list[dict[str, Scores]]]] = {}
    for data_set, setting, scores in measured:
        groups.setdefault(setting, {}).setdefault(data_set, []).append(scores)
    return {
        setting: {data_set: mean_scores(pictures) for data_set, pictures in data_sets.items()}
        for setting, data_sets in groups.items()
    }


def describe(setting: Setting) -> str:
    """Return a setting in words, as in `×4, shrunk after a blur of σ 1.0`."""
    how = f"after a blur of σ {setting.sigma:.1f}" if setting.sigma else "without a blur"
    return f"×{setting.factor}, shrunk {how}"


def tables(study: Means) -> list[Table]:
    """Return a table for each setting, with a row for each enlarger and a column for each data set and measure."""
    return [_table(setting, data_sets) for setting, data_sets in study.items()]


def draw_plots(study: Means, folder: Path) -> list[ReportPicture]:
    """Draw a plot of the PSNR at each setting, as PNG files in a folder.

    Raises:
        BadOutput: A plot cannot be written.
    """
    pictures = []
    for setting, data_sets in study.items():
        methods = next(iter(data_sets.values()))
        series = {method: [scores[method].psnr for scores in data_sets.values()] for method in methods}
        lowest = max(0.0, min(min(values) for values in series.values()) - _DECIBELS_BELOW)
        title, name = f"PSNR, {describe(setting)}", f"psnr-{_slug(setting)}.png"
        bars(folder / name, title, list(data_sets), series, "mean PSNR on luma, dB", lowest=lowest)
        pictures.append(ReportPicture(title, name))
    return pictures


def draw_contact_sheet(
    enlargers: Mapping[Setting, Sequence[Enlarger]],
    data_sets: Mapping[str, Sequence[Path]],
    device: torch.device,
    folder: Path,
) -> ReportPicture:
    """Draw a contact sheet of the most detailed part of the first picture of each data set, and of its enlargements.

    It has a row for each data set and setting. The arguments are those of `measure`, and the folder to draw into.

    Raises:
        BadPhotos: A picture cannot be read, or is too small.
        BadOutput: The sheet cannot be written.
    """
    rows = []
    for data_set, paths in data_sets.items():
        picture = load_picture(paths[0]).to(device)
        for setting, candidates in enlargers.items():
            how = f"blur {setting.sigma:.1f}" if setting.sigma else "no blur"
            caption = f"{data_set}/{paths[0].stem}, x{setting.factor}, {how}"
            rows.append(detail(candidates, picture, paths[0].name, caption, setting.sigma))
    name = "contact-sheet.png"
    save(contact_sheet(rows, SHOWN_DETAIL), folder / name)
    return ReportPicture("Truth and enlargements", name)


def detail(enlargers: Sequence[Enlarger], picture: Tensor, name: str, caption: str, sigma: float = 0.0) -> list[Tile]:
    """Return a row with the most detailed part of a picture and its enlargements, with the whole picture's scores.

    The other arguments and the errors are those of `compare`; `caption` is the caption of the true picture.
    """
    truth = crop_to_multiple(picture, enlargers[0].factor, name)
    scores = compare(enlargers, truth, name, sigma)
    top, left = _most_detailed(truth)
    crop = (..., slice(top, top + _CROP), slice(left, left + _CROP))
    row = [Tile(truth[crop], caption)]
    for method, result in enlarge(enlargers, truth, sigma).items():
        psnr, ssim, _ = scores[method]
        row.append(Tile(result[crop], f"{method}\n{psnr:.2f} dB, {ssim:.4f}"))
    return row


def _table(setting: Setting, data_sets: Mapping[str, Mapping[str, Scores]]) -> Table:
    columns = [Column("method")]
    for data_set, methods in data_sets.items():
        columns += [Column(f"{data_set} PSNR", 2, "highest"), Column(f"{data_set} SSIM", 4, "highest")]
        distances = next(iter(methods.values())).distances
        columns += [Column(f"{data_set} {name}", 4, "lowest") for name in distances]
    rows = []
    for method in next(iter(data_sets.values())):
        row: list[Cell] = [method]
        for scores in data_sets.values():
            psnr, ssim, distances = scores[method]
            row += [psnr, ssim, *distances.values()]
        rows.append(row)
    return Table(describe(setting), columns, rows)


def _most_detailed(picture: Tensor) -> tuple[int, int]:
    """Return top and left of the crop whose luma is steepest on average; a smaller picture is a crop as it is."""
    grey = luma(picture)
    steepness = (grey.diff(dim=-1)[..., 1:, :] ** 2 + grey.diff(dim=-2)[..., 1:] ** 2).sqrt()
    window = [min(_CROP - 1, side) for side in steepness.shape[-2:]]
    average = F.avg_pool2d(steepness, window, _STEP)
    down, right = divmod(int(average.argmax()), average.shape[-1])
    return down * _STEP, right * _STEP


def _slug(setting: Setting) -> str:
    return f"x{setting.factor}" + ("-blurred" if setting.sigma else "")

"""The command `impasto evaluate video`, which measures how calm and how sharp a painted film is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from trainer.commands.options.inputs import DeviceOption, choose_device

if TYPE_CHECKING:
    from trainer.evaluation.films.measures import Shot
    from trainer.evaluation.reports import Cell, Table

_PAINTED, _COMPARED = "painted", "frame by frame"
"""Names of the film that is measured, and of the one that it is compared with."""


def evaluate_video(
    source: Annotated[Path | None, typer.Option(help="Film that was painted, which has the motion.")] = None,
    painted: Annotated[Path | None, typer.Option(help="Painted film that is measured.")] = None,
    *,
    frame_by_frame: Annotated[
        Path | None,
        typer.Option(help="The same film painted with --temporal 0, to compare the measures with."),
    ] = None,
    photo: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Photo to make clips with known motion from, instead of films in files."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Name of the net that paints these clips frame by frame, as in muse or muse@1.")
    ] = None,
    frames: Annotated[int, typer.Option(min=3, max=100, help="Number of frames of such a clip.")] = 8,
    size: Annotated[int, typer.Option(min=64, help="Longest side that the photo is shrunk to, in pixels.")] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Measure a painted film: how little its paintings jump along the film's motion, and how sharp they are.

    With --photo and --model instead, measure a net on clips in which the photo pans, grows or has noise, whose motion
    is known exactly.
    """
    try:
        if source is not None and painted is not None and photo is None and model is None:
            table = _of_films(source, painted, frame_by_frame)
        elif photo is not None and model is not None and source is None and painted is None:
            table = _of_clips(photo, model, frames, size, device)
        else:
            raise typer.BadParameter("give --source and --painted for films, or --photo and --model for clips")
    except ModuleNotFoundError as error:
        if error.name not in {"av", "cv2"}:
            raise
        raise typer.BadParameter(
            f"films need {error.name}: install it with: pip install 'impasto[train,video]'"
        ) from error
    if as_json:
        typer.echo(json.dumps(table.figures(), indent=2, ensure_ascii=False))
    else:
        Console().print(table.rich())


def _of_films(source: Path, painted: Path, frame_by_frame: Path | None) -> "Table":
    """Return the measures of each shot of a painted film, and of all of it."""
    from trainer.errors import BadPhotos
    from trainer.evaluation.films.measures import Shot, measure
    from trainer.evaluation.films.sources import moments_of_films

    paintings = {_PAINTED: painted, **({} if frame_by_frame is None else {_COMPARED: frame_by_frame})}
    shots = measure(moments_of_films(source, paintings))
    if not shots:
        raise BadPhotos(f"{source} has no frames")
    rows = {f"frames {shot.first + 1} to {shot.first + shot.frames}": shot for shot in shots}
    return _table("shot", rows if len(shots) == 1 else {**rows, "all": Shot.of_all(shots)}, list(paintings))


def _of_clips(photo: Path, model: str, frames: int, size: int, device: str) -> "Table":
    """Return the measures of a net on clips of each kind that are made from a photo."""
    from typing import get_args

    import numpy as np
    import torch

    from model_store.card import parse_label
    from model_store.settings import StoreSettings
    from trainer.data.photos import load_picture
    from trainer.evaluation.films.measures import Shot, measure
    from trainer.evaluation.films.motion import Pixels
    from trainer.evaluation.films.sources import ClipKind, MadeClip

    target = choose_device(device)
    net = StoreSettings().open().open("stylize", *parse_label(model.removeprefix("stylize/"))).net.to(target)

    def paint(frame: Pixels) -> Pixels:
        with torch.inference_mode():
            painting = net(torch.from_numpy(frame).permute(2, 0, 1)[None].to(target) / 255)
        made: Pixels = (255 * painting[0].clamp(0, 1)).round().byte().permute(1, 2, 0).cpu().numpy()
        return made

    picture = (255 * load_picture(photo, longest_side=size)[0]).round().byte().permute(1, 2, 0).numpy()
    clips = {kind: MadeClip(np.ascontiguousarray(picture), kind, frames) for kind in get_args(ClipKind)}
    return _table(
        "clip", {kind: Shot.of_all(measure(clip.moments(paint, _PAINTED))) for kind, clip in clips.items()}, [_PAINTED]
    )


def _table(first: str, rows: "dict[str, Shot]", paintings: list[str]) -> "Table":
    from trainer.evaluation.films.measures import SOURCE
    from trainer.evaluation.reports import Column, Table

    measures = ("warping error", "flicker", "sharpness")
    columns = [Column(first), Column("film"), *(Column(name) for name in measures)]
    films = [SOURCE, *paintings]
    cells: list[list[Cell]] = [[name, film, *shot.figures(film)] for name, shot in rows.items() for film in films]
    if _COMPARED in paintings:
        columns += [Column(f"{name}, % of frame by frame", 0) for name in measures]
        cells = [row + shares for row, shares in zip(cells, _shares(rows, films), strict=True)]
    return Table("Calm and sharpness of a painted film, in levels of 255", columns, cells)


def _shares(rows: "dict[str, Shot]", films: list[str]) -> "Iterator[list[Cell]]":
    """Yield, for each row and film, the measures of the painted film in percent of those of the compared one."""
    for shot in rows.values():
        for film in films:
            if film == _PAINTED:
                pairs = zip(shot.figures(film), shot.figures(_COMPARED), strict=True)
                yield [100 * value / compared if compared else None for value, compared in pairs]
            else:
                yield [None, None, None]

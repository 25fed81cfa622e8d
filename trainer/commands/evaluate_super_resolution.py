"""The command `impasto evaluate super-resolution`, which measures enlargements against the truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import track

from trainer.commands.options.inputs import DeviceOption, choose_device
from trainer.commands.run import command_line

if TYPE_CHECKING:
    import torch

    from trainer.evaluation.perceptual_distance import PerceptualDistance
    from trainer.evaluation.super_resolution_study import Enlarger, Setting

_PROTOCOL = (
    "Means over the pictures of PSNR in dB and SSIM: Y channel, as many pixels of border left out as the factor; "
    "distances on RGB, without the same border."
)


def evaluate_super_resolution(
    hr: Annotated[list[Path], typer.Option(exists=True, file_okay=False, help="Folder of large pictures; repeatable.")],
    *,
    model: Annotated[
        list[str],
        typer.Option(help="Name of a net in the store, as in x4-pixel or x4-pixel@1; repeatable; all if not given."),
    ] = [],  # noqa: B006  (typer copies it)
    sparse_coding: Annotated[
        list[Path],
        typer.Option(exists=True, dir_okay=False, help="Dictionary of sparse coding to compare with; repeatable."),
    ] = [],  # noqa: B006
    blur: Annotated[
        bool | None,
        typer.Option(
            "--blur/--no-blur", help="Whether to blur with σ 1.0 before shrinking, as in the paper; both if not given."
        ),
    ] = None,
    self_ensemble: Annotated[
        bool, typer.Option(help="Also measure each net's mean result over eight turns and mirrorings.")
    ] = False,
    match_histogram: Annotated[
        bool, typer.Option(help="Also measure each net with its colours matched to the small picture.")
    ] = False,
    lpips: Annotated[
        bool, typer.Option(help="Also measure LPIPS, for which AlexNet is downloaded the first time.")
    ] = False,
    feature_distance: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Also measure the distance of features at relu2_2 of vgg16, vgg19 or LAYOUT:FILE, as in "
            "vgg16-caffe:vgg16.safetensors.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the report.")] = Path(
        "evaluation/super-resolution"
    ),
) -> None:
    """Measure PSNR and SSIM of nets, bicubic interpolation and sparse coding on the Y channel, without a border.

    The border is as many pixels wide as the factor of enlargement.
    """
    from trainer.data.photos import list_pictures
    from trainer.evaluation.reports import EvaluationReport, prepare
    from trainer.evaluation.super_resolution_report import draw_contact_sheet, draw_plots, means, tables
    from trainer.evaluation.super_resolution_study import measure

    data_sets = {folder.resolve().name: list_pictures(folder) for folder in hr}
    if len(data_sets) < len(hr):
        raise typer.BadParameter("two folders have the same name: rename one", param_hint="--hr")
    target = choose_device(device)
    enlargers = _by_setting(
        [
            *_sparse_codings(sparse_coding),
            *_nets(model, target, self_ensemble=self_ensemble, match_histogram=match_histogram),
        ],
        blur=blur,
    )
    prepare(output)
    notes = [", ".join(f"{name}: {len(paths)} pictures" for name, paths in data_sets.items()) + "."]
    distances = _load_distances(feature_distance, target, notes, lpips=lpips)
    count = len(enlargers) * sum(map(len, data_sets.values()))
    console = Console()
    measured = track(measure(enlargers, data_sets, target, distances), total=count, console=Console(stderr=True))
    study = means(measured)
    report = EvaluationReport(
        f"Super-resolution of {', '.join(data_sets)}",
        command_line(),
        target,
        tables(study),
        [*draw_plots(study, output), draw_contact_sheet(enlargers, data_sets, target, output)],
        [_PROTOCOL, *notes],
    )
    report.write(output)
    for note in notes:
        console.print(note, highlight=False, markup=False)
    for table in report.tables:
        console.print(table.rich())
    typer.echo(f"wrote {output / 'report.md'}")


def _load_distances(
    feature_source: str | None, device: "torch.device", notes: list[str], *, lpips: bool
) -> "dict[str, PerceptualDistance]":
    """Load the distances that were asked for, and append to `notes` how to read them.

    If the weights of LPIPS cannot be loaded, it is left out, and a note says why.
    """
    from trainer.errors import BadLossNetwork
    from trainer.evaluation import perceptual_distance

    distances = {}
    if feature_source:
        distances["features"] = perceptual_distance.load_feature_distance(feature_source, device)
        notes.append(
            f"Features: squared distance from the truth's at relu2_2 of {feature_source.partition(':')[0]}, divided by "
            "the mean square of the truth's; results rounded to 8 bits."
        )
    if lpips:
        try:
            distances["LPIPS"] = perceptual_distance.load_lpips(device)
        except BadLossNetwork as error:
            notes.append(f"LPIPS was not measured: {error}.")
    return distances


def _nets(labels: list[str], device: "torch.device", *, self_ensemble: bool, match_histogram: bool) -> "list[Enlarger]":
    from model_store.card import parse_label
    from model_store.nets import SelfEnsemble
    from model_store.settings import StoreSettings
    from trainer.evaluation.super_resolution_study import Enlarger

    store = StoreSettings().open()
    enlargers = []
    for label in labels or [card.name for card in store.cards() if card.task == "super-resolve"]:
        card, net = store.open("super-resolve", *parse_label(label.removeprefix("super-resolve/")))
        enlarger = Enlarger.net(card.label, net.to(device))
        enlargers.append(enlarger)
        if self_ensemble:
            enlargers.append(Enlarger.net(f"{card.label}, self-ensemble", SelfEnsemble(net)))
        if match_histogram:
            enlargers.append(enlarger.histogram_matched())
    return enlargers


def _sparse_codings(files: list[Path]) -> "list[Enlarger]":
    from trainer.baselines.sparse_coding import SparseCoding
    from trainer.evaluation.super_resolution_study import Enlarger

    return [Enlarger.sparse_coding(f"sparse coding ({path.stem})", SparseCoding.load(path)) for path in files]


def _by_setting(candidates: "list[Enlarger]", *, blur: bool | None) -> "dict[Setting, list[Enlarger]]":
    """Return the enlargers of each factor, bicubic interpolation first, for each blur that was asked for."""
    from trainer.data.degradation import PAPER_SIGMA
    from trainer.evaluation.super_resolution_study import Enlarger, Setting

    groups: dict[int, list[Enlarger]] = {}
    for candidate in sorted(candidates, key=lambda each: each.factor):
        group = groups.setdefault(candidate.factor, [Enlarger.bicubic(candidate.factor)])
        if any(candidate.name == other.name for other in group):
            raise typer.BadParameter(f"{candidate.name} ×{candidate.factor} is there twice: name each method once")
        group.append(candidate)
    sigmas = [sigma for sigma, is_blurred in ((0.0, False), (PAPER_SIGMA, True)) if blur in {None, is_blurred}]
    return {Setting(factor, sigma): group for factor, group in groups.items() for sigma in sigmas}

"""Drafts of cards, which describe a trained net as far as it is known before publishing."""

import getpass
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import BaseModel, JsonValue

from model_store.card import Draft, Measurement
from trainer.data.squares import Photos
from trainer.evaluation.super_resolution_study import Comparison
from trainer.evaluation.tap_errors import DEEP_CONTENT_TAP, DEEP_STYLE_TAPS, Measured
from trainer.recipes import StyleRecipe, SuperResolutionRecipe
from trainer.training.training import Training


class Origin(NamedTuple):
    """The origin of a model: what its author says about it, and the command and run that made it."""

    name: str
    """Name of the model in the store."""
    title: str | None
    """Title for people; if None, it is made from the name."""
    author: str | None
    """Author of the model; if None, the name of the current user."""
    licence: str
    command: str
    """Command line that trained the model."""
    training: Training
    """Run that trained the model and has ended."""
    description: str | None = None
    """Description for people; if None, it is made from the style picture."""
    limitations: str = ""


def style_draft(recipe: StyleRecipe, picture: Path, photos: Photos, measured: Measured | None, origin: Origin) -> Draft:
    """Return the draft of the card of a style net.

    Args:
        recipe: Recipe that the net was trained with.
        picture: Path of the style picture.
        photos: Photos that the net was trained on.
        measured: Errors on the photos held out; None if there are none.
        origin: Origin of the net.
    """
    networks = names_of_networks(recipe.loss_networks)
    return Draft(
        task="stylize",
        name=origin.name,
        title=title_of(origin),
        description=origin.description or f"Style net trained on the picture {picture.name}.",
        architecture=recipe.architecture,
        parameters=recipe.parameters,
        recipe=settings_of(recipe, origin) | {"loss_networks": networks},
        training_data=photos.description,
        loss_network=", ".join(map(str, networks)),
        measurements=() if measured is None else tuple(style_measurements(measured, origin.command)),
        limitations=origin.limitations,
        licence=origin.licence,
        author=author_of(origin),
    )


def super_resolution_draft(
    recipe: SuperResolutionRecipe, photos: Photos, scores: Comparison | None, origin: Origin
) -> Draft:
    """Return the draft of the card of a super-resolution net.

    Args:
        recipe: Recipe that the net was trained with.
        photos: Photos that the net was trained on.
        scores: Scores on the tiles held out; None if there are none.
        origin: Origin of the net.
    """
    figures = {} if scores is None else {"bicubic": scores.bicubic, "net": scores.net}
    data = f"{len(photos.held_out)} held-out tiles, Y channel, {recipe.factor}-px border cropped"
    networks = names_of_networks(recipe.loss_networks) if recipe.sees_features else []
    return Draft(
        task="super-resolve",
        name=origin.name,
        title=title_of(origin),
        description=f"Enlarges ×{recipe.factor}; trained on losses of {', '.join(_losses(recipe))}.",
        architecture=recipe.architecture,
        parameters=recipe.parameters,
        factor=recipe.factor,
        recipe=settings_of(recipe, origin) | {"loss_networks": networks},
        training_data=photos.description,
        loss_network=", ".join(map(str, networks)) or "none",
        measurements=tuple(
            Measurement(name=f"{measure}, {which}", value=value, unit=unit, data=data, command=origin.command)
            for which, score in figures.items()
            for measure, value, unit in (("PSNR", round(score.psnr, 2), "dB"), ("SSIM", round(score.ssim, 4), ""))
        ),
        licence=origin.licence,
        author=author_of(origin),
    )


def style_measurements(measured: Measured, command: str) -> Iterator[Measurement]:
    """Yield the measurements of a card for the errors of a style net."""
    network = measured.deep_network
    at = f" at {', '.join(DEEP_STYLE_TAPS)} of {network}" if network else ""
    figures = {
        f"relative style error{at}, photos": measured.photos.style,
        f"relative style error{at}, stylised": measured.net.style,
    }
    if network:
        figures[f"relative content error at {DEEP_CONTENT_TAP} of {network}, stylised"] = measured.net.content
    for name, value in figures.items():
        yield Measurement(name=name, value=round(value, 4), data=measured.data, command=command)


def title_of(origin: Origin) -> str:
    """Return the title of a model for people."""
    return origin.title or origin.name.replace("-", " ").capitalize()


def author_of(origin: Origin) -> str:
    """Return the author of a model."""
    if origin.author:
        return origin.author
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user in a container may have no name
        return "unknown"


def settings_of(recipe: BaseModel, origin: Origin) -> dict[str, JsonValue]:
    """Return everything that a training was given and did, for the recipe on a card."""
    training = origin.training
    on_gpu = training.device.type == "cuda"
    processor = torch.cuda.get_device_name(training.device) if on_gpu else platform.machine()
    how: dict[str, JsonValue] = {
        "precision": training.precision,
        "processes": training.processes.count,
        "sha256": dict(training.data),
        "command": origin.command,
        "seconds": round(training.seconds, 1),
        "device": f"{training.device.type} ({processor})",
        "torch": torch.__version__,
    }
    return {**recipe.model_dump(mode="json"), **how}


def names_of_networks(sources: Iterable[str]) -> list[JsonValue]:
    """Return the sources of loss networks without the folders of their files."""
    return [_without_folder(source) for source in sources]


def _losses(recipe: SuperResolutionRecipe) -> list[str]:
    weights = {
        "pixel": recipe.pixel_weight,
        "feature": recipe.feature_weight,
        "texture": recipe.texture_weight,
        "grid": recipe.grid_weight,
    }
    return [name for name, weight in weights.items() if weight]


def _without_folder(source: str) -> str:
    layout, colon, file = source.partition(":")
    return f"{layout}{colon}{Path(file).name}"

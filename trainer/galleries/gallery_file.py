"""Galleries: TOML files with a table for each style, and one named `defaults` for the settings that they share.

    [defaults]
    loss_networks = ["vgg16-caffe"]
    style_weight = 12

    [candy]
    picture = "candy.jpg"
    from = "candy@1"
    style_size = 384

Keys are the settings of `StyleRecipe` and the fields of `Style`, in which `from` stands for `start` and `recipe` for
`base`. This module does not import torch.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from model_store.card import check_name
from model_store.errors import BadLabel
from model_store.suggestion import did_you_mean
from trainer.errors import BadGallery, BadRecipe
from trainer.recipes import STYLE_RECIPES, StyleRecipe, style_recipe

_HERE = Path(__file__).parent
_DEFAULTS = "defaults"


class _Table(BaseModel):
    """The keys of a style's table that are not settings of the recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    picture: str = Field(min_length=1)
    start: str | None = Field(default=None, alias="from")
    recipe: str | None = None
    title: str | None = None
    description: str | None = None
    limitations: str = ""
    licence: str = "unspecified"
    author: str | None = None


@dataclass(frozen=True)
class Style:
    """A style of a gallery."""

    name: str
    """Name of the style in the store."""
    picture: Path
    """Path of the style picture; the file gives it relative to a folder of pictures."""
    start: str | None
    """Net of the store to start from, as in muse or muse@1; `from` in the file."""
    base: str | None
    """Name in `STYLE_RECIPES` of the recipe to begin with; `recipe` in the file."""
    settings: Mapping[str, JsonValue]
    """Settings that differ from those of that recipe."""
    title: str | None
    description: str | None
    limitations: str
    licence: str
    author: str | None

    def recipe(self, started: Mapping[str, JsonValue] | None) -> StyleRecipe:
        """Return the recipe of the style.

        Args:
            started: Settings of the net that the style starts from, if it starts from one.

        Raises:
            BadGallery: A setting is out of its range or contradicts another.
        """
        try:
            return style_recipe(self.base, started, self.settings)
        except ValidationError as error:
            raise BadGallery(f"{self.name}: {_wrong(error)}") from error
        except BadRecipe as error:
            raise BadGallery(f"{self.name}: {error}") from error


def find_gallery(file: str) -> Path:
    """Return the path of a gallery, given its file, or its name if it comes with the project, as in `bundled`.

    Raises:
        BadGallery: There is no such file and no such gallery.
    """
    for path in (Path(file), _HERE / f"{file}.toml"):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in _HERE.glob("*.toml")))
    raise BadGallery(f"there is no file {file}: give a TOML file, or the name of a gallery of the project: {known}")


def read_gallery(path: Path, pictures: Path, loss_networks: Sequence[str] = ()) -> list[Style]:
    """Read the styles of a gallery, in the order of the file.

    Args:
        path: Path of the TOML file.
        pictures: Folder of the style pictures.
        loss_networks: Files of weights for the layouts that the gallery names, as in `vgg16-caffe:vgg16.safetensors`.

    Raises:
        BadGallery: The file cannot be read, has no styles, or has a setting that is not valid; the message names the
            style and the key.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadGallery(f"cannot read the gallery {path}: {error}") from error
    defaults = tables.pop(_DEFAULTS, {})
    if not tables:
        raise BadGallery(f"{path} has no styles: give each a table, as in [candy] with its picture")
    for name, table in {_DEFAULTS: defaults, **tables}.items():
        if not isinstance(table, dict):
            raise BadGallery(f"{name} is not a table of {path}: write its settings under [{name}]")
        _check_keys(name, table)
    files = {source.partition(":")[0]: source for source in loss_networks}
    styles = [_style(name, defaults | table, pictures, files) for name, table in tables.items()]
    _check_used(files, styles)
    return styles


def choose(styles: Sequence[Style], names: Sequence[str]) -> list[Style]:
    """Return the styles with some names, or all styles if there are no names.

    Raises:
        BadGallery: There is no style with one of the names.
    """
    known = [style.name for style in styles]
    for name in names:
        if name not in known:
            raise BadGallery(
                f"there is no style {name} in the gallery{did_you_mean(name, known)}; it has {', '.join(known)}"
            )
    return [style for style in styles if style.name in names or not names]


def _check_keys(name: str, table: Mapping[str, JsonValue]) -> None:
    known = [*StyleRecipe.model_fields, *_own_keys()]
    for key in table:
        if key not in known:
            raise BadGallery(f"{name}: there is no setting {key}{did_you_mean(key, known)}")


def _own_keys() -> list[str]:
    return [field.alias or name for name, field in _Table.model_fields.items()]


def _style(name: str, table: Mapping[str, JsonValue], pictures: Path, files: Mapping[str, str]) -> Style:
    try:
        check_name(name)
        own = _Table.model_validate({key: table[key] for key in _own_keys() if key in table})
    except BadLabel as error:
        raise BadGallery(str(error)) from error
    except ValidationError as error:
        raise BadGallery(f"{name}: {_wrong(error)}") from error
    if own.recipe is not None and own.recipe not in STYLE_RECIPES:
        raise BadGallery(
            f"{name}: there is no recipe {own.recipe}{did_you_mean(own.recipe, STYLE_RECIPES)}; known: "
            f"{', '.join(STYLE_RECIPES)}"
        )
    settings = {key: value for key, value in table.items() if key in StyleRecipe.model_fields}
    texts = own.model_dump(include={"title", "description", "limitations", "licence", "author"})
    style = Style(name, pictures / own.picture, own.start, own.recipe, settings, **texts)
    networks = style.recipe({} if own.start else None).loss_networks
    settings["loss_networks"] = [files.get(network, network) for network in networks]
    return style


def _wrong(error: ValidationError) -> str:
    """Return the messages of a validation error, each with its key unless it is about several keys."""
    sentences = []
    for each in error.errors():
        key, message = ".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")
        sentences.append(f"{key}: {message}" if key else message)
    return "; ".join(sentences)


def _check_used(files: Mapping[str, str], styles: Iterable[Style]) -> None:
    named = {network for style in styles for network in style.recipe({}).loss_networks}
    for layout, source in files.items():
        if source not in named:
            raise BadGallery(f"no style of the gallery has the loss network {layout}: leave {source} out")

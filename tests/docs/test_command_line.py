"""docs/command-line.md and docs/training.md describe every command, and list every option with an example."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.distillation.recipe import LightRecipe
from trainer.recipes import Recipe, StyleRecipe, SuperResolutionRecipe

from .commands import commands, options_of, parse
from .markdown import PROJECT, as_text, code, headings, rows, section, table

COMMAND_LINE, TRAINING = PROJECT / "docs/command-line.md", PROJECT / "docs/training.md"
SECTIONS = {
    **{name: [(COMMAND_LINE, f"impasto {name}")] for name in ("serve", "stylize", "super-resolve", "bench", "doctor")},
    "keys new": [(COMMAND_LINE, "impasto keys new")],
    **{f"models {name}": [(COMMAND_LINE, f"impasto models {name}")] for name in ("ls", "show", "verify", "publish")},
    **{f"models {name}": [(COMMAND_LINE, f"impasto models {name}")] for name in ("import", "export", "gallery")},
    "train style": [
        (TRAINING, "Which options does training have?"),
        (TRAINING, "Which settings does a style's recipe have?"),
    ],
    "train gallery": [(TRAINING, "How do I train several styles?")],
    "train light": [
        (TRAINING, "How do I train a light net?"),
        (TRAINING, "Which settings does a light net's recipe have?"),
    ],
    "train super-resolution": [
        (TRAINING, "Which options does training have?"),
        (TRAINING, "Which settings does a super-resolution recipe have?"),
    ],
    **{
        name: [(TRAINING, f"impasto {name}")]
        for name in (
            "train sparse-coding",
            "optimize",
            "reconstruct content",
            "reconstruct style",
            "evaluate super-resolution",
            "evaluate style",
            "evaluate gallery",
            "evaluate video",
        )
    },
}
"""The sections that list the options of each command."""
NECESSARY = {
    "bench": "http://localhost:8000",
    "keys new": "shop",
    "models export": "muse",
    "models import": "mosaic.pth --as mosaic --licence CC0-1.0 --author me",
    "models publish": "model.safetensors --card card.json",
    "models show": "muse",
    "stylize": "photo.jpg --style muse -o out",
    "super-resolve": "photo.jpg -o out",
    "train style": "painting.jpg --photos photos/ --name my-style",
    "train gallery": "bundled --photos photos/",
    "train light": "--from muse --photos photos/",
    "train super-resolution": "--photos photos/",
    "train sparse-coding": "--photos photos/ -o out",
    "optimize": "photo.jpg painting.jpg -o out",
    "reconstruct content": "photo.jpg --tap relu2_1 -o out",
    "reconstruct style": "photo.jpg --taps relu2_1 -o out",
    "evaluate super-resolution": "--hr Set5",
    "evaluate style": "--model muse --style-picture painting.jpg --photos photos/",
    "evaluate gallery": "photo.jpg -o out",
}
"""The words that a command needs beside an option."""


def test_every_command_is_described() -> None:
    assert set(SECTIONS) == set(commands())
    (training,) = (heading for heading in headings(COMMAND_LINE) if heading.startswith("impasto train, "))
    described = {*headings(COMMAND_LINE), *table(COMMAND_LINE, training)}
    assert {f"impasto {name}" for name in SECTIONS} <= described


def examples(name: str) -> Iterator[tuple[str, str]]:
    """Yield the example of each option in the tables of a command, with the default that is listed."""
    for document, heading in SECTIONS[name]:
        for first, default, *_ in rows(section(document, heading)):
            for example in code(first):
                yield example, default


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_every_option_of_a_command_is_listed(name: str) -> None:
    known = {option for each in commands()[name].params for option in (*each.opts, *each.secondary_opts)}
    listed = {example.split()[0] for example, _ in examples(name)}
    assert set(options_of(commands()[name])) <= listed
    assert listed <= known


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_every_example_of_a_command_s_option_is_taken(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for example, _ in examples(name):
        parse(["impasto", *name.split(), *NECESSARY.get(name, "").split(), *example.replace('"', "").split(maxsplit=1)])


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_defaults_of_a_command_are_listed(name: str) -> None:
    recipes: dict[str, type[Recipe]] = {
        "train style": StyleRecipe,
        "train light": LightRecipe,
        "train super-resolution": SuperResolutionRecipe,
    }
    fields = recipes[name].model_fields if name in recipes else {}
    options = options_of(commands()[name])
    for example, listed in examples(name):
        option = options.get(example.split()[0])
        if option is None or option.required:
            continue
        field = fields.get(f"{option.name}s", fields.get(option.name))
        default = option.default if field is None else field.default
        if isinstance(default, tuple | list):
            default = " ".join(map(str, default))
        if default is True or default is False:
            assert listed == "off"
        elif default not in (None, "") and listed != "see above" and option.name != "held_out":
            assert listed == as_text(default), example

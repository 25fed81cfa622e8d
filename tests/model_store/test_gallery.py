"""The gallery page that shows the models of a root."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from model_store.card import Card, Draft, Measurement
from model_store.errors import DamagedModel, StoreError
from model_store.gallery import gallery
from model_store.root import BUNDLED, Root

JPEG = b"\xff\xd8\xff"
PUBLISHED = {"version": 1, "sha256": "0" * 64, "created_at": datetime(2026, 1, 1, tzinfo=UTC)}


def figure(name: str, value: float, data: str = "photos", unit: str = "", command: str = "measure") -> Measurement:
    return Measurement(name=name, value=value, unit=unit, data=data, command=command)


@pytest.fixture
def add(tmp_path: Path, draft: Draft):
    """Return a function that adds a model to a root, whose card differs from the draft in the given fields."""

    def write(*, preview: bytes | None = None, **said: Any) -> None:
        Root(str(tmp_path)).write(Card(**{**dict(draft), **PUBLISHED, **said}), b"weights", preview)

    return write


@pytest.fixture
def enlarger(add):
    """Return a function that adds a super-resolution net to a root."""
    return lambda **said: add(task="super-resolve", factor=4, **said)


def page(root: Path) -> str:
    return gallery(Root(str(root)))


def lines_below(heading: str, text: str) -> list[str]:
    """Return the lines between a heading and the next one."""
    lines = text.splitlines()
    below = lines[lines.index(heading) + 1 :]
    end = next((place for place, line in enumerate(below) if line.startswith("#")), len(below))
    return [line for line in below[:end] if line]


def test_the_page_of_the_bundled_models_is_what_the_command_writes() -> None:
    written = (BUNDLED / "README.md").read_text(encoding="utf-8")
    command = "impasto models gallery -o model_store/bundled/README.md"
    assert written == gallery(Root(str(BUNDLED))), f"write the page again: {command}"


def test_every_picture_of_the_bundled_page_is_there() -> None:
    sources = [part.partition('"')[0] for part in (BUNDLED / "README.md").read_text().split('<img src="')[1:]]
    assert sources
    assert [source for source in sources if not (BUNDLED / source).is_file()] == []


def test_a_style_is_shown_with_what_its_card_says(tmp_path: Path, add) -> None:
    add(title='"Tiny" & bold', description="First | second\nthird.", limitations="Small.", preview=JPEG)
    *_, row = lines_below("## Styles", page(tmp_path))
    picture, text = row.removeprefix("| ").removesuffix(" |").split(" | ", 1)
    assert picture == '<img src="stylize/tiny/1/preview.jpg" width="280" alt="&quot;Tiny&quot; &amp; bold">'
    assert text == (
        '**"Tiny" & bold** · `tiny@1` · Apache-2.0<br><br>First \\| second third.<br><br>*Limitations:* Small.'
        "<br><br>*Training:* 0 steps."
    )


def test_an_enlarger_has_a_larger_preview_and_paragraphs(tmp_path: Path, enlarger) -> None:
    enlarger(preview=JPEG)
    assert lines_below("## Super-resolution", page(tmp_path)) == [
        '<img src="super-resolve/tiny/1/preview.jpg" width="840" alt="Tiny">',
        "**Tiny** · `tiny@1` · Apache-2.0",
        "For tests.",
        "*Training:* 0 steps.",
    ]


def test_a_model_without_a_preview_has_no_picture(tmp_path: Path, add) -> None:
    add()
    assert "<img" not in page(tmp_path)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (
            {"schedule": "constant", "steps": 5621, "seconds": 1234.6, "device": "cuda (A GPU)"},
            "5,621 steps, 1,235 s, cuda (A GPU).",
        ),
        ({"schedule": {"steps": 100, "batch": 4}, "device": "one GPU"}, "100 steps, one GPU."),
        ({"seconds": 2}, "2 s."),
    ],
)
def test_training_has_the_facts_that_the_recipe_has(
    tmp_path: Path, enlarger, recipe: dict[str, Any], said: str
) -> None:
    enlarger(recipe=recipe)
    assert f"*Training:* {said}" in page(tmp_path).splitlines()


def test_a_recipe_without_facts_of_the_training_adds_nothing(tmp_path: Path, enlarger) -> None:
    enlarger(recipe={"size": 256})
    assert "Training" not in page(tmp_path)


def test_each_set_of_data_has_a_table_of_the_models_measured_on_it(tmp_path: Path, enlarger) -> None:
    enlarger(name="a", measurements=[figure("PSNR, net", 28.3, "Set5", "dB"), figure("SSIM, net", 0.775, "Set5")])
    enlarger(
        name="b", measurements=[figure("PSNR, net", 1031.74, "Set5", "dB"), figure("PSNR, net", 27.0, "Set14", "dB")]
    )
    enlarger(name="c")
    text = page(tmp_path)
    assert lines_below("### Set5", text) == [
        "| model | PSNR, net (dB) | SSIM, net |",
        "| --- | ---: | ---: |",
        "| `a@1` | 28.30 | 0.775 |",
        "| `b@1` | 1,031.74 |  |",
    ]
    assert lines_below("### Set14", text) == ["| model | PSNR, net (dB) |", "| --- | ---: |", "| `b@1` | 27.00 |"]


def test_commands_are_listed_once_each(tmp_path: Path, add, enlarger) -> None:
    add(measurements=[figure("a", 1, command="first"), figure("b", 2, command="second")])
    enlarger(measurements=[figure("c", 3, command="first")])
    assert lines_below("## Where the figures come from", page(tmp_path)) == ["```sh", "first", "second", "```"]


def test_the_newest_version_is_shown(tmp_path: Path, add) -> None:
    for version in (9, 10, 2):
        add(version=version)
    text = page(tmp_path)
    assert [version for version in (2, 9, 10) if f"`tiny@{version}`" in text] == [10]


def test_contact_sheets_are_shown_with_their_task_and_other_pictures_at_the_end(tmp_path: Path, add, enlarger) -> None:
    for name in ("fidelity.jpg", "styles.jpg", "blends.jpg", "a-cat.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(JPEG)
    add()
    enlarger()
    text = page(tmp_path)
    assert lines_below("## Styles", text)[:4] == [
        "![Styles](styles.jpg)",
        "*Styles*",
        "![Blends](blends.jpg)",
        "*Blends*",
    ]
    assert lines_below("## Super-resolution", text)[:2] == ["![Fidelity](fidelity.jpg)", "*Fidelity*"]
    assert lines_below("## Pictures", text) == ["![A cat](a-cat.jpg)", "*A cat*"]


def test_a_root_of_styles_has_no_empty_sections(tmp_path: Path, add) -> None:
    add()
    assert [line for line in page(tmp_path).splitlines() if line.startswith("#")] == ["# Models", "## Styles"]


def test_a_root_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there are no models in .*nowhere"):
        page(tmp_path / "nowhere")


def test_a_damaged_card_is_refused_by_name(tmp_path: Path, add) -> None:
    add()
    (tmp_path / "stylize/tiny/1/card.json").write_text("{}")
    with pytest.raises(DamagedModel, match="stylize/tiny@1"):
        page(tmp_path)


@pytest.mark.process
def test_the_page_is_made_without_torch(tmp_path: Path, add) -> None:
    add()
    script = "import sys; sys.modules['torch'] = None; from model_store.cli import app; app(sys.argv[1:])"
    words = ["models", "gallery", str(tmp_path), "-o", str(tmp_path / "README.md")]
    subprocess.run([sys.executable, "-c", script, *words], check=True)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == page(tmp_path)


@pytest.mark.process
def test_without_a_file_the_page_goes_to_standard_output() -> None:
    script = "import sys; from model_store.cli import app; app(sys.argv[1:])"
    words = [sys.executable, "-c", script, "models", "gallery"]
    written = subprocess.run(words, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    assert written == gallery(Root(str(BUNDLED)))

"""The command `impasto evaluate gallery`."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import typer
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from model_store.errors import ImpastoError, ModelNotFound
from model_store.nets import StyleNet, SuperResolutionNet, TransformNet
from model_store.settings import StoreSettings
from trainer.commands.evaluate_gallery import evaluate_gallery
from trainer.errors import BadOutput, BadPhotos
from trainer.evaluation.gallery import Photo, blend_rows, fidelity_rows, style_rows

from ...drafts import draft_of

PHOTO = Photo("cat", torch.linspace(0, 1, 3 * 72 * 96).view(1, 3, 72, 96))


def painter(level: float, width: int = 4) -> TransformNet:
    """Make a style that paints one grey; a blend of two paints a grey between theirs."""
    net = StyleNet(width, residual_blocks=1)
    for parameter in net.decoder[-1].parameters():
        nn.init.zeros_(parameter)
    nn.init.constant_(net.decoder[-1].bias, level)
    return net.eval()


def enlarger(factor: int = 2, detail: float = 0.0) -> TransformNet:
    """Make a net that enlarges like bicubic interpolation and makes pictures lighter by `detail`."""
    net = SuperResolutionNet(factor, channels=4, residual_blocks=1)
    nn.init.zeros_(net.last.weight)
    nn.init.constant_(net.last.bias, detail)
    return net.eval()


def captions(rows: Sequence[Sequence[object]]) -> list[list[str]]:
    return [[tile.caption for tile in row] for row in rows]


def greys(row: Sequence[object]) -> list[float]:
    return [round(tile.picture.mean().item(), 3) for tile in row]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a store that has only the models that a test publishes."""
    monkeypatch.setenv("IMPASTO_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("model_store.settings.BUNDLED", tmp_path / "nothing")


@pytest.fixture
def photo(photos: Path) -> Path:
    """Return the path of a photo of 96×72."""
    return photos / "00.png"


def publish(name: str, net: TransformNet) -> None:
    StoreSettings().open().publish(draft_of(net.task, name, factor=net.factor), net.state_dict())


def run(*arguments: object) -> str:
    app = typer.Typer()
    app.command()(evaluate_gallery)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        assert picture.format == "JPEG"
        return picture.size


def test_each_photo_is_shown_before_its_paintings_in_rows_of_six() -> None:
    styles = {f"style-{number}": painter(0.0) for number in range(6)}
    rows = style_rows([PHOTO, Photo("dog", PHOTO.picture)], styles)
    paintings = [f"style-{number}" for number in range(6)]
    assert captions(rows) == [["cat", *paintings[:5]], paintings[5:], ["dog", *paintings[:5]], paintings[5:]]
    assert rows[0][0].picture is PHOTO.picture
    assert greys(rows[0][1:]) == [0.5] * 5


def test_a_row_of_blends_goes_from_a_style_to_the_next() -> None:
    (row,) = blend_rows(PHOTO, {"dark": painter(-0.5), "light": painter(0.5)})
    assert captions([row]) == [
        ["dark", "0.75 dark + 0.25 light", "0.5 dark + 0.5 light", "0.25 dark + 0.75 light", "light"]
    ]
    assert greys(row) == pytest.approx([0.246, 0.365, 0.5, 0.635, 0.754], abs=0.001)


def test_blends_close_the_ring_of_styles() -> None:
    rows = blend_rows(PHOTO, {name: painter(0.0) for name in "abc"})
    assert [(row[0].caption, row[-1].caption) for row in rows] == [("a", "b"), ("b", "c"), ("c", "a")]


def test_styles_that_cannot_be_blended_are_named_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert blend_rows(PHOTO, {"narrow": painter(0.0), "wide": painter(0.0, width=8)}) == []
    assert "nothing between narrow and wide: two nets of StyleNet" in caplog.text


def test_fidelity_goes_from_pixel_to_feature_beside_the_truth_and_bicubic() -> None:
    nets = {"x2-pixel": enlarger(), "x2-feature": enlarger(detail=0.1)}
    (row,) = fidelity_rows([PHOTO], nets, [("x2-pixel", "x2-feature")])
    names = [caption.splitlines()[0] for caption in captions([row])[0]]
    shares = ["0", "0.25", "0.5", "0.75", "1"]
    assert names == ["cat, x2", "bicubic", *(f"feature share {share}" for share in shares)]
    torch.testing.assert_close(row[1].picture, row[2].picture)
    assert greys(row[2:]) == sorted(set(greys(row[2:])))
    decibels = [float(tile.caption.splitlines()[1].split()[0]) for tile in row[1:]]
    assert decibels[0] == decibels[1]
    assert decibels[1:] == sorted(set(decibels), reverse=True)


def test_three_sheets_are_written(photo: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        publish(name, painter(0.0))
    for name in ("x2-pixel", "x2-feature", "x4-pixel"):
        publish(name, enlarger(int(name[1])))
    printed = run(photo, photo, "-o", tmp_path / "new/gallery", "--shown", 36)
    assert [line.split()[0] for line in printed.splitlines() if line] == ["wrote"] * 3
    folder = tmp_path / "new/gallery"
    assert {path.name for path in folder.iterdir()} == {"styles.jpg", "blends.jpg", "fidelity.jpg"}
    width, height = size_of(folder / "styles.jpg")
    assert width == 3 * 48 + 4 * 12
    assert height > 2 * 36 + 3 * 12
    assert size_of(folder / "blends.jpg")[0] > 5 * 48
    assert size_of(folder / "fidelity.jpg")[1] > 2 * 256


def test_photos_are_painted_at_the_size_asked_for(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish("a", painter(0.0))
    seen = []
    monkeypatch.setattr(StyleNet, "transform", lambda _, pictures: seen.append(pictures.shape) or pictures)
    run(photo, "-o", tmp_path, "--size", 64)
    assert seen == [(1, 3, 48, 64)]


def test_styles_can_be_chosen(photo: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        publish(name, painter(0.0))
    run(photo, "-o", tmp_path / "all", "--shown", 36)
    run(photo, "-o", tmp_path / "two", "--shown", 36, "--style", "c", "--style", "stylize/a@1")
    wider, narrower = (size_of(tmp_path / folder / "styles.jpg")[0] for folder in ("all", "two"))
    assert wider - narrower == 48 + 12


def test_a_sheet_without_models_is_left_out_with_a_sentence(photo: Path, tmp_path: Path) -> None:
    publish("a", painter(0.0))
    publish("x4-pixel", enlarger(4))
    printed = run(photo, "-o", tmp_path / "out")
    assert "no blends.jpg: there are no two styles that can be blended" in printed
    assert "no fidelity.jpg: there are no two nets xN-pixel and xN-feature" in printed
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["styles.jpg"]


def test_a_store_without_styles_has_only_fidelity(photo: Path, tmp_path: Path) -> None:
    for name in ("x2-pixel", "x2-feature"):
        publish(name, enlarger())
    printed = run(photo, "-o", tmp_path / "out")
    assert "no styles.jpg: there are no styles in the store" in printed
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["fidelity.jpg"]


def test_bad_input_is_refused_before_anything_is_written(photo: Path, tmp_path: Path) -> None:
    publish("a", painter(0.0))
    (tmp_path / "text.jpg").write_text("no picture")
    Image.new("RGB", (900, 20)).save(tmp_path / "narrow.png")
    cases: list[tuple[type[ImpastoError], str, tuple[object, ...]]] = [
        (BadPhotos, r"cannot read the picture .*text\.jpg", (photo, tmp_path / "text.jpg")),
        (BadPhotos, "narrow.png of 512×11 is too small", (tmp_path / "narrow.png",)),
        (ModelNotFound, "no model stylize/b; known: a", (photo, "--style", "b")),
    ]
    for error, message, words in cases:
        with pytest.raises(error, match=message):
            run(*words, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused(photo: Path, tmp_path: Path) -> None:
    publish("a", painter(0.0))
    (tmp_path / "out").touch()
    with pytest.raises(BadOutput, match="choose another --output"):
        run(photo, "-o", tmp_path / "out")

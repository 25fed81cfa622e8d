"""Super-resolution by sparse coding, learnt on stripes."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
import typer
from torch import Tensor
from typer.testing import CliRunner

from model_store.errors import ImpastoError
from model_store.nets import bicubic
from model_store.nets.luma import luma
from trainer.baselines.sparse_coding import SparseCoding
from trainer.commands.sparse_coding import train_sparse_coding
from trainer.data.degradation import degrade
from trainer.errors import BadDictionary, BadPhotos, BadRecipe
from trainer.evaluation import metrics

pytestmark = pytest.mark.training


def stripes(count: int, side: int, seed: int) -> Tensor:
    """Make pictures of sharp stripes in two colours each, of any direction and about a dozen pixels wide."""
    generator = torch.Generator().manual_seed(seed)
    angles = torch.rand(count, 1, 1, 1, generator=generator) * torch.pi
    widths = 10 + 8 * torch.rand(count, 1, 1, 1, generator=generator)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    across = (rows * angles.sin() + columns * angles.cos()) / widths
    colours = torch.rand(2, count, 3, 1, 1, generator=generator)
    return torch.where(across % 2 < 1, colours[0], colours[1]).mul(255).byte()


def psnr(pictures: Tensor, truth: Tensor, factor: int) -> float:
    return metrics.psnr(metrics.luma(pictures), metrics.luma(truth), factor)


@pytest.fixture(scope="module")
def coding() -> SparseCoding:
    return SparseCoding.learn(stripes(24, 96, seed=0), 4, atoms=64)


@pytest.fixture(scope="module")
def small() -> Tensor:
    return degrade(stripes(1, 96, seed=1) / 255, 4)


@pytest.fixture
def file(coding: SparseCoding, tmp_path: Path) -> Path:
    path = tmp_path / "dictionary.safetensors"
    coding.save(path)
    return path


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_sparse_coding_beats_bicubic_on_stripes_that_it_has_not_seen(factor: int) -> None:
    coding = SparseCoding.learn(stripes(24, 96, seed=0), factor, atoms=64)
    truth = stripes(4, 96, seed=1) / 255
    small = degrade(truth, factor)
    assert coding.factor == factor
    assert psnr(coding.enlarge(small), truth, factor) > psnr(bicubic.enlarge(small, factor), truth, factor) + 1


@pytest.mark.parametrize("size", [(3, 3), (3, 20), (17, 31)])
def test_the_result_is_exactly_the_factor_larger_and_in_range(coding: SparseCoding, size: tuple[int, int]) -> None:
    result = coding.enlarge(torch.rand(2, 3, *size))
    assert result.shape == (2, 3, 4 * size[0], 4 * size[1])
    assert 0 <= result.min() <= result.max() <= 1


def test_a_picture_smaller_than_a_patch_is_refused(coding: SparseCoding) -> None:
    with pytest.raises(ValueError, match="2×9 is too small"):
        coding.enlarge(torch.rand(1, 3, 9, 2))


def test_a_picture_does_not_depend_on_its_batch(coding: SparseCoding) -> None:
    pictures = torch.rand(3, 3, 8, 9)
    torch.testing.assert_close(coding.enlarge(pictures)[1:2], coding.enlarge(pictures[1:2]), atol=1e-3, rtol=0)


def test_a_plain_picture_stays_plain(coding: SparseCoding) -> None:
    plain = torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1)
    torch.testing.assert_close(coding.enlarge(plain.expand(-1, -1, 8, 9)), plain.expand(-1, -1, 32, 36))


def test_the_chroma_is_bicubic(coding: SparseCoding) -> None:
    soft = degrade(stripes(1, 96, seed=1) / 255, 4) * 0.2 + 0.4
    result, enlarged = coding.enlarge(soft), bicubic.enlarge(soft, 4)
    torch.testing.assert_close(result - luma(result), enlarged - luma(enlarged), atol=1e-5, rtol=0)


def test_learning_again_with_the_same_seed_gives_the_same_dictionaries(coding: SparseCoding, small: Tensor) -> None:
    again = SparseCoding.learn(stripes(24, 96, seed=0), 4, atoms=64)
    torch.testing.assert_close(again.enlarge(small), coding.enlarge(small), atol=1e-3, rtol=0)


def test_a_saved_dictionary_is_the_same_when_loaded(coding: SparseCoding, small: Tensor, file: Path) -> None:
    loaded = SparseCoding.load(file)
    assert loaded.factor == 4
    assert all(torch.equal(getattr(loaded, part), getattr(coding, part)) for part in safetensors.torch.load_file(file))
    torch.testing.assert_close(loaded.enlarge(small), coding.enlarge(small), atol=1e-3, rtol=0)


def test_a_file_cut_short_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadDictionary, match=r"cannot read the dictionary .*dictionary\.safetensors"):
        SparseCoding.load(file)


def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDictionary, match="cannot read the dictionary"):
        SparseCoding.load(tmp_path / "nothing.safetensors")


def test_other_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file({"layers.0.weight": torch.rand(3)}, path)
    with pytest.raises(BadDictionary, match=r"not a dictionary of sparse coding: it holds layers\.0\.weight"):
        SparseCoding.load(path)


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("components", torch.zeros(7, 4, 12, 12)),
        ("components", torch.zeros(0)),
        ("components", torch.tensor(1.0)),
        ("feature_atoms", torch.zeros(64)),
        ("feature_atoms", torch.tensor(1.0)),
        ("detail_atoms", torch.zeros(64, 145)),
        ("detail_atoms", torch.full((64, 144), torch.nan)),
        ("detail_atoms", torch.zeros(64, 144, dtype=torch.int32)),
    ],
)
def test_parts_that_do_not_fit_are_refused(file: Path, part: str, changed: Tensor) -> None:
    safetensors.torch.save_file({**safetensors.torch.load_file(file), part: changed}, file)
    with pytest.raises(BadDictionary, match="is damaged: its parts do not fit"):
        SparseCoding.load(file)


def test_a_path_that_cannot_be_written_is_refused(coding: SparseCoding, tmp_path: Path) -> None:
    with pytest.raises(BadDictionary, match="cannot write the dictionary"):
        coding.save(tmp_path / "nowhere" / "dictionary.safetensors")


@pytest.mark.parametrize(("side", "factor"), [(98, 4), (8, 4)])
def test_tiles_that_do_not_suit_the_factor_are_refused(side: int, factor: int) -> None:
    with pytest.raises(BadRecipe, match=f"tiles of {side} pixels do not suit ×{factor}"):
        SparseCoding.learn(stripes(2, side, seed=0), factor, atoms=8)


@pytest.mark.parametrize("tiles", [torch.full((2, 3, 32, 32), 90, dtype=torch.uint8), stripes(1, 32, seed=0)])
def test_too_little_structure_is_refused(tiles: Tensor) -> None:
    with pytest.raises(BadPhotos, match="patches with structure to learn 64 atoms from"):
        SparseCoding.learn(tiles, 4, atoms=64)


# The command


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(train_sparse_coding)
    return app


def test_a_dictionary_is_learnt_and_written(app: typer.Typer, photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "dictionary.safetensors"
    options = "--factor 4 --atoms 16 --tile 64 --held-out 2"
    result = CliRunner().invoke(app, ["--photos", str(photos), "-o", str(path), *options.split()])
    assert result.exit_code == 0, result.output
    assert "learnt 16 atoms" in result.output
    assert "PSNR on held-out tiles: bicubic" in result.output
    assert SparseCoding.load(path).factor == 4


def test_tiles_too_small_to_measure_on_are_refused_before_learning(
    app: typer.Typer, photos: Path, tmp_path: Path
) -> None:
    options = ["--photos", str(photos), "-o", str(tmp_path / "dictionary.safetensors"), "--tile", "32"]
    result = CliRunner().invoke(app, options)
    assert isinstance(result.exception, BadPhotos)
    assert "a tile of 32×32 is too small for ×4" in str(result.exception)
    assert result.output == ""


def test_a_folder_that_does_not_exist_is_refused_before_learning(
    app: typer.Typer, photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "nowhere" / "dictionary.safetensors"
    result = CliRunner().invoke(app, ["--photos", str(photos), "-o", str(output)])
    assert isinstance(result.exception, ImpastoError)
    assert "there is no folder" in str(result.exception)
    assert result.output == ""

"""The batches of a run: the pictures that each step sees."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainer.data.batches import Batches, Views
from trainer.data.squares import Squares, load_tiles
from trainer.errors import BadPhotos
from trainer.objectives.style_objective import parts
from trainer.objectives.super_resolution_objective import patches
from trainer.recipes import StyleRecipe, SuperResolutionRecipe

CPU = torch.device("cpu")


@pytest.fixture
def squares(photos: Path) -> Squares:
    return load_tiles([photos], 32).train


def batches(squares: Squares, batch: int = 4, *, smallest: int = 32, seed: int = 0, **options: object) -> Batches:
    views = Views(len(squares), squares.size, batch, seed, smallest, ways=range(8))
    return Batches(squares, views, lambda _: 16, CPU, **options)


def pictures(batches: Batches, step: int, steps: int) -> list[Tensor]:
    return [batch.pictures for batch in batches.since(step, steps)]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_pictures_that_are_decoded_already_may_have_others_beside_them() -> None:
    pairs = torch.randint(0, 256, (3, 6, 16, 16), dtype=torch.uint8)
    ready = Batches(pairs, Views(3, 16, 3, 0, 16), lambda _: 16, CPU)
    batch = ready.at(0)
    assert ready.is_kept
    assert sorted(batch.pictures.sum((1, 2, 3)).tolist()) == sorted((pairs.float() / 255).sum((1, 2, 3)).tolist())


def test_pictures_are_floats_from_0_to_1_of_the_size_wanted(squares: Squares) -> None:
    batch = next(batches(squares, smallest=20).since(0, 1))
    assert batch.pictures.shape == (4, 3, 16, 16)
    assert batch.pictures.dtype == torch.float32
    assert batch.pictures.min() >= 0
    assert 0.5 < batch.pictures.max() <= 1
    assert batch.chance.shape == (4,)


def test_a_step_sees_the_same_whenever_the_run_began(squares: Squares) -> None:
    assert same(pictures(batches(squares), 0, 9)[5:], pictures(batches(squares), 5, 9))


def test_another_seed_sees_other_pictures(squares: Squares) -> None:
    assert not same(pictures(batches(squares), 0, 1), pictures(batches(squares, seed=1), 0, 1))


@pytest.mark.process
def test_photos_decoded_by_workers_equal_those_kept_in_memory(squares: Squares) -> None:
    kept, streamed = batches(squares, smallest=20, keep=True), batches(squares, smallest=20, keep=False)
    assert kept.is_kept
    assert not streamed.is_kept
    assert same(pictures(kept, 3, 8), pictures(streamed, 3, 8))


@pytest.mark.process
def test_photos_that_disappear_during_training_are_reported(photos: Path, squares: Squares) -> None:
    streamed = batches(squares, keep=False)
    for path in photos.iterdir():
        path.unlink()
    with pytest.raises(BadPhotos, match="are they still where they were"):
        pictures(streamed, 0, 2)


def test_processes_share_a_batch_without_overlap(squares: Squares) -> None:
    whole = pictures(batches(squares), 2, 3)[0]
    shares = [pictures(batches(squares, share=(rank, 2)), 2, 3)[0] for rank in range(2)]
    assert torch.equal(torch.cat(shares), whole)


def test_every_photo_is_seen_once_before_any_twice() -> None:
    views = Views(photos=10, side=32, batch=5, seed=3, smallest=32)
    for epoch in range(3):
        numbers = [view.number for step in (2 * epoch, 2 * epoch + 1) for view in views.draw(step)[0]]
        assert sorted(numbers) == list(range(10))


def test_views_stay_inside_the_photo_and_use_all_of_it() -> None:
    drawn = [view for step in range(400) for view in Views(5, 32, 4, 0, 20, 28, range(8)).draw(step)[0]]
    assert {view.side for view in drawn} == set(range(20, 29))
    assert {view.way for view in drawn} == set(range(8))
    assert min(view.left for view in drawn) == min(view.top for view in drawn) == 0
    assert max(view.left + view.side for view in drawn) == max(view.top + view.side for view in drawn) == 32


def test_the_size_may_change_with_the_step(squares: Squares) -> None:
    views = Views(len(squares), 32, 2, 0, 32)
    changing = Batches(squares, views, lambda step: 32 if step >= 2 else 16, CPU)
    assert [each.shape[-1] for each in pictures(changing, 0, 4)] == [16, 16, 32, 32]


@pytest.mark.parametrize("recipe", [StyleRecipe(size=32), SuperResolutionRecipe(factor=2, patch=32)])
def test_batches_can_be_handed_to_spawned_workers(
    squares: Squares, recipe: StyleRecipe | SuperResolutionRecipe
) -> None:
    views = parts(recipe, squares) if isinstance(recipe, StyleRecipe) else patches(recipe, squares)
    streamed = Batches(squares, views, recipe.size_at, CPU, keep=False)
    copy = pickle.loads(pickle.dumps(streamed))  # noqa: S301
    assert torch.equal(copy[3].pictures, streamed[3].pictures)

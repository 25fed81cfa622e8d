"""The comparison of a style net with the optimisation of each picture, and its command."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer
from torch import Tensor
from typer.testing import CliRunner, Result

from model_store.card import Draft
from model_store.nets import StyleNet, TransformNet
from model_store.store import Store
from trainer.commands.evaluate_style import evaluate_style
from trainer.data.photos import load_picture
from trainer.errors import BadLossNetwork, BadOutput, BadRecipe
from trainer.evaluation.style_study import Study, seconds_of, study
from trainer.objectives.loss_networks import LossNetwork, load_loss_network
from trainer.recipes import StyleRecipe

from ...nets import Constant, Identity

pytestmark = pytest.mark.training

Evaluate = Callable[..., Result]


@pytest.fixture
def recipe(vgg19_weights: Path) -> StyleRecipe:
    return StyleRecipe(
        loss_networks=(f"vgg19-normalised:{vgg19_weights}",),
        content_taps=("relu2_1",),
        style_taps=("relu1_1", "relu2_1"),
        style_size=32,
    )


@pytest.fixture
def network(recipe: StyleRecipe) -> LossNetwork:
    return load_loss_network(recipe.loss_networks, (*recipe.content_taps, *recipe.style_taps))


@pytest.fixture
def painting(style_picture: Path) -> Tensor:
    return load_picture(style_picture)[..., :32, :32]


@pytest.fixture
def crops() -> Tensor:
    return torch.randint(256, (3, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def studied(net: TransformNet, recipe: StyleRecipe, network: LossNetwork, painting: Tensor, crops: Tensor) -> Study:
    return study(net.eval(), recipe, network, painting, crops, optimised=2, iterations=10)


def test_a_net_that_does_nothing_equals_iteration_0_from_content(
    recipe: StyleRecipe, network: LossNetwork, painting: Tensor, crops: Tensor
) -> None:
    found = studied(Identity(), recipe, network, painting, crops)
    assert found.net_equals("content") == pytest.approx(0, abs=1e-3)
    assert found.net == pytest.approx(found.photos)


def test_optimisation_never_reaches_a_net_that_is_better_than_all_iterations(
    recipe: StyleRecipe, network: LossNetwork, painting: Tensor, crops: Tensor
) -> None:
    content_free = recipe.model_copy(update={"content_weight": 0.0, "variation_weight": 0.0})
    found = studied(Constant(painting), content_free, network, painting, crops)
    assert found.net_equals("noise") is None
    assert found.net_equals("content") is None


def test_only_the_first_photos_are_optimised_from_both_starts(
    recipe: StyleRecipe, network: LossNetwork, painting: Tensor, crops: Tensor
) -> None:
    found = studied(Identity(), recipe, network, painting, crops)
    assert {start: len(each) for start, each in found.descents.items()} == {"noise": 2, "content": 2}
    assert all(torch.equal(photo, crop[None] / 255) for (photo, _), crop in zip(found.pictures, crops[:2], strict=True))
    for start in found.descents:
        curve = found.curve(start)
        assert len(curve) == 11
        assert curve[-1] < curve[0]
    assert found.iteration_seconds > 0


def test_a_net_is_timed_by_repeated_runs() -> None:
    net = Identity().eval()
    calls: list[None] = []
    net.register_forward_hook(lambda *_: calls.append(None))
    assert seconds_of(net, torch.rand(1, 3, 32, 32)) > 0
    assert len(calls) > 3


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("IMPASTO_STORE", str(tmp_path / "store"))
    return Store(tmp_path / "store")


@pytest.fixture
def publish(store: Store) -> Callable[..., None]:
    def publish(**recipe: object) -> None:
        draft = Draft.model_validate(
            {
                "task": "stylize",
                "name": "stripes",
                "title": "Stripes",
                "description": "",
                "architecture": "style-net",
                "parameters": {"width": 4, "residual_blocks": 1},
                "recipe": recipe,
                "training_data": "",
                "loss_network": "",
                "licence": "Apache-2.0",
                "author": "",
            }
        )
        store.publish(draft, StyleNet(4, 1).state_dict())

    return publish


@pytest.fixture
def evaluate(style_picture: Path, photos: Path, vgg19_weights: Path, tmp_path: Path) -> Evaluate:
    app = typer.Typer()
    app.command()(evaluate_style)
    small = ["--model", "stripes", "--size", "32", "--held-out", "3", "--gatys-photos", "2", "--iterations", "2"]
    files = ["--style-picture", style_picture, "--photos", photos, "--output", tmp_path / "report"]

    def run(*words: object, weights: str = f":{vgg19_weights}") -> Result:
        network = ["--loss-network", f"vgg19-normalised{weights}"]
        return CliRunner().invoke(app, [str(word) for word in (*small, *files, *network, *words)])

    return run


def test_the_study_is_written_with_figures_curves_and_pictures(
    publish: Callable[..., None], evaluate: Evaluate, tmp_path: Path
) -> None:
    publish(style_size=32)
    result = evaluate("--size", 48)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "report.md",
        "report.json",
        "curves.json",
        "objective-32.png",
        "objective-48.png",
        "pictures-32.png",
        "pictures-48.png",
    }
    figures = json.loads((tmp_path / "report" / "report.json").read_text())
    objective, terms, style, speed = figures["tables"]
    assert [row["size"] for row in objective["rows"]] == [32, 48]
    assert {row["of"] for row in terms["rows"]} >= {"the photos", "the net", "Gatys from noise", "Gatys from content"}
    assert style["rows"][0]["photos"] > 0
    assert speed["rows"][0]["Gatys 500"] == pytest.approx(5 * speed["rows"][0]["Gatys 100"])
    curves = json.loads((tmp_path / "report" / "curves.json").read_text())
    assert [len(curve) for curve in curves["32"]["noise"]] == [3, 3]


def test_the_objective_is_that_of_the_card_unless_options_say_otherwise(
    publish: Callable[..., None], evaluate: Evaluate, tmp_path: Path
) -> None:
    publish(
        style_size=32,
        style_taps=["relu2_1"],
        content_weight=3.0,
        loss_networks=["vgg19-normalised"],
        augmentation="mirroring",
        schedule={"steps": 5621},
    )
    result = evaluate("--style-weight", 7, "--luma-weight", 4)
    assert result.exit_code == 0, result.output
    report = (tmp_path / "report" / "report.md").read_text()
    assert "content 3 × (relu2_1, relu3_1), style 7 × (relu2_1)" in report
    assert "light and dark 4;" in report
    assert "| content | style | variation | luma | objective |" in report


def test_a_vgg16_that_no_tap_of_the_objective_is_on_measures_at_the_deep_taps(
    publish: Callable[..., None], evaluate: Evaluate, vgg16_weights: Path
) -> None:
    publish(style_size=32, style_taps=["relu2_1"], content_taps=["relu2_1"])
    result = evaluate("--loss-network", f"vgg16-caffe:{vgg16_weights}", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    deep = report["tables"][-1]
    assert deep["title"].endswith("at relu1_2, relu2_2, relu3_3, relu4_3, and content at relu2_2, of vgg16-caffe")
    rows = {row["of"]: row for row in deep["rows"]}
    assert {of: row["photos"] for of, row in rows.items()} == {
        "the photos": 3,
        "the net": 3,
        "Gatys from noise": 2,
        "Gatys from content": 2,
        "the net, photos also optimised": 2,
    }
    assert rows["the photos"]["content error"] == pytest.approx(0, abs=1e-6)
    scores = [row for row in report["scores"] if row["of"] == "the net"]
    assert [row["photo"] for row in scores] == [0, 1, 2]
    assert sum(row["style error"] for row in scores) / 3 == pytest.approx(rows["the net"]["style error"])
    figures = {(figure["name"], figure["data"]): figure["value"] for figure in report["measurements"]}
    taps = "relu1_2, relu2_2, relu3_3, relu4_3 of vgg16-caffe"
    name = f"relative style error at {taps}, Gatys from noise after 2 iterations"
    assert figures[name, "2 photos of photos, 32×32"] == pytest.approx(
        rows["Gatys from noise"]["style error"], abs=1e-4
    )
    assert (f"relative style error at {taps}, stylised", "3 photos of photos, 32×32") in figures


def test_a_card_that_cannot_be_used_is_reported(publish: Callable[..., None], evaluate: Evaluate) -> None:
    publish(style_taps="all of them", content_weight=-1)
    result = evaluate()
    assert isinstance(result.exception, BadRecipe)
    assert "style_taps, content_weight" in str(result.exception)


def test_a_loss_network_without_weights_asks_for_them(publish: Callable[..., None], evaluate: Evaluate) -> None:
    publish(loss_networks=["vgg19-normalised"])
    result = evaluate(weights="")
    assert isinstance(result.exception, BadLossNetwork)
    assert "needs a file" in str(result.exception)


def test_a_folder_that_cannot_be_written_is_reported_before_the_work(
    publish: Callable[..., None], evaluate: Evaluate, tmp_path: Path
) -> None:
    publish()
    (tmp_path / "file").touch()
    result = evaluate("--output", tmp_path / "file" / "report", weights=":missing")
    assert isinstance(result.exception, BadOutput)

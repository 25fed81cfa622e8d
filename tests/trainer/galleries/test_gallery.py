"""The training of all styles of a gallery."""

import dataclasses
import signal
import time
from collections.abc import Callable

import pytest
import torch
from PIL import Image

from model_store.nets.interpolation import interpolate
from trainer.errors import BadRecipe, BadRun, Stopped
from trainer.evaluation.tap_errors import Measured, TapErrors
from trainer.galleries import lane
from trainer.galleries.gallery import SHEET, draw_sheet, train_gallery
from trainer.galleries.gallery_file import Style
from trainer.galleries.pace import seconds_a_step, steps_within
from trainer.galleries.plan import Plan
from trainer.galleries.workshop import Advanced, Event, Failed, Published, Workshop
from trainer.recipes import StyleRecipe
from trainer.training.style_run import StyleRun

pytestmark = pytest.mark.training

Read = Callable[[str], list[Style]]

TWO = """
    [warm]
    picture = "stripes.png"
    title = "Warm stripes"

    [cold]
    picture = "stripes.png"
    style_weight = 3
    """


def ignore(_event: Event) -> None:
    """Ignore an event."""


def stopping(events: list[Event]) -> Callable[[Event], None]:
    """Return a function that keeps events and asks the training to stop at the first of them."""

    def note(event: Event) -> None:
        events.append(event)
        if len(events) == 1:
            signal.raise_signal(signal.SIGINT)

    return note


def ends(events: list[Event]) -> list[Published | Failed]:
    return [event for event in events if isinstance(event, Published | Failed)]


def test_styles_are_trained_and_published_with_their_cards_and_can_be_blended(read: Read, workshop: Workshop) -> None:
    events: list[Event] = []
    train_gallery(read(TWO), workshop, events.append)
    assert [(event.style, event.label) for event in ends(events)] == [
        ("warm", "stylize/warm@1"),
        ("cold", "stylize/cold@1"),
    ]
    warm, cold = (workshop.store.open("stylize", name) for name in ("warm", "cold"))
    assert (warm.card.title, cold.card.title) == ("Warm stripes", "Cold")
    assert (warm.card.recipe["style_weight"], cold.card.recipe["style_weight"]) == (28, 3)
    assert warm.card.recipe["sha256"]["from"].startswith("seed@1 ")
    assert warm.card.recipe["command"] == workshop.command
    half = interpolate([warm.net, cold.net], [0.5, 0.5])
    assert torch.isfinite(half(torch.rand(1, 3, 64, 64))).all()


def test_cards_compare_the_net_with_the_optimisation_of_pictures(
    read: Read, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_GATYS_ITERATIONS", 2)
    (style,) = read('[stripes]\npicture = "stripes.png"\nsize = 32\nsteps = 1')
    train_gallery([style], dataclasses.replace(workshop, gatys_photos=1), ignore)
    figures = workshop.store.card("stylize", "stripes").measurements
    assert {figure.data for figure in figures} == {"1 photo of photos, held out, 32×32"}
    assert figures[0].name == "objective"


def test_a_style_that_is_published_is_not_trained_again(read: Read, workshop: Workshop) -> None:
    styles = read(TWO)
    train_gallery(styles[:1], workshop, ignore)
    events: list[Event] = []
    train_gallery(styles, workshop, events.append)
    assert {event.style for event in events if isinstance(event, Advanced)} == {"cold"}
    assert workshop.store.versions("stylize", "warm") == [1]


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("style_weight = 9", "warm was published as stylize/warm@1 with style_weight of 28.0, not 9.0"),
        ("steps = 5", "warm was begun with steps of 4, not 5"),
    ],
)
def test_a_published_style_with_other_settings_is_refused(
    read: Read, workshop: Workshop, setting: str, sentence: str
) -> None:
    train_gallery(read(TWO)[:1], workshop, ignore)
    changed = read(TWO.replace("title =", f"{setting}\ntitle ="))
    with pytest.raises(BadRun, match=f"{sentence}: give another folder"):
        train_gallery(changed, workshop, ignore)


def test_a_resumed_gallery_ends_like_one_that_was_not_stopped(read: Read, workshop: Workshop) -> None:
    styles = read(TWO)
    thorough = dataclasses.replace(workshop, save_every=0)
    elsewhere = dataclasses.replace(workshop, folder=workshop.folder / "whole")
    train_gallery([dataclasses.replace(style, name=f"whole-{style.name}") for style in styles], elsewhere, ignore)

    events: list[Event] = []
    with pytest.raises(Stopped):
        train_gallery(styles, thorough, stopping(events))
    assert workshop.store.names("stylize") == ["seed", "whole-cold", "whole-warm"]
    assert not ends(events)

    train_gallery(styles, thorough, ignore)
    for style in styles:
        ours, whole = (workshop.store.card("stylize", name) for name in (style.name, f"whole-{style.name}"))
        assert ours.sha256 == whole.sha256


def test_a_style_that_fails_does_not_keep_the_others_from_being_trained(read: Read, workshop: Workshop) -> None:
    events: list[Event] = []
    train_gallery(
        read(
            """
            [no-picture]
            picture = "nowhere.png"

            [no-start]
            picture = "stripes.png"
            from = "nobody"

            [diverges]
            picture = "stripes.png"
            learning_rate = 1e30
            gradient_norm = 0

            [stripes]
            picture = "stripes.png"
            """
        ),
        workshop,
        events.append,
    )
    *failed, last = ends(events)
    reasons = [event.reason for event in failed if isinstance(event, Failed)]
    assert "cannot read the picture" in reasons[0]
    assert "there is no model stylize/nobody" in reasons[1]
    assert "at step" in reasons[2]
    assert isinstance(last, Published)


@pytest.mark.parametrize(("style", "content", "is_published"), [(0.3, 2.1, False), (0.1, 2.1, True), (0.3, 1.9, True)])
def test_a_net_is_not_published_if_it_is_worse_than_the_one_before_in_both_errors(
    read: Read,
    workshop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    style: float,
    content: float,
    *,
    is_published: bool,
) -> None:
    found = Measured(TapErrors(1, 0), TapErrors(style, content), TapErrors(0.2, 2.0), None, "")
    monkeypatch.setattr(StyleRun, "measure", lambda *_: found)
    events: list[Event] = []
    train_gallery(read(TWO)[:1], workshop, events.append)
    (end,) = ends(events)
    assert isinstance(end, Published) == is_published
    if isinstance(end, Failed):
        assert end.reason == (
            "not published, because it is worse than seed@1 in both: style error 0.300 against 0.200, content error "
            "2.100 against 2.000"
        )


def test_a_style_keeps_the_net_that_it_started_from_when_a_newer_one_comes(read: Read, workshop: Workshop) -> None:
    (style,) = read('[seed]\npicture = "stripes.png"')
    with pytest.raises(Stopped):
        train_gallery([style], dataclasses.replace(workshop, save_every=0), stopping([]))
    elsewhere = dataclasses.replace(workshop, folder=workshop.folder / "elsewhere")
    train_gallery([style], elsewhere, ignore)
    train_gallery([style], workshop, ignore)
    assert workshop.store.versions("stylize", "seed") == [1, 2, 3]
    assert workshop.store.card("stylize", "seed").recipe["sha256"]["from"].startswith("seed@1 ")


def test_minutes_are_shared_by_the_styles_that_are_left_and_each_gets_the_steps_that_fit(
    read: Read, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "seconds_a_step", lambda _: 30.0)
    styles = read(TWO.replace("picture", "steps = 1000\npicture"))
    train_gallery(styles, workshop, ignore, minutes=10)
    plans = [Plan.read(workshop.folder / style.name) for style in styles]
    steps = [plan.steps for plan in plans if plan is not None]
    assert steps[0] == 3  # of 75 seconds on average, those with large photos being dearer, in half of ten minutes
    assert 4 <= steps[1] <= 7  # in what the first left
    assert [workshop.store.card("stylize", style.name).recipe["steps"] for style in styles] == steps


def test_a_style_gets_no_more_steps_than_its_recipe_has() -> None:
    recipe = StyleRecipe(steps=100, size=64, late_size=128, late_share=0.25)
    assert steps_within(1e6, recipe, 1.0) == 100
    assert steps_within(70, recipe, 1.0) == 40
    assert steps_within(0.1, recipe, 1.0) == 1


def test_a_step_is_timed_once_for_recipes_that_cost_the_same(
    read: Read, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[float] = []

    def note(run: StyleRun) -> float:
        found.append(seconds_a_step(run))
        return 1e9

    monkeypatch.setattr(lane, "seconds_a_step", note)
    train_gallery(read(TWO), workshop, ignore, minutes=60)
    assert len(found) == 1
    assert found[0] > 0


def test_a_style_that_no_time_is_left_for_fails_with_a_reason(read: Read, workshop: Workshop) -> None:
    events: list[Event] = []
    train_gallery(read(TWO)[:1], workshop.until(time.time() - 1), events.append)
    (end,) = ends(events)
    assert isinstance(end, Failed)
    assert "no time left to begin it: give more --minutes" in end.reason


def test_side_by_side_is_for_a_cpu(read: Read, workshop: Workshop) -> None:
    on_gpu = dataclasses.replace(workshop, device=torch.device("cuda"))
    with pytest.raises(BadRecipe, match="--jobs is for a CPU"):
        train_gallery(read(TWO), on_gpu, ignore, jobs=2)


def test_the_sheet_has_a_row_for_each_published_style_with_the_old_net_beside_the_new(
    read: Read, workshop: Workshop
) -> None:
    styles = read(TWO)
    assert draw_sheet(styles, workshop) is None
    train_gallery(styles[:1], workshop, ignore)
    path = draw_sheet(styles, workshop)
    assert path == workshop.folder / SHEET
    with Image.open(path) as one:
        width, height = one.size
    train_gallery(styles, workshop, ignore)
    draw_sheet(styles, workshop)
    with Image.open(path) as two:
        assert two.width == width > 6 * 256
        assert two.height > 1.8 * height

"""A lane: styles that are trained and published one after the other, each resumed where it was stopped."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import torch
from pydantic import ValidationError

from model_store.card import Measurement, parse_label
from model_store.errors import ImpastoError
from model_store.nets import TransformNet
from trainer.data.squares import Crops
from trainer.errors import Stopped, Unfinished
from trainer.evaluation.style_report import measurements
from trainer.galleries.gallery_file import Style
from trainer.galleries.pace import seconds_a_step, steps_within
from trainer.galleries.plan import Plan, check_steps, with_steps
from trainer.galleries.run_lock import locked
from trainer.galleries.workshop import Advanced, Event, Failed, Measuring, Published, Workshop
from trainer.training.checkpoint import has_checkpoint, read_saved
from trainer.training.drafts import Origin
from trainer.training.processes import Processes
from trainer.training.run import Keeping, carry_out, load_shown, publish
from trainer.training.run_log import Shown
from trainer.training.start import Start, open_start
from trainer.training.style_run import StyleRun, open_style_run

_FREE_OF_COST = {
    "steps",
    "learning_rate",
    "schedule",
    "warm_up",
    "final_rate",
    "gradient_norm",
    "ema",
    "seed",
    "style_size",
    "content_weight",
    "style_weight",
    "variation_weight",
    "luma_weight",
}
"""Settings of a recipe that do not change the time that a step takes."""

_GATYS_ITERATIONS = 100
"""Number of iterations of each optimisation whose figures cards give."""

_log = logging.getLogger(__name__)


def train_styles(styles: Sequence[Style], workshop: Workshop, report: Callable[[Event], None]) -> None:
    """Train styles one after the other; a failure of one does not stop the others.

    Args:
        styles: Styles, none of which was published from its folder yet.
        workshop: Photos, store, folder and settings that all styles are trained with.
        report: Function that is called with each event, about twice a second.

    Raises:
        Stopped: Ctrl-C was typed or SIGTERM received; the checkpoint was saved.
    """
    bench = _Bench(workshop, report)
    for done, style in enumerate(styles):
        try:
            report(bench.train(style, len(styles) - done))
        except Stopped:
            raise
        except (ImpastoError, OSError, ValidationError) as error:
            report(Failed(style.name, str(error)))
        except Exception as error:
            _log.exception("%s failed", style.name)
            report(Failed(style.name, f"{type(error).__name__}: {error}"))
        torch.compiler.reset()


def seconds_spent(styles: Sequence[Style], folder: Path) -> float:
    """Return the seconds that the styles of a gallery were trained so far, all together.

    Raises:
        BadRun: A checkpoint is damaged.
    """
    saved = [read_saved(folder / style.name) for style in styles]
    return sum(each.seconds for each in saved if each is not None)


class _Bench:
    """A place that trains one style at a time.

    Photos are decoded once for all styles, and the seconds of a step are measured once for equal recipes.
    """

    def __init__(self, workshop: Workshop, report: Callable[[Event], None]) -> None:
        self._workshop, self._report = workshop, report
        self._crops = Crops(workshop.photos, workshop.held_out)
        self._paces: dict[str, float] = {}

    @cached_property
    def _shown(self) -> list[Shown]:
        return load_shown(self._workshop.previews)

    def train(self, style: Style, remaining: int) -> Published:
        """Train a style to its last step and publish it.

        Args:
            style: Style, which may have been begun earlier.
            remaining: Number of styles that share the time that is left, including this one.
        """
        folder = self._workshop.folder / style.name
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            plan = Plan.read(folder) or self._plan(style, folder, remaining)
            run = self._open(style, plan)
            keeping = Keeping(folder, self._shown, self._workshop.preview_every, self._workshop.save_every)
            net = carry_out(
                run.training,
                run.batches,
                keeping,
                lambda progress: self._report(Advanced(style.name, progress)),
                resume=has_checkpoint(folder),
            )
            return self._publish(style, plan, run, net, keeping)

    def _plan(self, style: Style, folder: Path, remaining: int) -> Plan:
        """Choose the net to start from, the net to compare with, and the number of steps, and write them down."""
        store = self._workshop.store
        start = self._start(style.start)
        label = start.label if start else None
        versions = store.versions("stylize", style.name)
        old = f"{style.name}@{versions[-1]}" if versions else label
        steps = style.recipe(start.settings if start else None).steps
        plan = Plan(start=label, old=old, steps=steps, recipe_steps=steps)
        if self._workshop.deadline is not None:
            run = self._open(style, plan)
            step_seconds = self._pace(run)
            left = self._workshop.deadline - time.time()
            if left <= 0:
                raise Unfinished("there was no time left to begin it: give more --minutes")
            plan = plan.model_copy(update={"steps": steps_within(left / remaining, run.recipe, step_seconds)})
        plan.write(folder)
        return plan

    def _open(self, style: Style, plan: Plan) -> StyleRun:
        start = self._start(plan.start)
        recipe = style.recipe(start.settings if start else None)
        check_steps(style, recipe, plan)
        return open_style_run(
            with_steps(recipe, plan.steps),
            style.picture,
            self._crops,
            Processes(self._workshop.device),
            start,
            stream=self._workshop.stream,
            compiled=self._workshop.compiled,
        )

    def _start(self, label: str | None) -> Start | None:
        return open_start(self._workshop.store, "stylize", label) if label else None

    def _pace(self, run: StyleRun) -> float:
        what_costs = run.recipe.model_dump_json(exclude=_FREE_OF_COST)
        if what_costs not in self._paces:
            self._paces[what_costs] = seconds_a_step(run)
        return self._paces[what_costs]

    def _publish(self, style: Style, plan: Plan, run: StyleRun, net: TransformNet, keeping: Keeping) -> Published:
        self._report(Measuring(style.name))
        old = self._workshop.store.open("stylize", *parse_label(plan.old)).net if plan.old else None
        measured = run.measure(net, old)
        if measured is not None and measured.old is not None and measured.net.is_worse_than(measured.old):
            raise Unfinished(
                f"not published, because it is worse than {plan.old} in both: style error {measured.net.style:.3f} "
                f"against {measured.old.style:.3f}, content error {measured.net.content:.3f} against "
                f"{measured.old.content:.3f}"
            )
        origin = Origin(
            style.name,
            style.title,
            style.author,
            style.licence,
            self._workshop.command,
            run.training,
            style.description,
            style.limitations,
        )
        draft = run.draft(measured, origin)
        if measured is not None and self._workshop.gatys_photos:
            draft = draft.model_copy(update={"measurements": self._figures(run, net)})
        card = publish(draft, net, self._workshop.store, keeping)
        return Published(style.name, f"{card.task}/{card.label}", measured)

    def _figures(self, run: StyleRun, net: TransformNet) -> tuple[Measurement, ...]:
        """Return the measurements of the card for a net that is compared with the optimisation of pictures."""
        names = ", ".join(Path(source).name for source in self._workshop.photos)
        study = run.study(net, self._workshop.gatys_photos, _GATYS_ITERATIONS)
        return tuple(measurements([study], f"{names}, held out", self._workshop.command))

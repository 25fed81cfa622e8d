"""Examination of the bundled nets: each is verified, and compared in the form that serves with the trained net."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from pydantic import JsonValue

from model_store.card import TASKS
from service.cli.doctor.configuration import usable_device, usable_settings
from service.cli.doctor.examination import Fact, Finding

if TYPE_CHECKING:
    import torch

    from model_store.nets import TransformNet

_SIDE = 128
"""Pixels of each side of the answer."""
_RUNS = {"cpu": 2, "cuda": 4}
"""Number of runs of a form. The shorter of the last two is reported: from the third on, CUDA graphs are replayed."""
_LARGEST_DIFFERENCE = {"cpu": 0.5, "cuda": 8.0}
"""Largest difference of a form from its net, in 255ths; rounding in float32 and in half precision stays far below."""
_INSTALL_AGAIN = "install impasto again by pip install --force-reinstall impasto"


class Trial(NamedTuple):
    """The trial of a net in the form that serves."""

    form: str
    """Name of the class that computes it."""
    why_as_it_is: str | None
    """Reason why the net runs as it was trained instead of in a faster form; None if nothing failed."""
    difference: float
    """Largest difference from the net as it was trained, in float32 on the CPU; in 255ths."""
    milliseconds: float
    """Milliseconds for one picture."""

    @property
    def text(self) -> str:
        """Return the trial as text for people."""
        how = f"{self.form} (instead of a faster form)" if self.why_as_it_is else self.form
        return f"{self.milliseconds:8.2f} ms   off by {self.difference:.3f}/255 at most   {how}"


def nets() -> Iterator[Fact | Finding]:
    """Report the trial of every version of each bundled net; damaged and differing nets are findings."""
    from model_store.errors import StoreError
    from model_store.store import BUNDLED, Store

    store, device, is_exact = Store(BUNDLED), usable_device(), usable_settings().precision == "float32"
    fallen_back: dict[str, list[str]] = defaultdict(list)
    found = [(task, name) for task in TASKS for name in store.names(task)]
    if not found:
        yield Finding(f"there are no bundled nets in {BUNDLED}: install impasto again")
    for task, name in found:
        for version in store.versions(task, name):
            label = f"{task}/{name}@{version}"
            try:
                trial = _try(store.open(task, name, version).net, device, is_exact=is_exact)
            except StoreError as error:
                yield Fact(label, "cannot be opened", str(error))
                yield Finding(f"{error}; it is a bundled one: {_INSTALL_AGAIN}")
            except Exception as error:
                yield Fact(label, "cannot be computed", str(error))
                yield Finding(f"{label} cannot be computed: {type(error).__name__}: {error}; please report this")
            else:
                yield Fact(label, trial.text, _as_json(trial))
                if trial.why_as_it_is is not None:
                    fallen_back[trial.why_as_it_is].append(label)
                if not trial.difference <= _LARGEST_DIFFERENCE[device.type]:
                    yield Finding(
                        f"{label} as it is served differs by {trial.difference:.3g}/255 from the net that was trained, "
                        f"and rounding makes {_LARGEST_DIFFERENCE[device.type]:g}/255 at most: please report this, and "
                        "meanwhile serve with IMPASTO_PRECISION=float32 or IMPASTO_DEVICE=cpu, whichever mends it"
                    )
    for reason, labels in fallen_back.items():
        yield Finding(f"{reason}; mend what this names, or report it; it is so for {', '.join(labels)}")


def _try(net: "TransformNet", device: "torch.device", *, is_exact: bool) -> Trial:
    import torch

    from service.inference import inference_form

    picture = _clouds(_SIDE // net.factor)
    pictures = picture.permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        wanted = net(pictures)
    with _warnings_of("service.inference") as warnings:
        form = inference_form(net.to(device), is_exact=is_exact)
        with torch.inference_mode():
            difference = (form(pictures.to(device)).cpu() - wanted).abs().max().item() * 255
        seconds = _time(form, device, picture)
    return Trial(_name_of(form), "; ".join(warnings) or None, difference, 1000 * min(seconds[-2:]))


def _time(form: "TransformNet", device: "torch.device", picture: "torch.Tensor") -> list[float]:
    """Return the seconds of each of several runs on a lane, as the engine does them."""
    from service.engine.lane import Lane

    lane, seconds = Lane(device), []
    for _ in range(_RUNS[device.type]):
        started = time.perf_counter()
        lane.compute(form, [picture])
        seconds.append(time.perf_counter() - started)
    return seconds


def _clouds(side: int) -> "torch.Tensor":
    """Return a smooth picture, the same each time, uint8 `(side, side, 3)`."""
    import torch

    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp_(0, 1)
    return smooth[0].permute(1, 2, 0).mul(255).byte()


def _name_of(form: "TransformNet") -> str:
    """Return the name of the class that computes a form, behind those that only run it."""
    from service.inference.cuda.awaited_form import AwaitedForm
    from service.inference.cuda.graphs import GraphedNet

    net = form
    while isinstance(net, AwaitedForm | GraphedNet):
        net = net.net
    return type(net).__name__ if net is form else f"{type(net).__name__} in CUDA graphs"


def _as_json(trial: Trial) -> JsonValue:
    return {
        "form": trial.form,
        "why_as_it_is": trial.why_as_it_is,
        "largest_difference_255ths": round(trial.difference, 4),
        "ms": round(trial.milliseconds, 3),
    }


@contextmanager
def _warnings_of(name: str) -> Iterator[list[str]]:
    """Collect the warnings of a logger and of those below it, instead of printing them."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logger, listener = logging.getLogger(name), Listener(logging.WARNING)
    logger.addHandler(listener)
    propagated, logger.propagate = logger.propagate, False
    try:
        yield heard
    finally:
        logger.propagate = propagated
        logger.removeHandler(listener)

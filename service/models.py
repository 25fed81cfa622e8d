"""The nets in use, loaded from the store on first use."""

import logging
import re
import threading
import time
from concurrent.futures import Future

import torch

from model_store.card import Task, parse_label
from model_store.errors import BadLabel, DamagedModel, ModelNotFound, UnknownArchitecture
from model_store.store import Model, Store
from service.problems import DamagedWeights, UnknownModel

_log = logging.getLogger(__name__)


class Models:
    """Keeps each net that was asked for on the device.

    Args:
        store: where they come from.
        device: where they go.
    """

    def __init__(self, store: Store, device: torch.device) -> None:
        self._store = store
        self._device = device
        self._lock = threading.Lock()
        self._loading: dict[tuple[Task, str], Future[Model]] = {}

    def get(self, task: Task, label: str) -> Model:
        """The model of a name (in its newest version when first used) or of `name@version`; blocks while it loads.

        Raises:
            UnknownModel: there is none.
            DamagedWeights: there is, but it cannot be used.
        """
        key = (task, label)
        with self._lock:
            future = self._loading.get(key)
            is_first = future is None
            if future is None:
                future = self._loading[key] = Future()
        if is_first:
            try:
                future.set_result(self._load(task, label))
            except BaseException as error:
                with self._lock:
                    del self._loading[key]
                future.set_exception(error)
        return future.result()

    def _load(self, task: Task, label: str) -> Model:
        started = time.perf_counter()
        try:
            card, net = self._store.open(task, *parse_label(label))
        except ModelNotFound as error:
            raise UnknownModel(_say_what_there_is(task, label, error)) from error
        except BadLabel as error:
            raise UnknownModel(str(error)) from error
        except (DamagedModel, UnknownArchitecture) as error:
            _log.error("cannot load %s/%s: %s", task, label, error)
            raise DamagedWeights(str(error)) from error
        model = Model(card, net.to(self._device))
        _log.info("loaded %s/%s in %.2f s", task, card.label, time.perf_counter() - started)
        return model


def name_of_factor(factor: int) -> str:
    """The name of the net that enlarges by a factor."""
    return f"x{factor}-pixel"


def _say_what_there_is(task: Task, label: str, error: ModelNotFound) -> str:
    known = ", ".join(error.known) or "none"
    if task == "stylize":
        return f"there is no style {label!r}; known: {known}"
    factors = sorted({int(match[1]) for name in error.known if (match := re.match(r"x([0-9]+)-pixel", name))})
    listed = ", ".join(str(factor) for factor in factors) or "none"
    return f"there is no net {label} to enlarge by this factor; known factors: {listed}"

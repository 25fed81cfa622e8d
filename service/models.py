"""The nets in use, loaded from the store on first use."""

import logging
import re
import threading
import time
from collections.abc import Sequence
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
        self._newest: dict[tuple[Task, str], int] = {}
        self._loaded: dict[tuple[Task, str, int], Future[Model]] = {}

    def get(self, task: Task, label: str) -> Model:
        """The model of a name (in its newest version when first used) or of `name@version`; blocks while it loads.

        Raises:
            UnknownModel: there is none.
            DamagedWeights: there is, but it cannot be used.
        """
        key = self._resolve(task, label)
        with self._lock:
            is_first = key not in self._loaded
            future = self._loaded.setdefault(key, Future())
        if is_first:
            try:
                future.set_result(self._load(*key))
            except BaseException as error:
                with self._lock:
                    del self._loaded[key]
                future.set_exception(error)
        return future.result()

    def _resolve(self, task: Task, label: str) -> tuple[Task, str, int]:
        try:
            name, version = parse_label(label)
        except BadLabel as error:
            raise UnknownModel(_say_what_there_is(task, label, self._store.names(task))) from error
        if version is None:
            version = self._newest.get((task, name))
        if version is None:
            versions = self._store.versions(task, name)
            if not versions:
                raise UnknownModel(_say_what_there_is(task, label, self._store.names(task)))
            version = self._newest[task, name] = versions[-1]
        return task, name, version

    def _load(self, task: Task, name: str, version: int) -> Model:
        started = time.perf_counter()
        try:
            card, net = self._store.open(task, name, version)
        except ModelNotFound as error:
            raise UnknownModel(_say_what_there_is(task, f"{name}@{version}", error.known)) from error
        except (DamagedModel, UnknownArchitecture) as error:
            _log.error("cannot load %s/%s@%d: %s", task, name, version, error)
            raise DamagedWeights(str(error)) from error
        model = Model(card, net.to(self._device))
        _log.info("loaded %s/%s in %.2f s", task, card.label, time.perf_counter() - started)
        return model


def name_of_factor(factor: int) -> str:
    """The name of the net that enlarges by a factor."""
    return f"x{factor}-pixel"


def _say_what_there_is(task: Task, label: str, known: Sequence[str]) -> str:
    if task == "stylize":
        return f"there is no style {label!r}; known: {', '.join(known) or 'none'}"
    factors = sorted(int(match[1]) for name in known if (match := re.fullmatch(r"x([0-9]+)-pixel", name)))
    listed = ", ".join(str(factor) for factor in factors) or "none"
    return f"there is no net {label} to enlarge by this factor; known factors: {listed}"

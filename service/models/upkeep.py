"""Upkeep of the loaded models: some are loaded ahead of requests, and new versions are taken up."""

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress

from model_store.card import TASKS, Task, parse_label
from model_store.errors import BadLabel, ImpastoError
from model_store.store import Store
from service.contract.blend import Blend
from service.device.allocator import give_back_freed_memory
from service.models.loaded import Models

_log = logging.getLogger(__name__)


class Upkeep:
    """A thread that first loads models, and then looks for new versions at regular intervals.

    At the same intervals it gives back the memory that was freed meanwhile.

    Args:
        models: The models to load and refresh.
        preload: Tasks and labels of the models to load first. A failure is logged, and a request for the model tries
            again.
        interval: Seconds between two looks at the store; 0 for no looks.
    """

    def __init__(self, models: Models, preload: Sequence[tuple[Task, str]], interval: float) -> None:
        self._models = models
        self._preload = preload
        self._interval = interval
        self._closing = threading.Event()
        self.is_ready = not preload
        """True once all models to preload have been loaded or have failed."""
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and wait for its end; a model that it is loading is loaded to the end."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        for task, label in self._preload:
            if self._closing.is_set():
                return
            try:
                self._models.get(task, Blend.of(label))
            except Exception as error:
                _log.error("%s/%s is not preloaded: %s", task, label, error)
        self.is_ready = True
        while self._interval and not self._closing.wait(self._interval):
            self._models.refresh()
            give_back_freed_memory()  # glibc by itself keeps more the longer pictures and nets come and go


def parse_preload(text: str, store: Store) -> list[tuple[Task, str]]:
    """Read the setting of the models to preload: `muse,candy`, `stylize/muse@2,super-resolve/x4-pixel` or `all`.

    Returns:
        Tasks and labels of models in the store; an entry without a task stands for its name in every task.

    Raises:
        ImpastoError: An entry names no model in the store, or the store cannot be read.
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    try:
        if entries == ["all"]:
            return _everything(store)
        return [model for entry in entries for model in _find(entry, store)]
    except OSError as error:
        raise ImpastoError(f"IMPASTO_PRELOAD needs the store, which cannot be read now: {error}") from error


def _everything(store: Store) -> list[tuple[Task, str]]:
    return [(task, name) for task in TASKS for name in store.names(task)]


def _find(entry: str, store: Store) -> list[tuple[Task, str]]:
    wanted, _, label = entry.rpartition("/")
    with suppress(BadLabel):
        name, version = parse_label(label)
        versions = {task: store.versions(task, name) for task in TASKS if wanted in {"", task}}
        if found := [(task, label) for task, there in versions.items() if (version in there if version else there)]:
            return found
    known = ", ".join(f"{task}/{name}" for task, name in _everything(store))
    raise ImpastoError(f"IMPASTO_PRELOAD names {entry!r}, and there is no such model; known: {known or 'none'}")

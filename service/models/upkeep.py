"""Models are loaded ahead of requests: some at the start, and later new versions of those in use."""

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress

from model_store.card import TASKS, Task, parse_label
from model_store.errors import BadLabel, ImpastoError
from model_store.store import Store
from service.contract.blend import Blend
from service.models.loaded import Models

_log = logging.getLogger(__name__)


class Upkeep:
    """A thread that loads models, and then looks for new versions again and again.

    Args:
        models: where to load them.
        preload: tasks and labels of what to load first; what fails is logged and left to the requests for it.
        interval: seconds between two looks at the store; 0 for none.
    """

    def __init__(self, models: Models, preload: Sequence[tuple[Task, str]], interval: float) -> None:
        self._models = models
        self._preload = preload
        self._interval = interval
        self._closing = threading.Event()
        self.is_ready = not preload
        """Whether everything that was to be loaded first has been."""
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns when the thread has ended, which is after the model that it is loading."""
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


def parse_preload(text: str, store: Store) -> list[tuple[Task, str]]:
    """Reads `muse,candy`, `stylize/muse@2,super-resolve/x4-pixel` or `all`.

    Returns:
        Tasks and labels of models that are there; where no task is written, of each task that has one.

    Raises:
        ImpastoError: one is not there, or the store cannot be read.
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

"""What can go wrong with a store.

ImpastoError
└── StoreError
    ├── BadLabel              not of the form name or name@version
    ├── ModelNotFound         no such task, name or version; lists what there is
    ├── DamagedModel          the files are there but are not what was published
    ├── UnknownArchitecture   the card asks for a net that this version does not know
    └── CannotPublish         the store's first root does not take this model
"""

from collections.abc import Sequence

from model_store.suggestion import did_you_mean


class ImpastoError(Exception):
    """Base of every error, in all packages, whose message tells the user what is wrong and what to do."""


class StoreError(ImpastoError):
    """Base of all errors of the model store."""


class BadLabel(StoreError):
    """What should name a model does not."""


class ModelNotFound(StoreError):
    """No model of this name, or not in this version."""

    def __init__(self, task: str, name: str, known: Sequence[str]) -> None:
        self.task, self.name, self.known = task, name, tuple(known)
        listed = ", ".join(self.known) if self.known else "none"
        super().__init__(f"there is no model {task}/{name}{did_you_mean(name, self.known)}; known: {listed}")


class DamagedModel(StoreError):
    """A card that cannot be read, or weights that do not fit their card."""


class UnknownArchitecture(StoreError):
    """The card names an architecture that is not in this version of impasto."""


class CannotPublish(StoreError):
    """The root cannot be written to, or what was to be published does not fit its card."""

"""The errors of the model store, and the base of all errors of the project.

ImpastoError
└── StoreError
    ├── BadLabel              a label that is not of the form name or name@version
    ├── ModelNotFound         no such model or version; lists those that exist
    ├── DamagedModel          files that are not what was published
    ├── UnknownArchitecture   a card with a net that this version of impasto does not have
    ├── CannotPublish         a model that cannot be published to the store's first root
    ├── CannotImport          a file that is not a net in a known layout
    └── CannotExport          a net whose form for elsewhere would not make the same
"""

from collections.abc import Sequence

from model_store.suggestion import did_you_mean


class ImpastoError(Exception):
    """The base of every error, in all packages, whose message tells the user what is wrong and what to do."""


class StoreError(ImpastoError):
    """The base of all errors of the model store."""


class BadLabel(StoreError):
    """The label is not of the form `name` or `name@version`."""


class ModelNotFound(StoreError):
    """There is no model of this name, or not in this version.

    Args:
        task: The task of the model.
        name: The name, with the version if the name exists.
        known: The names or versions that exist.
    """

    def __init__(self, task: str, name: str, known: Sequence[str]) -> None:
        self.task, self.name, self.known = task, name, tuple(known)
        listed = ", ".join(self.known) if self.known else "none"
        super().__init__(f"there is no model {task}/{name}{did_you_mean(name, self.known)}; known: {listed}")


class DamagedModel(StoreError):
    """The card of a model cannot be read, or its weights are not those that the card describes."""


class UnknownArchitecture(StoreError):
    """The card has an architecture, or parameters of one, that this version of impasto does not know."""


class CannotPublish(StoreError):
    """The root cannot be written to, or the weights or the preview do not fit the card."""


class CannotImport(StoreError):
    """The file has no weights, or they are not those of a net that this version of impasto knows."""


class CannotExport(StoreError):
    """The net as exported makes something else than the net."""

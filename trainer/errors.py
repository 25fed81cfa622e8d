"""The errors of training and measuring.

TrainerError
├── BadDictionary    the dictionary of sparse coding cannot be read or written
├── BadGallery       the gallery file cannot be used
├── BadLossNetwork   the loss network cannot be loaded or does not fit its taps
│   └── TooShallow   the weights of the loss network end before a tap
├── BadOutput        the report or picture cannot be written
├── BadPhotos        there are no usable photos
├── BadRecipe        settings contradict each other
├── BadRun           the run cannot begin, be resumed or be saved
├── Stopped          training was asked to stop, and can be resumed
├── Unfinished       some styles of a gallery were not published
└── Diverged         the loss is no longer a finite number
"""

from model_store.errors import ImpastoError


class TrainerError(ImpastoError):
    """Base of all errors of the trainer."""


class BadDictionary(TrainerError):
    """The dictionary of sparse coding cannot be read or written."""


class BadGallery(TrainerError):
    """The gallery file cannot be read, or a setting in it is not valid."""


class BadLossNetwork(TrainerError):
    """The loss network cannot be built or loaded."""


class TooShallow(BadLossNetwork):
    """The weights of the loss network end before a tap."""


class BadOutput(TrainerError):
    """The report or picture cannot be written to its path."""


class BadPhotos(TrainerError):
    """There are no photos, or none of them can be used."""


class BadRecipe(TrainerError):
    """Settings contradict each other."""


class BadRun(TrainerError):
    """The folder of a run cannot be written to, or does not hold the checkpoint of the same run."""


class Stopped(TrainerError):
    """Training was asked to stop; its state is saved."""


class Unfinished(TrainerError):
    """Some styles of a gallery were not published; the others were."""


class Diverged(TrainerError):
    """The loss became infinite or not a number."""

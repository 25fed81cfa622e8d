"""What can go wrong while training and measuring.

TrainerError
├── BadDictionary    a dictionary of sparse coding that cannot be read or written
├── BadGallery       a file of styles that cannot be used
├── BadLossNetwork   a loss network that cannot be had or does not fit its taps
│   └── TooShallow   its weights end before a tap
├── BadOutput        a report or picture that cannot be written
├── BadPhotos        no usable photos
├── BadRecipe        settings that contradict each other
├── BadRun           a run that cannot be resumed
├── Stopped          training was asked to stop, and can be resumed
├── Unfinished       styles of a gallery were not published
└── Diverged         the loss is no longer a number
"""

from model_store.errors import ImpastoError


class TrainerError(ImpastoError):
    """Base of all errors of the trainer."""


class BadDictionary(TrainerError):
    """The dictionary of sparse coding cannot be read or written."""


class BadGallery(TrainerError):
    """The file of styles cannot be read, or says what cannot be."""


class BadLossNetwork(TrainerError):
    """The loss network cannot be built or loaded."""


class TooShallow(BadLossNetwork):
    """The weights of the loss network end before a tap."""


class BadOutput(TrainerError):
    """A report or picture cannot be written where it was to go."""


class BadPhotos(TrainerError):
    """There are no photos, or none that can be used."""


class BadRecipe(TrainerError):
    """Settings contradict each other."""


class BadRun(TrainerError):
    """The run folder does not hold what is needed to go on."""


class Stopped(TrainerError):
    """Training was asked to stop; its state is saved."""


class Unfinished(TrainerError):
    """Some styles of a gallery failed; the others are published."""


class Diverged(TrainerError):
    """The loss became infinite or not a number."""

"""The error of films that cannot be read."""

from model_store.errors import ImpastoError


class BadFilm(ImpastoError):
    """The file is a film that is broken, cut, encrypted or without pictures."""

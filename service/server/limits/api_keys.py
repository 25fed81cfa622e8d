"""API keys: which clients may call, and how many requests each may have in flight.

The server knows only the SHA-256 of each key. A key is 256 random bits, so that neither salt nor a slow hash is needed.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from model_store.errors import ImpastoError

_ENTRY = re.compile(r"([A-Za-z0-9_-]{1,32}):([0-9a-f]{64})(?::([1-9][0-9]{0,5}))?")


class BadKeys(ImpastoError):
    """The setting of the API keys cannot be read, or could not be read with a new key."""


class Key(NamedTuple):
    """An API key, as far as the server knows it."""

    name: str
    """Name of the key's owner, for the log and the metrics."""
    digest: str
    """SHA-256 of the key itself, in hexadecimal."""
    concurrency: int | None = None
    """Largest number of requests in flight; None if only the server's own limit holds."""

    def of_one_worker(self, workers: int) -> "Key":
        """Return the key with one worker's share of the concurrency."""
        return self if self.concurrency is None else self._replace(concurrency=max(1, self.concurrency // workers))


def parse(text: str) -> tuple[Key, ...]:
    """Read the setting of the API keys: `name:sha256[:concurrency]`, several of them with commas between.

    Raises:
        BadKeys: An entry has another form, or two have the same name.
    """
    keys = []
    for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        match = _ENTRY.fullmatch(entry)
        if match is None:  # the entry is not shown: it may be the key itself
            raise BadKeys(
                f"entry {number} of IMPASTO_API_KEYS is not NAME:SHA256 or NAME:SHA256:CONCURRENCY: make one with "
                "impasto keys new NAME"
            )
        name, digest, concurrency = match.groups()
        keys.append(Key(name, digest, int(concurrency) if concurrency else None))
    names = [key.name for key in keys]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise BadKeys(
            f"IMPASTO_API_KEYS has several entries for {', '.join(sorted(twice))}: give each a name of its own"
        )
    return tuple(keys)


def find(keys: Iterable[Key], given: str) -> Key | None:
    """Return the known key that a client gave, or None; the time that takes does not tell which key it is."""
    digest = _digest(given)
    found = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


def make(name: str, concurrency: int | None = None) -> tuple[str, str]:
    """Make a new API key, and return it with its entry in the setting.

    Raises:
        BadKeys: The name is too long, or has characters that cannot be in an entry.
    """
    key = f"impasto_{secrets.token_urlsafe(32)}"
    entry = f"{name}:{_digest(key)}" + (f":{concurrency}" if concurrency else "")
    if _ENTRY.fullmatch(entry) is None:
        raise BadKeys(f"{name!r} cannot name a key: use up to 32 of A-Z, a-z, 0-9, '_' and '-'")
    return key, entry


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()

"""ETags: names for answers, by which a client asks whether the one it has is still right (RFC 9110, section 8.8.3).

That of a picture is made of what it comes from, so that it is known before anything is decoded: the bytes of the
upload, the weights of the net, and the options as they are understood, however they are spelled. It is weak: a colour
may be rounded the other way on another number of cores.
"""

import hashlib
import re
from collections.abc import Iterable
from importlib.metadata import version

from pydantic import BaseModel

_OPAQUE = re.compile(r'"([^"]*)"')


def of_picture(upload: bytes, weights: str, options: BaseModel) -> str:
    """The ETag of what becomes of an upload.

    Args:
        upload: its bytes.
        weights: the digest of the net, which stands for the name of the model too.
        options: all of them; `style` is left out, because one blend can be written in many ways.
    """
    asked = options.model_dump_json(exclude={"style"})
    return weak(of_content(hashlib.sha256(upload).digest(), f"{weights} {asked} {version('impasto')}".encode()))


def weak(etag: str) -> str:
    """The ETag of what means the same, and may differ in a byte."""
    return f"W/{etag}"


def opaque(etag: str) -> str:
    """What an ETag has between its quotes."""
    return etag.removeprefix("W/").strip('"')


def of_content(*parts: bytes) -> str:
    """The ETag of what consists of these, or is made of them; always the same number of parts for one kind of thing."""
    return f'"{hashlib.sha256(b"".join(parts)).hexdigest()[:32]}"'


def is_known(if_none_match: Iterable[str], etag: str) -> bool:
    """Whether a client has this answer already.

    Args:
        if_none_match: values of its header `If-None-Match`: ETags with commas between, weak ones too. `*` says nothing:
            it would mean any answer there is, and a client that asks for one wants it.
        etag: of the answer.
    """
    return any(opaque(etag) in _OPAQUE.findall(value) for value in if_none_match)

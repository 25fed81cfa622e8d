"""ETags: names for answers, by which a client asks whether the one it has is still right (RFC 9110, section 8.8.3).

The ETag of a picture is made from its inputs, so that it is known before anything is decoded: the bytes of the upload,
the weights of the net, and the meaning of the options, however they are spelled. It is weak, because a colour may be
rounded the other way on another number of cores.
"""

import hashlib
import re
from collections.abc import Iterable
from importlib.metadata import version

from pydantic import BaseModel

_OPAQUE = re.compile(r'"([^"]*)"')


def of_picture(upload: bytes, weights: str, options: BaseModel) -> str:
    """Return the ETag of the picture that is made of an upload.

    Args:
        upload: Bytes of the upload.
        weights: Digest of the net, which stands for the name of the model, too.
        options: All options; `style` is left out of the ETag, because one blend can be written in many ways.
    """
    asked = options.model_dump_json(exclude={"style"})
    return weak(of_content(hashlib.sha256(upload).digest(), f"{weights} {asked} {version('impasto')}".encode()))


def weak(etag: str) -> str:
    """Return the weak form of an ETag, for answers that mean the same although their bytes may differ."""
    return f"W/{etag}"


def opaque(etag: str) -> str:
    """Return the text between the quotes of an ETag."""
    return etag.removeprefix("W/").strip('"')


def of_content(*parts: bytes) -> str:
    """Return the ETag of content, or of the parts that content is made of; give one kind the same number of parts."""
    return f'"{hashlib.sha256(b"".join(parts)).hexdigest()[:32]}"'


def is_known(if_none_match: Iterable[str], etag: str) -> bool:
    """Tell whether a client has this answer already.

    Args:
        if_none_match: Values of the client's header `If-None-Match`: ETags, weak or strong, with commas between. `*`
            matches no ETag here: it would mean any answer at all, but a client that sends a picture wants its answer.
        etag: ETag of the answer.
    """
    return any(opaque(etag) in _OPAQUE.findall(value) for value in if_none_match)

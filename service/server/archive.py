"""Several answers in one: a ZIP archive, or `multipart/mixed` (RFC 2046)."""

import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple
from urllib.parse import quote

ZIP, MULTIPART = "application/zip", "multipart/mixed"
_LONGEST_NAME = 50
"""Largest number of characters in a file's name without its suffix; each may take four bytes."""
_RESERVED = re.compile(r"(?i)con|prn|aux|nul|com[0-9]|lpt[0-9]")
"""Names that Windows reserves for devices."""


class Entry(NamedTuple):
    """One of several answers."""

    name: str
    """Name of the file, as `file_names` makes it."""
    media_type: str
    content: bytes
    headers: Mapping[str, str]
    """Headers of this answer alone, for which only `multipart/mixed` has room."""


def file_names(uploaded: Sequence[str | None], suffixes: Iterable[str]) -> list[str]:
    """Return a file name for each answer: the name of its upload, with another suffix.

    Whatever names the client sent, these are safe to write into one folder on any system: they consist of letters,
    digits, `_`, `-` and `.`, none is in a folder or hidden, and no two are the same.

    Args:
        uploaded: Names of the uploads as the client sent them; None for an upload without a name.
        suffixes: Suffixes with their dots, one for each upload.
    """
    names: list[str] = []
    taken: set[str] = set()
    for number, (told, suffix) in enumerate(zip(uploaded, suffixes, strict=True), start=1):
        stem = _safe_stem(told or "") or f"picture-{number}"
        name, copy = stem, 1
        while name.casefold() in taken:
            copy += 1
            name = f"{stem}-{copy}"
        taken.add(name.casefold())
        names.append(name + suffix)
    return names


def suffix_of(media_type: str) -> str:
    """Return the suffix for files of a picture's media type, as in `.jpg`."""
    return f".{media_type.rpartition('/')[2].replace('jpeg', 'jpg')}"


def zipped(entries: Iterable[Entry]) -> bytes:
    """Return a ZIP archive; nothing in it is compressed, because pictures are compressed already."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            # ZipInfo has the same date each time, so that the same answers give the same bytes.
            archive.writestr(zipfile.ZipInfo(entry.name), entry.content)
    return buffer.getvalue()


def multipart(entries: Iterable[Entry], boundary: str) -> bytes:
    """Return the body of a `multipart/mixed` answer.

    Args:
        entries: Answers, one for each part of the body.
        boundary: Text that separates the parts and occurs in none of them.
    """
    pieces: list[bytes] = []
    for entry in entries:
        headers = {
            "Content-Type": entry.media_type,
            "Content-Disposition": f"attachment; {_file_name(entry.name)}",
            "Content-Length": str(len(entry.content)),
            **entry.headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        pieces += [f"--{boundary}\r\n{head}\r\n".encode(), entry.content, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def _file_name(name: str) -> str:
    return f'filename="{name}"' if name.isascii() else f"filename*=UTF-8''{quote(name)}"


def _safe_stem(told: str) -> str:
    stem = PurePath(re.split(r"[/\\]", told)[-1]).stem
    safe = re.sub(r"[^\w.-]+", "_", stem)[:_LONGEST_NAME].strip("._-")
    return f"{safe}_" if _RESERVED.fullmatch(safe.partition(".")[0]) else safe

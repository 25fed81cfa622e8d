"""Several answers in one: a ZIP, or `multipart/mixed` (RFC 2046)."""

import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple
from urllib.parse import quote

ZIP, MULTIPART = "application/zip", "multipart/mixed"
_LONGEST_NAME = 50
"""In characters, which may be four bytes each."""
_RESERVED = re.compile(r"(?i)con|prn|aux|nul|com[0-9]|lpt[0-9]")
"""On Windows."""


class Entry(NamedTuple):
    """One of the answers."""

    name: str
    """Of a file; see `file_names`."""
    media_type: str
    content: bytes
    headers: Mapping[str, str]
    """Of its own; only `multipart/mixed` has room for them."""


def file_names(uploaded: Sequence[str | None], suffixes: Iterable[str]) -> list[str]:
    """A name for each answer: that of its upload, with another suffix.

    Whatever the client says, they are safe to write into one folder on any system: letters, digits, `_`, `-` and `.`,
    no folders, none hidden, none twice.

    Args:
        uploaded: names that the client told.
        suffixes: with their dots, one for each.
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
    """Of the file of a picture, as in `.jpg`."""
    return f".{media_type.rpartition('/')[2].replace('jpeg', 'jpg')}"


def zipped(entries: Iterable[Entry]) -> bytes:
    """A ZIP; nothing is compressed, because pictures are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            # The date is always the same, and so are the bytes of the same answers.
            archive.writestr(zipfile.ZipInfo(entry.name), entry.content)
    return buffer.getvalue()


def multipart(entries: Iterable[Entry], boundary: str) -> bytes:
    """The parts one after another.

    Args:
        entries: what they are.
        boundary: between them, not in any of them.
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

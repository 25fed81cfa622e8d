"""The directories of TIFF and EXIF: reading their entries in bounded time, without reading the values.

TIFF 6.0, section 2; BigTIFF has the same structure with 8 bytes for each count and offset.
"""

import struct
from typing import NamedTuple

_MOST_ENTRIES = 4_096
"""Largest number of entries in one directory; usual ones have less than a hundred."""
_MOST_ENTRIES_OF_A_FILE = 4 * _MOST_ENTRIES
"""Largest number of entries that are read in all directories together, because directories may lie over one another."""
_SLACK = 65_536
"""Bytes by which the values of a directory may be larger than the file, because some writers let two tags share one."""
_EXIF, _PLACE, _INTEROPERABILITY = 34665, 34853, 40965
"""Tags whose values are the offsets of further directories."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value of each type."""
_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
"""Formats of `struct` of the types that are whole numbers."""


class Entry(NamedTuple):
    """One entry of a directory."""

    type: int
    amount: int
    """Number of values."""
    place: int
    """Offset of the first value in the file."""
    packed: bytes
    """The entry as it stands in the file."""


class Directory(NamedTuple):
    """One directory, which describes one picture of a TIFF, or the metadata of EXIF."""

    entries: dict[int, Entry]
    """The entries whose values lie within the file, by their tags."""
    following: int
    """Offset of the next directory, 0 if there is none."""


def is_sound(exif: bytes) -> bool:
    """Return whether reading EXIF costs little: its directories have neither very many entries nor large values."""
    try:
        directories = Directories(exif)
        return directories.are_sound(directories.read(directories.first))
    except ValueError:
        return False


class Directories:
    """The directories of a file that is a TIFF, or of EXIF.

    Args:
        data: Bytes that begin with the header of a TIFF.

    Raises:
        ValueError: There is no such header.
    """

    def __init__(self, data: bytes) -> None:
        marks = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
        if data[:4] not in marks:
            raise ValueError("the header of a TIFF is missing")
        self.data = data
        self.order, self.is_big = marks[data[:4]]
        self._count, self._offset = ("Q", "Q") if self.is_big else ("H", "I")
        self._entry = f"{self.order}HH{self._offset}"
        self._entry_bytes = 20 if self.is_big else 12
        self._first_at = 8 if self.is_big else 4
        self.first = self._number(self._offset, self._first_at)
        """Offset of the first directory."""
        self._entries_left = _MOST_ENTRIES_OF_A_FILE

    def read(self, place: int) -> Directory:
        """Return the directory at an offset.

        Raises:
            ValueError: It is broken, or has more entries or larger values than a sound file can have, or has more
                entries than may be read of one file.
        """
        count = self._number(self._count, place)
        self._entries_left -= count
        if count > _MOST_ENTRIES or self._entries_left < 0:
            raise ValueError(f"a directory has {count:,} entries, or all together have too many")
        start = place + struct.calcsize(self._count)
        inline = struct.calcsize(self._offset)
        entries: dict[int, Entry] = {}
        total = 0
        for at in range(start, start + count * self._entry_bytes, self._entry_bytes):
            packed = self.data[at : at + self._entry_bytes]
            if len(packed) < self._entry_bytes:
                raise ValueError("a directory ends beyond the file")
            tag, kind, length = struct.unpack_from(self._entry, packed)
            size = _SIZES.get(kind, 0) * length
            value_at = at + self._entry_bytes - inline
            if size > inline:
                value_at = self._number(self._offset, value_at)
            if size > 0 and value_at + size <= len(self.data) and tag not in entries:
                entries[tag] = Entry(kind, length, value_at, packed)
                total += size
        if total > len(self.data) + _SLACK:
            raise ValueError("the values of a directory overlap")
        return Directory(entries, self._following(start + count * self._entry_bytes))

    def are_sound(self, directory: Directory) -> bool:
        """Return whether the directories of EXIF, places and interoperability below a directory can be read."""
        try:
            for tag in (_EXIF, _PLACE):
                if place := self.number(directory, tag):
                    below = self.read(place)
                    if further := self.number(below, _INTEROPERABILITY):
                        self.read(further)
        except ValueError:
            return False
        return True

    def count(self, most: int) -> int:
        """Return the number of directories in the chain of a file, but at most one more than `most`."""
        place, seen = self.first, set[int]()
        while place and place not in seen and len(seen) <= most:
            try:
                entries = self._number(self._count, place)
            except ValueError:
                break
            seen.add(place)
            place = self._following(place + struct.calcsize(self._count) + entries * self._entry_bytes)
        return max(1, len(seen))

    def numbers(
        self, directory: Directory, tag: int, default: tuple[int, ...] = (), most: int = 256
    ) -> tuple[int, ...]:
        """Return the whole numbers of a tag, at most the first `most`, or the default if there are none."""
        entry = directory.entries.get(tag)
        if entry is None or entry.type not in _NUMBERS:
            return default
        return struct.unpack_from(
            f"{self.order}{min(entry.amount, most)}{_NUMBERS[entry.type]}", self.data, entry.place
        )

    def number(self, directory: Directory, tag: int, default: int = 0) -> int:
        """Return the first number of a tag, or the default if there is none."""
        return self.numbers(directory, tag, (default,), 1)[0]

    def raw(self, directory: Directory, tag: int) -> bytes | None:
        """Return the bytes of a tag's values, or None if there are none."""
        entry = directory.entries.get(tag)
        return None if entry is None else self.data[entry.place : entry.place + entry.amount * _SIZES[entry.type]]

    def alone(self, directory: Directory, tags: frozenset[int] | None = None) -> bytes:
        """Return the file with one directory only, in which nothing but these tags is left, or all if None.

        The values stay where they are; the directory is written behind them.
        """
        kept = sorted(tag for tag in directory.entries if tags is None or tag in tags)
        padding = bytes(len(self.data) % 2)
        place = len(self.data) + len(padding)
        inline = struct.calcsize(self._offset)
        packed = [struct.pack(self.order + self._count, len(kept))]
        for tag in kept:
            entry = directory.entries[tag]
            packed.append(entry.packed[:-inline])
            fits = _SIZES[entry.type] * entry.amount <= inline
            packed.append(entry.packed[-inline:] if fits else struct.pack(self.order + self._offset, entry.place))
        packed.append(bytes(inline))
        first = struct.pack(self.order + self._offset, place)
        after = self._first_at + inline
        return b"".join((self.data[: self._first_at], first, memoryview(self.data)[after:], padding, *packed))

    def _following(self, place: int) -> int:
        try:
            return self._number(self._offset, place)
        except ValueError:  # the last directory of some files has no offset behind it
            return 0

    def _number(self, kind: str, place: int) -> int:
        try:
            return int(struct.unpack_from(self.order + kind, self.data, place)[0])
        except (struct.error, OverflowError) as error:
            raise ValueError("a directory lies beyond the end of the file") from error

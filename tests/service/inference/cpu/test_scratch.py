"""Tests of scratch memory, with the size from which it lies on disk lowered."""

import errno
import mmap
import os
import sys
from pathlib import Path

import pytest

from service.inference.cpu import scratch
from service.inference.cpu.scratch import Scratch

SIZE = 2**20


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(scratch, "_MOST_IN_MEMORY", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if not scratch.is_on_disk(SIZE):
        pytest.skip("this system cannot map scratch memory from disk")
    return tmp_path


@pytest.mark.usefixtures("on_disk")
def test_scratch_memory_keeps_what_is_written_after_it_was_released() -> None:
    memory = Scratch(SIZE)
    memory.bytes.fill_(77)
    memory.release()
    memory.bytes[0] = 1
    memory.release()
    assert memory.bytes[0] == 1
    assert bool((memory.bytes[1:] == 77).all())


def test_scratch_memory_leaves_no_file(on_disk: Path) -> None:
    memory = Scratch(SIZE)
    memory.bytes.fill_(77)
    assert not list(on_disk.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.usefixtures("on_disk")
def test_what_is_released_is_no_memory_of_the_process() -> None:
    def mapped() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[2])  # those of files
        return pages * mmap.PAGESIZE

    memory = Scratch(64 * SIZE)
    memory.bytes.fill_(77)
    before = mapped()
    memory.release()
    assert before - mapped() >= 60 * SIZE


@pytest.mark.usefixtures("on_disk")
def test_memory_has_to_do_where_the_disk_has_no_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_file: int, _offset: int, _length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    memory = Scratch(SIZE)
    memory.bytes.fill_(77)
    memory.release()
    assert bool((memory.bytes == 77).all())
    assert "No space left on device" in caplog.text


def test_a_temporary_folder_in_memory_is_no_disk(on_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = on_disk / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\ntmpfs {on_disk}/memory tmpfs rw 0 0\n")
    monkeypatch.setattr(scratch, "_MOUNTS", mounts)
    assert scratch.is_on_disk(SIZE)
    monkeypatch.setattr("tempfile.tempdir", str(on_disk / "memory"))
    assert not scratch.is_on_disk(SIZE)


def test_small_scratch_memory_is_not_on_disk() -> None:
    memory = Scratch(SIZE)
    memory.bytes.fill_(77)
    memory.release()
    assert bool((memory.bytes == 77).all())
    assert not scratch.is_on_disk(SIZE)

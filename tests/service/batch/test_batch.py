"""The run of a batch, with a painter that writes words instead of pictures."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from service.batch.batch import BatchRun, Outcome, Painters, Summary
from service.batch.work_list import PictureJob
from service.client.answer import Answer
from service.client.options import Format


class Notes:
    """A reporter that records what it is told."""

    def __init__(self) -> None:
        self.skipped_: list[str] = []
        self.finished_: dict[str, str] = {}
        self.waiting = -1
        self.ended_: list[Summary] = []

    def skipped(self, job: PictureJob) -> None:
        self.skipped_.append(job.output.name)

    def started(self, waiting: int) -> None:
        self.waiting = waiting

    def progressed(self, picture: Path, made: float) -> None:
        pass

    def finished(self, job: PictureJob, outcome: Outcome) -> None:
        self.finished_[job.output.name] = outcome.model if isinstance(outcome, Answer) else str(outcome)

    def ended(self, summary: Summary) -> None:
        self.ended_.append(summary)


async def paint(pictures: Sequence[Path], format: Format) -> AsyncGenerator[Outcome, None]:  # noqa: A002
    """Paint pictures, but fail at those named bad, and wait for ever at one named slow."""
    for picture in pictures:
        if picture.stem == "bad":
            yield ValueError("it is bad")
            continue
        if picture.stem == "slow":
            await asyncio.Event().wait()
        yield Answer(f"{picture.name} as {format}".encode(), f"image/{format}", "muse@1", "", {})


def jobs(folder: Path, *names: str) -> list[PictureJob]:
    return [PictureJob(Path("photos", name), folder / "out" / name) for name in names]


def test_pictures_are_made_and_so_are_missing_folders(tmp_path: Path) -> None:
    notes = Notes()
    batch = BatchRun(jobs(tmp_path, "a.jpg", "b.png", "2024/c.jpeg"), notes)
    asyncio.run(batch.run(Painters(paint, None)))
    assert (tmp_path / "out/a.jpg").read_text() == "a.jpg as jpeg"
    assert (tmp_path / "out/b.png").read_text() == "b.png as png"
    assert (tmp_path / "out/2024/c.jpeg").read_text() == "c.jpeg as jpeg"
    assert batch.end()._replace(seconds=0) == Summary(made=3, skipped=0, failed=0, left=0, seconds=0)
    assert notes.waiting == 3
    assert notes.finished_ == dict.fromkeys(["a.jpg", "b.png", "c.jpeg"], "muse@1")


def test_a_bad_picture_is_reported_and_the_others_are_made(tmp_path: Path) -> None:
    notes = Notes()
    batch = BatchRun(jobs(tmp_path, "a.jpg", "bad.jpg", "c.jpg"), notes)
    asyncio.run(batch.run(Painters(paint, None)))
    assert batch.end()._replace(seconds=0) == Summary(made=2, skipped=0, failed=1, left=0, seconds=0)
    assert notes.finished_["bad.jpg"] == "it is bad"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jpg", "c.jpg"]


def test_a_picture_that_cannot_be_written_counts_as_failed_and_the_others_are_made(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/2024").touch()
    batch = BatchRun(jobs(tmp_path, "2024/a.jpg", "b.jpg"), Notes())
    asyncio.run(batch.run(Painters(paint, None)))
    assert batch.end()._replace(seconds=0) == Summary(made=1, skipped=0, failed=1, left=0, seconds=0)


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_existing_file_is_made_again_only_with_overwrite(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.jpg").write_text("old")
    notes = Notes()
    batch = BatchRun(jobs(tmp_path, "a.jpg", "b.jpg"), notes, overwrite=overwrite)
    asyncio.run(batch.run(Painters(paint, None)))
    assert (tmp_path / "out/a.jpg").read_text() == ("a.jpg as jpeg" if overwrite else "old")
    assert notes.skipped_ == ([] if overwrite else ["a.jpg"])
    made, skipped = (2, 0) if overwrite else (1, 1)
    assert batch.end()._replace(seconds=0) == Summary(made, skipped, failed=0, left=0, seconds=0)


def test_a_cancelled_run_counts_what_is_left_and_leaves_no_partial_file(tmp_path: Path) -> None:
    class FirstIsMade(Notes):
        def finished(self, job: PictureJob, outcome: Outcome) -> None:
            super().finished(job, outcome)
            running.cancel()

    async def run() -> None:
        nonlocal running
        running = asyncio.create_task(batch.run(Painters(paint, None)))
        await running

    running: asyncio.Task[None]
    batch = BatchRun(jobs(tmp_path, "a.jpg", "slow.jpg", "c.jpg"), FirstIsMade())
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    assert batch.end()._replace(seconds=0) == Summary(made=1, skipped=0, failed=0, left=2, seconds=0)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.jpg"]


def test_an_error_of_all_pictures_ends_the_run(tmp_path: Path) -> None:
    async def refuse(*_: object) -> AsyncGenerator[Outcome, None]:
        raise RuntimeError("no such style")
        yield

    batch = BatchRun(jobs(tmp_path, "a.jpg", "b.jpg"), Notes())
    with pytest.raises(RuntimeError, match="no such style"):
        asyncio.run(batch.run(Painters(refuse, None)))
    assert batch.end().left == 2

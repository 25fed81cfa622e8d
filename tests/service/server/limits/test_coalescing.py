"""Equal work at the same time is done once, also when callers are cancelled or the work fails."""

import asyncio
import contextlib

import pytest

from service.contract.problems import Busy, Problem
from service.server.limits.coalescing import Coalescing


class Work:
    """Work that ends with `outcome`, counts how often it is begun, and records whether it was cancelled."""

    def __init__(self) -> None:
        self.begun = 0
        self.was_cancelled = False
        self.outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self) -> str:
        self.begun += 1
        try:
            return await asyncio.shield(self.outcome)
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


async def let_others_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_equal_work_at_the_same_time_is_done_once_and_all_have_its_result() -> None:
    async def scenario() -> None:
        joined: list[None] = []
        coalescing = Coalescing[str](lambda: joined.append(None))
        work = Work()
        callers = [asyncio.create_task(coalescing.run("same", work.run)) for _ in range(3)]
        await let_others_run()
        work.outcome.set_result("done")
        assert await asyncio.gather(*callers) == ["done"] * 3
        assert work.begun == 1
        assert len(joined) == 2

    asyncio.run(scenario())


def test_different_work_is_done_side_by_side() -> None:
    async def scenario() -> None:
        coalescing = Coalescing[str]()
        one, other = Work(), Work()
        callers = [asyncio.create_task(coalescing.run(key, work.run)) for key, work in (("one", one), ("other", other))]
        await let_others_run()
        other.outcome.set_result("second")
        one.outcome.set_result("first")
        assert await asyncio.gather(*callers) == ["first", "second"]

    asyncio.run(scenario())


def test_no_result_is_kept_once_the_work_is_done() -> None:
    async def scenario() -> None:
        coalescing = Coalescing[str]()
        for expected in ("old", "new"):
            work = Work()
            work.outcome.set_result(expected)
            assert await coalescing.run("same", work.run) == expected
            assert work.begun == 1

    asyncio.run(scenario())


def test_the_work_goes_on_when_the_caller_that_began_it_is_cancelled() -> None:
    async def scenario() -> None:
        coalescing = Coalescing[str]()
        work = Work()
        first, second = (asyncio.create_task(coalescing.run("same", work.run)) for _ in range(2))
        await let_others_run()
        first.cancel()
        await let_others_run()
        assert first.cancelled()
        work.outcome.set_result("done")
        assert await second == "done"
        assert (work.begun, work.was_cancelled) == (1, False)

    asyncio.run(scenario())


def test_the_work_is_cancelled_with_its_last_caller() -> None:
    async def scenario() -> None:
        coalescing = Coalescing[str]()
        work = Work()
        callers = [asyncio.create_task(coalescing.run("same", work.run)) for _ in range(2)]
        await let_others_run()
        callers[0].cancel()
        await let_others_run()
        assert not work.was_cancelled
        callers[1].cancel()
        await let_others_run()
        assert work.was_cancelled

    asyncio.run(scenario())


def test_a_caller_that_comes_while_work_is_being_cancelled_begins_it_again() -> None:
    async def scenario() -> None:
        coalescing = Coalescing[str]()
        given_up, anew = Work(), Work()
        first = asyncio.create_task(coalescing.run("same", given_up.run))
        await let_others_run()
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        second = asyncio.create_task(coalescing.run("same", anew.run))
        await let_others_run()
        third = asyncio.create_task(coalescing.run("same", Work().run))  # joins the second, not the cancelled work
        await let_others_run()
        anew.outcome.set_result("anew")
        assert await asyncio.gather(second, third) == ["anew", "anew"]

    asyncio.run(scenario())


def test_every_caller_gets_the_same_problem_as_an_object_of_its_own() -> None:
    async def scenario() -> None:
        coalescing = Coalescing[str]()
        work = Work()
        callers = [asyncio.create_task(coalescing.run("same", work.run)) for _ in range(3)]
        await let_others_run()
        work.outcome.set_exception(Busy("too much: try again in 7 s", retry_after=7))
        errors = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(error, Busy) for error in errors)
        assert len({id(error) for error in errors}) == 3
        told = {(error.detail, error.retry_after, str(error)) for error in errors if isinstance(error, Problem)}
        assert told == {("too much: try again in 7 s", 7, "too much: try again in 7 s")}

    asyncio.run(scenario())


def test_every_caller_has_a_deadline_of_its_own() -> None:
    async def scenario() -> None:
        coalescing = Coalescing[str]()
        work = Work()
        patient = asyncio.create_task(coalescing.run("same", work.run))
        await let_others_run()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await coalescing.run("same", work.run)
        work.outcome.set_result("done")
        assert await patient == "done"

    asyncio.run(scenario())

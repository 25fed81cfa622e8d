"""The runner, with parts that do what a real one may do."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from check_gpu.check import Stage, check
from check_gpu.part import JSON, Outcome, Part, run
from check_gpu.report import Run, write

pytestmark = pytest.mark.process

RUN = Run(host="a device, torch 1.2", minutes=4, started="2026-01-01 12:00 UTC")


def part(program: str, *words: str, name: str = "part", **options: object) -> Part:
    """A part that runs a program in Python."""
    return Part(name, (sys.executable, "-c", textwrap.dedent(program), *words), **options)  # type: ignore[arg-type]


def file_of_tests(folder: Path, content: str) -> Part:
    """A part that runs a file of tests."""
    file = folder / "test_it.py"
    file.write_text(textwrap.dedent(content))
    command = (sys.executable, "-m", "pytest", "-q", "-ra", "-c", os.devnull, str(file))
    return Part("tests", command, is_test=True, environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})


def check_all(parts: Sequence[Part], folder: Path, seconds: float = 60) -> list[Outcome]:
    stages = [Stage(1, (each,)) for each in parts]
    return check(stages, folder, seconds, lambda outcomes: write(RUN, outcomes, 1, folder))


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], dict[str, str]]:
    """The statuses of parts by their names, in the report as it lies there."""

    def written() -> dict[str, str]:
        document = json.loads((tmp_path / "report.json").read_text())
        return {each["name"]: each["status"] for each in document["parts"]}

    return written


def test_a_part_that_fails_does_not_stop_the_next(tmp_path: Path) -> None:
    outcomes = check_all([part("print('seen'); raise SystemExit('broken')"), part("")], tmp_path)
    assert [each.status for each in outcomes] == ["failed", "passed"]
    assert outcomes[0].remark == "exit code 1: broken"
    assert "seen" in outcomes[0].output


def test_a_part_that_crashes_has_failed(tmp_path: Path) -> None:
    outcome = run(part("import os; os.abort()"), tmp_path, 60)
    assert outcome.status == "failed"
    assert outcome.remark.startswith(f"exit code {-signal.SIGABRT}")


def test_a_part_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    hangs = part(
        """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(child.pid, flush=True)
        time.sleep(600)
        """,
    )
    outcomes = check_all([hangs, part("")], tmp_path, seconds=12)
    assert [each.status for each in outcomes] == ["timed out", "passed"]
    child = int(outcomes[0].output)
    assert outcomes[0].remark == f"after: {child}"
    assert not is_running(child)


def test_time_that_a_part_leaves_is_for_those_after_it(tmp_path: Path) -> None:
    takes = part("import time; time.sleep(4)")
    outcomes = check_all([part(""), part(""), part(""), takes], tmp_path, seconds=12)
    assert outcomes[-1].status == "passed"


def test_a_part_that_hangs_leaves_half_of_the_time_to_those_of_its_stage(tmp_path: Path) -> None:
    hangs = part("import time; time.sleep(600)")
    outcomes = check([Stage(1, (hangs, hangs, part("")))], tmp_path, 16, lambda _: None)
    assert [each.status for each in outcomes] == ["timed out", "timed out", "passed"]
    assert outcomes[0].seconds == pytest.approx(8, abs=1)
    assert outcomes[1].seconds == pytest.approx(4, abs=1)


def test_a_part_that_no_time_is_left_for_is_not_begun(tmp_path: Path) -> None:
    outcome = run(part("raise SystemExit(1)"), tmp_path, 0.5)
    assert (outcome.status, outcome.remark) == ("not reached", "no time was left")


def test_a_part_whose_package_is_missing_is_skipped_and_says_so(tmp_path: Path) -> None:
    outcome = run(part("", needs=("litserve", "json")), tmp_path, 60, frozenset({"litserve"}))
    assert (outcome.status, outcome.remark) == ("skipped", "not installed: litserve")


def test_a_part_that_does_less_without_a_package_says_so(tmp_path: Path) -> None:
    outcome = run(part("", wants=("litserve",)), tmp_path, 60, frozenset({"litserve"}))
    assert (outcome.status, outcome.remark) == ("passed", "not installed: litserve")


def test_results_of_a_part_that_hangs_after_writing_them_are_kept(tmp_path: Path) -> None:
    program = """
        import sys, time
        open(sys.argv[1], "w").write('{"runs": [1]}')
        time.sleep(600)
    """
    outcome = run(part(program, JSON), tmp_path, 4)
    assert (outcome.status, outcome.results) == ("timed out", {"runs": [1]})


def test_results_of_one_part_are_not_those_of_the_next(tmp_path: Path) -> None:
    writes = part("import sys; open(sys.argv[1], 'w').write('{}')", JSON)
    assert [each.results for each in check_all([writes, part("")], tmp_path)] == [{}, None]


def test_results_may_be_the_last_line_that_is_printed(tmp_path: Path) -> None:
    assert run(part("print('warm'); print('{\"ms\": 2}')"), tmp_path, 60).results == {"ms": 2}


def test_failing_tests_are_named(tmp_path: Path) -> None:
    content = """
        def test_well(): pass
        def test_ill(): assert 1 == 2
    """
    outcome = run(file_of_tests(tmp_path, content), tmp_path, 60)
    assert outcome.status == "failed"
    assert outcome.remark.startswith("1 failed, 1 passed")
    assert outcome.remark.endswith("test_it.py::test_ill")


def test_of_many_failing_tests_some_are_named(tmp_path: Path) -> None:
    content = """
        import pytest
        @pytest.mark.parametrize("number", range(50))
        def test_ill(number): assert number > 50
    """
    remark = run(file_of_tests(tmp_path, content), tmp_path, 60).remark
    assert remark.startswith("50 failed")
    assert "test_ill[4]; and 45 more" in remark
    assert "test_ill[5]" not in remark


def test_tests_that_are_all_skipped_are_told_with_why(tmp_path: Path) -> None:
    content = """
        import pytest
        @pytest.mark.skip(reason="needs two devices")
        def test_it(): pass
    """
    outcome = run(file_of_tests(tmp_path, content), tmp_path, 60)
    assert (outcome.status, outcome.remark) == ("skipped", "needs two devices")


def test_a_file_without_tests_is_skipped(tmp_path: Path) -> None:
    assert run(file_of_tests(tmp_path, ""), tmp_path, 60).status == "skipped"


def test_the_report_tells_while_a_part_runs_which_it_is(tmp_path: Path, written: Callable[[], dict[str, str]]) -> None:
    looks = part("import sys; print(open(sys.argv[1]).read())", str(tmp_path / "report.json"), name="b", shows=True)
    outcomes = check_all([part("", name="a"), looks, part("", name="c")], tmp_path)
    seen = json.loads(outcomes[1].output)
    assert [each["status"] for each in seen["parts"]] == ["passed", "running", "not reached"]
    assert written() == {"a": "passed", "b": "passed", "c": "passed"}


@pytest.mark.parametrize(
    ("end", "seen"), [(signal.SIGTERM, "cut short"), (signal.SIGINT, "cut short"), (signal.SIGKILL, "running")]
)
def test_a_check_that_is_ended_early_leaves_what_it_saw(
    tmp_path: Path, written: Callable[[], dict[str, str]], end: signal.Signals, seen: str
) -> None:
    program = f"""
        import signal, sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        from check_gpu.check import Stage, check
        from check_gpu.part import Part
        from check_gpu.report import Run, write
        folder = Path(sys.argv[1])
        waits = (sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(20)")
        parts = (Part("a", (sys.executable, "-c", "")), Part("b", waits), Part("c", waits))
        run = Run("a device", 4, "now")
        check([Stage(1, parts)], folder, 600, lambda outcomes: write(run, outcomes, 1, folder))
    """
    command = [sys.executable, "-c", textwrap.dedent(program), tmp_path]
    with subprocess.Popen(command) as process:
        log = tmp_path / "running.log"
        while not (log.exists() and "begun" in log.read_text()) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(end)
    assert written() == {"a": "passed", "b": seen, "c": "not reached"}
    assert "| b | " in (tmp_path / "report.md").read_text()


def test_few_files_are_left_however_many_parts_there_are(tmp_path: Path) -> None:
    check_all([part(f"print({number})") for number in range(10)], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "report.json", "log.txt"}
    log = (tmp_path / "log.txt").read_text()
    assert all(f"\n{number}\n" in log for number in range(10))


def test_of_endless_output_the_end_is_kept(tmp_path: Path) -> None:
    outcome = run(part("print('x' * 3_000_000); print('the end'); raise SystemExit(1)"), tmp_path, 60)
    assert "the end" in outcome.output
    assert (tmp_path / "log.txt").stat().st_size < 1_000_000

"""The command `impasto bench`, as typed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.bench.report import LoadReport

from .conftest import Target

pytestmark = pytest.mark.process

IMPASTO = Path(sys.executable).with_name("impasto")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([IMPASTO, "bench", *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_a_server_is_measured(target: Target) -> None:
    done = bench(target.url, "--style", "timed", "--size", "32", "--size", "48x32", "--requests", "6", "--warm-up", "0")
    assert done.returncode == 0, done.stderr
    assert target.received == {"timed": 6}
    for words in ("8 clients, 2 kinds mixed", "6 good of 6 sent", "good answers", "decode", "rest"):
        assert words in done.stdout


def test_with_json_the_report_is_all_of_stdout(target: Target) -> None:
    done = bench(target.url, "--style", "plain", "--style", "busy", "--requests", "4", "--warm-up", "0", "--json")
    report = LoadReport.model_validate_json(done.stdout)
    assert done.returncode == 0
    assert report.kinds == ["plain 256×256", "busy 256×256"]
    assert (report.good, report.shed) == (2, 2)


def test_files_can_be_sent(target: Target, photo_png: bytes, tmp_path: Path) -> None:
    picture = tmp_path / "mine.png"
    picture.write_bytes(photo_png)
    done = bench(target.url, "--style", "plain", "--picture", str(picture), "--requests", "2", "--warm-up", "0")
    assert done.returncode == 0, done.stderr
    assert [body[: len(photo_png)] for body in target.bodies] == [photo_png, photo_png]
    assert target.media_types == ["image/png", "image/png"]


def test_pictures_are_sent_at_a_rate(target: Target) -> None:
    done = bench(target.url, "--style", "plain", "--rate", "100", "--duration", "0.2", "--warm-up", "0", "--json")
    report = LoadReport.model_validate_json(done.stdout)
    assert (report.rate, report.concurrency) == (100, None)
    assert report.sent == target.received["plain"] > 0


def test_an_interrupt_reports_what_came_so_far(target: Target) -> None:
    target.together = 12
    command = (IMPASTO, "bench", target.url, "--style", "plain", "--style", "never", "--warm-up", "0", "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert target.has_enough.wait(60)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    report = LoadReport.model_validate_json(output)
    assert process.returncode == 0, errors
    assert report.interrupted
    assert 1 <= report.good == report.sent - report.abandoned
    assert report.abandoned >= 1


def assert_refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 1
    assert done.stderr.startswith("impasto: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_measurement_without_a_good_answer_fails_and_says_why(target: Target) -> None:
    assert_refused(
        bench(target.url, "--style", "unknown", "--requests", "2", "--warm-up", "0"), "2 × 404: there is no style"
    )


def test_an_address_where_nothing_listens_is_refused() -> None:
    done = bench("http://127.0.0.1:9")
    assert_refused(done, "nobody listens at http://127.0.0.1:9")
    assert done.stdout == ""


def test_more_processes_than_clients_are_refused(target: Target) -> None:
    assert_refused(bench(target.url, "--concurrency", "1", "--processes", "2"), "2 processes need as many clients")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--size", "big"), "not a size"),
        (("--size", "0"), "not a size"),
        (("--size", "64x"), "not a size"),
        (("--style", "muse", "--factor", "4"), "--style or --factor"),
        (("--size", "64", "--picture", __file__), "--size or --picture"),
    ],
)
def test_a_wrong_command_line_is_refused_with_its_usage(arguments: tuple[str, ...], words: str) -> None:
    done = bench("http://127.0.0.1:9", *arguments)
    assert done.returncode == 2
    assert "Usage: impasto bench" in done.stderr
    assert words in done.stderr

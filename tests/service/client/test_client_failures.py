"""The errors that the clients raise, and the failures after which they repeat a call."""

import asyncio
import io
import socket
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import httpx
import pytest

from service.client import (
    Answer,
    AsyncClient,
    BadOption,
    BadPicture,
    BadRequest,
    Busy,
    Client,
    ConnectionFailed,
    DamagedWeights,
    DeadlineExceeded,
    DeviceLost,
    NotFound,
    ProblemError,
    ServerFailed,
    TimedOut,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    UnknownModel,
    Unprocessable,
    UnsupportedFormat,
    UploadTimeout,
)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list of the seconds that a synchronous client would have slept; it does not really sleep."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


class Script(httpx.MockTransport):
    """A transport that gives these outcomes one after the other, and records the requests and the waits."""

    def __init__(self, *outcomes: httpx.Response | httpx.TransportError) -> None:
        super().__init__(self._next)
        self.outcomes = list(outcomes)
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []

    def _next(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, httpx.TransportError):
            raise outcome
        return outcome


class NoWaiting(asyncio.SelectorEventLoop):
    """An event loop that records every wait and ends it at once."""

    def __init__(self, waits: list[float]) -> None:
        super().__init__()
        self.waits = waits

    def call_later(self, delay: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        self.waits.append(delay)
        return super().call_later(0, *args, **kwargs)


def call_sync(script: Script, retries: int = 2, deadline: float | None = None) -> Answer:
    with (
        pytest.MonkeyPatch.context() as patch,
        Client(transport=script, retries=retries, deadline=deadline) as client,
    ):
        patch.setattr(time, "sleep", script.waits.append)
        return client.stylize(b"photo", style="muse")


def call_async(script: Script, retries: int = 2, deadline: float | None = None) -> Answer:
    async def call() -> Answer:
        async with AsyncClient(transport=script, retries=retries, deadline=deadline) as client:
            return await client.stylize(b"photo", style="muse")

    with asyncio.Runner(loop_factory=lambda: NoWaiting(script.waits)) as runner:
        return runner.run(call())


both = pytest.mark.parametrize("call", [call_sync, call_async], ids=["sync", "async"])
Call = Callable[..., Answer]


def refusal(status: int, **headers: str) -> httpx.Response:
    document = {"type": "urn:x", "title": "No", "status": status, "detail": "not now", "request_id": "job-7"}
    return httpx.Response(status, json=document, headers=headers)


def painted() -> httpx.Response:
    return httpx.Response(200, content=b"painted", headers={"Content-Type": "image/png", "X-Model": "muse@1"})


# Errors


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, Unauthorized),
        (404, NotFound),
        (408, UploadTimeout),
        (405, BadRequest),
        (413, TooLarge),
        (415, UnsupportedFormat),
        (422, Unprocessable),
        (429, Busy),
        (500, ServerFailed),
        (502, ServerFailed),
        (503, Unavailable),
        (504, DeadlineExceeded),
    ],
)
@both
def test_every_status_has_its_error(call: Call, status: int, kind: type[ProblemError]) -> None:
    with pytest.raises(ProblemError) as refused:
        call(Script(refusal(status)), retries=0)
    error = refused.value
    assert type(error) is kind
    assert (error.status, error.type, error.title) == (status, "urn:x", "No")
    assert (error.detail, error.request_id) == ("not now", "job-7")


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("bad-option", 422, BadOption),
        ("bad-picture", 422, BadPicture),
        ("unknown-model", 404, UnknownModel),
        ("damaged-weights", 500, DamagedWeights),
        ("internal-error", 500, ServerFailed),
        ("device-lost", 503, DeviceLost),
        ("out-of-paint", 422, Unprocessable),
        ("out-of-paint", 418, BadRequest),
        ("out-of-paint", 507, ServerFailed),
    ],
)
def test_every_problem_type_has_its_error_and_an_unknown_type_the_error_of_its_status(
    name: str, status: int, kind: type[ProblemError]
) -> None:
    document = {"type": f"urn:impasto:problem:{name}", "title": "No", "status": status, "detail": "no", "colour": "red"}
    with pytest.raises(ProblemError) as refused:
        call_sync(Script(httpx.Response(status, json=document)), retries=0)
    assert type(refused.value) is kind


def test_a_problem_document_with_wrong_types_is_still_raised_by_its_status() -> None:
    document = {"type": None, "title": 7, "detail": [{"loc": ["query", "size"]}]}
    with pytest.raises(Unprocessable, match="size"):
        call_sync(Script(httpx.Response(422, json=document)), retries=0)


@pytest.mark.parametrize("body", [b"<h1>Bad gateway</h1>", b"", b"[1]", b"null", b"\xff\xfe"])
def test_an_error_without_a_problem_document_is_still_raised_by_its_status(body: bytes) -> None:
    answer = httpx.Response(502, content=body, headers={"X-Request-ID": "proxy-1"})
    with pytest.raises(ServerFailed) as refused:
        call_sync(Script(answer), retries=0)
    assert refused.value.status == 502
    assert refused.value.request_id == "proxy-1"


def test_a_closed_port_raises_connection_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", retries=0) as client, pytest.raises(ConnectionFailed):
        client.models()


def test_a_server_that_does_not_answer_in_time_raises_timed_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, retries=0, timeout=httpx.Timeout(5, read=0.05)) as client, pytest.raises(TimedOut):
            client.models()


@both
def test_connection_failed_has_the_request_id_that_all_attempts_sent(call: Call) -> None:
    script = Script(httpx.ReadError("broken"), httpx.ReadError("broken"), httpx.ReadError("broken"))
    with pytest.raises(ConnectionFailed) as failed:
        call(script)
    assert {request.headers["X-Request-ID"] for request in script.requests} == {failed.value.request_id}


def test_every_call_has_an_id_of_its_own() -> None:
    script = Script(painted(), painted())
    call_sync(script)
    call_sync(script)
    assert len({request.headers["X-Request-ID"] for request in script.requests}) == 2


def test_connection_failed_has_its_cause() -> None:
    with pytest.raises(ConnectionFailed, match="the cable") as failed:
        call_sync(Script(httpx.ConnectError("the cable is out")), retries=0)
    assert isinstance(failed.value.__cause__, httpx.ConnectError)


# Retries


@both
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_temporary_failure_is_retried(call: Call, status: int) -> None:
    script = Script(refusal(status), painted())
    assert call(script).content == b"painted"
    assert len(script.waits) == 1


@both
def test_calls_refused_at_the_same_time_wait_differently_long(call: Call) -> None:
    scripts = [Script(refusal(429, **{"Retry-After": "7"}), painted()) for _ in range(5)]
    for script in scripts:
        call(script)
    assert len({script.waits[0] for script in scripts}) > 1


@both
@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_is_what_retry_after_says(call: Call, status: int) -> None:
    script = Script(refusal(status, **{"Retry-After": "7"}), painted())
    call(script)
    assert 7 <= script.waits[0] <= 7 * 1.25


@both
@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError, httpx.ReadTimeout])
def test_a_broken_connection_is_retried(call: Call, error: type[httpx.TransportError]) -> None:
    script = Script(error("broken"), error("broken"), painted())
    assert call(script).content == b"painted"
    assert len(script.waits) == 2


@both
def test_waits_grow_but_stay_short(call: Call) -> None:
    script = Script(*(refusal(500) for _ in range(9)), painted())
    call(script, retries=9)
    assert script.waits[:4] == sorted(set(script.waits[:4]))
    assert all(0 < seconds <= 10 for seconds in script.waits)


@both
@pytest.mark.parametrize("retry_after", ["", "soon", "-1", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_retry_after_that_is_not_a_number_of_seconds_is_ignored(call: Call, retry_after: str) -> None:
    script = Script(refusal(503, **{"Retry-After": retry_after}), painted())
    call(script)
    assert 0 < script.waits[0] < 1


@both
def test_a_call_that_would_have_to_wait_for_an_hour_is_not_retried(call: Call) -> None:
    script = Script(refusal(503, **{"Retry-After": "3600"}), painted())
    with pytest.raises(Unavailable):
        call(script)
    assert script.waits == []


@both
@pytest.mark.parametrize("retries", [0, 1, 3])
def test_there_are_no_more_retries_than_asked_for(call: Call, retries: int) -> None:
    script = Script(*(refusal(503) for _ in range(10)))
    with pytest.raises(Unavailable):
        call(script, retries=retries)
    assert len(script.requests) == 1 + retries
    assert len(script.waits) == retries


@both
@pytest.mark.parametrize("status", [400, 401, 404, 413, 415, 422])
def test_a_permanent_refusal_is_not_retried(call: Call, status: int) -> None:
    script = Script(refusal(status))
    with pytest.raises(ProblemError):
        call(script)
    assert (len(script.requests), script.waits) == (1, [])


@both
def test_a_call_whose_deadline_has_passed_is_not_retried(call: Call) -> None:
    script = Script(refusal(504))
    with pytest.raises(DeadlineExceeded):
        call(script, deadline=0.5)
    assert (len(script.requests), script.waits) == (1, [])


@both
def test_a_temporary_failure_is_retried_with_a_deadline_too(call: Call) -> None:
    script = Script(refusal(503), painted())
    assert call(script, deadline=0.5).content == b"painted"


@both
@pytest.mark.parametrize(("deadline", "sent"), [(None, None), (2, "2000"), (0.25, "250"), (0.0001, "1")])
def test_a_deadline_is_sent_to_the_server_in_milliseconds(call: Call, deadline: float | None, sent: str | None) -> None:
    script = Script(painted())
    call(script, deadline=deadline)
    assert script.requests[0].headers.get("X-Deadline-Ms") == sent


def test_an_invalid_url_is_not_retried(waits: list[float]) -> None:
    with Client("impasto.example") as client, pytest.raises(ConnectionFailed):
        client.models()
    assert waits == []


@pytest.mark.usefixtures("waits")
def test_an_open_file_is_sent_whole_on_every_attempt() -> None:
    script = Script(refusal(503), painted())
    with Client(transport=script) as client:
        client.stylize(io.BytesIO(b"photo"), style="muse")
    assert [request.content for request in script.requests] == [b"photo", b"photo"]


@pytest.mark.usefixtures("waits")
def test_a_server_that_closes_the_connection_is_called_again() -> None:
    def hang_up_then_answer(listening: socket.socket) -> None:
        first, _ = listening.accept()
        first.recv(65536)
        first.close()
        second, _ = listening.accept()
        second.recv(65536)
        second.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]")
        second.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=hang_up_then_answer, args=[listening])
        thread.start()
        with Client(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=10) as client:
            assert client.models() == []
        thread.join()


def test_an_address_that_is_not_an_impasto_server_is_named() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>welcome</html>"))
    with Client("http://elsewhere", transport=transport) as client, pytest.raises(UnexpectedAnswer, match="elsewhere"):
        client.models()


@pytest.mark.parametrize("media_type", ["text/html; charset=utf-8", ""])
def test_an_answer_without_a_picture_raises_unexpected_answer(media_type: str) -> None:
    answer = httpx.Response(200, content=b"<html>", headers={"Content-Type": media_type})
    with pytest.raises(UnexpectedAnswer, match="instead of a picture"):
        call_sync(Script(answer))


def test_a_redirect_raises_unexpected_answer_with_the_new_address() -> None:
    with pytest.raises(UnexpectedAnswer, match=r"https://impasto\.example"):
        call_sync(Script(httpx.Response(308, headers={"Location": "https://impasto.example/stylize"})))

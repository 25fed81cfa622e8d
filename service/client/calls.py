"""The HTTP requests that the clients make, and the reading of the responses; both clients share them."""

import uuid
from collections.abc import Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import httpx
from pydantic import JsonValue, TypeAdapter, ValidationError

from model_store.card import TASKS, Card, Task
from service.client.errors import ConnectionFailed, TimedOut, UnexpectedAnswer, error_of
from service.client.film import AsyncUpload, Upload
from service.client.options import query_of
from service.client.picture import PictureSource, read
from service.client.retrying import DEADLINE_HEADER, Outcome

TIMEOUT = httpx.Timeout(10.0, read=300.0, write=60.0)
"""Seconds that each phase of a call may take."""
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=3.0)
"""Limits of the connection pool: each concurrent call gets a connection, and an idle one is closed after 3 seconds.

A server closes idle connections after 5 seconds, which would break a request that is just being sent."""
_REQUEST_ID = "X-Request-ID"
_CARD, _DOCUMENTS = TypeAdapter(Card), TypeAdapter(list[dict[str, JsonValue]])
_Parsed = TypeVar("_Parsed")


class Call(NamedTuple):
    """The parts of a request, from which it can be sent more than once."""

    method: str
    path: str
    query: Mapping[str, str]
    content: bytes | Upload | AsyncUpload | None
    size: int | None = None
    """Number of bytes of the content, where it does not tell that itself."""

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """Build the HTTP request, with a new request id."""
        headers = {_REQUEST_ID: uuid.uuid4().hex}
        if self.content is not None:
            headers["Content-Type"] = "application/octet-stream"
        if self.size is not None:
            headers["Content-Length"] = str(self.size)
        return http.build_request(self.method, self.path, params=self.query, content=self.content, headers=headers)


def transform(task: Task, picture: PictureSource, options: Mapping[str, object]) -> Call:
    """Read a picture and return the call that sends it to be painted or enlarged.

    Args:
        task: The task, which is also the path of the route.
        picture: The picture to send; see `PictureSource`.
        options: The options of the task by name.

    Raises:
        OSError: The picture cannot be read.
        TypeError: The value is not a `PictureSource`, or the task has no such option.
        ValueError: The array does not have the shape or type of a picture.
    """
    return Call("POST", f"/{task}", query_of(task, options), read(picture))


def film(task: Task, upload: Upload, options: Mapping[str, object], *, is_async: bool = False) -> Call:
    """Return the call that sends a film to be painted or enlarged.

    Args:
        task: The task, which is also the path of the route.
        upload: The film.
        options: The options of the task by name.
        is_async: Whether it is sent by asynchronous code.

    Raises:
        TypeError: The task has no such option.
    """
    content = AsyncUpload(upload) if is_async else upload
    return Call("POST", f"/{task}", query_of(task, options), content, upload.size)


def models() -> Call:
    """Return the call for the cards of all models."""
    return Call("GET", "/models", {}, None)


def model(task: Task, name: str) -> Call:
    """Return the call for the card of one model; the name may have a version, as in `muse@1`."""
    return Call("GET", f"/models/{task}/{quote(name, safe='@')}", {}, None)


def task_of(options: Mapping[str, object]) -> Task:
    """Return the task that a `map` with these options is for: painting if they have a style, else enlarging."""
    return "stylize" if "style" in options else "super-resolve"


def headers_of(deadline: float | None, api_key: str | None) -> dict[str, str]:
    """Return the headers that a client sends with every call.

    Args:
        deadline: Seconds that the server may take, or None for its own limit.
        api_key: The key to send, or None for no key.
    """
    headers = {} if deadline is None else {DEADLINE_HEADER: str(max(1, round(deadline * 1000)))}
    return headers if api_key is None else headers | {"Authorization": f"Bearer {api_key}"}


def checked(outcome: Outcome) -> httpx.Response:
    """Return the response if the call succeeded.

    Raises:
        ClientError: The call failed; see `service.client.errors`.
    """
    request_id = outcome.request.headers.get(_REQUEST_ID)
    if isinstance(outcome, httpx.RequestError):
        kind = TimedOut if isinstance(outcome, httpx.TimeoutException) else ConnectionFailed
        raise kind(f"no answer from {outcome.request.url.copy_with(query=None)}: {outcome!r}", request_id) from outcome
    if outcome.is_redirect:
        location = outcome.headers.get("Location")
        raise UnexpectedAnswer(f"{outcome.url} redirects to {location}: give the client that address", request_id)
    if not outcome.is_success:
        raise error_of(outcome)
    return outcome


def parse_card(response: httpx.Response) -> Card:
    """Read a model card from a response.

    Raises:
        UnexpectedAnswer: The response is not a model card.
    """
    return _parse(_CARD, response)


def parse_cards(response: httpx.Response) -> list[Card]:
    """Read a list of model cards from a response, leaving out tasks that only a newer server knows.

    Raises:
        UnexpectedAnswer: The response is not a list of model cards.
    """
    documents = _parse(_DOCUMENTS, response)
    try:
        return [_CARD.validate_python(document) for document in documents if document.get("task") in TASKS]
    except ValidationError as error:
        raise _unexpected(response, error) from error


def _parse(adapter: TypeAdapter[_Parsed], response: httpx.Response) -> _Parsed:
    try:
        return adapter.validate_json(response.content)
    except ValidationError as error:
        raise _unexpected(response, error) from error


def _unexpected(response: httpx.Response, error: ValidationError) -> UnexpectedAnswer:
    message = f"the answer of {response.url} is not that of an Impasto server: {error}"
    return UnexpectedAnswer(message, response.request.headers.get(_REQUEST_ID))

"""The requests by what they are for, and what their outcomes mean; shared by both clients."""

import uuid
from collections.abc import Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import httpx
from pydantic import JsonValue, TypeAdapter, ValidationError

from model_store.card import TASKS, Card, Task
from service.client.errors import ConnectionFailed, TimedOut, UnexpectedAnswer, error_of
from service.client.options import query_of
from service.client.picture import PictureSource, read
from service.client.retrying import DEADLINE_HEADER, Outcome

TIMEOUT = httpx.Timeout(10.0, read=300.0, write=60.0)
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=3.0)
"""As many connections as there are calls at once; given up before a server, which keeps them 5 s, hangs up."""
_REQUEST_ID = "X-Request-ID"
_CARD, _LISTED = TypeAdapter(Card), TypeAdapter(list[dict[str, JsonValue]])
_Parsed = TypeVar("_Parsed")


class Call(NamedTuple):
    """A request that can be made again and again."""

    method: str
    path: str
    query: Mapping[str, str]
    content: bytes | None

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request, with an id of its own."""
        headers = {_REQUEST_ID: uuid.uuid4().hex}
        if self.content is not None:
            headers["Content-Type"] = "application/octet-stream"
        return http.build_request(self.method, self.path, params=self.query, content=self.content, headers=headers)


def transform(task: Task, picture: PictureSource, options: Mapping[str, object]) -> Call:
    """Reads the picture, and asks for another.

    Raises:
        OSError: the picture cannot be read.
        TypeError: the picture is none, or the task has no such option.
        ValueError: the picture is an array that is none.
    """
    return Call("POST", f"/{task}", query_of(task, options), read(picture))


def models() -> Call:
    """Asks for all cards."""
    return Call("GET", "/models", {}, None)


def model(task: Task, name: str) -> Call:
    """Asks for a card."""
    return Call("GET", f"/models/{task}/{quote(name, safe='@')}", {}, None)


def task_of(options: Mapping[str, object]) -> Task:
    """The task of a `map` with these options."""
    return "stylize" if "style" in options else "super-resolve"


def headers_of(deadline: float | None, api_key: str | None) -> dict[str, str]:
    """Those of every call."""
    headers = {} if deadline is None else {DEADLINE_HEADER: str(max(1, round(deadline * 1000)))}
    return headers if api_key is None else headers | {"Authorization": f"Bearer {api_key}"}


def checked(outcome: Outcome) -> httpx.Response:
    """The answer, where it is a success.

    Raises:
        ClientError: it is not.
    """
    request_id = outcome.request.headers.get(_REQUEST_ID)
    if isinstance(outcome, httpx.RequestError):
        kind = TimedOut if isinstance(outcome, httpx.TimeoutException) else ConnectionFailed
        raise kind(f"no answer from {outcome.request.url.copy_with(query=None)}: {outcome!r}", request_id) from outcome
    if outcome.is_redirect:
        raise UnexpectedAnswer(f"{outcome.url} sends us to {outcome.headers.get('Location')}: use its URL", request_id)
    if not outcome.is_success:
        raise error_of(outcome)
    return outcome


def parse_card(response: httpx.Response) -> Card:
    """Reads a card.

    Raises:
        UnexpectedAnswer: it is none.
    """
    return _parse(_CARD, response)


def parse_cards(response: httpx.Response) -> list[Card]:
    """Reads a list of cards, and leaves out tasks of newer servers.

    Raises:
        UnexpectedAnswer: it is none.
    """
    listed = _parse(_LISTED, response)
    try:
        return [_CARD.validate_python(card) for card in listed if card.get("task") in TASKS]
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

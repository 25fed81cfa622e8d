"""The answer to a request that is refused before it reaches the app: a problem document like those of the app."""

import uuid
from http import HTTPStatus
from typing import NamedTuple

from service.contract.problems import MEDIA_TYPE, ProblemDocument
from service.server.cache_control import NO_STORE


class Refusal(NamedTuple):
    """An answer after which the connection is closed."""

    status: HTTPStatus
    headers: list[tuple[str, str]]
    content: bytes


def refusal(status: HTTPStatus, detail: str) -> Refusal:
    """Make the answer to a request that is refused.

    Args:
        status: Status of the answer.
        detail: Sentence that says what is wrong and what to do.
    """
    document = ProblemDocument(
        type="about:blank", title=status.phrase, status=status, detail=detail, request_id=uuid.uuid4().hex
    )
    content = document.model_dump_json().encode()
    headers = [
        ("content-type", MEDIA_TYPE),
        ("content-length", str(len(content))),
        ("cache-control", NO_STORE),
        ("x-request-id", document.request_id),
        ("connection", "close"),
    ]
    return Refusal(status, headers, content)

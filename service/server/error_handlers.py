"""Handlers that turn every error of a request into a problem document (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from service.contract.problems import MEDIA_TYPE, BadOption, InternalError, Problem, ProblemDocument, Unavailable
from service.server.cache_control import NO_STORE
from service.server.middleware.request_id import HEADER as REQUEST_ID_HEADER
from service.server.telemetry.record import RequestRecord
from service.server.upload import NO_FETCHING

_CLIENT_CLOSED_REQUEST = 499
"""Status for the log and the metrics when the client disconnected, so that no answer reaches it."""


def install(app: FastAPI) -> None:
    """Add the handlers to the app.

    All are coroutines: while the server stops, a handler on a thread might run too late to answer.
    """
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _bad_option)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(ClientDisconnect, _client_disconnected)
    app.add_exception_handler(MemoryError, _out_of_memory)
    app.add_exception_handler(Exception, _internal_error)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101
    record = RequestRecord.of(request)
    record.problem = error.name
    return _answer(error.document(record.id), error.headers)


async def _bad_option(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    sentences = []
    for each in error.errors():
        name = ".".join(str(part) for part in each["loc"][1:])
        if each["type"] == "extra_forbidden" and name == "url":
            sentences.append(NO_FETCHING)
        elif each["type"] == "extra_forbidden":
            sentences.append(f"there is no option {name!r}; see /docs for the known ones")
        elif each["type"] == "missing":
            sentences.append(f"the option {name!r} is missing")
        else:
            sentences.append(f"{name}: {each['msg']}")
    return await _problem(request, BadOption("; ".join(sentences)))


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"
    if request.method == "OPTIONS" and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    title = HTTPStatus(error.status_code).phrase
    document = ProblemDocument(
        type="about:blank",
        title=title,
        status=error.status_code,
        detail=f"{request.method} {request.url.path}: {error.detail.rstrip('.')}; see /docs for all routes",
        request_id=RequestRecord.of(request).id,
    )
    return _answer(document, headers)


async def _client_disconnected(_request: Request, _error: Exception) -> Response:
    return Response(status_code=_CLIENT_CLOSED_REQUEST)


async def _out_of_memory(request: Request, _error: Exception) -> Response:
    return await _problem(request, Unavailable("there is not enough memory for this request now: try later", 10))


async def _internal_error(request: Request, _error: Exception) -> Response:
    response = await _problem(request, InternalError("something went wrong on our side; the server's log says more"))
    response.headers["Connection"] = "close"  # the server closes it after an unexpected error
    return response


def _answer(document: ProblemDocument, headers: Mapping[str, str]) -> Response:
    headers = {**headers, "Cache-Control": NO_STORE, REQUEST_ID_HEADER: document.request_id}
    return Response(document.model_dump_json(), document.status, headers, MEDIA_TYPE)

"""From a request with pictures to its answer."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fastapi import Request, Response

from service.contract.options import Options
from service.contract.problems import MEDIA_TYPE as PROBLEM
from service.contract.problems import BadPicture, Busy, Problem, Unavailable
from service.models.loaded import Loaded
from service.pipeline.pipeline import Answer, Stage
from service.server import archive, etag
from service.server.limits.api_keys import Key
from service.server.limits.deadline import deadline
from service.server.limits.disconnect import unless_disconnected
from service.server.middleware.conditional_get import OF_ONE_CLIENT
from service.server.state import Parts
from service.server.telemetry import tracing
from service.server.upload import FIELD, Upload, read_uploads


class _Picture(NamedTuple):
    """One picture of a request."""

    upload: Upload
    etag: str
    """Of its answer."""


async def transform(request: Request, parts: Parts, deadline_ms: int | None, options: Options) -> Response:
    """Admits, reads, computes and answers.

    A request with several pictures has one deadline. The first holds the place of the request, each other one of its
    own; where there is none, or no room for its pixels, a picture waits for the rest of its request.

    Raises:
        Problem: as in `service.contract.problems`; that of one picture among several is part of the answer instead.
    """
    settings = parts.settings
    options = options.accepting(request.headers.get("Accept", ""))
    key: Key | None = getattr(request.state, "key", None)
    try:
        async with deadline(settings.deadline_s, deadline_ms):
            with parts.admission.admit(key), parts.metrics.in_flight():
                uploads = await read_uploads(request, settings.upload_timeout_s, settings.max_pictures_per_request)
                return await unless_disconnected(request, _answer(request, parts, options, uploads, key))
    except asyncio.CancelledError:  # the server stops, and its grace is over
        raise Unavailable("the server is shutting down: try another", 5) from None


async def _answer(
    request: Request, parts: Parts, options: Options, uploads: Sequence[Upload], key: Key | None
) -> Response:
    loaded = await parts.pipeline.resolve(options)
    pictures = await asyncio.to_thread(_name_answers, uploads, loaded, options)
    if len(pictures) == 1:
        return await _answer_with_one(request, parts, options, loaded, pictures[0])
    return await _answer_with_all(request, parts, options, loaded, pictures, key)


async def _answer_with_one(
    request: Request, parts: Parts, options: Options, loaded: Loaded, picture: _Picture
) -> Response:
    if _is_known(request, picture.etag):
        return _not_modified(picture.etag, loaded)
    answer = await _make(parts, options, loaded, picture)
    request.state.answer = answer
    tracing.record(answer)
    headers = {"ETag": picture.etag, "Server-Timing": _timing(answer.stages), **_common_headers(loaded)}
    if answer.frames > 1:
        headers["X-Frames"] = str(answer.frames)
    return Response(answer.content, media_type=answer.media_type, headers=headers)


async def _answer_with_all(
    request: Request, parts: Parts, options: Options, loaded: Loaded, pictures: Sequence[_Picture], key: Key | None
) -> Response:
    media_type = archive.MULTIPART if archive.MULTIPART in request.headers.get("Accept", "") else archive.ZIP
    named = [f"{picture.etag} {picture.upload.name}" for picture in pictures]
    etag_of_all = etag.weak(etag.of_content("\n".join([media_type, *named]).encode()))
    if _is_known(request, etag_of_all):
        return _not_modified(etag_of_all, loaded)
    answers = await _make_all(parts, options, loaded, pictures, key)
    made = [answer for answer in answers if isinstance(answer, Answer)]
    entries = _entries(pictures, answers, request.state.request_id)
    headers = {"Server-Timing": _timing(stage for answer in made for stage in answer.stages), **_common_headers(loaded)}
    if len(made) == len(answers):  # else there may be more another time
        headers["ETag"] = etag_of_all
    if media_type == archive.MULTIPART:
        boundary = etag.opaque(etag_of_all)
        headers["Content-Type"] = f"{media_type}; boundary={boundary}"
        return Response(archive.multipart(entries, boundary), headers=headers)
    return Response(await asyncio.to_thread(archive.zipped, entries), media_type=media_type, headers=headers)


async def _make_all(
    parts: Parts, options: Options, loaded: Loaded, pictures: Sequence[_Picture], key: Key | None
) -> list[Answer | Problem]:
    async def on_a_place_of_its_own(picture: _Picture) -> Answer | Problem:
        try:
            with parts.admission.admit(key), parts.metrics.in_flight():
                return await _try_to_make(parts, options, loaded, picture)
        except Busy as problem:
            return problem

    first, *others = pictures
    answers = await asyncio.gather(
        _try_to_make(parts, options, loaded, first), *(on_a_place_of_its_own(picture) for picture in others)
    )
    return [
        await _try_to_make(parts, options, loaded, picture) if isinstance(answer, Busy) else answer
        for picture, answer in zip(pictures, answers, strict=True)
    ]


async def _try_to_make(parts: Parts, options: Options, loaded: Loaded, picture: _Picture) -> Answer | Problem:
    try:
        return await _make(parts, options, loaded, picture)
    except Problem as problem:
        return problem


async def _make(parts: Parts, options: Options, loaded: Loaded, picture: _Picture) -> Answer:
    """Makes a picture, or waits for another request that makes the same."""
    data = picture.upload.data
    if not data:
        raise BadPicture(f"there is no picture in the request: send one as multipart field '{FIELD}' or as the body")

    async def make() -> Answer:
        with parts.admission.hold_pixels() as take_pixels:
            answer = await parts.pipeline.run(options, data, take_pixels, loaded)
        parts.metrics.picture_made(options.task, answer)
        return answer

    return await parts.in_flight.run(picture.etag, make)


def _name_answers(uploads: Iterable[Upload], loaded: Loaded, options: Options) -> list[_Picture]:
    return [_Picture(upload, etag.of_picture(upload.data, loaded.digest, options)) for upload in uploads]


def _entries(pictures: Sequence[_Picture], answers: Sequence[Answer | Problem], request_id: str) -> list[archive.Entry]:
    suffixes = (
        archive.suffix_of(answer.media_type) if isinstance(answer, Answer) else ".problem.json" for answer in answers
    )
    names = archive.file_names([picture.upload.name for picture in pictures], suffixes)
    entries = []
    for name, picture, answer in zip(names, pictures, answers, strict=True):
        if isinstance(answer, Answer):
            headers = {"ETag": picture.etag, "X-Model": answer.model}
            entries.append(archive.Entry(name, answer.media_type, answer.content, headers))
        else:
            document = answer.document(request_id).model_dump_json().encode()
            entries.append(archive.Entry(name, PROBLEM, document, answer.headers))
    return entries


def _is_known(request: Request, tag: str) -> bool:
    return etag.is_known(request.headers.getlist("If-None-Match"), tag)


def _not_modified(tag: str, loaded: Loaded) -> Response:
    """304 is for GET; our POST changes nothing either, and clients save the work and the answer by it."""
    return Response(status_code=304, headers={"ETag": tag, **_common_headers(loaded)})


def _common_headers(loaded: Loaded) -> dict[str, str]:
    return {"X-Model": loaded.label, "Cache-Control": OF_ONE_CLIENT, "Vary": "Accept"}


def _timing(stages: Iterable[Stage]) -> str:
    """For the header `Server-Timing`; the stages of several pictures are added up."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for stage in stages:
        seconds[stage.name] += stage.seconds
    return ", ".join(f"{name};dur={each * 1000:.1f}" for name, each in seconds.items())

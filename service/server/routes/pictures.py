"""The routes that take pictures and answer with pictures: `/stylize` and `/super-resolve`."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from service import codec
from service.contract.options import Options, StylizeOptions, SuperResolveOptions
from service.contract.problems import MEDIA_TYPE as PROBLEM
from service.contract.problems import BadPicture, Busy, Problem, Unavailable
from service.pipeline.answer import Answer, Stage
from service.pipeline.plan import Plan
from service.server import archive, etag
from service.server.admitted import admitted, make_picture
from service.server.cache_control import OF_ONE_CLIENT
from service.server.limits.deadline import HEADER as DEADLINE_HEADER
from service.server.limits.deadline import deadline
from service.server.limits.disconnect import unless_disconnected
from service.server.limits.upload_rate import at_least_rate
from service.server.openapi import PICTURE_BODY, TRANSFORM_ANSWERS
from service.server.state import State, StateDependency
from service.server.telemetry import tracing
from service.server.telemetry.record import RequestRecord
from service.server.upload import FIELD, Upload, read_uploads

_PERIODS_OF_AN_UPLOAD = 3
"""Number of periods in the time for an upload, in each of which its client has to send some of it."""

router = APIRouter(tags=["pictures"])

DeadlineMs = Annotated[
    Annotated[int, Field(gt=0)] | SkipJsonSchema[None],
    Header(
        alias=DEADLINE_HEADER,
        examples=[5000],
        description="Milliseconds from the request's arrival after which the client waits no more; the answer is then "
        "504. The server may allow less.",
    ),
]


@router.post("/stylize", response_class=Response, responses=TRANSFORM_ANSWERS, openapi_extra=PICTURE_BODY)
async def stylize(
    request: Request,
    state: StateDependency,
    options: Annotated[StylizeOptions, Query()],
    deadline_ms: DeadlineMs = None,
) -> Response:
    """Paint a photo in a style; the answer has the photo's size."""
    return await _serve(request, state, deadline_ms, options)


@router.post("/super-resolve", response_class=Response, responses=TRANSFORM_ANSWERS, openapi_extra=PICTURE_BODY)
async def super_resolve(
    request: Request,
    state: StateDependency,
    options: Annotated[SuperResolveOptions, Query()],
    deadline_ms: DeadlineMs = None,
) -> Response:
    """Enlarge a picture by a factor, to any scale, or to a size."""
    return await _serve(request, state, deadline_ms, options)


class _Picture(NamedTuple):
    """One picture of a request."""

    upload: Upload
    plan: Plan | Problem
    """Plan of the picture, or the problem that it has none."""
    etag: str
    """ETag of the picture's answer."""


async def _serve(request: Request, state: State, deadline_ms: int | None, options: Options) -> Response:
    """Read the pictures of a request, admit it, make them and answer.

    The request holds its place only once its pictures are there, so that slow uploads keep nobody else out; but where
    no place is free before that, it is refused at once.

    A request with several pictures has one deadline. The first picture holds the place of the request, and each other
    one a place of its own. A picture that finds no place, or no room for its pixels, is made after the others.

    Raises:
        Problem: The request cannot be answered; see `service.contract.problems`. The problem of one picture among
            several is part of the answer instead.
    """
    settings = state.settings
    if options.format == "auto":
        preferred = codec.preferred(request.headers.get("Accept", ""))
        options = options.model_copy(update={"format": preferred})
    try:
        key = RequestRecord.of(request).key
        state.admission.check_place(key)
        async with deadline(settings.deadlines, deadline_ms):
            steady = at_least_rate(request.receive, settings.upload_timeout_s / _PERIODS_OF_AN_UPLOAD)
            with state.uploads.hold(steady) as receive:
                counted = Request(request.scope, receive)
                uploads = await read_uploads(counted, settings.upload_timeout_s, settings.max_pictures_per_request)
                with admitted(state, key):
                    return await unless_disconnected(request, _answer(request, state, options, uploads))
    except asyncio.CancelledError:  # the server is stopping, and its grace is over
        raise Unavailable("the server is shutting down: try another", 5) from None


async def _answer(request: Request, state: State, options: Options, uploads: Sequence[Upload]) -> Response:
    if len(uploads) > 1:
        await state.pipeline.check(options)  # what is wrong with every picture is a problem of the request
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_inspect(state, options, upload)) for upload in uploads]
    pictures = [task.result() for task in tasks]
    if len(pictures) == 1:
        return await _answer_with_one(request, state, pictures[0])
    return await _answer_with_all(request, state, pictures)


async def _inspect(state: State, options: Options, upload: Upload) -> _Picture:
    plan = await _plan(state, options, upload)
    inputs = ("", options) if isinstance(plan, Problem) else (plan.transformation.digest, plan.transformation.options)
    return _Picture(upload, plan, await asyncio.to_thread(etag.of_picture, upload.data, *inputs))


async def _plan(state: State, options: Options, upload: Upload) -> Plan | Problem:
    if not upload.data:
        return BadPicture(f"there is no picture in the request: send one as multipart field '{FIELD}' or as the body")
    try:
        return await state.pipeline.inspect(upload.data, options)
    except Problem as problem:
        return problem


async def _answer_with_one(request: Request, state: State, picture: _Picture) -> Response:
    if _is_known(request, picture.etag):
        return _not_modified(picture.etag, [picture])
    answer = await _make(state, picture)
    RequestRecord.of(request).answer = answer
    tracing.record(answer)
    headers = {"ETag": picture.etag, "Server-Timing": _timing(answer.stages), **_common_headers([picture])}
    if answer.frames > 1:
        headers["X-Frames"] = str(answer.frames)
    if answer.is_truncated:
        headers["X-Truncated"] = "true"
    return Response(answer.content, media_type=answer.media_type, headers=headers)


async def _answer_with_all(request: Request, state: State, pictures: Sequence[_Picture]) -> Response:
    media_type = archive.MULTIPART if archive.MULTIPART in request.headers.get("Accept", "") else archive.ZIP
    named = [f"{picture.etag} {picture.upload.name}" for picture in pictures]
    etag_of_all = etag.weak(etag.of_content("\n".join([media_type, *named]).encode()))
    if _is_known(request, etag_of_all):
        return _not_modified(etag_of_all, pictures)
    record = RequestRecord.of(request)
    answers = await _make_all(state, pictures, record)
    made = [answer for answer in answers if isinstance(answer, Answer)]
    entries = _entries(pictures, answers, record.id)
    timing = _timing(stage for answer in made for stage in answer.stages)
    headers = {"Server-Timing": timing, **_common_headers(pictures)}
    if len(made) == len(answers):  # otherwise a later request may get more pictures
        headers["ETag"] = etag_of_all
    if media_type == archive.MULTIPART:
        boundary = etag.opaque(etag_of_all)
        headers["Content-Type"] = f"{media_type}; boundary={boundary}"
        return Response(archive.multipart(entries, boundary), headers=headers)
    return Response(await asyncio.to_thread(archive.zipped, entries), media_type=media_type, headers=headers)


async def _make_all(state: State, pictures: Sequence[_Picture], record: RequestRecord) -> list[Answer | Problem]:
    async def try_to_make(picture: _Picture) -> Answer | Problem:
        try:
            return await _make(state, picture)
        except Problem as problem:
            return problem

    async def try_in_a_place_of_its_own(picture: _Picture) -> Answer | Problem:
        try:
            with admitted(state, record.key):
                return await try_to_make(picture)
        except Busy as problem:
            return problem

    first, *others = pictures
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(try_to_make(first))]
        tasks += [group.create_task(try_in_a_place_of_its_own(picture)) for picture in others]
    return [
        await try_to_make(picture) if isinstance(task.result(), Busy) else task.result()
        for picture, task in zip(pictures, tasks, strict=True)
    ]


async def _make(state: State, picture: _Picture) -> Answer:
    """Make a picture, or wait for another request that is making the same one."""
    plan = picture.plan
    if isinstance(plan, Problem):
        raise plan
    return await state.in_flight.run(picture.etag, lambda: make_picture(state, plan))


def _entries(pictures: Sequence[_Picture], answers: Sequence[Answer | Problem], request_id: str) -> list[archive.Entry]:
    suffixes = (
        archive.suffix_of(answer.media_type) if isinstance(answer, Answer) else ".problem.json" for answer in answers
    )
    names = archive.file_names([picture.upload.name for picture in pictures], suffixes)
    entries = []
    for name, picture, answer in zip(names, pictures, answers, strict=True):
        if isinstance(answer, Answer):
            headers = {"ETag": picture.etag, "X-Model": answer.model}
            if answer.is_truncated:
                headers["X-Truncated"] = "true"
            entries.append(archive.Entry(name, answer.media_type, answer.content, headers))
        else:
            document = answer.document(request_id).model_dump_json().encode()
            entries.append(archive.Entry(name, PROBLEM, document, answer.headers))
    return entries


def _is_known(request: Request, tag: str) -> bool:
    return etag.is_known(request.headers.getlist("If-None-Match"), tag)


def _not_modified(tag: str, pictures: Iterable[_Picture]) -> Response:
    """Return a 304. It is meant for GET, but this POST changes nothing either, and a 304 saves work and bytes."""
    return Response(status_code=304, headers={"ETag": tag, **_common_headers(pictures)})


def _common_headers(pictures: Iterable[_Picture]) -> dict[str, str]:
    models = dict.fromkeys(picture.plan.transformation.model for picture in pictures if isinstance(picture.plan, Plan))
    named = {"X-Model": ", ".join(models)} if models else {}
    return {**named, "Cache-Control": OF_ONE_CLIENT, "Vary": "Accept"}


def _timing(stages: Iterable[Stage]) -> str:
    """Return the header `Server-Timing`; the stages of several pictures are added up."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for stage in stages:
        seconds[stage.name] += stage.seconds
    return ", ".join(f"{name};dur={each * 1000:.1f}" for name, each in seconds.items())

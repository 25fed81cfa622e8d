"""Making pictures within the limits of the server, for HTTP requests and live connections alike."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.pipeline.answer import Answer
from service.pipeline.plan import Plan
from service.server.limits.api_keys import Key
from service.server.limits.deadline import check_time
from service.server.state import State


@contextmanager
def admitted(state: State, key: Key | None) -> Iterator[None]:
    """Hold a place for the work of one client.

    Args:
        state: State of the app.
        key: API key that the client gave, if any.

    Raises:
        Busy: All places of the server or of the key are taken.
    """
    with state.admission.admit(key), state.metrics.in_flight():
        yield


async def make_picture(state: State, plan: Plan) -> Answer:
    """Admit a picture by the pixels of its plan, and make it.

    Args:
        state: State of the app.
        plan: Plan of the picture, which is made only once.

    Raises:
        Busy: Too many pixels are in flight.
        TooLarge: The picture cannot be made before the deadline; see `check_time`.
        Problem: The picture cannot be made; see `Pipeline.make`.
    """
    check_time(plan)
    with state.admission.hold_pixels(plan.pixels):
        answer = await state.pipeline.make(plan)
    state.metrics.picture_made(plan.transformation.options.task, answer)
    return answer

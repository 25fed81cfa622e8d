"""The routes for load balancers and monitoring: health and metrics."""

from fastapi import APIRouter, Request, Response

from service.contract import problems
from service.server.cache_control import NO_STORE
from service.server.openapi import METRICS_ANSWERS, json_answers, problem_answers
from service.server.state import StateDependency

router = APIRouter(tags=["health"])
"""Routes that ask for no API key."""
metrics_router = APIRouter(tags=["health"])
"""Route that asks for an API key on a server that has keys."""


@router.get(
    "/livez",
    responses=json_answers({"status": "live"}) | problem_answers(problems.InternalError, problems.DeviceLost),
)
async def livez(state: StateDependency, response: Response) -> dict[str, str]:
    """Tell whether this process can still serve; if not, restart it."""
    response.headers["Cache-Control"] = NO_STORE
    if not state.engine.is_alive:
        raise problems.DeviceLost("the device is lost: restart the server")
    return {"status": "live"}


@router.get(
    "/readyz",
    responses=json_answers({"status": "ready"})
    | problem_answers(problems.InternalError, problems.Unavailable, problems.DeviceLost),
)
async def readyz(state: StateDependency, response: Response) -> dict[str, str]:
    """Tell whether this process is ready for requests."""
    await livez(state, response)
    if not state.upkeep.is_ready:
        raise problems.Unavailable("the server is starting and loads models: wait until it is ready", 1)
    return {"status": "ready"}


@metrics_router.get("/metrics", response_class=Response, responses=METRICS_ANSWERS)
def metrics(request: Request, state: StateDependency) -> Response:
    """Return the metrics, for Prometheus to scrape."""
    content, media_type = state.metrics.render(request.headers.get("Accept", ""))
    return Response(content, headers={"Content-Type": media_type, "Cache-Control": NO_STORE, "Vary": "Accept"})

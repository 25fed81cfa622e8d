"""A painter that has pictures made by a server."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx

from service.batch.batch import Outcome, Painters
from service.client import AsyncClient, BadOption, ConnectionFailed, NotFound, Unauthorized
from service.client.options import Format, MapOptions


@asynccontextmanager
async def remote_painter(url: str, api_key: str | None, options: MapOptions) -> AsyncIterator[Painters]:
    """Provide a painter that sends pictures to a server; films are not sent.

    Args:
        url: The address of the server.
        api_key: The API key to send, or None for a server that asks for none.
        options: The options of the pictures, except for the format.
    """
    async with AsyncClient(url, api_key=api_key) as client:

        async def paint(pictures: Sequence[Path], format: Format) -> AsyncGenerator[Outcome, None]:  # noqa: A002
            asked: MapOptions = {**options, "format": format}
            async with aclosing(client.map(pictures, return_errors=True, **asked)) as outcomes:
                async for outcome in outcomes:
                    if isinstance(outcome, Exception) and _would_fail_for_all(outcome):
                        raise outcome
                    yield outcome

        yield Painters(paint, None)


def _would_fail_for_all(error: Exception) -> bool:
    """Return whether the error of one picture would come with every other, too."""
    is_out_of_reach = isinstance(error, ConnectionFailed) and isinstance(error.__cause__, httpx.ConnectError)
    return is_out_of_reach or isinstance(error, BadOption | NotFound | Unauthorized)

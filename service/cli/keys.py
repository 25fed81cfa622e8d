"""`impasto keys new`."""

from typing import Annotated

import typer


def new_key(
    name: Annotated[str, typer.Argument(help="Of its owner, for the log and the metrics.")],
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests in flight at once; default: any.")] = None,
) -> None:
    """Make an API key: itself for its owner, and its entry of IMPASTO_API_KEYS, which has only a hash."""
    from service.server.limits import api_keys as keys

    key, entry = keys.make(name, concurrency)
    typer.echo(f"key    {key}\nentry  {entry}")

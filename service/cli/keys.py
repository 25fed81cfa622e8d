"""The command `impasto keys new`."""

from typing import Annotated

import typer


def new_key(
    name: Annotated[str, typer.Argument(help="Name of the key's owner, for the log and the metrics.")],
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Requests in flight at once; no limit if not given.")
    ] = None,
) -> None:
    """Make an API key, and print the key for its owner and its entry for IMPASTO_API_KEYS, which has only a hash."""
    from service.server.limits import api_keys as keys

    key, entry = keys.make(name, concurrency)
    typer.echo(f"key    {key}\nentry  {entry}")

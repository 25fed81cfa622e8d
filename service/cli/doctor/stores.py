"""Examination of the roots of the store: whether each can be reached, and how many models it has."""

import threading
from collections.abc import Iterator
from pathlib import Path

from model_store.card import TASKS
from service.cli.doctor.examination import Fact, Finding

_PATIENCE_S = 15.0
"""Seconds that a root may take to answer."""


def stores() -> Iterator[Fact | Finding]:
    """Report the number of models in each root of the search path, in its order, with the bundled root last."""
    from model_store.root import BUNDLED
    from model_store.settings import StoreSettings

    for root in StoreSettings().roots():
        yield _look(root, root)
    yield _look("bundled", str(BUNDLED))


def _look(name: str, url: str) -> Fact | Finding:
    """Count the models of a root on a thread, which is abandoned when it takes too long."""
    from model_store.errors import StoreError

    seen: list[Fact | Finding] = []

    def look() -> None:
        try:
            seen.append(_count(name, url))
        except StoreError as error:
            seen.append(Finding(str(error)))
        except Exception as error:
            seen.append(
                Finding(
                    f"the store {url} cannot be read: {type(error).__name__}: {error}; "
                    "check its address, its credentials and the network, or take it out of IMPASTO_STORE"
                )
            )

    thread = threading.Thread(target=look, name=f"store-{url}", daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    if not seen:
        return Finding(
            f"the store {url} does not answer within {_PATIENCE_S:.0f} s: check its address and the network, "
            "or take it out of IMPASTO_STORE"
        )
    return seen[0]


def _count(name: str, url: str) -> Fact | Finding:
    from model_store.root import Root

    path = Path(url).expanduser()
    if "://" not in url and not path.is_dir():
        if path.exists():
            return Finding(f"the store {url} is a file: let IMPASTO_STORE name a folder")
        return Fact(name, "there is no such folder yet: the first model that is published makes it", 0)
    root = Root(url)
    models = sum(len(root.names(task)) for task in TASKS)
    return Fact(name, f"{models} models", models)

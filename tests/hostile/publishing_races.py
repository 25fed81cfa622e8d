"""Publish to one store by processes that are killed at random moments, while another reads it and takes versions up.

    python -m tests.hostile.publishing_races --rounds 1000

Every version that a reader sees has to be whole: its card can be read, and its weights have the card's sha256. Versions
have no gaps, a server never goes back to an older one, and after each round a publisher that is left alone publishes
the next. Prints what happened as JSON, and ends with an error where it should not have.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from model_store.nets import build
from model_store.store import Store
from service.contract.blend import Blend
from service.models.loaded import Models

from ..drafts import draft_of

_PUBLISHERS = 2
"""Number of processes that publish at the same time."""
_LONGEST_S = 0.06
"""Largest number of seconds after which a publisher is killed."""
_ROUNDS_A_ROOT = 25
"""Number of rounds after which a new store is begun, because all versions are read again and again."""


def _publish(store: Store, seed: int) -> int:
    draft = draft_of("stylize", "tiny")
    torch.manual_seed(seed)
    return store.publish(draft, build(draft.architecture, draft.parameters).state_dict()).version


def _publisher(root: Path, seed: int) -> int:
    """Start a process that publishes until it is killed, and return its id.

    It is forked, because a new one would first load torch for seconds.
    """
    process = os.fork()
    if process == 0:
        while True:
            _publish(Store(root), seed)
    return process


def run(rounds: int, seed: int) -> dict[str, int]:
    """Run so many rounds, and return how often what happened.

    Raises:
        AssertionError: A reader saw half a model, a gap or an older version.
    """
    torch.set_num_threads(1)
    choose, seen = random.Random(seed), Counter[str]()  # noqa: S311
    folder = Path(tempfile.mkdtemp())
    try:
        for number in range(rounds):
            if number % _ROUNDS_A_ROOT == 0:
                store = Store(folder / f"{number}")
                assert _publish(store, 0) == 1
                models, served = Models(store, torch.device("cpu")), 0
            publishers = [
                _publisher(folder / f"{number - number % _ROUNDS_A_ROOT}", choose.getrandbits(30))
                for _ in range(_PUBLISHERS)
            ]
            times = sorted(time.monotonic() + choose.uniform(0, _LONGEST_S) for _ in publishers)
            try:
                while times:
                    served = _read(store, models, served, seen)
                    if time.monotonic() >= times[0]:
                        _kill(publishers.pop(), seen)
                        times.pop(0)
            finally:
                for each in publishers:
                    _kill(each, seen)
            served = _read(store, models, served, seen)
            newest = store.versions("stylize", "tiny")[-1]
            left = len(list(folder.glob("*/.publishing-*")))
            assert _publish(store, number) == newest + 1
            assert not list(folder.glob("*/.publishing-*")), "a folder of a killed publisher is still there"
            seen["folders left by killed publishers, and removed"] += left
    finally:
        shutil.rmtree(folder)
    return {"rounds": rounds, **seen}


def _kill(process: int, seen: Counter[str]) -> None:
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, "a publisher ended by itself"
    seen["publishers killed"] += 1


def _read(store: Store, models: Models, served: int, seen: Counter[str]) -> int:
    """Read what is there, and return the version that a server would have taken up."""
    versions = store.versions("stylize", "tiny")
    assert versions == list(range(1, len(versions) + 1)), f"there are gaps: {versions}"
    for version in versions[-3:]:
        assert store.open("stylize", "tiny", version).card.version == version
    models.get("stylize", Blend.parse("tiny"))
    models.refresh()
    now = models.served_version("stylize", "tiny") or 0
    assert now >= max(served, versions[-1]), f"version {now} is served after {served}, and {versions[-1]} was there"
    assert [card.version >= versions[-1] for card in store.cards()] == [True]
    seen["reads"] += 1
    seen["versions read"] += min(3, len(versions))
    seen["taken up"] += now > served
    return now


def main() -> None:
    """Run the rounds that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000, help="number of rounds")
    parser.add_argument("--seed", type=int, default=0, help="number that the random moments begin with")
    options = parser.parse_args()
    json.dump(run(options.rounds, options.seed), sys.stdout)


if __name__ == "__main__":
    main()

"""The nets in use: loaded from the store on first use, and blends of them."""

import logging
import re
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from model_store.card import Task, parse_label
from model_store.errors import BadLabel, DamagedModel, ModelNotFound, UnknownArchitecture
from model_store.nets import SelfEnsemble, TransformNet
from model_store.nets.interpolation import interpolate
from model_store.store import Store
from service import blends
from service.cache import Cache
from service.observer import Observer
from service.problems import BadOption, DamagedWeights, UnknownModel

_log = logging.getLogger(__name__)

_Key = tuple[Task, str, int]
_Shares = tuple[tuple[_Key, float], ...]


class Loaded(NamedTuple):
    """A net on the device, ready for use."""

    label: str
    """As in `muse@1`, or `muse@1:0.7,great-wave@1:0.3` of a blend."""
    digest: str
    """Differs where the weights do."""
    net: TransformNet
    self_ensemble: SelfEnsemble
    """Of the same net."""


class Models:
    """Keeps each net that was asked for on the device, and the blends that were used last.

    Args:
        store: where they come from.
        device: where they go.
        most_blend_bytes: of the weights of the blends that are kept.
        observer: is told of each net that is loaded.
    """

    def __init__(
        self,
        store: Store,
        device: torch.device,
        most_blend_bytes: int = 256 * 1024**2,
        observer: Observer | None = None,
    ) -> None:
        self._store = store
        self._device = device
        self._observer = observer or Observer()
        self._newest: dict[tuple[Task, str], int] = {}
        self._nets: Cache[_Key, Loaded] = Cache(self._load, _count_bytes, tell=self._observer.models_kept)
        self._blends: Cache[_Shares, Loaded] = Cache(self._blend, _count_bytes, most_blend_bytes)

    def get(self, task: Task, text: str) -> Loaded:
        """The net of a model or a blend; blocks while it is made.

        Equal blends are one object, however they are written, and so are the names of one model; a name alone is that
        of the version that was the newest when it was first used.

        Args:
            task: what it is for.
            text: see `blends.parse`.

        Raises:
            BadOption: the text is not one of a blend, or its models cannot be blended.
            UnknownModel: a part of it is not there.
            DamagedWeights: it is, but it cannot be used.
        """
        parts = [(self._resolve(task, label), share) for label, share in blends.parse(text)]
        if len(dict(parts)) < len(parts):
            raise BadOption(f"{text!r} names a model twice: give it one share")
        if len(parts) == 1:
            return self._nets.get(parts[0][0])
        return self._blends.get(tuple(sorted(parts, key=lambda part: (-part[1], part[0]))))

    def _resolve(self, task: Task, label: str) -> _Key:
        try:
            name, version = parse_label(label)
        except BadLabel as error:
            raise UnknownModel(_say_what_there_is(task, label, self._store.names(task))) from error
        if version is None:
            version = self._newest.get((task, name))
        if version is None:
            versions = self._store.versions(task, name)
            if not versions:
                raise UnknownModel(_say_what_there_is(task, label, self._store.names(task)))
            version = self._newest[task, name] = versions[-1]
        return task, name, version

    def _load(self, key: _Key) -> Loaded:
        started = time.perf_counter()
        task, name, version = key
        try:
            card, net = self._store.open(task, name, version)
        except ModelNotFound as error:
            raise UnknownModel(_say_what_there_is(task, f"{name}@{version}", error.known)) from error
        except (DamagedModel, UnknownArchitecture) as error:
            _log.error("cannot load %s/%s@%d: %s", task, name, version, error)
            raise DamagedWeights(str(error)) from error
        net = net.to(self._device)
        seconds = time.perf_counter() - started
        _log.info("loaded %s/%s in %.2f s", task, card.label, seconds)
        self._observer.model_loaded(task, card.label, seconds)
        return Loaded(card.label, card.sha256, net, SelfEnsemble(net))

    def _blend(self, parts: _Shares) -> Loaded:
        loaded = [self._nets.get(key) for key, _ in parts]
        shares = [share for _, share in parts]
        label = _join([each.label for each in loaded], shares)
        try:
            net = interpolate([each.net for each in loaded], shares)
        except ValueError as error:
            raise BadOption(f"{label} cannot be blended; blend models of one architecture and size: {error}") from error
        digest = _join([each.digest for each in loaded], shares)
        return Loaded(label, digest, net, SelfEnsemble(net))


def _join(names: Sequence[str], shares: Sequence[float]) -> str:
    return ",".join(f"{name}:{share:g}" for name, share in zip(names, shares, strict=True))


def _count_bytes(loaded: Loaded) -> int:
    return sum(tensor.nbytes for tensor in loaded.net.state_dict().values())


def _say_what_there_is(task: Task, label: str, known: Sequence[str]) -> str:
    if task == "stylize":
        return f"there is no style {label!r}; known: {', '.join(known) or 'none'}"
    kind = label.partition("@")[0].partition("-")[2]
    matches = (re.fullmatch(rf"x([1-9][0-9]*)-{re.escape(kind)}", name) for name in known)
    factors = sorted(int(match[1]) for match in matches if match)
    listed = ", ".join(map(str, factors)) or "none"
    if kind == "pixel-blurred":
        return f"there is no net {label} for blurred pictures; known factors: {listed}; or leave blurred out"
    if kind == "feature":
        return f"there is no net {label} for fidelity below 1; known factors: {listed}; or leave fidelity out"
    return f"there is no net {label} to enlarge by this factor; known factors: {listed}"

"""The nets in use: loaded from the store on first use, blended, kept up to date, and dropped for want of memory."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

import torch

from model_store.card import Task, parse_label
from model_store.errors import BadLabel, DamagedModel, ModelNotFound, UnknownArchitecture
from model_store.naming import factors_of, kind_of
from model_store.nets import SelfEnsemble, TransformNet
from model_store.nets.interpolation import interpolate
from model_store.store import Model, Store
from model_store.suggestion import did_you_mean
from service.contract.blend import Blend, Part
from service.contract.observer import Observer
from service.contract.options import Options
from service.contract.problems import BadOption, DamagedWeights, Problem, Unavailable, UnknownModel
from service.models.cache import Cache

_log = logging.getLogger(__name__)

_Key = tuple[Task, str, int]
_Shares = tuple[tuple[_Key, float], ...]
"""A net alone, or a blend: the largest share first."""

_MOST_PART_BYTES = 64 * 1024**2
_MOST_FOLLOWING_BLENDS = 8


class Loaded(NamedTuple):
    """A net on the device, ready for use."""

    label: str
    """As in `muse@1`, or `muse@1:0.7,great-wave@1:0.3` of a blend."""
    digest: str
    """Differs where the weights do."""
    net: TransformNet
    """In the form that `prepare` gave it."""
    self_ensemble: SelfEnsemble
    """Of the same net."""


class Models:
    """Keeps the nets that were used last on the device, those of models and those of blends alike.

    A name stands for the version that was the newest when it was first asked for, until `refresh` finds a newer one. A
    version that was removed from the store goes on while it is loaded; then its name stands for the newest that is
    left.

    A prepared net may be of no use for interpolation, and to keep the weights it came from would double all. So blends
    are made of parts that are read from the store anew; a few of these stay on the CPU, for other shares of the same.

    Args:
        store: where they come from.
        device: where they go.
        most_bytes: of the weights of all nets that are kept; a request holds on to its net as long as it runs.
        prepare: makes of a net, on the device and as it was trained, the one to run; may change and return the same.
        observer: is told of each net that is loaded.
    """

    def __init__(
        self,
        store: Store,
        device: torch.device,
        most_bytes: float = math.inf,
        *,
        prepare: Callable[[TransformNet], TransformNet] = lambda net: net,
        observer: Observer | None = None,
    ) -> None:
        self._store = store
        self._device = device
        self._prepare = prepare
        self._observer = observer or Observer()
        self._served: dict[tuple[Task, str], int] = {}
        """The version that a name stands for."""
        self._nets: Cache[_Shares, Loaded] = Cache(
            self._make, lambda loaded: _bytes_of(loaded.net), most_bytes, self._observer.models_kept
        )
        self._parts: Cache[_Key, Model] = Cache(self._open, lambda model: _bytes_of(model.net), _MOST_PART_BYTES)
        self._failing: set[_Shares] = set()
        """What could not be made the last time, which is in the log."""
        self._store_fails = False

    def get(self, task: Task, blend: Blend) -> Loaded:
        """Return the net of a model or a blend; block while it is made.

        Equal blends are one object, however they are written, and so are the names of one model.

        Args:
            task: What the net is for.
            blend: The models, and their shares.

        Raises:
            BadOption: The models cannot be blended.
            UnknownModel: a part of it is not there.
            DamagedWeights: it is, but it cannot be used.
            Unavailable: there is not enough memory on the device, or the store cannot be reached.
        """
        try:
            return self._get(task, blend.parts)
        except torch.OutOfMemoryError:
            self.shrink()
            raise Unavailable("there is not enough memory for this model now: try later", 10) from None
        except OSError as error:
            _log.error("cannot load %s/%s: %s", task, blend, error)
            raise Unavailable("this model cannot be loaded now: try later", 10) from error

    async def resolve(self, options: Options) -> Loaded:
        """Return the net that a request's options name, without blocking the event loop; see `get`."""
        return await asyncio.to_thread(self.get, options.task, options.blend)

    def refresh(self) -> None:
        """Looks once for new versions of the names in use.

        One is loaded first, and so are the blends of it that were used last; only then the name stands for it. Requests
        never wait for that, and those that run keep the net they have. Where a new version cannot be used, or the store
        cannot be read, all goes on as it is, the log says why, once, and the next look tries again. Blends that a new
        version is too different for are refused from then on.
        """
        try:
            found = {(*name, served): self._store.versions(*name) for name, served in list(self._served.items())}
        except Exception as error:
            if not self._store_fails:
                _log.warning("cannot look for new versions: %s", error)
            self._store_fails = True
            return
        self._store_fails = False
        for old, versions in found.items():
            for version in reversed(versions):
                if version <= old[2] or self._take_over(old, version):
                    break

    def served_version(self, task: Task, name: str) -> int | None:
        """The version that a name stands for; None before it was asked for."""
        return self._served.get((task, name))

    def is_loaded(self, task: Task, name: str, version: int) -> bool:
        """Whether a net is on the device by itself, not only in blends."""
        return _alone((task, name, version)) in self._nets.kept()

    def shrink(self) -> None:
        """Drops all nets but the one used last; for when the device has no memory left."""
        self._nets.shrink(0)

    def _get(self, task: Task, parts: Sequence[Part]) -> Loaded:
        shares = self._resolve(task, parts)
        try:
            loaded = self._nets.get(shares)
        except UnknownModel:
            if self._resolve(task, parts) == shares:
                raise
            return self._get(task, parts)  # a version that a name stood for was removed, and `_open` forgot it
        names = {part.label for part in parts}
        for (_, name, version), _ in shares:
            if name in names:
                self._served.setdefault((task, name), version)
        return loaded

    def _resolve(self, task: Task, parts: Iterable[Part]) -> _Shares:
        shares = [(self._find(task, label), share) for label, share in parts]
        if len(dict(shares)) < len(shares):
            raise BadOption(f"{_label_of(shares)} names a model twice: give it one share")
        return _ordered(shares)

    def _find(self, task: Task, label: str) -> _Key:
        try:
            name, version = parse_label(label)
        except BadLabel as error:
            raise UnknownModel(_say_what_there_is(task, label, self._store.names(task))) from error
        if version is None:
            version = self._served.get((task, name))
        if version is None:
            versions = self._store.versions(task, name)
            if not versions:
                raise UnknownModel(_say_what_there_is(task, label, self._store.names(task)))
            version = versions[-1]
        return task, name, version

    def _take_over(self, old: _Key, version: int) -> bool:
        """Makes a name stand for a new version, once that and blends of it are loaded; says whether it does."""
        task, name, _ = old
        new = (task, name, version)
        try:
            self._nets.get(_alone(new))
        except Exception:  # `_make` has told the log
            return False
        blends_of_old = [shares for shares in self._nets.kept() if len(shares) > 1 and old in dict(shares)]
        for shares in blends_of_old[-_MOST_FOLLOWING_BLENDS:]:
            with suppress(Exception):  # likewise, and so will be told who asks for it
                self._nets.get(_ordered([(new if key == old else key, share) for key, share in shares]))
        self._served[task, name] = version
        _log.info("%s/%s is %s@%d from now on", task, name, name, version)
        return True

    def _make(self, shares: _Shares) -> Loaded:
        """Reads or blends a net, and makes it ready on the device."""
        started = time.perf_counter()
        label = f"{shares[0][0][0]}/{_label_of(shares)}"
        try:
            digest, net = self._read(shares[0][0]) if len(shares) == 1 else self._blend(shares)
            net = self._prepare(net.to(self._device))
        except (BadOption, UnknownModel):
            raise
        except Exception as error:
            if shares not in self._failing:
                _log.error("cannot load %s: %s", label, error, exc_info=not isinstance(error, Problem))
            self._failing.add(shares)
            raise
        self._failing.discard(shares)
        seconds = time.perf_counter() - started
        _log.info("loaded %s in %.2f s", label, seconds)
        self._observer.model_loaded(shares[0][0][0], _label_of(shares), seconds)
        return Loaded(_label_of(shares), digest, net, SelfEnsemble(net))

    def _read(self, key: _Key) -> tuple[str, TransformNet]:
        card, net = self._open(key)
        return card.sha256, net

    def _blend(self, shares: _Shares) -> tuple[str, TransformNet]:
        models = [self._parts.get(key) for key, _ in shares]
        weights = [share for _, share in shares]
        try:
            net = interpolate([model.net for model in models], weights)
        except ValueError as error:
            raise BadOption(
                f"{_label_of(shares)} cannot be blended; blend models of one architecture and size: {error}"
            ) from error
        return _join([model.card.sha256 for model in models], weights), net

    def _open(self, key: _Key) -> Model:
        task, name, version = key
        try:
            return self._store.open(task, name, version)
        except ModelNotFound as error:
            if self._served.get((task, name)) == version:
                del self._served[task, name]
            raise UnknownModel(_say_what_there_is(task, f"{name}@{version}", error.known)) from error
        except (DamagedModel, UnknownArchitecture) as error:
            raise DamagedWeights(str(error)) from error


def _alone(key: _Key) -> _Shares:
    return ((key, 1.0),)


def _ordered(shares: Iterable[tuple[_Key, float]]) -> _Shares:
    return tuple(sorted(shares, key=lambda part: (-part[1], part[0])))


def _label_of(shares: Sequence[tuple[_Key, float]]) -> str:
    labels = [f"{name}@{version}" for (_, name, version), _ in shares]
    return labels[0] if len(labels) == 1 else _join(labels, [share for _, share in shares])


def _join(names: Sequence[str], shares: Sequence[float]) -> str:
    return ",".join(f"{name}:{share:g}" for name, share in zip(names, shares, strict=True))


def _bytes_of(net: TransformNet) -> int:
    return sum(tensor.nbytes for tensor in (*net.parameters(), *net.buffers()))


def _say_what_there_is(task: Task, label: str, known: Sequence[str]) -> str:
    if task == "stylize":
        return f"there is no style {label!r}{did_you_mean(label, known)}; known: {', '.join(known) or 'none'}"
    kind = kind_of(label)
    factors = [] if kind is None else factors_of(kind, known)
    listed = ", ".join(map(str, factors)) or "none"
    if kind == "pixel-blurred":
        return f"there is no net {label} for blurred pictures; known factors: {listed}; or leave blurred out"
    if kind == "feature":
        return f"there is no net {label} for fidelity below 1; known factors: {listed}; or leave fidelity out"
    return f"there is no net {label} to enlarge by this factor; known factors: {listed}"

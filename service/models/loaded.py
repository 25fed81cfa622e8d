"""The nets in use: loaded from the store on first use, blended, kept up to date, and dropped to free memory."""

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
from model_store.naming import factors_of, full_name, kind_of, light_label, with_light_nets, without_light_nets
from model_store.nets import SelfEnsemble, TransformNet
from model_store.nets.interpolation import interpolate
from model_store.store import Model, Store
from model_store.suggestion import did_you_mean
from service.contract.blend import Blend, Part
from service.contract.observer import Observer
from service.contract.options import Options, StylizeOptions
from service.contract.problems import BadOption, DamagedWeights, Problem, Unavailable, UnknownModel
from service.device.allocator import give_back_freed_memory
from service.device.failures import is_out_of_memory
from service.inference.cuda.graphs import free_memory
from service.models.cache import Cache

_log = logging.getLogger(__name__)

_Key = tuple[Task, str, int]
_Shares = tuple[tuple[_Key, float], ...]
"""The models of a net with their shares, the largest first: one model alone, or several for a blend."""

_MOST_PART_BYTES = 64 * 1024**2
"""Largest number of bytes of the weights that are kept on the CPU as parts of blends."""
_MOST_FOLLOWING_BLENDS = 8
"""Largest number of blends that are made again when a new version takes over, those used last."""


class Loaded(NamedTuple):
    """A net on the device, ready for use."""

    label: str
    """Name and version as in `muse@1`, or `muse@1:0.7,great-wave@1:0.3` for a blend."""
    digest: str
    """Text that differs between nets whose weights differ."""
    net: TransformNet
    """The net in the form that `prepare` gave it."""
    self_ensemble: SelfEnsemble
    """The self-ensemble of the same net."""
    enlarger: TransformNet | None = None
    """The net that enlarges what this net paints, if the options ask for broader strokes."""


class Models:
    """The nets that were used last, of models and of blends alike, which are kept on the device.

    A name stands for the version that was the newest when it was first asked for, until `refresh` finds a newer one. A
    version that is removed from the store stays in use while it is loaded; then its name stands for the newest version
    that is left.

    A prepared net may be useless for interpolation, and keeping the weights that it came from would double the memory.
    So the parts of a blend are read from the store again; a few of them stay on the CPU, for blends with other shares.

    Args:
        store: Store that the models are read from.
        device: Device that the nets run on.
        most_bytes: Bytes of the weights of all nets that are kept. A net that is dropped while a request uses it stays
            in memory until that request ends.
        prepare: Function that makes of a trained net on the device the net to run; it may change and return the same.
        observer: Receiver of events, which is told of each net that is loaded.
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
        """Version that each name stands for."""
        self._nets: Cache[_Shares, Loaded] = Cache(
            self._make, lambda loaded: _bytes_of(loaded.net), most_bytes, self._observer.models_kept
        )
        self._parts: Cache[_Key, Model] = Cache(self._open, lambda model: _bytes_of(model.net), _MOST_PART_BYTES)
        self._failing: set[_Shares] = set()
        """Nets that could not be made the last time, and whose error is in the log."""
        self._store_fails = False

    def get(self, task: Task, blend: Blend) -> Loaded:
        """Return the net of a model or a blend, and block while it is being made.

        Equal blends give the same object, however they are written, and so do all names of one model.

        Args:
            task: Task of the models.
            blend: The models with their shares.

        Raises:
            BadOption: The models cannot be blended.
            UnknownModel: A model of the blend is not in the store.
            DamagedWeights: A model of the blend is in the store, but its files cannot be used.
            Unavailable: There is not enough memory on the device, or the store cannot be reached.
        """
        for _ in range(2):  # once more after memory was freed
            try:
                return self._get(task, blend.parts)
            except OSError as error:
                _log.error("cannot load %s/%s: %s", task, blend, error)
                raise Unavailable("this model cannot be loaded now: try later", 10) from error
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            self.shrink()
            free_memory()
        raise Unavailable("there is not enough memory for this model now: try later", 10)

    async def resolve(self, options: Options) -> Loaded:
        """Return the nets that a request's options name, without blocking the event loop; see `get`."""
        model = await asyncio.to_thread(self.get, options.task, options.blend)
        if not isinstance(options, StylizeOptions) or options.enlarger is None:
            return model
        enlarger = await asyncio.to_thread(self.get, "super-resolve", options.enlarger)
        return model._replace(digest=f"{model.digest} {enlarger.digest}", enlarger=enlarger.net)

    def prefers_light(self, style: Blend) -> bool:
        """Tell whether live pictures are better painted by light nets: on a CPU, where each style has one.

        A style whose version is given is painted by that version.
        """
        if self._device.type != "cpu":
            return False
        try:
            known = self._store.names("stylize")
        except OSError:  # whether the full net can be had will be seen
            return False
        return all(light_label(part.label) in known for part in style.parts)

    def refresh(self) -> None:
        """Look once for new versions of the names in use.

        A new version is loaded first, and so are the blends with it that were used last; only then the name stands for
        it. Requests never wait for that, and running requests keep their nets. If a new version cannot be used, or the
        store cannot be read, the old versions stay in use, the log says why, once, and the next call tries again.
        Blends that the new version does not fit are refused from then on.
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
        """Return the version that a name stands for, or None if the name was never asked for."""
        return self._served.get((task, name))

    def is_loaded(self, task: Task, name: str, version: int) -> bool:
        """Tell whether the net of one version is on the device by itself, not only as a part of blends."""
        return _alone((task, name, version)) in self._nets.kept()

    def shrink(self) -> None:
        """Drop all nets but the one used last, because the device has no memory left."""
        self._nets.shrink(0)

    def _get(self, task: Task, parts: Sequence[Part]) -> Loaded:
        shares = self._resolve(task, parts)
        try:
            loaded = self._nets.get(shares)
        except UnknownModel:
            if self._resolve(task, parts) == shares:
                raise
            return self._get(task, parts)  # the version of a name was removed from the store, and `_open` forgot it
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
            raise UnknownModel(_unknown_model_detail(task, label, self._store.names(task))) from error
        if version is None:
            version = self._served.get((task, name))
        if version is None:
            versions = self._store.versions(task, name)
            if not versions:
                raise UnknownModel(_unknown_model_detail(task, label, self._store.names(task)))
            version = versions[-1]
        return task, name, version

    def _take_over(self, old: _Key, version: int) -> bool:
        """Let a name stand for a new version once that and its blends are loaded; return whether it does."""
        task, name, _ = old
        new = (task, name, version)
        try:
            self._nets.get(_alone(new))
        except Exception:  # `_make` has logged it
            return False
        blends_of_old = [shares for shares in self._nets.kept() if len(shares) > 1 and old in dict(shares)]
        for shares in blends_of_old[-_MOST_FOLLOWING_BLENDS:]:
            with suppress(Exception):  # the next request for this blend gets the error
                self._nets.get(_ordered([(new if key == old else key, share) for key, share in shares]))
        self._served[task, name] = version
        _log.info("%s/%s is %s@%d from now on", task, name, name, version)
        return True

    def _make(self, shares: _Shares) -> Loaded:
        """Read or blend a net, and make it ready on the device."""
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
        give_back_freed_memory()  # of the load, which needs more than the net, and of nets that were dropped before
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
            raise UnknownModel(_unknown_model_detail(task, f"{name}@{version}", error.known)) from error
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


def _unknown_model_detail(task: Task, label: str, known: Sequence[str]) -> str:
    if task == "stylize":
        return _unknown_style_detail(label, known)
    kind = kind_of(label)
    factors = [] if kind is None else factors_of(kind, known)
    listed = ", ".join(map(str, factors)) or "none"
    if kind == "pixel-blurred":
        return f"there is no net {label} for blurred pictures; known factors: {listed}; or leave blurred out"
    if kind == "feature":
        return f"there is no net {label} for fidelity below 1; known factors: {listed}; or leave fidelity out"
    return f"there is no net {label} to enlarge by this factor; known factors: {listed}"


def _unknown_style_detail(label: str, known: Sequence[str]) -> str:
    full = full_name(label.partition("@")[0])
    if full in known:
        listed = ", ".join(with_light_nets(known)) or "none"
        return f"the style {full!r} has no light net {label}; styles that have one: {listed}; or leave light out"
    styles = without_light_nets(known)
    return f"there is no style {label!r}{did_you_mean(full or label, styles)}; known: {', '.join(styles) or 'none'}"

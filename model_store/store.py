"""The store: immutable, numbered versions of models in folders, read through a search path of roots.

A root is any fsspec URL (`/models`, `s3://bucket/models`, `https://…`) and holds

    <root>/<task>/<name>/<version>/card.json, model.safetensors, preview.jpg

Versions are integers from 1 and never change.
"""

import hashlib
import logging
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from model_store.card import NAME_PATTERN, TASKS, Card, Draft, Task
from model_store.errors import CannotPublish, DamagedModel, ModelNotFound, StoreError
from model_store.nets import TransformNet, build
from model_store.root import BUNDLED, Root

__all__ = ["BUNDLED", "Model", "Store", "stored"]

_JPEG = b"\xff\xd8\xff"
_log = logging.getLogger(__name__)


class Model(NamedTuple):
    """A transform net in evaluation mode, float32, on the CPU, with its card."""

    card: Card
    net: TransformNet


class Store:
    """A search path of roots.

    Versions of one name may lie in several roots; where two roots hold the same version, the earlier root wins.
    New models are published to the first root.

    Args:
        *roots: fsspec URLs, searched in this order.
    """

    def __init__(self, *roots: str | os.PathLike[str]) -> None:
        if not roots:
            raise StoreError("a store needs at least one root: a folder or an fsspec URL")
        self._roots = [Root(os.fspath(root)) for root in roots]

    def cards(self) -> list[Card]:
        """The newest readable version of each model, by task and name; a damaged card is logged and left out."""
        cards = []
        for task in TASKS:
            for name in self.names(task):
                for version in reversed(self.versions(task, name)):
                    try:
                        cards.append(self.card(task, name, version))
                        break
                    except DamagedModel as error:
                        _log.warning("left out of the list: %s", error)
        return cards

    def names(self, task: Task) -> list[str]:
        """The names that have at least one version, sorted."""
        return sorted({name for root in self._roots for name in root.names(task)})

    def versions(self, task: Task, name: str) -> list[int]:
        """The versions of a model, oldest first; empty if there is no such model."""
        return sorted(self._roots_by_version(task, name))

    def card(self, task: Task, name: str, version: int | None = None) -> Card:
        """The card of a version, of the newest if none is given.

        Raises:
            ModelNotFound: no such model or version.
            DamagedModel: the card cannot be read.
        """
        root, version = self._find(task, name, version)
        return root.card(task, name, version)

    def open(self, task: Task, name: str, version: int | None = None) -> Model:
        """Reads the weights, checks them against the card and builds the net.

        Raises:
            ModelNotFound: no such model or version.
            DamagedModel: the weights are not those that were published, or do not fit the net.
            UnknownArchitecture: the net is not known to this version of impasto.
        """
        root, version = self._find(task, name, version)
        card = root.card(task, name, version)
        weights = _decode(root.weights(card), card)
        net = build(card.architecture, card.parameters)
        _load(net, weights, card)
        return Model(card, net.eval().requires_grad_(requires_grad=False))

    def preview(self, task: Task, name: str, version: int | None = None) -> bytes | None:
        """The preview picture (JPEG) of a version, or None where there is none.

        Raises:
            ModelNotFound: no such model or version.
        """
        root, version = self._find(task, name, version)
        return root.preview(task, name, version)

    def size(self, card: Card) -> int:
        """The bytes of a model's weights.

        Raises:
            ModelNotFound: no such model or version.
            DamagedModel: they are not there.
        """
        root, _ = self._find(card.task, card.name, card.version)
        return root.size(card)

    def publish(self, draft: Draft, weights: Mapping[str, Tensor], preview: bytes | None = None) -> Card:
        """Adds a model as the next version of its name, with its weights as `stored` has them.

        Args:
            draft: the card so far.
            weights: the state dict of the net that the draft describes.
            preview: a JPEG to show in galleries.

        Returns:
            The card as published.

        Raises:
            CannotPublish: the weights are not finite, the net does not fit them, its factor or its task, the preview is
                no JPEG, or the root cannot be written to.
            UnknownArchitecture: the draft names a net that is not known.
        """
        place = f"{draft.task}/{draft.name}"
        not_finite = [key for key, tensor in weights.items() if not torch.isfinite(tensor).all()]
        if not_finite:
            raise CannotPublish(f"{place}: weights are not finite in {', '.join(not_finite)}")
        if preview is not None and not preview.startswith(_JPEG):
            raise CannotPublish(f"{place}: the preview is not a JPEG")
        kept = stored(weights)
        net = build(draft.architecture, draft.parameters)
        if net.task != draft.task or net.factor != (draft.factor or 1):
            raise CannotPublish(f"{place}: {draft.architecture} is for {net.task} by {net.factor}, and the card is not")
        try:
            net.load_state_dict(kept)
        except RuntimeError as error:
            raise CannotPublish(f"{place}: {error}") from error
        data = safetensors.torch.save(kept)
        while True:
            taken = [version for root in self._roots for version in root.taken(draft.task, draft.name)]
            card = Card(
                **draft.model_dump(exclude={"version", "sha256", "created_at"}),
                version=max(taken, default=0) + 1,
                sha256=hashlib.sha256(data).hexdigest(),
                created_at=datetime.now(UTC).replace(microsecond=0),
            )
            try:
                self._roots[0].write(card, data, preview)
            except FileExistsError:
                continue  # another publisher took this version meanwhile
            except (OSError, NotImplementedError) as error:
                raise CannotPublish(
                    f"cannot write {card.task}/{card.label} to {self._roots[0].url}: {error}"
                ) from error
            return card

    def check_writable(self) -> None:
        """Makes sure, as far as can be told, that models can be published.

        Raises:
            CannotPublish: the first root cannot be written to.
        """
        try:
            self._roots[0].check_writable()
        except OSError as error:
            raise CannotPublish(f"cannot write to the store {self._roots[0].url}: {error}") from error

    def _find(self, task: Task, name: str, version: int | None) -> tuple[Root, int]:
        roots = self._roots_by_version(task, name)
        if not roots:
            raise ModelNotFound(task, name, self.names(task))
        if version is None:
            version = max(roots)
        if version not in roots:
            raise ModelNotFound(task, f"{name}@{version}", [f"{name}@{known}" for known in sorted(roots)])
        return roots[version], version

    def _roots_by_version(self, task: Task, name: str) -> dict[int, Root]:
        if re.fullmatch(NAME_PATTERN, name) is None:
            return {}
        return {version: root for root in reversed(self._roots) for version in root.versions(task, name)}


def stored(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as a store keeps them: float16 where that can hold them, else float32; on the CPU."""
    return {key: _for_storage(tensor.detach().cpu()).contiguous() for key, tensor in weights.items()}


def _for_storage(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    return half if torch.isfinite(half).all() else tensor.to(torch.float32)


def _decode(data: bytes, card: Card) -> dict[str, Tensor]:
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != card.sha256:
        raise DamagedModel(
            f"{card.task}/{card.label} is damaged: the sha256 of its weights is {sha256}, its card says {card.sha256}; "
            "publish it again or restore the file"
        )
    try:
        return safetensors.torch.load(data)
    except SafetensorError as error:
        raise DamagedModel(f"the weights of {card.task}/{card.label} are not safetensors: {error}") from error


def _load(net: TransformNet, weights: Mapping[str, Tensor], card: Card) -> None:
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise DamagedModel(
            f"the weights of {card.task}/{card.label} do not fit {card.architecture}: {error}"
        ) from error

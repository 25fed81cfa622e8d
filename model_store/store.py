"""The store: immutable, numbered versions of models in folders, read through a search path of roots.

A root is any fsspec URL (`/models`, `s3://bucket/models`, `https://…`). It holds

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
"""The first bytes of every JPEG."""
_log = logging.getLogger(__name__)


class Model(NamedTuple):
    """A transform net in evaluation mode, float32, on the CPU, with its card."""

    card: Card
    net: TransformNet


class Store:
    """A store of models, which is a search path of roots.

    Versions of one name may lie in several roots. If two roots have the same version, the earlier root's is used. New
    models are published to the first root.

    Args:
        *roots: Paths or fsspec URLs, which are searched in this order; at least one.

    Raises:
        StoreError: There are no roots, or one cannot be opened.
    """

    def __init__(self, *roots: str | os.PathLike[str]) -> None:
        if not roots:
            raise StoreError("a store needs at least one root: a folder or an fsspec URL")
        self._roots = [Root(os.fspath(root)) for root in roots]

    def cards(self) -> list[Card]:
        """Return the card of each model's newest readable version, by task and name.

        A damaged card is logged, and the version before it is taken.
        """
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
        """Return the names of the models of a task, sorted."""
        return sorted({name for root in self._roots for name in root.names(task)})

    def versions(self, task: Task, name: str) -> list[int]:
        """Return the versions of a model, oldest first; an empty list if there is no such model."""
        return sorted(self._roots_by_version(task, name))

    def card(self, task: Task, name: str, version: int | None = None) -> Card:
        """Return the card of a model, by default of its newest version.

        Raises:
            ModelNotFound: There is no such model or version.
            DamagedModel: The card cannot be read.
        """
        root, version = self._find(task, name, version)
        return root.card(task, name, version)

    def open(self, task: Task, name: str, version: int | None = None) -> Model:
        """Read a model's weights, by default of its newest version, check their sha256 and build the net.

        Raises:
            ModelNotFound: There is no such model or version.
            DamagedModel: The weights are not those that were published, or do not fit the net.
            UnknownArchitecture: This version of impasto does not have the net.
        """
        root, version = self._find(task, name, version)
        card = root.card(task, name, version)
        weights = _decode(root.weights(card), card)
        net = build(card.architecture, card.parameters)
        _load(net, weights, card)
        return Model(card, net.eval().requires_grad_(requires_grad=False))

    def preview(self, task: Task, name: str, version: int | None = None) -> bytes | None:
        """Return the preview of a model, a JPEG, by default of its newest version; None if it has no preview.

        Raises:
            ModelNotFound: There is no such model or version.
        """
        root, version = self._find(task, name, version)
        return root.preview(task, name, version)

    def size(self, card: Card) -> int:
        """Return the size of a model's weights in bytes.

        Raises:
            ModelNotFound: There is no such model or version.
            DamagedModel: The weights are missing.
        """
        root, _ = self._find(card.task, card.name, card.version)
        return root.size(card)

    def publish(self, draft: Draft, weights: Mapping[str, Tensor], preview: bytes | None = None) -> Card:
        """Publish a model as the next version of its name, with its weights in the types that `stored` gives them.

        Args:
            draft: The card, without what publishing adds.
            weights: The state dict of the net that the draft describes.
            preview: A JPEG to show in galleries, or None.

        Returns:
            The card as published.

        Raises:
            CannotPublish: The weights are not finite or do not fit the net, the net is for another task or factor than
                the draft, the preview is not a JPEG, or the root cannot be written to.
            UnknownArchitecture: The draft has a net that this version of impasto does not have.
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
            raise CannotPublish(
                f"{place}: {draft.architecture} is for {net.task} with factor {net.factor}, and the card is for "
                "another task or factor"
            )
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
        """Check that models can be published, as far as that can be known beforehand.

        Raises:
            CannotPublish: The first root cannot be written to.
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
    """Return weights as a store keeps them: on the CPU, in float16 if that can hold a tensor's values, else float32."""
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

"""The import of a net that others published, as the next version of a model of the store."""

import hashlib
from pathlib import Path

from model_store.card import Card, Draft
from model_store.errors import CannotImport
from model_store.exchange.layouts import recognise
from model_store.exchange.weights import read_weights
from model_store.naming import Kind, super_resolution_name
from model_store.nets import build
from model_store.store import Store

_KINDS: tuple[Kind, ...] = ("pixel", "feature", "pixel-blurred")
"""Kinds of nets for super-resolution that servers use."""


def import_model(
    store: Store, path: Path, name: str, *, licence: str, author: str, title: str | None = None, source: str = ""
) -> Card:
    """Publish the weights of a file in the first root of a store.

    Args:
        store: Store to publish to.
        path: File of `torch.save` or safetensors, in a layout that `recognise` knows.
        name: Name of the model; that of a net for super-resolution is of the form `x4-pixel`.
        licence: Licence of the weights.
        author: Author of the weights.
        title: Name of the model for people; by default its name.
        source: Where the file comes from, as its address.

    Raises:
        CannotImport: The file cannot be read, is in no known layout, or the name does not fit.
        CannotPublish: The root cannot be written to.
        OSError: The file cannot be opened.
    """
    found = recognise(read_weights(path))
    net = build(found.architecture, found.parameters)
    names = [super_resolution_name(net.factor, kind) for kind in _KINDS]
    if net.task == "super-resolve" and name not in names:
        raise CannotImport(
            f"{path} enlarges by {net.factor}, and servers would not find it as {name}: call it "
            f"{', '.join(names[:-1])} or {names[-1]}"
        )
    draft = Draft(
        task=net.task,
        name=name,
        title=title or name,
        description=f"Imported from {path.name}, which has the layout of {found.layout}.",
        architecture=found.architecture,
        parameters=found.parameters,
        factor=net.factor if net.task == "super-resolve" else None,
        recipe={
            "imported_from": source or path.name,
            "layout": found.layout,
            "sha256_of_the_file": hashlib.sha256(path.read_bytes()).hexdigest(),
        },
        training_data="Not told by the file.",
        loss_network="Not told by the file.",
        limitations="Not measured here.",
        licence=licence,
        author=author,
    )
    try:
        net.load_state_dict(found.weights)
    except RuntimeError as error:
        raise CannotImport(f"{path} looks like {found.layout}, but does not fit: {error}") from error
    return store.publish(draft, found.weights)

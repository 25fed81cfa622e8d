"""Weights in files that others published, read without executing anything that is in them."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from model_store.errors import CannotImport

_WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model")
"""Keys under which files of trainings keep the weights, beside other things."""
_PREFIX = "module."
"""Beginning of every key of a net that was trained by PyTorch's data parallelism."""

_NO_WEIGHTS = "{} is not a file of weights: give a .pth of torch.save or a .safetensors"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights of a net from a `.safetensors` file or a file of `torch.save`.

    A pickle is read by `torch.load` with `weights_only`, which makes tensors and plain containers and nothing else.

    Returns:
        The tensors in float32, on the CPU, by their keys without prefixes of parallel training.

    Raises:
        CannotImport: The file has no weights, cannot be read, or would execute something.
        OSError: The file cannot be opened.
    """
    found = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    for wrapper in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
            break
    if not isinstance(found, Mapping) or not found:
        raise CannotImport(f"{path} has no weights, but {_describe(found)}: give the state_dict of a net")
    others = [key for key, value in found.items() if not isinstance(value, Tensor)]
    if others:
        raise CannotImport(f"{path} has more than weights ({', '.join(map(str, others[:5]))}): give a net's state_dict")
    return {str(key).removeprefix(_PREFIX): _as_float(value) for key, value in found.items()}


def _read_safetensors(path: Path) -> object:
    try:
        return safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise CannotImport(f"{path} is not a safetensors file: {error}") from error


def _read_pickle(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _looks_like_a_pickle(path):
            raise CannotImport(_NO_WEIGHTS.format(path)) from error
        raise CannotImport(
            f"{path} has more than weights in it, and reading it could execute a program: have its author save the "
            "state_dict alone, or as safetensors"
        ) from error
    except (RuntimeError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CannotImport(_NO_WEIGHTS.format(path)) from error


def _looks_like_a_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == pickle.PROTO or zipfile.is_zipfile(path)


def _as_float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _describe(found: object) -> str:
    return "nothing" if isinstance(found, Mapping) else f"a {type(found).__name__}"

"""Sparse codes of many signals by scikit-learn's orthogonal matching pursuit (Rubinstein et al. 2008)."""

import warnings
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.linear_model import orthogonal_mp_gram
from torch import Tensor

_SIGNALS_AT_ONCE = 8192
"""Number of signals in one call, whose codes are dense: 4 bytes for each signal and atom."""


class SparseCodes(NamedTuple):
    """Each of N signals as a combination of K atoms."""

    atoms: Tensor
    """Numbers of the atoms, int64, `(N, K)`."""
    weights: Tensor
    """Weights of the atoms, float32, `(N, K)`; 0 where a signal needs fewer atoms."""

    def combine(self, dictionary: Tensor) -> Tensor:
        """Return the signals that the codes stand for in a dictionary, `(A, D)` to `(N, D)`."""
        return F.embedding_bag(self.atoms, dictionary, per_sample_weights=self.weights, mode="sum")


def pursue(signals: Tensor, dictionary: Tensor, atoms_each: int) -> SparseCodes:
    """Choose atoms one by one, each the nearest to the residual, and fit the weights of all of them anew.

    Args:
        signals: Float32, `(N, D)`.
        dictionary: Atoms of norm 1, `(A, D)`.
        atoms_each: Number of atoms that a signal gets, K.
    """
    gram = (dictionary @ dictionary.T).numpy()
    codes = [_pursue(part @ dictionary.T, gram, atoms_each) for part in torch.split(signals, _SIGNALS_AT_ONCE)]
    return SparseCodes(*(torch.cat(parts) for parts in zip(*codes, strict=True)))


def _pursue(products: Tensor, gram: NDArray[np.float32], atoms_each: int) -> SparseCodes:
    """Return the codes of the signals that have these scalar products with the atoms, `(N, A)`."""
    with warnings.catch_warnings():  # a signal that needs fewer atoms is no reason to warn
        warnings.filterwarnings("ignore", "Orthogonal matching pursuit ended prematurely", RuntimeWarning)
        dense = orthogonal_mp_gram(gram, products.T.numpy(), n_nonzero_coefs=atoms_each)
    weights = torch.from_numpy(dense).float().view(len(gram), len(products)).T
    atoms = weights.abs().topk(atoms_each, dim=1).indices
    return SparseCodes(atoms, weights.gather(1, atoms))

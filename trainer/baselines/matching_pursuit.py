"""Orthogonal matching pursuit of many signals at once, by the dictionary's Gram matrix (Rubinstein et al. 2008)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_SIGNALS_AT_ONCE = 8192
_RIDGE = 1e-6
"""A signal without anything left finds the same atom again; this keeps its system of equations solvable."""


class SparseCodes(NamedTuple):
    """Each of N signals as a combination of K atoms."""

    atoms: Tensor
    """Their numbers, int64, `(N, K)`."""
    weights: Tensor
    """How much of each, `(N, K)`."""

    def combine(self, dictionary: Tensor) -> Tensor:
        """The signals that the codes stand for in a dictionary, `(A, D)` to `(N, D)`."""
        return F.embedding_bag(self.atoms, dictionary, per_sample_weights=self.weights, mode="sum")


def pursue(signals: Tensor, dictionary: Tensor, atoms_each: int) -> SparseCodes:
    """Chooses atoms one by one, each the nearest to what is left, and fits the weights of all of them anew.

    Args:
        signals: float, `(N, D)`.
        dictionary: atoms of norm 1, `(A, D)`.
        atoms_each: how many atoms a signal gets, K.
    """
    gram = dictionary @ dictionary.T
    codes = [_pursue(part @ dictionary.T, gram, atoms_each) for part in torch.split(signals, _SIGNALS_AT_ONCE)]
    return SparseCodes(*(torch.cat(parts) for parts in zip(*codes, strict=True)))


def _pursue(products: Tensor, gram: Tensor, atoms_each: int) -> SparseCodes:
    """Of the signals that have these scalar products with the atoms, `(N, A)`."""
    left = products
    atoms = torch.empty(len(products), 0, dtype=torch.int64)
    weights = torch.empty(len(products), 0)
    for count in range(1, atoms_each + 1):
        atoms = torch.cat([atoms, left.abs().argmax(1, keepdim=True)], 1)
        among = gram[atoms[:, :, None], atoms[:, None, :]] + _RIDGE * torch.eye(count)
        weights = torch.linalg.solve(among, products.gather(1, atoms))
        left = products - SparseCodes(atoms, weights).combine(gram)
    return SparseCodes(atoms, weights)

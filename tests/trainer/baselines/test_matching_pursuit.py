"""Orthogonal matching pursuit, compared with that of scikit-learn for one signal at a time."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import orthogonal_mp
from torch import Tensor

from trainer.baselines import matching_pursuit
from trainer.baselines.matching_pursuit import pursue


@pytest.fixture
def dictionary() -> Tensor:
    return F.normalize(torch.randn(40, 12, generator=torch.Generator().manual_seed(0)), dim=1)


@pytest.mark.parametrize("atoms_each", [1, 2, 3, 5])
def test_codes_equal_those_of_scikit_learn(dictionary: Tensor, atoms_each: int) -> None:
    signals = torch.randn(30, 12, generator=torch.Generator().manual_seed(1))
    expected = orthogonal_mp(dictionary.T.numpy(), signals.T.numpy(), n_nonzero_coefs=atoms_each).T
    codes = pursue(signals, dictionary, atoms_each)
    dense = np.zeros((30, 40))
    np.put_along_axis(dense, codes.atoms.numpy(), codes.weights.numpy(), axis=1)
    np.testing.assert_allclose(dense, expected, atol=1e-4)


def test_a_signal_that_is_one_atom_is_coded_by_it(dictionary: Tensor) -> None:
    codes = pursue(-2 * dictionary, dictionary, 1)
    assert codes.atoms[:, 0].tolist() == list(range(40))
    torch.testing.assert_close(codes.weights, torch.full((40, 1), -2.0))


def test_codes_combine_to_the_signal(dictionary: Tensor) -> None:
    signals = torch.randn(5, 12)
    torch.testing.assert_close(pursue(signals, dictionary, 12).combine(dictionary), signals, atol=1e-3, rtol=0)


def test_a_signal_of_zeros_has_weights_of_zero(dictionary: Tensor) -> None:
    codes = pursue(torch.zeros(4, 12), dictionary, 3)
    assert torch.equal(codes.weights, torch.zeros(4, 3))


def test_many_signals_are_coded_in_parts(dictionary: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    signals = torch.randn(30, 12)
    whole = pursue(signals, dictionary, 3)
    monkeypatch.setattr(matching_pursuit, "_SIGNALS_AT_ONCE", 7)
    parts = pursue(signals, dictionary, 3)
    assert torch.equal(whole.atoms, parts.atoms)
    torch.testing.assert_close(whole.weights, parts.weights)

"""The interpolation of nets: means of their weights."""

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from model_store.nets import SRCNN, Johnson2016StyleNet, StyleNet, SuperResolutionNet, TransformNet
from model_store.nets.interpolation import interpolate

PICTURES = torch.linspace(0, 1, 2 * 3 * 20 * 24).view(2, 3, 20, 24)


def filled(net: TransformNet, value: float) -> TransformNet:
    for parameter in net.parameters():
        nn.init.constant_(parameter, value)
    return net


def style_net(value: float = 0.0) -> TransformNet:
    return filled(StyleNet(width=4, residual_blocks=1), value)


@pytest.mark.parametrize(("shares", "mean"), [((1, 1), 4.0), ((3, 1), 3.0), ((0.25, 0.75), 5.0), ((0, 7), 6.0)])
def test_weights_are_the_mean_by_shares(shares: Sequence[float], mean: float) -> None:
    result = interpolate([style_net(2.0), style_net(6.0)], shares)
    for parameter in result.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, mean))


def test_any_number_of_nets_can_be_mixed() -> None:
    result = interpolate([style_net(value) for value in (1.0, 2.0, 6.0)], [1, 1, 1])
    torch.testing.assert_close(next(result.parameters()).mean(), torch.tensor(3.0))


@pytest.mark.parametrize(("shares", "place"), [((1, 0), 0), ((0, 1), 1)])
def test_a_share_of_all_gives_exactly_that_net(shares: Sequence[float], place: int) -> None:
    nets = [SuperResolutionNet(2, channels=4, residual_blocks=1).eval() for _ in range(2)]
    with torch.inference_mode():
        torch.testing.assert_close(interpolate(nets, shares)(PICTURES), nets[place](PICTURES), atol=0, rtol=0)


def test_running_statistics_are_mixed_and_counts_are_kept() -> None:
    nets = [Johnson2016StyleNet(width=4) for _ in range(2)]
    nets[1].layers[1].running_mean.fill_(1.0)
    nets[0].layers[1].num_batches_tracked.fill_(9)
    norm = interpolate(nets, [3, 1]).layers[1]
    torch.testing.assert_close(norm.running_mean, torch.full((4,), 0.25))
    assert norm.num_batches_tracked == 9


def test_the_result_is_in_evaluation_mode_and_the_given_nets_are_unchanged() -> None:
    nets = [style_net(1.0).half(), style_net(3.0).train()]
    result = interpolate(nets, [1, 1])
    assert not result.training
    assert {(parameter.dtype, parameter.requires_grad) for parameter in result.parameters()} == {(torch.float32, False)}
    assert [next(net.parameters()).flatten()[0].item() for net in nets] == [1.0, 3.0]
    assert [next(net.parameters()).dtype for net in nets] == [torch.float16, torch.float32]
    assert nets[1].training
    assert all(parameter.requires_grad for net in nets for parameter in net.parameters())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Johnson2016StyleNet(width=4), "StyleNet ×1 and Johnson2016StyleNet ×1 .* architectures differ"),
        (StyleNet(width=8, residual_blocks=1), "two nets of StyleNet .* widths or depths differ, as at decoder.1"),
        (StyleNet(width=4, residual_blocks=2), "widths or depths differ, as at residuals.1"),
    ],
)
def test_nets_of_different_kinds_are_refused(other: TransformNet, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interpolate([style_net(), other], [1, 1])


def test_nets_of_different_factors_are_refused_even_if_their_weights_fit() -> None:
    with pytest.raises(ValueError, match="SRCNN ×4 and SRCNN ×2"):
        interpolate([SRCNN(4), SRCNN(2)], [1, 1])


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((1,), "2 nets need as many shares, not 1"),
        ((2, -1), "shares must be finite, at least 0 and not all 0: 2, -1 will not do"),
        ((0, 0), "0, 0 will not do"),
        ((1, float("nan")), "1, nan will not do"),
        ((1, float("inf")), "1, inf will not do"),
    ],
)
def test_shares_without_a_weighted_mean_are_refused(shares: Sequence[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interpolate([style_net(), style_net()], shares)


def test_an_interpolation_of_no_nets_is_refused() -> None:
    with pytest.raises(ValueError, match="give at least one"):
        interpolate([], [])

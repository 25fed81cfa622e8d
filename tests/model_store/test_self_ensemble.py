"""The self-ensemble of a net: the mean over eight turns and mirrorings."""

import pytest
import torch
from torch import Tensor, nn

from model_store.nets import SRCNN, SelfEnsemble, StyleNet, SuperResolutionNet, TransformNet, bicubic

from ..nets import bicubic_net

SIZES = [(16, 16), (17, 30), (33, 20)]


@pytest.fixture(params=["style-net", "super-resolution-net", "srcnn"])
def net(request: pytest.FixtureRequest) -> TransformNet:
    """Return a net whose result depends on the turn of the picture; the style net also pads to a multiple of 4."""
    torch.manual_seed(0)
    net = {
        "style-net": lambda: StyleNet(width=4, residual_blocks=1),
        "super-resolution-net": lambda: SuperResolutionNet(2, channels=8, residual_blocks=1),
        "srcnn": lambda: SRCNN(2),
    }[request.param]()
    for parameter in list(net.parameters())[-2:]:
        nn.init.normal_(parameter, std=0.2)
    return net.eval()


class Recording(TransformNet):
    """A net that records its inputs, which it accepts in evaluation mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def transform(self, pictures: Tensor) -> Tensor:
        assert not self.training
        self.seen.append(pictures)
        return pictures


class Steep(TransformNet):
    """A net whose result is 3 in the left half and -1 in the right: the mean is 1, and 0.5 if they are clamped."""

    def transform(self, pictures: Tensor) -> Tensor:
        result = torch.full_like(pictures, 3.0)
        result[..., pictures.shape[-1] // 2 :] = -1.0
        return result


def pictures(height: int, width: int) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", SIZES)
@torch.inference_mode()
def test_the_ensemble_is_the_mean_of_the_eight_results_turned_back(net: TransformNet, size: tuple[int, int]) -> None:
    x = pictures(*size)
    expected = [
        net(x),
        net(x.flip(2)).flip(2),
        net(x.flip(3)).flip(3),
        net(x.flip(2, 3)).flip(2, 3),
        net(x.mT).mT,
        net(x.mT.flip(2)).flip(2).mT,
        net(x.mT.flip(3)).flip(3).mT,
        net(x.mT.flip(2, 3)).flip(2, 3).mT,
    ]
    result = SelfEnsemble(net)(x)
    torch.testing.assert_close(result, torch.stack(expected).mean(0), atol=1e-5, rtol=0)
    assert (result - expected[0]).abs().max() > 1e-3


@pytest.mark.parametrize("size", SIZES)
@torch.inference_mode()
def test_a_turned_picture_gives_the_turned_result(net: TransformNet, size: tuple[int, int]) -> None:
    x, ensemble = pictures(*size), SelfEnsemble(net)
    torch.testing.assert_close(ensemble(x.rot90(1, (2, 3))), ensemble(x).rot90(1, (2, 3)), atol=1e-5, rtol=0)
    torch.testing.assert_close(ensemble(x.flip(2)), ensemble(x).flip(2), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_the_ensemble_of_a_net_that_ignores_turns_is_the_net() -> None:
    x = pictures(20, 33)
    torch.testing.assert_close(SelfEnsemble(bicubic_net(4))(x), bicubic.enlarge(x, 4).clamp(0, 1), atol=1e-5, rtol=0)


def test_the_eight_are_different_and_computed_one_after_another() -> None:
    net, x = Recording().train(), pictures(16, 16)
    SelfEnsemble(net)(x)
    assert [each.shape for each in net.seen] == [x.shape] * 8
    assert len({tuple(each.flatten().tolist()) for each in net.seen}) == 8


def test_the_ensemble_has_the_task_factor_and_weights_of_the_net(net: TransformNet) -> None:
    ensemble = SelfEnsemble(net)
    assert (ensemble.task, ensemble.factor) == (net.task, net.factor)
    assert {id(each) for each in ensemble.parameters()} == {id(each) for each in net.parameters()}


def test_each_result_is_clamped_before_the_mean() -> None:
    assert SelfEnsemble(Steep())(pictures(16, 16)).unique().tolist() == [0.5]


def test_a_side_below_16_is_refused(net: TransformNet) -> None:
    with pytest.raises(ValueError, match="40×15 is too small"):
        SelfEnsemble(net)(torch.rand(1, 3, 15, 40))

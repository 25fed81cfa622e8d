"""Nets whose results are known."""

from torch import Tensor, nn

from model_store.nets import SuperResolutionNet, TransformNet


class Identity(TransformNet):
    """A net that returns pictures as they are."""

    def transform(self, pictures: Tensor) -> Tensor:
        return pictures


class Constant(TransformNet):
    """A net that returns the same picture for every input."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self.picture = picture

    def forward(self, pictures: Tensor) -> Tensor:
        return self.picture.expand(len(pictures), -1, -1, -1)


def bicubic_net(factor: int) -> SuperResolutionNet:
    """Return a small super-resolution net whose detail is 0, so that it enlarges like bicubic interpolation."""
    net = SuperResolutionNet(factor, channels=4, residual_blocks=1).eval()
    for parameter in net.last.parameters():
        nn.init.zeros_(parameter)
    return net

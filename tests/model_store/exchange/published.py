"""The architectures whose weights others publish, written out as their papers and keys say, for comparison."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _PaddedConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, enlarged: int = 1) -> None:
        super().__init__()
        self.margin, self.enlarged = kernel // 2, enlarged
        self.conv2d = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, features: Tensor) -> Tensor:
        if self.enlarged > 1:
            features = F.interpolate(features, scale_factor=self.enlarged, mode="nearest")
        return self.conv2d(F.pad(features, (self.margin,) * 4, mode="reflect"))


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _PaddedConv(channels, channels, 3), _PaddedConv(channels, channels, 3)
        self.in1, self.in2 = nn.InstanceNorm2d(channels, affine=True), nn.InstanceNorm2d(channels, affine=True)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.in2(self.conv2(F.relu(self.in1(self.conv1(features)))))


class FastNeuralStyle(nn.Module):
    """The net of PyTorch's example, from pixels to pixels of 0 to 255."""

    def __init__(self, width: int = 32, blocks: int = 5) -> None:
        super().__init__()
        self.blocks = blocks
        self.conv1, self.in1 = _PaddedConv(3, width, 9), nn.InstanceNorm2d(width, affine=True)
        self.conv2, self.in2 = _PaddedConv(width, 2 * width, 3, 2), nn.InstanceNorm2d(2 * width, affine=True)
        self.conv3, self.in3 = _PaddedConv(2 * width, 4 * width, 3, 2), nn.InstanceNorm2d(4 * width, affine=True)
        for number in range(1, blocks + 1):
            self.add_module(f"res{number}", _Block(4 * width))
        self.deconv1, self.in4 = _PaddedConv(4 * width, 2 * width, 3, 1, 2), nn.InstanceNorm2d(2 * width, affine=True)
        self.deconv2, self.in5 = _PaddedConv(2 * width, width, 3, 1, 2), nn.InstanceNorm2d(width, affine=True)
        self.deconv3 = _PaddedConv(width, 3, 9)

    def forward(self, pixels: Tensor) -> Tensor:
        features = F.relu(self.in1(self.conv1(pixels)))
        features = F.relu(self.in2(self.conv2(features)))
        features = F.relu(self.in3(self.conv3(features)))
        for number in range(1, self.blocks + 1):
            features = self.get_submodule(f"res{number}")(features)
        features = F.relu(self.in4(self.deconv1(features)))
        features = F.relu(self.in5(self.deconv2(features)))
        return self.deconv3(features)


class _PlainBlock(nn.Module):
    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv2(F.relu(self.conv1(features))) * self.scale


class PublishedEDSR(nn.Module):
    """EDSR as in BasicSR, from [0, 1] to [0, 1]."""

    def __init__(self, factor: int, channels: int = 64, blocks: int = 16, scale: float = 1.0) -> None:
        super().__init__()
        self.conv_first = nn.Conv2d(3, channels, 3, 1, 1)
        self.body = nn.Sequential(*[_PlainBlock(channels, scale) for _ in range(blocks)])
        self.conv_after_body = nn.Conv2d(channels, channels, 3, 1, 1)
        steps: list[nn.Module] = []
        for _ in range({2: 1, 4: 2, 8: 3}.get(factor, 0)):
            steps += [nn.Conv2d(channels, 4 * channels, 3, 1, 1), nn.PixelShuffle(2)]
        if factor == 3:
            steps += [nn.Conv2d(channels, 9 * channels, 3, 1, 1), nn.PixelShuffle(3)]
        self.upsample = nn.Sequential(*steps)
        self.conv_last = nn.Conv2d(channels, 3, 3, 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        mean = torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)
        first = self.conv_first((pictures - mean) * 255.0)
        features = self.conv_after_body(self.body(first)) + first
        return self.conv_last(self.upsample(features)) / 255.0 + mean


class PublishedSRResNet(nn.Module):
    """SRResNet as in BasicSR, from [0, 1] to [0, 1]."""

    def __init__(self, factor: int, channels: int = 64, blocks: int = 16) -> None:
        super().__init__()
        self.factor = factor
        self.conv_first = nn.Conv2d(3, channels, 3, 1, 1)
        self.body = nn.Sequential(*[_PlainBlock(channels, 1.0) for _ in range(blocks)])
        self.upconv1 = nn.Conv2d(channels, 4 * channels, 3, 1, 1)
        if factor == 4:
            self.upconv2 = nn.Conv2d(channels, 4 * channels, 3, 1, 1)
        self.conv_hr = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv_last = nn.Conv2d(channels, 3, 3, 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.body(F.leaky_relu(self.conv_first(pictures), 0.1))
        features = F.leaky_relu(F.pixel_shuffle(self.upconv1(features), 2), 0.1)
        if self.factor == 4:
            features = F.leaky_relu(F.pixel_shuffle(self.upconv2(features), 2), 0.1)
        detail = self.conv_last(F.leaky_relu(self.conv_hr(features), 0.1))
        return detail + F.interpolate(pictures, scale_factor=self.factor, mode="bilinear", align_corners=False)

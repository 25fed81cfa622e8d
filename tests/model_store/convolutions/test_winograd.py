import pytest
import torch
import torch.nn.functional as F

from service.inference.cpu import winograd


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 64), (36, 20), (5, 7), (1, 3)])
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (32, 16)])
def test_it_is_a_convolution(height: int, width: int, inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    kernel = torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5
    frame = torch.randn(height + 2, width + 2, inputs)
    expected = F.conv2d(frame.permute(2, 0, 1)[None].double(), kernel.double())[0].permute(1, 2, 0)
    made = winograd.convolve(frame, winograd.transform_kernel(kernel))
    torch.testing.assert_close(made.double(), expected, atol=1e-4, rtol=0)


def test_rows_of_a_larger_frame_can_be_convolved() -> None:
    torch.manual_seed(0)
    kernel, frame = winograd.transform_kernel(torch.randn(4, 4, 3, 3)), torch.randn(18, 10, 4)
    whole = winograd.convolve(frame, kernel)
    torch.testing.assert_close(winograd.convolve(frame[4:14], kernel), whole[4:12])


def test_what_it_is_given_stays_as_it_was() -> None:
    frame = torch.randn(9, 9, 4)
    before = frame.clone()
    winograd.convolve(frame, winograd.transform_kernel(torch.randn(4, 4, 3, 3)))
    assert torch.equal(frame, before)

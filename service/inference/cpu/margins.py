"""The margins of frames, which a convolution reads beyond the border of a picture, and the cells of a picture.

Shapes: frames are `(H, W, C)`, those of cells of 2×2 pixels are `(H/2, W/2, 2, 2, C)`, with their margins.
"""

from torch import Tensor


def as_cells(pixels: Tensor) -> Tensor:
    """Return a view of pixels `(2·H, 2·W, C)` as cells `(H, W, 2, 2, C)`."""
    height, width, channels = pixels.shape
    by_row, by_column, _ = pixels.stride()
    shape = (height // 2, width // 2, 2, 2, channels)
    return pixels.as_strided(shape, (2 * by_row, 2 * by_column, by_row, by_column, 1), pixels.storage_offset())


def reflect(frame: Tensor, margin: int = 1, *, top: bool = True, bottom: bool = True) -> None:
    """Fill the margin by reflection.

    Args:
        frame: Frame, or a band of one.
        margin: Width of the margin.
        top: Whether the frame has a margin at the top.
        bottom: Whether the frame has a margin at the bottom.
    """
    for lines, before, after in ((frame, top, bottom), (frame.transpose(0, 1), True, True)):
        for k in range(1, margin + 1):
            if before:
                lines[margin - k] = lines[margin + k]
            if after:
                lines[k - 1 - margin] = lines[-1 - margin - k]


def replicate(frame: Tensor, *, top: bool = True, bottom: bool = True) -> None:
    """Fill the margin of 1 by replication; see `reflect`."""
    for lines, before, after in ((frame, top, bottom), (frame.transpose(0, 1), True, True)):
        if before:
            lines[0] = lines[1]
        if after:
            lines[-1] = lines[-2]


def reflect_cells(frame: Tensor, *, top: bool = True, bottom: bool = True) -> None:
    """Fill the margin of 2 cells by reflection of their pixels; see `reflect`."""
    for axis, before, after in ((0, top, bottom), (1, True, True)):
        even, odd = frame.transpose(0, axis).unbind(2 + axis)
        for k in (1, 2):
            if before:
                even[2 - k], odd[2 - k] = even[2 + k], odd[1 + k]
            if after:
                even[k - 3], odd[k - 3] = even[-2 - k], odd[-3 - k]

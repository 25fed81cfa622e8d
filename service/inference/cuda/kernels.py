"""Triton kernels for the steps between the convolutions of a style net on CUDA.

Features are laid out `(N, H, W, C)` without gaps, or as cells of 2×2 pixels, `(N, H/2, W/2, 4·C)`, with the channels
of a cell ordered `(2·row + column)·C + channel`. Arithmetic is in float32, whatever the features are in.

Grids have one dimension, because CUDA limits the others to 65,535. Sizes of pictures are not specialised on, so that a
kernel is compiled once and not for every size. Offsets have 64 bits wherever they count elements.

Needs triton, which comes with torch's builds for CUDA: import this only where it is needed.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["rows", "parts", "rows_of_part"])
def sum_up(
    features,  # (N, rows, C)
    sums,  # float32 (N, parts, 2, C)
    rows,
    parts,
    rows_of_part,
    CHANNELS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
):
    """Compute the mean of each part's rows, and the sum of the squared differences from it; grid `(N·parts,)`."""
    program = tl.program_id(0)
    picture, part = program // parts, program % parts
    first = part * rows_of_part
    count = tl.minimum(rows - first, rows_of_part)
    channels = tl.arange(0, BLOCK_CHANNELS)
    exists = channels < CHANNELS
    start = features + (picture.to(tl.int64) * rows + first) * CHANNELS
    # Sums of differences from one of the values are more precise, and 0 in a flat picture.
    origin = tl.load(start + channels, mask=exists, other=0).to(tl.float32)
    total = tl.zeros([BLOCK_ROWS, BLOCK_CHANNELS], tl.float32)
    squares = tl.zeros([BLOCK_ROWS, BLOCK_CHANNELS], tl.float32)
    for block in range(0, count, BLOCK_ROWS):
        row = block + tl.arange(0, BLOCK_ROWS)
        mask = (row < count)[:, None] & exists[None, :]
        values = tl.load(start + row.to(tl.int64)[:, None] * CHANNELS + channels[None, :], mask=mask, other=0)
        apart = tl.where(mask, values.to(tl.float32) - origin[None, :], 0)
        total += apart
        squares += apart * apart
    mean = tl.sum(total, 0) / count
    spread = tl.maximum(tl.sum(squares, 0) - mean * mean * count, 0)
    out = sums + program.to(tl.int64) * 2 * CHANNELS + channels
    tl.store(out, origin + mean, mask=exists)
    tl.store(out + CHANNELS, spread, mask=exists)


@triton.jit(do_not_specialize=["rows", "parts", "rows_of_part", "eps"])
def combine(
    sums,  # float32 (N, parts, 2, C), from `sum_up`
    gain,  # float32 (C)
    statistics,  # float32 (N, 2, C)
    rows,
    parts,
    rows_of_part,
    eps,
    CHANNELS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
    BLOCK_PARTS: tl.constexpr,
):
    """Compute the mean of each channel, and its gain over its standard deviation; grid `(N · blocks of channels,)`."""
    blocks: tl.constexpr = (CHANNELS + BLOCK_CHANNELS - 1) // BLOCK_CHANNELS
    program = tl.program_id(0)
    picture = program // blocks
    channels = program % blocks * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    exists = channels < CHANNELS
    start = sums + picture.to(tl.int64) * parts * 2 * CHANNELS + channels
    origin = tl.load(start, mask=exists, other=0)
    apart = tl.zeros([BLOCK_PARTS, BLOCK_CHANNELS], tl.float32)
    for block in range(0, parts, BLOCK_PARTS):
        part = block + tl.arange(0, BLOCK_PARTS)
        count = tl.minimum(rows - part * rows_of_part, rows_of_part)[:, None]
        mask = (part < parts)[:, None] & exists[None, :]
        means = tl.load(start[None, :] + part[:, None] * 2 * CHANNELS, mask=mask, other=0)
        apart += tl.where(mask, (means - origin[None, :]) * count, 0)
    mean = origin + tl.sum(apart, 0) / rows
    spread = tl.zeros([BLOCK_PARTS, BLOCK_CHANNELS], tl.float32)
    for block in range(0, parts, BLOCK_PARTS):
        part = block + tl.arange(0, BLOCK_PARTS)
        count = tl.minimum(rows - part * rows_of_part, rows_of_part)[:, None]
        mask = (part < parts)[:, None] & exists[None, :]
        place = start[None, :] + part[:, None] * 2 * CHANNELS
        difference = tl.load(place, mask=mask, other=0) - mean[None, :]
        within = tl.load(place + CHANNELS, mask=mask, other=0)
        spread += tl.where(mask, within + difference * difference * count, 0)
    variance = tl.sum(spread, 0) / rows
    scale = tl.load(gain + channels, mask=exists, other=0) * tl.rsqrt(variance + eps)
    out = statistics + picture.to(tl.int64) * 2 * CHANNELS + channels
    tl.store(out, mean, mask=exists)
    tl.store(out + CHANNELS, scale, mask=exists)


@triton.jit
def _place_in_cells(y, x, width):
    """Return the place of a pixel in a picture of cells, as the number of pixels before it."""
    return ((y // 2) * (width // 2) + x // 2) * 4 + y % 2 * 2 + x % 2


@triton.jit
def _pixel_at(place, width, IN_CELLS: tl.constexpr):
    """Return the row and column of the pixel at a place."""
    if IN_CELLS:
        cell, quarter = place // 4, place % 4
        y = cell // (width // 2) * 2 + quarter // 2
        x = cell % (width // 2) * 2 + quarter % 2
    else:
        y, x = place // width, place % width
    return y, x


@triton.jit
def _within(position, size, REFLECTS: tl.constexpr):
    """Return the row or column that a position is copied from; borders must be narrower than the picture."""
    if REFLECTS:
        position = tl.where(position < 0, -position, position)
        position = tl.where(position >= size, 2 * size - 2 - position, position)
    # Nothing outside is read then, whatever the sizes, not even for places of the last block beyond the frame.
    return tl.minimum(tl.maximum(position, 0), size - 1)


@triton.jit(do_not_specialize=["height", "width", "blocks"])
def normalise(
    features,  # (N, H, W, C) or cells
    statistics,  # float32 (N, 2, C), from `combine`
    bias,  # float32 (C)
    residual,  # (N, H + 2·RESIDUAL_MARGIN, W + 2·RESIDUAL_MARGIN, C), if any
    frame,  # (N, H + 2·MARGIN, W + 2·MARGIN, C) or cells
    height,
    width,
    blocks,
    CHANNELS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr,
    FROM_CELLS: tl.constexpr,
    TO_CELLS: tl.constexpr,
    MARGIN: tl.constexpr,
    REFLECTS: tl.constexpr,
    ADDS: tl.constexpr,
    RESIDUAL_MARGIN: tl.constexpr,
    LARGEST: tl.constexpr,
):
    """Normalise features, then activate them or add a residual, and write the frame around them; grid `(N·blocks,)`.

    Activated features are shifted so that those of a flat picture are 0; sums leave the bias out. Values that are too
    large for the data type of the frame become the largest that it has.
    """
    program = tl.program_id(0)
    picture = (program // blocks).to(tl.int64)
    place = program % blocks * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    framed_height, framed_width = height + 2 * MARGIN, width + 2 * MARGIN
    y, x = _pixel_at(place, framed_width, TO_CELLS)
    y = _within(y - MARGIN, height, REFLECTS)
    x = _within(x - MARGIN, width, REFLECTS)
    channels = tl.arange(0, BLOCK_CHANNELS)
    exists = channels < CHANNELS
    mask = (place < framed_height * framed_width)[:, None] & exists[None, :]

    source = _place_in_cells(y, x, width) if FROM_CELLS else y * width + x
    start = features + picture * height * width * CHANNELS
    values = tl.load(start + source.to(tl.int64)[:, None] * CHANNELS + channels[None, :], mask=mask, other=0)
    mean = tl.load(statistics + picture * 2 * CHANNELS + channels, mask=exists, other=0)
    scale = tl.load(statistics + (picture * 2 + 1) * CHANNELS + channels, mask=exists, other=0)
    result = (values.to(tl.float32) - mean[None, :]) * scale[None, :]
    if ADDS:
        stride = width + 2 * RESIDUAL_MARGIN
        source = (y + RESIDUAL_MARGIN) * stride + x + RESIDUAL_MARGIN
        start = residual + picture * (height + 2 * RESIDUAL_MARGIN) * stride * CHANNELS
        other = tl.load(start + source.to(tl.int64)[:, None] * CHANNELS + channels[None, :], mask=mask, other=0)
        result += other.to(tl.float32)
    else:
        shift = tl.load(bias + channels, mask=exists, other=0)[None, :]
        result = tl.maximum(result + tl.minimum(shift, 0), -tl.maximum(shift, 0))
    result = tl.minimum(tl.maximum(result, -LARGEST), LARGEST)
    start = frame + picture * framed_height * framed_width * CHANNELS
    tl.store(start + place.to(tl.int64)[:, None] * CHANNELS + channels[None, :], result, mask=mask)


@triton.jit(do_not_specialize=["by_picture", "by_channel", "by_row", "by_column", "height", "width", "blocks"])
def frame_pictures(
    pictures,  # (N, 3, H, W), with strides
    frame,  # cells of 4 channels a pixel, (N, (H + 2·MARGIN) / 2, (W + 2·MARGIN) / 2, 16)
    by_picture,
    by_channel,
    by_row,
    by_column,
    height,
    width,
    blocks,
    MARGIN: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr,
):
    """Write twice the pictures, shifted so that a flat one is 0, with a fourth channel of 0; grid `(N·blocks,)`."""
    program = tl.program_id(0)
    picture = (program // blocks).to(tl.int64)
    place = program % blocks * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    framed_height, framed_width = height + 2 * MARGIN, width + 2 * MARGIN
    y, x = _pixel_at(place, framed_width, True)
    y = _within(y - MARGIN, height, True).to(tl.int64)
    x = _within(x - MARGIN, width, True).to(tl.int64)
    channels = tl.arange(0, 4)
    exists = channels < 3
    is_inside = (place < framed_height * framed_width)[:, None]
    start = pictures + picture * by_picture + channels.to(tl.int64) * by_channel
    middle = (height // 2).to(tl.int64) * by_row + (width // 2).to(tl.int64) * by_column
    origin = tl.load(start + middle, mask=exists, other=0)[None, :]
    source = start[None, :] + (y * by_row + x * by_column)[:, None]
    values = tl.load(source, mask=is_inside & exists[None, :], other=0)
    out = frame + picture * framed_height * framed_width * 4 + place.to(tl.int64)[:, None] * 4 + channels[None, :]
    tl.store(out, 2 * (values - origin), mask=is_inside)


@triton.jit(do_not_specialize=["height", "width", "blocks"])
def paint(
    cells,  # cells of 4 channels a pixel, of which the fourth is ignored, (N, H/2, W/2, 16)
    bias,  # float32 (3)
    pictures,  # float32 (N, H, W, 3)
    height,
    width,
    blocks,
    BLOCK_PIXELS: tl.constexpr,
    IS_BOUNDED: tl.constexpr,
):
    """Add the bias, and apply the scaled tanh of nets that are bounded by one; grid `(N·blocks,)`."""
    program = tl.program_id(0)
    picture = (program // blocks).to(tl.int64)
    place = program % blocks * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    y, x = _pixel_at(place, width, True)
    channels = tl.arange(0, 4)
    exists = channels < 3
    is_inside = (place < height * width)[:, None]
    start = cells + picture * height * width * 4
    values = tl.load(start + place.to(tl.int64)[:, None] * 4 + channels[None, :], mask=is_inside, other=0).to(
        tl.float32
    )
    values += tl.load(bias + channels, mask=exists, other=0)[None, :]
    start = pictures + picture * height * width * 3
    target = (y * width + x).to(tl.int64)[:, None] * 3 + channels[None, :]
    if IS_BOUNDED:  # 0.55·tanh(v) + 0.5, by the exponential function alone
        values = 1.1 * tl.sigmoid(2 * values) - 0.05
    tl.store(start + target, values, mask=is_inside & exists[None, :])

"""How a large picture becomes the small one that super-resolution starts from."""

from torch import Tensor

from model_store.nets import bicubic


def degrade(pictures: Tensor, factor: int) -> Tensor:
    """Bicubic shrinking of 8-bit pictures, the standard protocol of the ×4 literature.

    Args:
        pictures: float RGB in [0, 1], `(N, 3, H, W)`.
        factor: divides H and W.

    Returns:
        `(N, 3, H/factor, W/factor)`, rounded to multiples of 1/255.

    Raises:
        ValueError: the factor does not divide the size.
    """
    return bicubic.shrink(pictures, factor, eight_bit=True)

"""The pace of a device: how fast it computed nets so far, from which the seconds of a picture are known beforehand."""

import threading
from collections import defaultdict, deque
from weakref import WeakKeyDictionary

from model_store.nets import TransformNet

_REMEMBERED = 32
"""Number of the last batches of one kind and size from which the pace is known."""

_Kind = tuple[type[TransformNet], int, int]
"""Class, factor and number of weights of a net: nets that have these in common take the same time."""


class Pace:
    """The fastest seconds per pixel of the last batches, by kind of net and by size; used by several threads.

    The fastest batch had the device for itself. So what is foreseen is the least time that a picture takes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_kind: defaultdict[_Kind, dict[int, deque[float]]] = defaultdict(dict)
        """Seconds per pixel by the number of bits of the number of pixels, because small pictures take longer."""
        self._kinds: WeakKeyDictionary[TransformNet, _Kind] = WeakKeyDictionary()
        """Kinds of the nets that were seen, so that weights are counted once and not for each batch."""

    def record(self, net: TransformNet, pixels: int, count: int, seconds: float) -> None:
        """Remember how long a batch took.

        Args:
            net: Net that computed the batch.
            pixels: Number of pixels of each picture.
            count: Number of pictures.
            seconds: Seconds that the batch took.
        """
        with self._lock:
            rates = self._by_kind[self._kind(net)].setdefault(pixels.bit_length(), deque(maxlen=_REMEMBERED))
            rates.append(seconds / (pixels * count))

    def seconds(self, net: TransformNet, pixels: int) -> float | None:
        """Return the least seconds that a picture takes, or None if no such net has computed anything yet.

        Args:
            net: Net that is to compute the picture.
            pixels: Number of pixels of the picture.
        """
        with self._lock:
            by_bits = self._by_kind.get(self._kind(net))
            if not by_bits:
                return None
            nearest = min(by_bits, key=lambda bits: abs(bits - pixels.bit_length()))
            return pixels * min(by_bits[nearest])

    def _kind(self, net: TransformNet) -> _Kind:
        if net not in self._kinds:
            weights = sum(tensor.numel() for tensor in net.state_dict().values())
            self._kinds[net] = type(net), net.factor, weights
        return self._kinds[net]

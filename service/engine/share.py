"""The share of the device that a large picture leaves to others, which are let in between its pieces."""

import time
from collections.abc import Callable

_SECONDS_FOR_OTHERS = 0.5
"""Seconds of other pictures for each second of the large one, which so loses at most a third of its speed."""
_MOST_SAVED_S = 1.0
"""Largest number of seconds that are saved for others while none wait."""


class Share:
    """The seconds of one large picture, and those that are given to others while it is paused.

    It begins when the large picture does. Only one thread may use it at a time.

    Args:
        clock: Function that returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.given = 0.0
        """Seconds that others were given in pauses that are over."""
        self.is_paused = False
        """Whether the large picture is paused, so that others have the device."""
        self._clock = clock
        self._counted = self._began_pause = clock()
        self._saved = 0.0

    def is_others_turn(self) -> bool:
        """Tell whether others may be let in now, or still be let in during a pause."""
        now = self._clock()
        self._saved += (now - self._counted) * (-1 if self.is_paused else _SECONDS_FOR_OTHERS)
        self._saved = min(_MOST_SAVED_S, self._saved)
        self._counted = now
        return self._saved > 0

    def pause(self) -> None:
        """Begin to count time as given to others, unless that has begun already."""
        if not self.is_paused:
            self.is_others_turn()
            self.is_paused, self._began_pause = True, self._counted

    def resume(self) -> None:
        """Count time as that of the large picture again, if it was paused."""
        if self.is_paused:
            self.is_others_turn()
            self.is_paused = False
            self.given += self._counted - self._began_pause

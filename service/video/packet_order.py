"""The times of encoded packets."""

from fractions import Fraction

from service.video.source import Frame, Packet


class PacketOrder:
    """The times of encoded packets: durations are those of the frames, and times of decoding grow.

    Args:
        time_base: Seconds of a unit of time.
        ends_by_last_packet: Whether the film's length in the file is the sum of the times between packets, as in MP4.
    """

    def __init__(self, time_base: Fraction, *, ends_by_last_packet: bool) -> None:
        self._time_base = time_base
        self._ends_by_last_packet = ends_by_last_packet
        self._durations: dict[int, int] = {}
        self._held: Packet | None = None
        self._last_dts: int | None = None
        self._shift = 0
        self._end: int | None = None

    def expect(self, frame: Frame) -> None:
        """Remember how long a frame is shown, before its packet comes."""
        self._durations[frame.pts] = frame.duration
        self._end = frame.pts + frame.duration

    def put(self, packet: Packet) -> list[Packet]:
        """Take a packet, and return those that can be written: the last one is held back until the next comes."""
        scale = packet.time_base / self._time_base
        pts = round((packet.pts or 0) * scale)
        earliest = pts if self._last_dts is None else self._last_dts + 1
        dts = earliest if packet.dts is None else round(packet.dts * scale)  # Matroska knows no times of decoding
        if self._last_dts is None:
            self._shift = pts - dts
        else:  # an encoder's first packets are decoded before its first frame is shown, when earlier ones still are
            dts = max(dts, earliest)
        self._last_dts = dts
        packet.pts, packet.dts, packet.time_base = pts, dts, self._time_base
        packet.duration = self._durations.pop(pts, round((packet.duration or 0) * scale))
        ready = [] if self._held is None else [self._held]
        self._held = packet
        return ready

    def last(self) -> list[Packet]:
        """Return the packet that is held back, if there is one, when no other comes after it."""
        if self._held is None:
            return []
        if self._ends_by_last_packet and self._end is not None and self._last_dts is not None:
            self._held.duration = max(1, self._end - self._shift - self._last_dts)
        return [self._held]

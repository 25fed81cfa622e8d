"""Paint what a camera sees, or a folder of frames, over the live WebSocket.

    python examples/camera.py
    python examples/camera.py --frames photos/

Paintings are written to `live/0001.jpg` and so on. Install it by `pip install websockets` and, for a camera,
`pip install opencv-python`; start a server by `make serve`. Ctrl-C ends it.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from websockets.sync.client import ClientConnection, connect


def read_frames(folder: Path | None) -> Iterator[bytes]:
    """Yield the pictures of a folder, or the frames of the first camera as JPEG."""
    if folder is not None:
        yield from (path.read_bytes() for path in sorted(folder.iterdir()))
        return
    import cv2  # noqa: PLC0415  (only a camera needs it)

    device = cv2.VideoCapture(0)
    while (taken := device.read())[0]:
        yield cv2.imencode(".jpg", taken[1])[1].tobytes()


def paint(connection: ClientConnection, frame: bytes) -> bytes | None:
    """Send a frame and return its painting, or None where the server was too busy for it."""
    connection.send(frame)
    while isinstance(message := connection.recv(), str):  # the server's status, about once a second
        status = json.loads(message)
        if "problem" in status:
            raise SystemExit(status["problem"]["detail"])
        if status["refused"]:
            print(status["refused"])
            return None
    return message


def main() -> None:
    """Read the command line, and paint until the frames end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, help="a folder of pictures; the camera if not given")
    parser.add_argument("--output", type=Path, default=Path("live"))
    parser.add_argument("--style", default="muse")
    parser.add_argument("--url", default="ws://localhost:8000")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with connect(f"{options.url}/stylize/live?style={options.style}") as live:
        for number, frame in enumerate(read_frames(options.frames), start=1):
            if painting := paint(live, frame):
                (options.output / f"{number:04}.jpg").write_bytes(painting)


if __name__ == "__main__":
    main()

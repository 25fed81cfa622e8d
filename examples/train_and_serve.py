"""Train a style on a painting, serve it, and paint a photo in it.

    python examples/train_and_serve.py painting.jpg photos/ photo.jpg
    python examples/train_and_serve.py painting.jpg photos/ photo.jpg --from muse --recipe laptop

Options that this program does not know are those of `impasto train style`. The style is published to `IMPASTO_STORE`,
and the painting is written to `painted.jpg`. Install everything by `pip install '.[serve,train]'`.
"""

import argparse
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from impasto import Client


@contextmanager
def serving() -> Iterator[str]:
    """Run a server on a free port as long as the `with` block; the value is its address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(["impasto", "serve", "--port", str(port)])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Read the command line, train, serve, paint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("painting", type=Path, help="what the style is learnt from")
    parser.add_argument("photos", type=Path, help="a folder of photos to train on")
    parser.add_argument("photo", type=Path, help="what is painted in the end")
    parser.add_argument("--name", default="my-style")
    options, training = parser.parse_known_args()
    command = ["impasto", "train", "style", options.painting, "--photos", options.photos, "--name", options.name]
    subprocess.run([*command, *training], check=True)
    with serving() as url, Client(url, retries=9) as client:  # repeated with growing pauses until the server answers
        answer = client.stylize(options.photo, style=options.name)
        print(f"{answer.save('painted.jpg')} was painted by {answer.model}")


if __name__ == "__main__":
    main()

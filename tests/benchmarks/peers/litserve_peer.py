"""A peer of the benchmarks: style transfer behind LitServe, which forms batches.

    pip install litserve
    python tests/benchmarks/peers/litserve_peer.py --port 8002
    curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' 'localhost:8002/stylize?style=muse' -o painting.jpg

It uses the weights of `impasto serve`, on the same device with all cores, and answers the same JPEGs. LitServe gathers
up to 16 requests for up to `--batch-timeout` seconds; those of one style and size go through the net together, in eager
float32. LitServe's fast queue between processes is on. Its documentation proposes several `--workers` per device, each
with its own copy of the nets: try which number is best on your machine.
"""

import argparse
import functools
import io
from collections import defaultdict
from typing import Annotated, NamedTuple

import litserve
import numpy as np
import torch
from fastapi import Depends, Request, Response
from PIL import Image
from torch import Tensor

from model_store.nets import TransformNet
from model_store.settings import StoreSettings

MAX_BATCH_SIZE = 16


class Upload(NamedTuple):
    """An upload, as it is sent to a worker process."""

    style: str
    data: bytes


class Picture(NamedTuple):
    """A decoded picture with the style to paint it in."""

    style: str
    pixels: Tensor
    """RGB, uint8 `(H, W, 3)`."""


async def upload(request: Request, style: str = "muse") -> Upload:
    """Read the raw body, in the process that speaks HTTP."""
    return Upload(style, await request.body())


class Painter(litserve.LitAPI):
    """The work on batches in a worker process."""

    def setup(self, device: str) -> None:
        """Load a net, before the first request."""
        self.place = torch.device(device)
        self.store = StoreSettings().open()
        self.load = functools.cache(self._load)
        self.load("muse")

    def decode_request(self, request: Annotated[Upload, Depends(upload)]) -> Picture:
        """Decode one upload."""
        pixels = np.array(Image.open(io.BytesIO(request.data)).convert("RGB"))
        return Picture(request.style, torch.from_numpy(pixels))

    @torch.inference_mode()
    def predict(self, pictures: list[Picture]) -> list[Tensor]:
        """Paint the pictures of a batch, those of one style and size together."""
        alike = defaultdict(list)
        for index, picture in enumerate(pictures):
            alike[picture.style, picture.pixels.shape].append(index)
        paintings: dict[int, Tensor] = {}
        for (style, _), indices in alike.items():
            batch = torch.stack([pictures[index].pixels for index in indices]).to(self.place)
            results = self.load(style)(batch.permute(0, 3, 1, 2).float() / 255)
            paintings |= zip(indices, (results * 255).round().byte().permute(0, 2, 3, 1).cpu(), strict=True)
        return [paintings[index] for index in range(len(pictures))]

    def encode_response(self, output: Tensor) -> Response:
        """Encode one painting."""
        buffer = io.BytesIO()
        Image.fromarray(output.numpy()).save(buffer, "JPEG", quality=90, subsampling="4:4:4")
        return Response(buffer.getvalue(), media_type="image/jpeg")

    def _load(self, style: str) -> TransformNet:
        return self.store.open("stylize", style).net.to(self.place)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8002)
    parser.add_argument("--batch-timeout", type=float, default=0.005)
    parser.add_argument("--workers", type=int, default=1, help="workers per device")
    options = parser.parse_args()
    api = Painter(max_batch_size=MAX_BATCH_SIZE, batch_timeout=options.batch_timeout, api_path="/stylize")
    server = litserve.LitServer(api, workers_per_device=options.workers, timeout=False, fast_queue=True)
    server.run(host="127.0.0.1", port=options.port, generate_client_file=False, log_level="warning")

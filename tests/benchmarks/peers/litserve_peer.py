"""A peer: style transfer behind LitServe, which batches.

    pip install litserve
    python tests/benchmarks/peers/litserve_peer.py --port 8002
    curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' 'localhost:8002/stylize?style=muse' -o painting.jpg

It has the weights that `impasto serve` has, on the same device with all cores, and answers the same JPEGs. LitServe
gathers up to 16 requests for up to `--batch-timeout` seconds; those of one style and size go through the net together,
in eager float32. Its queue between processes is the fast one. Its documentation proposes several `--workers` a device,
each with its own copy of the nets: try what is best where you measure.
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
    """What goes to a worker process."""

    style: str
    data: bytes


class Picture(NamedTuple):
    """uint8 RGB, `(H, W, 3)`, and what to paint it in."""

    style: str
    pixels: Tensor


async def upload(request: Request, style: str = "muse") -> Upload:
    """Reads the raw body, in the process that speaks HTTP."""
    return Upload(style, await request.body())


class Painter(litserve.LitAPI):
    """The life of a batch in a worker process."""

    def setup(self, device: str) -> None:
        """Before the first request."""
        self.place = torch.device(device)
        self.store = StoreSettings().open()
        self.load = functools.cache(self._load)
        self.load("muse")

    def decode_request(self, request: Annotated[Upload, Depends(upload)]) -> Picture:
        """One upload's pixels."""
        pixels = np.array(Image.open(io.BytesIO(request.data)).convert("RGB"))
        return Picture(request.style, torch.from_numpy(pixels))

    @torch.inference_mode()
    def predict(self, pictures: list[Picture]) -> list[Tensor]:
        """Paints the pictures of a batch, those of one style and size at once."""
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
        """One answer."""
        buffer = io.BytesIO()
        Image.fromarray(output.numpy()).save(buffer, "JPEG", quality=90, subsampling="4:4:4")
        return Response(buffer.getvalue(), media_type="image/jpeg")

    def _load(self, style: str) -> TransformNet:
        return self.store.open("stylize", style).net.to(self.place)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8002)
    parser.add_argument("--batch-timeout", type=float, default=0.005)
    parser.add_argument("--workers", type=int, default=1, help="per device")
    options = parser.parse_args()
    api = Painter(max_batch_size=MAX_BATCH_SIZE, batch_timeout=options.batch_timeout, api_path="/stylize")
    server = litserve.LitServer(api, workers_per_device=options.workers, timeout=False, fast_queue=True)
    server.run(host="127.0.0.1", port=options.port, generate_client_file=False, log_level="warning")

"""A peer of the benchmarks: style transfer behind FastAPI, as a good engineer writes it by hand in an afternoon.

    python tests/benchmarks/peers/handwritten.py --port 8001
    curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' 'localhost:8001/stylize?style=muse' -o painting.jpg

It uses the weights of `impasto serve`, on the same device with all cores, and answers the same JPEGs. Pictures are
decoded and encoded in parallel in FastAPI's thread pool, where Pillow releases the GIL. A lock lets one picture at a
time to the net, which runs in eager float32, because pictures may have any size. The server forms no batches, sets no
limits and checks nothing.
"""

import argparse
import functools
import io
import threading
from typing import Annotated

import numpy as np
import torch
import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from PIL import Image

from model_store.nets import TransformNet
from model_store.settings import StoreSettings

app = FastAPI()
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
store = StoreSettings().open()
lock = threading.Lock()


@functools.cache
def load(style: str) -> TransformNet:
    """Return the net of a style, in evaluation mode, on the device."""
    return store.open("stylize", style).net.to(device)


async def upload(request: Request) -> bytes:
    """Return the raw body."""
    return await request.body()


@app.post("/stylize")
def stylize(data: Annotated[bytes, Depends(upload)], style: str = "muse") -> Response:
    """Paint the picture in the body; FastAPI runs this in its thread pool."""
    pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(data)).convert("RGB")))
    with lock, torch.inference_mode():
        picture = pixels.to(device).permute(2, 0, 1)[None].float() / 255
        painting = (load(style)(picture)[0] * 255).round().byte().permute(1, 2, 0).cpu()
    buffer = io.BytesIO()
    Image.fromarray(painting.numpy()).save(buffer, "JPEG", quality=90, subsampling="4:4:4")
    return Response(buffer.getvalue(), media_type="image/jpeg")


@app.get("/health")
async def health() -> str:
    """Answer that the server listens."""
    return "ok"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8001)
    uvicorn.run(app, port=parser.parse_args().port, log_level="warning")

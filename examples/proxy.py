"""Offer portraits to your own users: a FastAPI application in front of an Impasto server.

    IMPASTO_URL=http://localhost:8000 python examples/proxy.py --port 8001
    curl -F photo=@photo.jpg localhost:8001/portraits -o portrait.webp

The application decides what can be asked for, and keeps the server's API key (`IMPASTO_API_KEY`) to itself. Install it
by `pip install . fastapi python-multipart uvicorn`, and start a server by `make serve`.
"""

import argparse
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response, UploadFile

from impasto import AsyncClient, Busy, ConnectionFailed, ProblemError


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep one client, and its connections, as long as the application runs."""
    url = os.environ.get("IMPASTO_URL", "http://localhost:8000")
    async with AsyncClient(url, api_key=os.environ.get("IMPASTO_API_KEY"), deadline=20) as client:
        app.state.client = client
        yield


app = FastAPI(title="Portraits", lifespan=lifespan)


@app.post("/portraits")
async def portraits(photo: UploadFile, request: Request) -> Response:
    """Paint a photo, 256 pixels at its longest side."""
    client: AsyncClient = request.app.state.client
    try:
        answer = await client.stylize(await photo.read(), style="muse", size=256, format="webp")
    except Busy as problem:
        raise HTTPException(503, "many portraits are being painted: try again soon") from problem
    except ProblemError as problem:
        raise HTTPException(problem.status, problem.detail) from problem
    except ConnectionFailed as failure:
        raise HTTPException(502, "the painter cannot be reached") from failure
    return Response(answer.content, media_type=answer.media_type, headers={"X-Model": answer.model})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8001)
    uvicorn.run(app, port=parser.parse_args().port)

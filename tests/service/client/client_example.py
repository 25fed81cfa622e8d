"""An application that uses all of the client, which the tests check with mypy as strictly as the project itself."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from impasto import Answer, AsyncClient, Busy, Card, Client, ClientError, ProblemError, Progress


def paint(url: str, key: str) -> float:
    """Paint and enlarge one picture of each kind that the client takes."""
    with Client(url, api_key=key, timeout=httpx.Timeout(10, read=60), retries=1, deadline=30) as client:
        answer: Answer = client.stylize("in.jpg", style="muse")
        path: Path = answer.save("out.jpg")
        image: Image.Image = client.stylize(Image.open(path), style={"muse": 0.7, "candy": 0.3}, strength=0.5).to_pil()
        client.super_resolve(np.asarray(image, dtype=np.uint8), factor=2, format="webp", quality=80)
        with path.open("rb") as file:
            client.super_resolve(file, fidelity=0.5, match_histogram=True)
        cards: list[Card] = client.models()
        print(cards[0].label, answer.model)
    return answer.timing["net"]


def paint_many(client: Client, photos: list[Path]) -> None:
    """Paint many photos, ending at the first that fails."""
    for photo, answer in zip(photos, client.map(photos, style="muse", size=1024), strict=True):
        answer.save(photo.with_suffix(".out.jpg"))


def say(progress: Progress) -> None:
    """Print the progress of a `map`."""
    print(f"{progress.done + progress.failed} of {progress.total}")


async def enlarge_many(url: str, pictures: list[bytes]) -> list[Answer]:
    """Enlarge many pictures, leaving out those that fail."""
    answers = []
    async with AsyncClient(url) as client:
        outcomes = client.map(pictures, factor=4, concurrency=16, on_progress=say, return_errors=True)
        async with aclosing(outcomes):
            async for outcome in outcomes:
                if isinstance(outcome, Exception):
                    print(describe(outcome))
                else:
                    answers.append(outcome)
    return answers


def describe(error: Exception) -> str:
    """Return what went wrong in a few words, by the class of the error."""
    match error:
        case Busy():
            return "try later"
        case ProblemError(status=status, request_id=request_id):
            return f"{status}, request {request_id}"
        case ClientError(request_id=request_id):
            return f"no answer, request {request_id}"
        case _:
            return str(error)


if __name__ == "__main__":
    asyncio.run(enlarge_many("http://localhost:8000", []))

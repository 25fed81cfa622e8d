"""Cards of nets that are made for the tests."""

from typing import Any

from model_store.card import Draft, Task


def draft_of(task: Task, name: str, width: int = 4, factor: int = 2, **changes: Any) -> Draft:
    """Return the draft of a net with one residual block.

    Args:
        task: `StyleNet` paints, `SuperResolutionNet` enlarges.
        name: in the store.
        width: channels.
        factor: of an enlargement.
        changes: to other fields of the card.
    """
    if task == "stylize":
        net: dict[str, Any] = {
            "architecture": "style-net",
            "parameters": {"width": width, "residual_blocks": 1},
            "factor": None,
        }
    else:
        net = {
            "architecture": "super-resolution-net",
            "parameters": {"factor": factor, "channels": width, "residual_blocks": 1},
            "factor": factor,
        }
    about = {
        "title": name,
        "description": "For tests.",
        "recipe": {},
        "training_data": "none",
        "loss_network": "none",
        "licence": "Apache-2.0",
        "author": "tests",
    }
    return Draft.model_validate({"task": task, "name": name} | net | about | changes)

"""The figures of the benchmarks, beside the ceilings measured in the same run and the figures that are wanted."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

NET_MS_WANTED = {(256, 32): 0.052, (1024, 1): 0.85, (1024, 4): 0.85}
"""Most milliseconds a picture for a style net, by side and batch: twice its arithmetic on an H100 or H200."""
SERVED_WANTED = {256: 10.0, 1024: 6.0}
"""Least ratio to the better peer's pictures a second, by side."""


class Figure(NamedTuple):
    """One measured figure."""

    name: str
    value: float
    unit: str
    ceiling: float | None = None
    """Best value that the device allows, in the same unit."""
    beside: str = ""
    """The same figure of the peers, as text."""
    wanted: str = ""
    """The wanted value, as text."""
    is_met: bool | None = None


def figures(results: Mapping[str, Any], *, rehearses: bool) -> list[Figure]:
    """Return the figures that the results hold so far.

    Args:
        results: The results of the benchmarks, by the names of their parts; None for parts without results.
        rehearses: Whether this is the rehearsal, of which nothing is wanted.
    """
    return [
        *_net("net: style", results, {} if rehearses else NET_MS_WANTED),
        *_net("net: super-resolution", results, {}),
        *_served(results, {} if rehearses else SERVED_WANTED),
        *_others(results),
    ]


def _net(part: str, results: Mapping[str, Any], wanted: Mapping[tuple[int, int], float]) -> Iterator[Figure]:
    result = results.get(part)
    if result is None:
        return
    if part == "net: style":
        yield Figure("device: copy", result["copy_gb_per_s"], "GB/s")
        yield Figure("device: matrix product", result["matrix_product_tflop_per_s"], "TFLOP/s")
    for run in result["runs"]:
        value = run["ms_per_picture"]["form"]
        most = wanted.get((run["size"], run["batch"]))
        peers = [f"{name} {each:.3g}" for name, each in run["ms_per_picture"].items() if name != "form"]
        yield Figure(
            f"{part} {run['size']}² ×{run['batch']}",
            value,
            "ms a picture",
            run["ceiling_ms_per_picture"],
            ", ".join(peers) or "the peers do not fit into memory",
            "" if most is None else f"≤ {most:g}",
            None if most is None else value <= most,
        )


def _served(results: Mapping[str, Any], wanted: Mapping[int, float]) -> Iterator[Figure]:
    result = results.get("served beside the peers")
    if result is None:
        return
    for load in result["loads"]:
        rates = {name: each["pictures_per_s"] for name, each in load.items() if isinstance(each, dict)}
        ratio = rates.pop("ours_to_better_peer", None)
        least = wanted.get(load["size"])
        yield Figure(
            f"served {load['size']}², {load['clients']} clients",
            rates.pop("impasto"),
            "pictures/s",
            _rate_of_net(results, load["size"]),
            ", ".join(
                [*(f"{name} {each:.3g}" for name, each in rates.items()), *([f"{ratio:.3g} ×"] if ratio else [])]
            ),
            "" if least is None else f"≥ {least:g} × the better peer",
            None if least is None or ratio is None else ratio >= least,
        )


def _rate_of_net(results: Mapping[str, Any], size: int) -> float | None:
    """Return the pictures of a size that the net alone makes in a second, in its best batch."""
    runs = (results.get("net: style") or {"runs": []})["runs"]
    times = [run["ms_per_picture"]["form"] for run in runs if run["size"] == size]
    return round(1000 / min(times), 1) if times else None


def _others(results: Mapping[str, Any]) -> Iterator[Figure]:
    if overload := results.get("overload"):
        yield Figure("overload: answered, to the peak", overload["goodput_to_peak"], "×", 1.0)
        yield Figure("overload: refused within (p99)", overload["refused_p99_ms"], "ms")
    if start := results.get("first request after a start"):
        yield Figure("start: ready", start["ready_s"]["median"], "s")
        yield Figure("start: first picture", start["first_picture_s"]["median"], "s")
    if step := results.get("training step"):
        yield Figure("training step", step["ours_ms"], "ms", beside=f"plain {step['plain_ms']}")

"""Traces: what is known of a picture, added to FastAPI's span of its request, and spans of its stages below.

Nothing happens unless the process is set up to send traces (see "How do I trace requests?" in docs/operating.md).
"""

import time

from opentelemetry import trace

from service.pipeline.answer import Answer

_tracer = trace.get_tracer("impasto")


def record(answer: Answer) -> None:
    """Add a picture to the span of the request that is being served: attributes, and a span for each stage."""
    span = trace.get_current_span()
    if not span.is_recording():
        return
    span.set_attributes(
        {
            "impasto.model": answer.model,
            "impasto.width": answer.width,
            "impasto.height": answer.height,
            "impasto.batch": answer.batch,
        }
    )
    # In whole nanoseconds: as seconds since 1970, a float is too coarse to keep the stages in their order.
    epoch = time.time_ns() - time.perf_counter_ns()
    for stage in answer.stages:
        span = _tracer.start_span(stage.name, start_time=epoch + _nanoseconds(stage.started))
        span.end(epoch + _nanoseconds(stage.started + stage.seconds))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)

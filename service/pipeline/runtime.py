"""The runtime of one device: the models, the engine and the pipeline that make pictures on it."""

from functools import partial

import torch

from model_store.store import Store
from service.contract.observer import Observer
from service.device.allocator import give_back_large_blocks, limit_plans
from service.device.device import capacity_of
from service.engine.engine import Engine
from service.inference import inference_form
from service.models.loaded import Models
from service.pipeline.pipeline import Pipeline
from service.pipeline.settings import ComputeSettings


class Runtime:
    """The models, the engine and the pipeline of one device, in sizes that fit it.

    Args:
        store: Store that models are loaded from.
        device: Device that computes.
        settings: Settings of computing; whatever they leave open follows from the device.
        processes: Number of processes that share the device.
        observer: Receiver of events.
    """

    def __init__(
        self,
        store: Store,
        device: torch.device,
        settings: ComputeSettings,
        processes: int = 1,
        observer: Observer | None = None,
    ) -> None:
        self.capacity = capacity = capacity_of(device, processes)
        if device.type == "cpu":
            give_back_large_blocks()
        else:
            limit_plans()
        self.models = Models(
            store,
            device,
            settings.model_memory_bytes or capacity.model_bytes,
            prepare=partial(inference_form, is_exact=settings.precision == "float32"),
            observer=observer,
        )
        self.engine = Engine(
            device,
            settings.max_batch or capacity.batch,
            settings.max_batch_pixels or capacity.batch_pixels,
            lanes=capacity.lanes,
            max_bytes=capacity.net_bytes,
            relieve=self.models.shrink,
            observer=observer,
        )
        self.pipeline = Pipeline(
            self.models,
            self.engine,
            settings.codec_threads,
            settings.max_upload_pixels,
            settings.max_pixels,
            capacity.net_bytes,
        )

    def close(self) -> None:
        """Finish what is queued, and stop the threads."""
        self.engine.close()
        self.pipeline.close()

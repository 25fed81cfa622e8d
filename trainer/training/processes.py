"""The processes that train one net together: a single one, or as many as torchrun started."""

import os
from typing import cast

import torch
from torch import Tensor, nn

from model_store.nets import TransformNet
from trainer.errors import BadRecipe


class Processes:
    """All processes that train one net, on one host or several, seen from one of them.

    Under torchrun, Lightning Fabric joins them and averages their gradients (gloo between CPUs, NCCL between GPUs);
    each takes an equal part of every batch. Fabric is imported only then, because the import takes seconds.

    Args:
        device: `cpu`, or `cuda` for the GPU that belongs to this process.
    """

    rank: int = 0
    """Number of this process, counted from 0."""
    count: int = 1
    """Number of processes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._fabric = None
        self.count = int(os.environ["WORLD_SIZE"]) if torch.distributed.is_torchelastic_launched() else 1
        if self.count > 1:
            from lightning_fabric import Fabric  # noqa: PLC0415

            here = int(os.environ["LOCAL_WORLD_SIZE"])
            self._fabric = Fabric(accelerator=device.type, strategy="ddp", devices=here, num_nodes=self.count // here)
            self._fabric.launch()
            self.rank, self.device = self._fabric.global_rank, self._fabric.device

    @property
    def is_first(self) -> bool:
        """Return whether this is the first process, which reports, saves and publishes."""
        return self.rank == 0

    def check_batch(self, batch: int) -> None:
        """Make sure that a batch can be divided into equal parts.

        Raises:
            BadRecipe: The number of processes does not divide the batch.
        """
        if batch % self.count:
            raise BadRecipe(f"a batch of {batch} cannot be shared by {self.count} processes: make it a multiple")

    def share(self, net: TransformNet) -> TransformNet:
        """Return the net in a form whose gradients are averaged over all processes, on the device.

        Raises:
            BadRecipe: The net has BatchNorm, whose statistics would be those of a part of the batch.
        """
        if self._fabric is None:
            return net
        if any(isinstance(module, nn.BatchNorm2d) for module in net.modules()):
            raise BadRecipe("a net with BatchNorm sees whole batches: train it in one process, without torchrun")
        return cast("TransformNet", self._fabric.setup_module(cast("nn.Module", net)))

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of the mean loss over all processes."""
        if self._fabric is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self._fabric.backward(loss)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of values over all processes, each of which must call this."""
        if self._fabric is None:
            return values
        return cast("Tensor", self._fabric.all_reduce(values, reduce_op="mean"))

    def any(self, flag: bool) -> bool:
        """Return whether a flag is set in any process; each of them must call this."""
        return flag if self._fabric is None else bool(self.mean(torch.tensor(float(flag), device=self.device)) > 0)

    def leave(self) -> None:
        """Leave the other processes, once none waits for another.

        Otherwise a thread of gloo may still hold a tensor while Python ends, which aborts the process.
        """
        if self._fabric is not None:
            torch.distributed.destroy_process_group()

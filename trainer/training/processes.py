"""The processes that train one net together: one, or as many as torchrun started."""

import os
from typing import cast

import torch
from torch import Tensor, nn

from model_store.nets import TransformNet
from trainer.errors import BadRecipe


class Processes:
    """This process and those beside it, on one host or several.

    Under torchrun, Lightning Fabric joins them and averages their gradients (gloo between CPUs, NCCL between GPUs);
    each takes an equal part of every batch. It is imported only there, because that takes seconds.

    Args:
        device: `cpu`, or `cuda` for the GPU that belongs to this process.
    """

    rank: int = 0
    count: int = 1

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
        """Whether this is the process that reports, saves and publishes."""
        return self.rank == 0

    def check_batch(self, batch: int) -> None:
        """Makes sure that a batch can be shared.

        Raises:
            BadRecipe: it cannot.
        """
        if batch % self.count:
            raise BadRecipe(f"a batch of {batch} cannot be shared by {self.count} processes: make it a multiple")

    def share(self, net: TransformNet) -> TransformNet:
        """A net whose gradients are averaged over all processes, on the device.

        Raises:
            BadRecipe: it has BatchNorm, whose statistics would be those of a part of the batch.
        """
        if self._fabric is None:
            return net
        if any(isinstance(module, nn.BatchNorm2d) for module in net.modules()):
            raise BadRecipe("a net with BatchNorm sees whole batches: train it in one process, without torchrun")
        return cast("TransformNet", self._fabric.setup_module(cast("nn.Module", net)))

    def backward(self, loss: Tensor) -> None:
        """Gradients of the mean loss over all processes."""
        if self._fabric is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self._fabric.backward(loss)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes; every one has to ask."""
        if self._fabric is None:
            return values
        return cast("Tensor", self._fabric.all_reduce(values, reduce_op="mean"))

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process; every one has to ask."""
        return flag if self._fabric is None else bool(self.mean(torch.tensor(float(flag), device=self.device)) > 0)

    def leave(self) -> None:
        """Parts from the other processes, once none needs another's answer.

        Without it a thread of gloo may still hold a tensor while Python ends, which aborts the process.
        """
        if self._fabric is not None:
            torch.distributed.destroy_process_group()

"""Several processes that train one network, started by `torchrun`; one process is the same code with nothing to share.

Each process takes its share of every batch. The processes talk over gloo, and over nccl where they have GPUs.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from inspect import signature
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

PATIENCE = timedelta(hours=6)
"""How long processes wait for one another before they give up: the first one may be waiting for a run's lock."""


@dataclass(frozen=True)
class World:
    """The processes that train together, and which of them this one is."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and speaks."""
        return self.rank == 0

    def share(self, n: int) -> slice:
        """This process's part of n images: consecutive, near-equal over the processes, each image in one of them."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def total(self, values: Tensor) -> Tensor:
        """The sum of `values` over the processes."""
        if self.size == 1:
            return values
        values = values.clone()
        dist.all_reduce(values)
        return values

    def agree(self, decide: Callable[[], Any]) -> Any:
        """What `decide` returns in the first process, in all of them; the others do not call it."""
        if self.size == 1:
            return decide()
        answer = [decide() if self.first else None]
        dist.broadcast_object_list(answer, src=0, device=torch.device("cpu"))
        return answer[0]


def world() -> World:
    """The processes of the current process group; this one alone where there is none."""
    if not (dist.is_available() and dist.is_initialized()):
        return World()
    return World(dist.get_rank(), dist.get_world_size())


@contextmanager
def joined(device: str = "cpu") -> Iterator[World]:
    """Join the processes that `torchrun` started, if it did, and leave them afterwards.

    With a CUDA `device` each process gets the GPU of its number on its machine. Raises `ValueError` where there are
    more processes than GPUs.
    """
    if dist.is_available() and dist.is_initialized() or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield world()
        return
    backend = "gloo"
    if device.startswith("cuda"):
        local, here = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local >= here:
            raise ValueError(f"process {local + 1} of this machine has no GPU; it has {here}: --nproc_per_node={here}")
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield world()
    finally:
        dist.destroy_process_group()


# --- the network ------------------------------------------------------------------------------------------------------


@contextmanager
def spread(model: nn.Module, *, sync_batch_norm: bool = False, compiled: bool = False) -> Iterator[nn.Module]:
    """The network to train on all processes: `model` itself, or a wrapper with the same parameters and buffers.

    Within the context its gradients are the mean over the processes, and with `sync_batch_norm` its BatchNorm
    normalises over them; `model` is as it was afterwards. Raises `ValueError` for `sync_batch_norm` on CPUs, where
    torch has none.
    """
    here, device = world(), next(model.parameters()).device
    with _synchronised(model, device) if sync_batch_norm and here.size > 1 else nullcontext():
        network = torch.compile(model) if compiled else model
        yield _shared(network, device) if here.size > 1 else network


def _shared(network: nn.Module, device: torch.device) -> nn.Module:
    """`DistributedDataParallel` that leaves the buffers to `RunningStatistics`."""
    kind = nn.parallel.DistributedDataParallel
    newer = "forward_sync_buffers" in signature(kind.__init__).parameters  # the older name is deprecated in torch 2.14
    buffers = {"forward_sync_buffers" if newer else "broadcast_buffers": False}
    return kind(network, device_ids=[device] if device.type == "cuda" else None, **buffers)


def unwrapped(model: nn.Module) -> nn.Module:
    """The network within `DistributedDataParallel`, for passes whose gradients are not to be shared: the attack's."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def withheld(model: nn.Module) -> AbstractContextManager:
    """Within it gradients add up in each process; the next pass outside shares them with the other processes."""
    return model.no_sync() if isinstance(model, nn.parallel.DistributedDataParallel) else nullcontext()


@contextmanager
def _synchronised(model: nn.Module, device: torch.device) -> Iterator[None]:
    if device.type != "cuda":
        raise ValueError("sync_batch_norm needs GPUs, torch has none for CPUs; set training.sync_batch_norm to false")
    plain = {path: module for path, module in model.named_modules() if isinstance(module, _BatchNorm)}
    try:
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # new modules around the same parameters and buffers
        yield
    finally:
        for path, module in plain.items():
            parent, _, leaf = path.rpartition(".")
            setattr(model.get_submodule(parent), leaf, module)


class RunningStatistics:
    """BatchNorm's running statistics while one batch is handled in pieces, here and in other processes.

    Each piece updates what the batch began with, r_j = (1 - m) r + m s_j, and after the batch they are the mean of r_j
    over all pieces, weighted by their images. So neither the order of the pieces nor who handles them matters.
    """

    def __init__(self, model: nn.Module) -> None:
        norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        self.means = [buffer for m in norms for buffer in (m.running_mean, m.running_var)]
        self.counts = [m.num_batches_tracked for m in norms]
        self.start = [buffer.clone() for buffer in self.means]
        self.sum = [torch.zeros_like(buffer) for buffer in self.means]

    def add(self, weight: float) -> None:
        """After a piece that holds the share `weight` of the batch's images."""
        for buffer, start, total in zip(self.means, self.start, self.sum, strict=True):
            total.add_(buffer, alpha=weight)
            buffer.copy_(start)
        for count in self.counts:
            count.sub_(1)

    def end(self, here: World) -> None:
        """After the last piece."""
        if not self.means:
            return
        pooled = here.total(torch.cat(self.sum)).split([len(buffer) for buffer in self.means])
        for buffer, mean in zip(self.means, pooled, strict=True):
            buffer.copy_(mean)
        for count in self.counts:
            count.add_(1)

"""Training with several processes: each encodes its share of every batch, and all see the batch's whole statistics and negatives.

Started by `torchrun`, which tells each process its rank through the environment. The encoder is nearly all of the work and is what is
shared out; its outputs are gathered, so that the objective is computed on the whole batch, over the same shuffles as one process would
draw. Batch norm sums over all processes. The loss is therefore that of one process with the same batch, up to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .errors import TrainingError
from .model import Network


class Group:
    """The processes of one training; a group of one changes nothing."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size

    @property
    def main(self) -> bool:
        """True for the one process that writes files."""
        return self.rank == 0

    def share(self, network: Network, batch_size: int) -> Any:
        """The network as the objective should see it: its encoder does this process' share and returns the whole batch.

        Raises:
            TrainingError: The batch cannot be shared out evenly.
        """
        if self.size == 1:
            return network
        if 2 * batch_size % self.size:
            raise TrainingError(
                f"a batch of {batch_size} pairs cannot be shared by {self.size} processes, expected a multiple. Change --nproc-per-node."
            )
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.__class__ = _SharedBatchNorm
        for tensor in (*network.parameters(), *network.buffers()):
            dist.broadcast(tensor.detach(), 0)

        def encode(batch: Tensor) -> tuple[Tensor, Tensor]:
            part = len(batch) // self.size
            c, s = network.encoder(batch[self.rank * part : (self.rank + 1) * part])
            return _Gather.apply(c), _Gather.apply(s)  # type: ignore[no-untyped-call]

        return SimpleNamespace(
            encoder=encode, config=network.config, global_critic=network.global_critic, local_critic=network.local_critic
        )

    def backward(self, loss: Tensor, network: Network) -> None:
        """Gradients of the loss, the same in every process."""
        if self.size == 1:
            loss.backward()  # type: ignore[no-untyped-call]
            return
        # Every process has the whole loss, so each gives its part of it.
        (loss / self.size).backward()  # type: ignore[no-untyped-call]
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, total in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(total.view_as(gradient))

    def leave(self, network: Network) -> None:
        """Give the network back its ordinary layers."""
        for module in network.modules():
            if isinstance(module, _SharedBatchNorm):
                module.__class__ = nn.BatchNorm2d  # type: ignore[assignment]


def writes_files() -> bool:
    """True in the one process of a training that writes files, and where there is only one."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """The group that torchrun started this process in; a group of one without it.

    Raises:
        TrainingError: Another process of the group was lost.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group()
        return
    rank = int(os.environ["RANK"])
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Group(rank, size)
    except (dist.DistBackendError, RuntimeError) as exc:
        if isinstance(exc, TrainingError) or not any(
            word in str(exc).lower() for word in ("connection", "peer", "timed out", "gloo", "nccl")
        ):
            raise
        raise TrainingError(
            f"process {rank} of {size} lost contact with another, expected all to live. Run the same again: it goes on from its checkpoint."
        ) from exc
    finally:
        dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    """Rows of all processes, in order of rank."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        part = part.contiguous()
        parts = [torch.empty_like(part) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, part)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        part = len(total) // dist.get_world_size()
        return total[dist.get_rank() * part : (dist.get_rank() + 1) * part]


class _Sum(torch.autograd.Function):
    """Sum over all processes."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class _SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all processes; PyTorch's own (`SyncBatchNorm`) works on CUDA only."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        count = input.numel() // input.shape[1] * dist.get_world_size()
        mean = _Sum.apply(input.sum((0, 2, 3))) / count  # type: ignore[no-untyped-call]
        centred = input - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3))) / count  # type: ignore[no-untyped-call]
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / max(1, count - 1), self.momentum)
        out: Tensor = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        return out if not self.affine else out * self.weight[:, None, None] + self.bias[:, None, None]

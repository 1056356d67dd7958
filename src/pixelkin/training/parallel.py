"""Training on several cores, processes or hosts: every batch is computed in the same parts, wherever they are computed.

On a CPU a batch is always cut into four parts. Each is computed on one thread, and what depends on the whole batch (the statistics of
batch norm, the partners of unpaired samples, the sum of the gradients) is exchanged and added up in the order of the parts. A model
therefore has the same bits on one thread, on many, and under `torchrun`, which spreads the parts over processes. Threads that wait do so
passively: beside other programs a training takes longer in proportion to the time it is given, which is not so of loops that are
shared out within each operation, where every core spins until the last is done.

On an accelerator a process has one part.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import TrainingError

PARTS = 4
"""Parts of a batch on a CPU: as many cores as one process makes use of. Eight took 15 % more time on one core. Another number is other bits."""

T = TypeVar("T")
_here = threading.local()


class Part:
    """One part of every batch, and the way to the others."""

    def __init__(self, team: Team, local: int) -> None:
        self.team = team
        self._local = local
        batch, parts, index = team.batch_size, team.parts, team.rank * team.local + local
        self.rows = slice(batch * index // parts, batch * (index + 1) // parts)
        """Which pairs of the batch."""

    @property
    def share(self) -> float:
        """This part's share of the batch, the weight of its means."""
        return (self.rows.stop - self.rows.start) / self.team.batch_size

    def exchange(self, value: Tensor, combine: Callable[[list[Tensor]], T]) -> T:
        """What `combine` makes of the values of all parts, in their order; every part must ask the same in the same order."""
        return self.team.exchange(self._local, value, combine)

    def partners(self, values: Tensor, partners: Tensor) -> Tensor:
        """Rows that belong to this part's partners, wherever they were computed.

        Args:
            values: (row, ...) of this part.
            partners: (k, n), permutations of the batch.

        Returns:
            (k, row, ...).
        """
        if self.team.parts == 1:
            return values[partners]
        rows: Tensor = _Partners.apply(values, partners, self)  # type: ignore[no-untyped-call]
        return rows

    def note(self, norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
        """Remember what batch norm saw, once for all parts of this process, until the step has been taken."""
        if self._local == 0:
            self.team.seen.append((norm, mean, variance * (count / max(1, count - 1))))


class Team:
    """All parts of a training's batches; those of this process run on its threads."""

    def __init__(self, device: torch.device, batch_size: int, *, rank: int = 0, processes: int = 1) -> None:
        """Share batches out.

        Args:
            device: Where this process computes.
            batch_size: Pairs of patches in a batch.
            rank: Number of this process.
            processes: How many there are.

        Raises:
            TrainingError: The batch cannot be shared out evenly between processes.
        """
        self.rank, self.batch_size = rank, batch_size
        self.processes = processes
        parts = PARTS if device.type == "cpu" else 1
        if processes > 1:
            # Tensors that processes exchange are of one size.
            parts = parts if parts % processes == 0 and batch_size % parts == 0 else processes
            if batch_size % parts:
                raise TrainingError(
                    f"a batch of {batch_size} pairs cannot be shared by {processes} processes, expected a multiple. "
                    "Change --nproc-per-node."
                )
        self.parts = min(parts, batch_size)
        self.local = self.parts // processes
        self.seen: list[tuple[nn.BatchNorm2d, Tensor, Tensor]] = []
        self._parts = [Part(self, k) for k in range(self.local)]
        self._slots: list[Tensor] = [torch.empty(0)] * self.local
        self._combine: Callable[[list[Tensor]], Any] = list
        self._result: Any = None
        self._barrier = threading.Barrier(self.local, action=self._gather)
        # A part computes while it holds one of these; it lets go while it waits.
        self._cores = threading.Semaphore(torch.get_num_threads())
        self._pool = ThreadPoolExecutor(self.local, "pixelkin-train", torch.set_num_threads, (1,)) if device.type == "cpu" else None

    @property
    def main(self) -> bool:
        """True in the one process that writes files."""
        return self.rank == 0

    def share(self, network: nn.Module) -> None:
        """Give all processes the first one's weights, and let batch norm see all parts; `leave` ends it."""
        if self.processes > 1:
            for tensor in (*network.parameters(), *network.buffers()):
                dist.broadcast(tensor.detach(), 0)
        if self.parts > 1:
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.__class__ = _SharedBatchNorm

    def leave(self, network: nn.Module) -> None:
        """Give the network back its ordinary layers, and end the threads."""
        for module in network.modules():
            if isinstance(module, _SharedBatchNorm):
                module.__class__ = nn.BatchNorm2d  # type: ignore[assignment]
        self.close()

    def close(self) -> None:
        """End the threads, whatever they do."""
        self._barrier.abort()
        if self._pool is not None:
            self._pool.shutdown()

    def run(self, work: Callable[[Part], T]) -> T:
        """Do the same for all parts of this process; returns the first one's result."""
        self.seen.clear()
        if self._pool is None:
            return self._work(work, self._parts[0])
        jobs = [self._pool.submit(self._work, work, part) for part in self._parts]
        errors = [job.exception() for job in jobs]
        # Those that waited for the one that failed have nothing to say.
        for error in sorted((e for e in errors if e is not None), key=lambda e: isinstance(e, threading.BrokenBarrierError)):
            raise error
        return jobs[0].result()

    def alone(self, work: Callable[[], T]) -> T:
        """Do something once, as the parts do it: on one thread. Ctrl-C waits for its end."""
        if self._pool is None:
            return work()
        job = self._pool.submit(work)
        try:
            return job.result()
        except KeyboardInterrupt:
            wait([job])
            raise

    def update_norms(self) -> None:
        """Add to the running statistics of batch norm what the last step's batch showed."""
        for norm, mean, variance in self.seen:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            assert norm.num_batches_tracked is not None
            assert norm.momentum is not None
            norm.num_batches_tracked += 1
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance, norm.momentum)
        self.seen.clear()

    def exchange(self, local: int, value: Tensor, combine: Callable[[list[Tensor]], T]) -> T:
        """See `Part.exchange`."""
        self._slots[local], self._combine = value, combine
        if self.local == 1:
            self._gather()
        else:
            self._cores.release()
            try:
                self._barrier.wait()
            finally:
                self._cores.acquire()
        # Nothing can replace it before all parts have come to the next exchange.
        result: T = self._result
        return result

    def _work(self, work: Callable[[Part], T], part: Part) -> T:
        _here.part = part
        with self._cores:
            try:
                return work(part)
            except BaseException:
                self._barrier.abort()
                raise

    def _gather(self) -> None:
        """In the last thread to arrive at an exchange."""
        values = self._slots
        if self.processes > 1:
            mine = torch.stack(values)
            all_of_them = [torch.empty_like(mine) for _ in range(self.processes)]
            dist.all_gather(all_of_them, mine)
            values = [value for theirs in all_of_them for value in theirs]
        self._result = self._combine(values)


def in_order(values: list[Tensor]) -> Tensor:
    """The sum of tensors, from the first to the last."""
    total = values[0].clone()
    for value in values[1:]:
        total += value
    return total


def take_gradients(team: Team, network: nn.Module, terms: Callable[[Part], tuple[Tensor, ...]]) -> Tensor:
    """Leave the gradients of a loss over the whole batch with the parameters.

    Args:
        team: Whose batch it is.
        network: Where the parameters are.
        terms: The loss of a part and whatever else is to be known, scalars, each a mean over its rows.

    Returns:
        (term,) means over the batch, on the CPU.
    """
    parameters = list(network.parameters())

    def work(part: Part) -> Tensor:
        values = terms(part)
        # A critic of weight 0 has no part in the loss: its gradient is nothing, and Adam leaves it.
        found = torch.autograd.grad(part.share * values[0], parameters, materialize_grads=True, allow_unused=True)
        told = part.share * torch.stack(values).detach()
        return part.exchange(torch.cat([told, *(_as_stored(gradient).flatten() for gradient in found)]), in_order)

    total = team.run(work)
    sizes = [parameter.numel() for parameter in parameters]
    told, *gradients = torch.split(total, [len(total) - sum(sizes), *sizes])
    for parameter, gradient in zip(parameters, gradients, strict=True):
        stored = gradient.view_as(_as_stored(parameter))
        parameter.grad = stored.movedim(-1, 1) if parameter.ndim == 4 else stored
    return told.cpu()


def _as_stored(value: Tensor) -> Tensor:
    """A weight, channels last, with its axes in the order in which they lie in memory."""
    return value.movedim(1, -1) if value.ndim == 4 else value


def writes_files() -> bool:
    """True in the one process of a training that writes files, and where there is only one."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined(device: torch.device, batch_size: int) -> Iterator[Team]:
    """The team for a training, of all processes that torchrun started.

    Raises:
        TrainingError: Another process was lost, or the batch cannot be shared out.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes == 1:
        team = Team(device, batch_size)
        try:
            yield team
        finally:
            team.close()
        return
    rank = int(os.environ["RANK"])
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    team = Team(device, batch_size, rank=rank, processes=processes)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield team
    except (dist.DistBackendError, RuntimeError) as exc:
        if isinstance(exc, TrainingError) or not any(
            word in str(exc).lower() for word in ("connection", "peer", "timed out", "gloo", "nccl")
        ):
            raise
        raise TrainingError(
            f"process {rank} of {processes} lost contact with another, expected all to live. "
            "Run the same again: it goes on from its checkpoint."
        ) from exc
    finally:
        team.close()
        dist.destroy_process_group()


class _Partners(torch.autograd.Function):
    """See `Part.partners`; a gradient goes back to the part whose row it is of."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, partners: Tensor, part: Part) -> Tensor:
        ctx.part, ctx.partners = part, partners
        return part.exchange(values, torch.cat)[partners[:, part.rows]]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        def back(values: list[Tensor]) -> Tensor:
            # Each partner is one row's, so that the way back is a permutation too.
            whole = torch.cat(values, 1)
            return in_order([of_shuffle[rows] for of_shuffle, rows in zip(whole, ctx.partners.argsort(dim=1), strict=True)])

        part: Part = ctx.part
        return part.exchange(gradients[0], back)[part.rows], None, None


class _Normalise(torch.autograd.Function):
    """Batch norm of one part with the statistics of all."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d, part: Part) -> Tensor:
        values = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
        mean = values.mean(0)
        squares = (values - mean).square_().sum(0)
        count, mean, variance = part.exchange(torch.stack([torch.full_like(mean, len(values)), mean, squares]), _moments)
        part.note(norm, mean, variance, count)
        ctx.part, ctx.eps, ctx.count = part, norm.eps, count
        ctx.save_for_backward(x, weight, mean, variance)
        out: Tensor = torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, norm.eps)[0]
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        # First as if the statistics were constants; what they add to the gradient is linear in x.
        on_x, on_weight, on_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )

        def line(values: list[Tensor]) -> tuple[Tensor, Tensor]:
            of_weight, of_bias = in_order(values) * (-weight / ctx.count)
            spread = torch.rsqrt(variance + ctx.eps)
            slope = spread.square() * of_weight
            return slope[:, None, None], (spread * of_bias - slope * mean)[:, None, None]

        slope, level = ctx.part.exchange(torch.stack([on_weight, on_bias]), line)
        return on_x.addcmul_(x, slope).add_(level), on_weight, on_bias, None, None


def _moments(parts: list[Tensor]) -> tuple[int, Tensor, Tensor]:
    """Count, mean and variance of everything from (count, mean, sum of squares about it) of its parts."""
    counts, means, squares = torch.stack(parts, 1)
    count = int(counts[:, 0].sum())
    mean = (counts * means).sum(0) / count
    return count, mean, (squares + counts * (means - mean).square()).sum(0) / count


class _SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over all parts of a batch."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        weight = self.weight if self.affine else input.new_ones(self.num_features)
        bias = self.bias if self.affine else input.new_zeros(self.num_features)
        out: Tensor = _Normalise.apply(input, weight, bias, self, _here.part)  # type: ignore[no-untyped-call]
        return out

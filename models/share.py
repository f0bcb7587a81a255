"""Which part of each step is this process's, where several train one network together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """One of ``size`` workers. All draw the same batches and each takes every ``size``-th row of them.

    Every method is the identity for one worker alone, so that it computes what it always did, bit for bit.
    """

    rank: int = 0
    size: int = 1

    def of(self, rows: Tensor) -> Tensor:
        """This worker's rows."""
        return rows[self.rank :: self.size] if self.size > 1 else rows

    def total(self, part: Tensor) -> Tensor:
        """The sum of all workers' parts, the same bits for each."""
        if self.size > 1:
            torch.distributed.all_reduce(part)
        return part

    def joined(self, network: torch.nn.Module) -> torch.nn.Module:
        """The network with gradients that are the mean over all workers."""
        if self.size == 1:
            return network
        return torch.nn.parallel.DistributedDataParallel(network)

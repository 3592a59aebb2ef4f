"""Batch normalization while training: running statistics that are right early, and one batch over several processes."""

import torch
import torch.distributed
from torch import Tensor, nn

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm


def weigh_running_statistics(momenta: dict[BatchNorm, float], step: int) -> None:
    """Let running statistics be plain means at first, and decay with the network's own momentum later.

    Otherwise a decay of 0.9997, Inception-v3's, would leave them near their initial values for ten thousand steps.

    Args:
        momenta: the momentum that each batch normalization was built with.
        step: the number of the batch since training began, counted from 0.
    """
    for module, momentum in momenta.items():
        module.momentum = max(momentum, 1 / (step + 1))


def momenta(network: nn.Module) -> dict[BatchNorm, float]:
    """The momentum of each batch normalization."""
    return {
        module: module.momentum
        for module in network.modules()
        if isinstance(module, BatchNorm) and module.momentum is not None
    }


class _Sum(torch.autograd.Function):
    """The sum of the values of all processes; so its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total


class SynchronizedBatchNorm2d(nn.BatchNorm2d):
    """Normalizes by the mean and variance over the batches of all processes together.

    PyTorch's `SyncBatchNorm` does this on GPUs only.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        given, input = input.dtype, input.float()  # sums would lose their last digits in bfloat16
        ones = input.new_tensor([input.numel() / input.shape[1]])
        count = _Sum.apply(ones)
        mean = _Sum.apply(input.sum((0, 2, 3))) / count
        centred = input - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            assert self.momentum is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(given)


def synchronized(network: nn.Module, device: torch.device) -> nn.Module:
    """The network with batch normalizations over all processes together."""
    if device.type != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SynchronizedBatchNorm2d
    return network

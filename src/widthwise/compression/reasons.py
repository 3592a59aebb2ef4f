"""Why each unit could go: the first of `REASONS` that holds for what reads it.

All follow from the moments of a reader's features: from their means, from the correlations of units, and from the share
of a unit's variance that the best weights of what stays give.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from widthwise.compression.elimination import EXACT_RIDGE, LEAST, Moments, Problem

Reason = Literal["dead", "constant", "disconnected", "repeated", "dependent", "cheapest"]
REASONS: tuple[Reason, ...] = get_args(Reason)
COPY = 0.99
"""Units with at least this |r| are copies of each other, as in the table `similarity` of a profile."""
FOLLOWS = COPY**2
"""A unit of whose variance others give at least this share follows from them, as closely as a copy from one."""
STEADY = EXACT_RIDGE
"""An entry whose variance is at most this share of its mean square is constant: the ridge hides so small a change."""


class Why(NamedTuple):
    """Why a unit could go, and the unit that it repeats."""

    reason: Reason
    repeats: int | None = None


class _Evidence(NamedTuple):
    """What one reader shows of the units that went.

    dead, constant, disconnected: whether they are. r: |r| with each unit of the group that stays.
    given: the share of variance that the features that stay give.
    """

    dead: Bool[Tensor, " gone"]
    constant: Bool[Tensor, " gone"]
    disconnected: Bool[Tensor, " gone"]
    r: Float[Tensor, "gone kept"]
    given: Float[Tensor, " gone"]


def reasons(problems: Sequence[Problem], kept: Sequence[int], kernels: Sequence[bool]) -> dict[int, Why]:
    """The reason for each unit of a group that went, and the unit that it repeats. Each holds for all readers.

    dead: it is always 0, or so small beside the other units that the fit does not see it.
    constant: it is always the same, except where a convolution pads.
    disconnected: all weights with which it was read are 0.
    repeated: it is a copy of a unit that stays, up to a factor and an offset; of several, the most similar one counts.
    dependent: it follows from the features that stay, units of other groups included.
    cheapest: none of these; the units that stay make up for it best.

    Args:
        problems: the units' readers, as for `eliminate`.
        kept: the units that stay, at least one.
        kernels: of each reader whether a unit's features are entries of one channel under a kernel.
    """
    gone = sorted({*range(len(problems[0][1]))} - {*kept})
    if not gone:
        return {}
    found = [
        _evidence(moments, blocks[gone], blocks[list(kept)], kernel)
        for (moments, blocks), kernel in zip(problems, kernels, strict=True)
    ]
    r, nearest = torch.stack([each.r for each in found]).amin(0).max(1)
    holds = {
        "dead": torch.stack([each.dead for each in found]).all(0),
        "constant": torch.stack([each.constant for each in found]).all(0),
        "disconnected": torch.stack([each.disconnected for each in found]).all(0),
        "repeated": r >= COPY,
        "dependent": torch.stack([each.given for each in found]).amin(0) >= FOLLOWS,
        "cheapest": torch.ones_like(r, dtype=torch.bool),
    }
    first = torch.stack([holds[reason] for reason in REASONS]).int().argmax(0).tolist()
    copied = [kept[index] for index in nearest.tolist()]
    return {
        unit: Why(REASONS[index], copy if REASONS[index] == "repeated" else None)
        for unit, index, copy in zip(gone, first, copied, strict=True)
    }


def _evidence(
    moments: Moments, mine: Int[Tensor, "gone columns"], theirs: Int[Tensor, "kept columns"], kernel: bool
) -> _Evidence:
    """What one reader shows.

    Args:
        moments: its problem.
        mine: the indices of the features of each unit that went.
        theirs: the same of each unit that stays.
        kernel: whether they are entries of one channel.
    """
    gram, mean, power = moments.gram, moments.gram[:, -1], moments.gram.diagonal()
    variance = power - mean.square()
    steady = variance <= STEADY * power
    variance = torch.where(steady, 0.0, variance)
    products = gram[mine[:, None], theirs] - mean[mine][:, None] * mean[theirs]
    deviations = (variance[mine].sum(1)[:, None] * variance[theirs].sum(1)).sqrt()
    r = torch.where(deviations > 0, products.sum(2).abs() / deviations, 0.0)
    constant = steady[mine].all(1)
    if kernel:
        constant |= _constant_inside(mean[mine], power[mine], steady[mine])
    return _Evidence(
        dead=(power[mine] <= LEAST * power[:-1].mean()).all(1),
        constant=constant,
        disconnected=(moments.weights[mine] == 0).all(2).all(1),
        r=r,
        given=_given(moments, mine, variance),
    )


def _constant_inside(
    mean: Float[Tensor, "gone columns"], power: Float[Tensor, "gone columns"], steady: Bool[Tensor, "gone columns"]
) -> Bool[Tensor, " gone"]:
    """Whether each entry of a unit is 0 or the value that one of them, the kernel's centre, always has."""
    centre = steady.int().argmax(1, keepdim=True)
    value = mean.gather(1, centre)
    two_values = (power - value * mean).abs() <= STEADY * power  # the mean of φ(φ - value) is 0
    return steady.any(1) & two_values.all(1)


def _given(
    moments: Moments, columns: Int[Tensor, "gone columns"], variance: Float[Tensor, " features"]
) -> Float[Tensor, " gone"]:
    """The share of each unit's variance that all other features give with the best weights, adjusted for their number.

    With as many features as rows any value is given. So with fewer than two rows a feature it is not known, and -∞.
    """
    stays = torch.ones(len(moments.gram), dtype=torch.bool, device=columns.device)
    stays[columns] = False
    gram, cross = moments.gram[stays][:, stays], moments.gram[stays][:, columns.flatten()]
    free = moments.rows - len(gram)
    if free < len(gram):
        return torch.full_like(variance[columns[:, 0]], -torch.inf)
    scale = gram.diagonal().sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    correlated = gram / (scale[:, None] * scale)
    correlated.diagonal().add_(EXACT_RIDGE)
    factor = torch.linalg.cholesky(correlated)
    halves = torch.linalg.solve_triangular(factor, cross / scale[:, None], upper=False)
    left = moments.gram.diagonal()[columns] - halves.square().sum(0).view(columns.shape)
    return 1 - left.sum(1) / variance[columns].sum(1) * (moments.rows - 1) / free

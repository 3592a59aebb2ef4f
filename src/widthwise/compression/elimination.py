"""Which units a reader can do without, and the weights with which it reads those that stay.

A reader sums units into something: a convolution or dense layer. Its features φ are the entries that it reads, each unit
in a block of its own, and a 1; t is what it should give. With G the mean of φφᵀ and R that of φtᵀ, the weights B = G⁻¹R
have the least squared error, and the error that removing a block u adds is tr(B_uᵀ (H_uu)⁻¹ B_u) with H = G⁻¹: the step
of the optimal brain surgeon (Hassibi and Stork, 1993) for whole units, with every other weight refitted after each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

RIDGE = 1e-4
"""What is added to the diagonal of G, as a share of its mean."""
EXACT_RIDGE = 1e-8
"""The same where the units that go were not needed at all, so that the outputs stay."""
EXACT = 1e-7
"""An error of the selection below this share of the target's variance counts as none."""
ROWS_PER_FEATURE = 20
"""With fewer rows for each feature the ridge grows in proportion."""


@dataclass(frozen=True)
class Moments:
    """The sums that a reader's problem needs, as means over rows.

    gram: G, with the 1 last. cross: R. power: the mean of t², summed over outputs, around its mean.
    rows: the number of rows.
    weights: the reader's present weights, with its bias last, to which the ridge pulls.
    """

    gram: Float[Tensor, "features features"]
    cross: Float[Tensor, "features outputs"]
    power: float
    rows: int
    weights: Float[Tensor, "features outputs"]


@dataclass(frozen=True)
class Elimination:
    """The order in which units go, and the errors that this adds.

    order: the units, the first to go first.
    errors: after each of them, the error in all, as a share of the target's variance.
    """

    order: list[int]
    errors: list[float]

    def kept(self, keep: int) -> list[int]:
        """The `keep` units that stay longest, in increasing order."""
        return sorted(self.order[len(self.order) - keep :])

    def error(self, keep: int) -> float:
        """The error when `keep` units stay."""
        gone = len(self.order) - keep
        return self.errors[gone - 1] if gone else 0.0


def eliminate(moments: Moments, blocks: Int[Tensor, "units columns"], keep: int) -> Elimination:
    """Remove one unit after the other, always the one that adds the least error, until `keep` are left.

    Args:
        moments: the reader's problem.
        blocks: the indices of each unit's features; all other features stay.
        keep: the number of units to leave; those that are left come last, in the order of their indices.
    """
    units, width = blocks.shape
    inverse = torch.linalg.inv(_ridged(moments, RIDGE))
    weights = inverse @ _pulled(moments, RIDGE)
    present = torch.ones(units, dtype=torch.bool, device=blocks.device)
    order: list[int] = []
    errors: list[float] = []
    total = 0.0
    for _ in range(units - keep):
        of_units = weights[blocks]
        own = inverse[blocks[:, :, None], blocks[:, None, :]]
        if width == 1:
            scores = of_units.square().sum((1, 2)) / own[:, 0, 0]
        else:
            scores = (of_units * torch.linalg.solve(own, of_units)).sum((1, 2))
        scores = torch.where(present, scores, torch.inf)
        unit = int(scores.argmin())
        total += max(float(scores[unit]), 0.0)
        order.append(unit)
        errors.append(total / moments.power if moments.power > 0 else 0.0)
        present[unit] = False
        block = blocks[unit]
        taken = torch.linalg.solve(inverse[block][:, block], inverse[block])
        weights = weights - inverse[:, block] @ torch.linalg.solve(inverse[block][:, block], weights[block])
        inverse = inverse - inverse[:, block] @ taken
        # what is gone stays out of the way: its rows are 0 but for rounding, and a 1 keeps later solves regular
        weights[block] = 0
        inverse[block] = 0
        inverse[:, block] = 0
        inverse[block, block] = 1
    return Elimination([*order, *torch.nonzero(present).flatten().tolist()], [*errors, *[torch.inf] * keep])


def refit(moments: Moments, kept: Int[Tensor, " kept"], exact: bool = False) -> Float[Tensor, "kept outputs"]:
    """The weights of the features that stay, the 1 among them, with the least squared error.

    Args:
        moments: the reader's problem.
        kept: the indices of the features.
        exact: whether what goes was not needed, so that hardly any ridge is.
    """
    ridge = EXACT_RIDGE if exact else RIDGE
    gram, cross = _ridged(moments, ridge), _pulled(moments, ridge)
    return torch.linalg.solve(gram[kept][:, kept], cross[kept])


def is_exact(error: float) -> bool:
    """Whether an error is no more than rounding."""
    return error < EXACT


def moments_of(
    features: Sequence[Float[Tensor, "rows features"]],
    targets: Sequence[Float[Tensor, "rows outputs"]],
    weights: Float[Tensor, "features outputs"],
) -> Moments:
    """The moments of features without the 1, batch by batch, in double precision."""
    outputs = targets[0].shape[1]
    count = features[0].shape[1] + 1
    device = features[0].device
    gram = torch.zeros(count, count, dtype=torch.float64, device=device)
    cross = torch.zeros(count, outputs, dtype=torch.float64, device=device)
    square = torch.zeros(outputs, dtype=torch.float64, device=device)
    rows = 0
    for some, wanted in zip(features, targets, strict=True):
        extended = torch.cat([some.double(), torch.ones(len(some), 1, dtype=torch.float64, device=device)], 1)
        target = wanted.double()
        gram += extended.T @ extended
        cross += extended.T @ target
        square += target.square().sum(0)
        rows += len(some)
    gram, cross, square = gram / rows, cross / rows, square / rows
    power = float((square - cross[-1].square()).clamp_min(0).sum())
    return Moments(gram, cross, power, rows, weights.double())


def _strength(moments: Moments, ridge: float) -> float:
    features = len(moments.gram) - 1
    scarcity = max(1.0, ROWS_PER_FEATURE * features / moments.rows) if ridge == RIDGE else 1.0
    return ridge * scarcity * float(moments.gram.diagonal()[:-1].mean())


def _ridged(moments: Moments, ridge: float) -> Float[Tensor, "features features"]:
    """G with the ridge on all features but the 1; where all of them are 0, G is made regular."""
    strength = _strength(moments, ridge) or 1.0
    diagonal = torch.full((len(moments.gram),), strength, dtype=torch.float64, device=moments.gram.device)
    diagonal[-1] = 0
    return moments.gram + torch.diag(diagonal)


def _pulled(moments: Moments, ridge: float) -> Float[Tensor, "features outputs"]:
    """R with the ridge's pull: towards 0, and towards the present weights where there are few rows."""
    features = len(moments.gram) - 1
    if ridge != RIDGE or moments.rows >= ROWS_PER_FEATURE * features:
        return moments.cross
    pull = _strength(moments, ridge) * moments.weights
    pull[-1] = 0
    return moments.cross + pull

"""Which units a reader can do without, and the weights with which it reads those that stay.

A reader sums units into something: a convolution or dense layer. Its features φ are the entries that it reads, each
unit in a block of its own, and a 1; t is what it should give. With G the mean of φφᵀ and R that of φtᵀ, the weights
B = G⁻¹R have the least squared error, and the error that removing a block u adds is tr(B_uᵀ (H_uu)⁻¹ B_u) with H = G⁻¹:
the step of the optimal brain surgeon (Hassibi and Stork, 1993) for whole units, with all other weights refitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

RIDGE = 1e-4
"""What is added to each entry of G's diagonal, as a share of its variance, however a unit is scaled or shifted."""
LEAST = 1e-12
"""What is added at least, as a share of the diagonal's mean."""
EXACT_RIDGE = 1e-10
"""The same while only units go that are not needed at all, so that every output stays."""
NOT_NEEDED = 1e-8
"""A unit that adds less than this share of the sum's variance with that ridge is not needed."""
EXACT = 1e-9
"""A squared error below this share of the sum's variance is no more than rounding in single precision."""
CANCELLED = 1e-3
"""A part of H of which a removal leaves less than this share has lost too many digits to be relied on."""
WAITING = 128
"""Features whose removal changes H together."""
ROWS_PER_FEATURE = 20
"""With fewer rows for each feature the ridge grows in proportion."""


@dataclass(frozen=True)
class Moments:
    """The sums that a reader's problem needs, as means over rows.

    gram: G, with the 1 last. cross: R. square: the mean of t², summed over outputs.
    power: the variance of the sum that the reader is a part of, summed over outputs: errors are shares of it.
    rows: the number of rows. variances: that of each output of the sum.
    weights: the reader's present weights, with its bias last, to which the ridge pulls.
    """

    gram: Float[Tensor, "features features"]
    cross: Float[Tensor, "features outputs"]
    square: float
    power: float
    rows: int
    weights: Float[Tensor, "features outputs"]
    variances: Float[Tensor, " outputs"]

    @property
    def shows_exactness(self) -> bool:
        """Whether an exact fit means that nothing is lost: with fewer rows than features there always is one."""
        return self.rows >= len(self.gram)

    def weighed(self, matrix: Float[Tensor, "outputs outputs"]) -> "Moments":
        """The same for errors e of which eᵀMe counts, M a symmetric matrix without negative eigenvalues."""
        values, vectors = torch.linalg.eigh(matrix)
        root = vectors * values.clamp_min(0).sqrt()
        power = float((self.variances * matrix.diagonal()).sum())
        return replace(self, cross=self.cross @ root, weights=self.weights @ root, power=power)


@dataclass(frozen=True)
class Elimination:
    """The order in which units go, and the errors that this adds.

    order: the units, the first to go first.
    errors: after each of them, the error in all, as a share of the sum's variance.
    """

    order: list[int]
    errors: list[float]

    def kept(self, keep: int) -> list[int]:
        """The `keep` units that stay longest, in increasing order."""
        return sorted(self.order[len(self.order) - keep :])


Problem = tuple[Moments, Int[Tensor, "units columns"]]
"""A reader's moments, and the indices of each unit's features in it."""


def eliminate(problems: Sequence[Problem], keep: int) -> Elimination:
    """Remove one unit after the other, always the one that adds the least error, until `keep` are left.

    Args:
        problems: the units' readers. Of several, the mean of the errors counts. Features that are no unit's stay.
        keep: the number of units to leave; those that are left come last, in the order of their indices.
    """
    units = len(problems[0][1])
    exact, total = all(moments.shows_exactness for moments, _ in problems), 0.0
    states = [_State(*problem, EXACT_RIDGE if exact else RIDGE) for problem in problems]
    gone: list[int] = []
    errors: list[float] = []
    unsure = torch.zeros(units, dtype=torch.bool, device=problems[0][0].gram.device)
    while len(gone) < units - keep:
        scores = torch.stack([state.scores() for state in states]).mean(0)
        scores[gone] = torch.inf
        scores[unsure] = torch.inf
        unit = int(scores.argmin())
        if exact and float(scores[unit]) > NOT_NEEDED:
            exact = bool(unsure.any())
            unsure[:] = False
            states = [_State(*problem, EXACT_RIDGE if exact else RIDGE, gone) for problem in problems]
            continue
        total += float(scores[unit])
        gone.append(unit)
        errors.append(total)
        for state in states:
            cancelled = state.remove(unit)
            if exact:
                unsure |= cancelled
    return Elimination([*gone, *sorted({*range(units)} - {*gone})], [*errors, *[torch.inf] * keep])


class _State:
    """H = G⁻¹ and B = HR of the features that are left, by which each unit's score is known.

    Args:
        moments: the reader's problem.
        blocks: the indices of each unit's features.
        ridge: the ridge, as a share of G's diagonal.
        gone: the units that are gone already.
    """

    def __init__(self, moments: Moments, blocks: Int[Tensor, "units columns"], ridge: float, gone: Sequence[int] = ()):
        self._blocks, self._scale = blocks, moments.power or 1.0
        gram, cross = _ridged(moments, ridge), _pulled(moments, ridge)
        for block in blocks[list(gone)]:
            gram[block], gram[:, block], cross[block] = 0, 0, 0
            gram[block, block] = 1
        self._inverse = torch.linalg.inv(gram)
        self._weights = self._inverse @ cross
        self._own = self._inverse[blocks[:, :, None], blocks[:, None, :]]
        size = len(gram)
        self._room = max(WAITING, blocks.shape[1])
        self._columns, self._rows = gram.new_zeros(size, self._room), gram.new_zeros(self._room, size)
        self._waiting = 0

    def scores(self) -> Float[Tensor, " units"]:
        """The error that the removal of each unit adds, as a share of the sum's variance; of those that are gone 0."""
        of_units = self._weights[self._blocks]
        if self._blocks.shape[1] == 1:
            scores = of_units.square().sum((1, 2)) / self._own[:, 0, 0]
        else:
            scores = (of_units * torch.linalg.solve(self._own, of_units)).sum((1, 2))
        return scores.clamp_min(0) / self._scale

    def remove(self, unit: int) -> Bool[Tensor, " units"]:
        """Take a unit away, and let the others make up for it.

        H is changed for many units at once, which is a product of two matrices; until then its changes wait.

        Returns: the units of whose part of H so little is left that its digits mean nothing, such as the last copy.
        """
        block, width = self._blocks[unit], self._blocks.shape[1]
        if self._waiting + width > self._room:
            self._inverse -= self._columns[:, : self._waiting] @ self._rows[: self._waiting]
            self._waiting = 0
        waiting = slice(self._waiting)
        columns = self._inverse[:, block] - self._columns[:, waiting] @ self._rows[waiting, block]
        own = columns[block]
        rows = torch.linalg.solve(own, columns.T)
        self._weights -= columns @ torch.linalg.solve(own, self._weights[block])
        before = self._own.diagonal(dim1=1, dim2=2).clone()
        self._own -= columns[self._blocks] @ rows.T[self._blocks].mT
        cancelled = (self._own.diagonal(dim1=1, dim2=2) < CANCELLED * before).any(1)
        here = slice(self._waiting, self._waiting + width)
        self._columns[:, here], self._rows[here] = columns, rows
        self._waiting += width
        for whole in (self._weights, self._inverse, self._columns):
            whole[block] = 0
        for whole in (self._inverse, self._rows):
            whole[:, block] = 0
        self._inverse[block, block] = 1  # so that what is gone stays regular and apart
        self._own[unit] = torch.eye(width, dtype=own.dtype, device=own.device)
        cancelled[unit] = False
        return cancelled


def refit(moments: Moments, kept: Int[Tensor, " kept"]) -> tuple[Float[Tensor, "kept outputs"], float]:
    """The weights of the features that stay, with the least squared error, and that as a share of the sum's variance.

    Where what goes was not needed, hardly any ridge is, so that every output stays.

    Args:
        moments: the reader's problem.
        kept: the indices of the features; the last one, which is the 1, need not be among them.
    """
    if moments.shows_exactness:
        weights, error = _solved(moments, kept, EXACT_RIDGE)
        if error < EXACT:
            return weights, error
    return _solved(moments, kept, RIDGE)


def _solved(moments: Moments, kept: Int[Tensor, " kept"], ridge: float) -> tuple[Float[Tensor, "kept outputs"], float]:
    gram, cross = _ridged(moments, ridge), _pulled(moments, ridge)
    weights = torch.linalg.solve(gram[kept][:, kept], cross[kept])
    return weights, _error(moments, kept, weights)


def _error(moments: Moments, kept: Int[Tensor, " kept"], weights: Float[Tensor, "kept outputs"]) -> float:
    """The mean squared error of weights, as a share of the sum's variance."""
    given = (weights * (moments.gram[kept][:, kept] @ weights - 2 * moments.cross[kept])).sum()
    scale = moments.power or moments.square or 1.0
    return max(moments.square + float(given), 0.0) / scale


class MomentSums:
    """The moments of rows that come bit by bit, in double precision.

    Args:
        weights: the reader's present weights, with its bias last.
    """

    def __init__(self, weights: Float[Tensor, "features outputs"]):
        self._weights = weights.double()
        features, outputs = weights.shape
        self._gram = self._weights.new_zeros(features, features)
        self._cross = torch.zeros_like(self._weights)
        self._square, self._mean, self._spread = self._weights.new_zeros(3, outputs)
        self._rows = 0

    def add(
        self,
        features: Float[Tensor, "rows columns"],
        targets: Float[Tensor, "rows outputs"],
        sums: Float[Tensor, "rows outputs"],
    ) -> None:
        """Count some rows.

        Args:
            features, targets: φ without the 1, and t.
            sums: the sum in the intact network.
        """
        extended = torch.cat([features.double(), self._weights.new_ones(len(features), 1)], 1)
        target, whole = targets.double(), sums.double()
        self._gram += extended.T @ extended
        self._cross += extended.T @ target
        self._square += target.square().sum(0)
        self._mean += whole.sum(0)
        self._spread += whole.square().sum(0)
        self._rows += len(features)

    def moments(self) -> Moments:
        """The means over all rows."""
        gram, cross, square = self._gram / self._rows, self._cross / self._rows, self._square / self._rows
        variances = (self._spread / self._rows - (self._mean / self._rows).square()).clamp_min(0)
        return Moments(gram, cross, float(square.sum()), float(variances.sum()), self._rows, self._weights, variances)


def _strengths(moments: Moments, ridge: float) -> Float[Tensor, " features"]:
    """The ridge of each feature; none for the 1. Where all features are 0, one that makes G regular."""
    features = len(moments.gram) - 1
    scarcity = max(1.0, ROWS_PER_FEATURE * features / moments.rows)
    squares = moments.gram.diagonal()
    variances = (squares - moments.gram[-1].square()).clamp_min(0)
    least = LEAST * float(squares[:-1].mean()) or 1.0
    strengths = (ridge * scarcity * variances).maximum(EXACT_RIDGE * squares).clamp_min(least)
    strengths[-1] = 0
    return strengths


def _ridged(moments: Moments, ridge: float) -> Float[Tensor, "features features"]:
    """G with the ridge."""
    return moments.gram + torch.diag(_strengths(moments, ridge))


def _pulled(moments: Moments, ridge: float) -> Float[Tensor, "features outputs"]:
    """R with the ridge's pull: towards 0, and towards the present weights where there are few rows."""
    features = len(moments.gram) - 1
    if moments.rows >= ROWS_PER_FEATURE * features:
        return moments.cross.clone()
    return moments.cross + _strengths(moments, ridge)[:, None] * moments.weights

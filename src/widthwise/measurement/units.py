"""The mechanisms by which a unit is removable (Section 2.1), and the evidence about each unit of a layer."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from widthwise.measurement.ablation import unchanged_without_each
from widthwise.measurement.accumulator import State
from widthwise.measurement.incoming import Incoming
from widthwise.measurement.settings import Measurement
from widthwise.tracing.layer import Layer
from widthwise.tracing.network import Network
from widthwise.tracing.outgoing_weights import OutgoingWeights
from widthwise.tracing.recorded_run import RecordedRun

MECHANISMS = ("dead", "disconnected", "discarded", "jointly removable only", "repeated", "needed")
ROUNDING = 1e-12
ENTRIES_AT_A_TIME = 1 << 20
DORMANT = 0.025
"""Units with at most this dormancy are dormant (Sokar et al., 2023)."""
RARELY_ACTIVE = 0.001
"""Units that are active on a smaller share of the examples are rarely active."""
UNIT_COLUMNS = (
    *("layer", "unit", "mechanism", "never_active", "constant", "active_share", "mean", "outgoing_norm"),
    *("similar_units", "most_similar", "r", "unchanged_alone", "unchanged_with_most_similar"),
    *("rarely_active", "dormancy", "dormant", "incoming_cosine", "aligned_units", "weight_change"),
)


class UnitStatistics:
    """The activity of each unit of a layer, over every example and position."""

    def __init__(self, units: int, device: torch.device):
        self.examples = 0
        self.positions = 0
        self._sum = torch.zeros(units, dtype=torch.float64, device=device)
        self._magnitude = torch.zeros(units, dtype=torch.float64, device=device)
        self._active = torch.zeros(units, dtype=torch.long, device=device)
        self._lowest = torch.full((units,), torch.inf, dtype=torch.float64, device=device)
        self._highest = torch.full((units,), -torch.inf, dtype=torch.float64, device=device)

    def update(
        self,
        activity: Float[Tensor, "examples positions units"],
        kept: Bool[Tensor, "examples positions"] | None = None,
    ) -> None:
        """Add more examples, all of their positions or those that are `kept`."""
        lowest = highest = activity
        if kept is not None:
            some = kept.any(1)
            activity, kept = activity[some], kept[some]
            left_out = ~kept[..., None]
            lowest, highest = activity.masked_fill(left_out, torch.inf), activity.masked_fill(left_out, -torch.inf)
            activity = activity.masked_fill(left_out, 0)
        if not activity.numel():
            return
        self.examples += len(activity)
        self.positions += activity.shape[0] * activity.shape[1] if kept is None else int(kept.sum())
        lowest, highest = lowest.amin(1), highest.amax(1)
        self._active += ((lowest != 0) | (highest != 0)).sum(0)
        added = sum_of_each(activity)
        self._sum += added
        self._magnitude += added if lowest.amin() >= 0 else magnitude_of_each(activity)
        torch.minimum(self._lowest, lowest.amin(0).double(), out=self._lowest)
        torch.maximum(self._highest, highest.amax(0).double(), out=self._highest)

    def merge(self, other: "UnitStatistics") -> None:
        """Add the examples that another one gathered."""
        self.examples += other.examples
        self.positions += other.positions
        self._sum += other._sum
        self._magnitude += other._magnitude
        self._active += other._active
        torch.minimum(self._lowest, other._lowest, out=self._lowest)
        torch.maximum(self._highest, other._highest, out=self._highest)

    @property
    def finite(self) -> bool:
        """Whether no activity so far was infinite or NaN."""
        return not self.examples or bool((self._lowest.isfinite() & self._highest.isfinite()).all())

    @property
    def mean(self) -> Float[Tensor, " units"]:
        """The mean activity of each unit."""
        return self._sum / self.positions

    def compute(self) -> pd.DataFrame:
        """One row for each unit: `never_active, constant, active_share, mean, rarely_active, dormancy, dormant`.

        `dormancy` is the score of Sokar et al., 2023, "The Dormant Neuron Phenomenon in Deep Reinforcement Learning":
        the unit's mean |activity| over examples and positions, divided by the mean of that over the layer's units; 0
        in a layer of which no unit is ever active. `dormant` are units with a score of at most `DORMANT`.
        """
        dormancy = (self._magnitude / self._magnitude.mean()).masked_fill(self._magnitude == 0, 0)
        values = {
            "never_active": self._active == 0,
            "constant": self._lowest >= self._highest,
            "active_share": self._active / self.examples,
            "mean": self.mean,
            "rarely_active": self._active < RARELY_ACTIVE * self.examples,
            "dormancy": dormancy,
        }
        table = pd.DataFrame({name: value.cpu().numpy() for name, value in values.items()})
        dormant = (table["dormancy"] <= DORMANT).astype("boolean")
        return table.assign(dormant=dormant.mask(table["dormancy"].isna()))

    def state_dict(self) -> State:
        """The numbers of examples and positions, and each unit's sums, range and number of examples that it acts on."""
        counts = {"examples": torch.tensor(self.examples), "positions": torch.tensor(self.positions)}
        return {**counts, **self._tensors}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from the examples that another one gathered.

        Where earlier versions kept no sum of |activity|, it follows for units of one sign, and is NaN for others.
        """
        self.examples, self.positions = int(state["examples"]), int(state["positions"])
        one_sign = (state["lowest"] >= 0) | (state["highest"] <= 0)
        magnitude = torch.where(one_sign, state["sum"].abs(), torch.nan)
        for name, own in self._tensors.items():
            own.copy_({"magnitude": magnitude, **state}[name])

    @property
    def _tensors(self) -> State:
        ranges = {"lowest": self._lowest, "highest": self._highest}
        return {"sum": self._sum, "magnitude": self._magnitude, "active": self._active, **ranges}


def sum_of_each(activity: Float[Tensor, "examples positions units"]) -> Float[Tensor, " units"]:
    """The sum of each unit's activity in double precision.

    Positions are added up in single precision, if their sums are within its range: PyTorch does that 18 times as fast.
    """
    sums = activity.sum(1, dtype=torch.promote_types(activity.dtype, torch.float32))
    if not sums.isfinite().all():
        sums = activity.sum(1, dtype=torch.float64)
    return sums.sum(0, dtype=torch.float64)


def magnitude_of_each(activity: Float[Tensor, "examples positions units"]) -> Float[Tensor, " units"]:
    """The sum of each unit's |activity| in double precision; some examples at a time, as large blocks are slow."""
    examples = max(1, ENTRIES_AT_A_TIME // activity[0].numel())
    return torch.stack([sum_of_each(part.abs()) for part in activity.split(examples)]).sum(0)


class SingleAblations:
    """Counts of labels that stay when each unit of a layer is dropped alone, and with the unit that it resembles most.

    alone, paired: the counts for each unit.
    labels: the number of labels so far.

    Args:
        network: the network.
        layer: the layer whose units are dropped.
        replacement: the activity of each unit when it is dropped; None: zero.
        together: the number of examples to run at a time; if batches are smaller, for several units at once.
    """

    def __init__(self, network: Network, layer: Layer, replacement: Float[Tensor, " units"] | None, together: int):
        self._network, self._layer, self._replacement, self._together = network, layer, replacement, together
        self.alone: Float[np.ndarray, " units"] = np.zeros(layer.units)
        self.paired: Float[np.ndarray, " units"] = np.zeros(layer.units)
        self.labels = 0

    def update(self, run: RecordedRun) -> None:
        """Add a batch, dropping each unit alone."""
        self.labels += run.labels.numel()
        self.alone += self._unchanged(run, [[unit] for unit in range(self._layer.units)])

    def update_pairs(self, run: RecordedRun, partners: Sequence[int | None]) -> None:
        """Add a batch, dropping each unit with its partner, where it has one."""
        pairs = {unit: [unit, other] for unit, other in enumerate(partners) if other is not None}
        if pairs:
            self.paired[list(pairs)] += self._unchanged(run, list(pairs.values()))

    def merge(self, other: "SingleAblations") -> None:
        """Add the counts of another one."""
        self.alone += other.alone
        self.paired += other.paired
        self.labels += other.labels

    def compute(self) -> tuple[Float[np.ndarray, " units"], Float[np.ndarray, " units"]]:
        """The share of labels that stay without each unit, and without it and the unit that it resembles most."""
        return self.alone / self.labels, self.paired / self.labels

    def state_dict(self) -> State:
        """The counts."""
        counts = {"alone": torch.from_numpy(self.alone), "paired": torch.from_numpy(self.paired)}
        return {**counts, "labels": torch.tensor(self.labels)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from the counts of another one."""
        self.alone[:] = state["alone"].numpy()
        self.paired[:] = state["paired"].numpy()
        self.labels = int(state["labels"])

    def _unchanged(self, run: RecordedRun, groups: list[list[int]]) -> Int[np.ndarray, " groups"]:
        together = max(1, self._together // run.examples)
        found = unchanged_without_each(self._network, self._layer, run, groups, self._replacement, together)
        return found.cpu().numpy()


def units_table(
    layer: str,
    statistics: UnitStatistics,
    nearest: pd.DataFrame,
    outgoing_weights: OutgoingWeights,
    incoming: Incoming,
    single: SingleAblations | None,
    settings: Measurement,
) -> pd.DataFrame:
    """The table `units` of one layer: one row for each unit, with the columns `UNIT_COLUMNS`."""
    table = pd.concat([statistics.compute(), nearest], axis=1)
    table["layer"], table["unit"] = layer, np.arange(len(table))
    table["outgoing_norm"] = outgoing_weights.norms.numpy()
    table["incoming_cosine"], table["weight_change"] = incoming.cosine.numpy(), incoming.change.numpy()
    table["aligned_units"] = pd.array(incoming.aligned.numpy(), dtype="Int64")
    table["unchanged_alone"] = table["unchanged_with_most_similar"] = np.nan
    if single is not None:
        alone, paired = single.compute()
        table["unchanged_alone"] = alone
        has_partner = table["most_similar"].notna()
        table.loc[has_partner, "unchanged_with_most_similar"] = paired[has_partner]
    table["mechanism"] = mechanisms(table, outgoing_weights.only, settings.tolerance)
    return table[list(UNIT_COLUMNS)]


def mechanisms(table: pd.DataFrame, only_by_weights: bool, tolerance: float) -> pd.Series:
    """The first of `MECHANISMS` that applies to each unit.

    Without single-unit ablations only `dead`, `disconnected` and `repeated` can be determined; else it is missing.

    dead: its activity is the same in every example and position.
    disconnected: all its outgoing weights are 0, and nothing else reads its activity.
    discarded: what follows reads its activity, but dropped alone it changes no label.
    jointly removable only: dropped alone it changes labels, with the unit that it resembles most it changes none.
    repeated: it has similar units.
    needed: none of these.

    Args:
        table: the evidence about each unit (all other columns of `UNIT_COLUMNS`).
        only_by_weights: whether the units act on what follows by their outgoing weights only.
        tolerance: the share of labels that may change and still count as none.
    """
    holds = {
        "dead": table["constant"],
        "disconnected": (table["outgoing_norm"] == 0) & only_by_weights,
        "discarded": 1 - table["unchanged_alone"] <= tolerance + ROUNDING,
        "jointly removable only": 1 - table["unchanged_with_most_similar"] <= tolerance + ROUNDING,
        "repeated": table["similar_units"] > 0,
        "needed": table["unchanged_alone"].notna(),
    }
    found = pd.Series(pd.NA, index=table.index, dtype="string")
    for mechanism in reversed(MECHANISMS):
        found[holds[mechanism]] = mechanism
    return found

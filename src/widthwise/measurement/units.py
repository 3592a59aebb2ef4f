"""Why is a unit removable? What is known of each unit of a layer, one row a unit (the mechanisms of Section 2.1)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from widthwise.measurement.ablation import unchanged_without_each
from widthwise.measurement.correlation import RunningCorrelation, nearest
from widthwise.tracing.layers import Layer
from widthwise.tracing.network import Network, RecordedRun
from widthwise.tracing.outgoing_weights import Outgoing

MECHANISMS = ("dead", "disconnected", "discarded", "jointly removable only", "repeated", "needed")
ROUNDING = 1e-12
UNIT_COLUMNS = (
    *("layer", "unit", "mechanism", "never_active", "constant", "active_share", "mean", "outgoing_norm"),
    *("similar_units", "most_similar", "r", "unchanged_alone", "unchanged_with_most_similar"),
)


class UnitStatistics:
    """How active each unit of a layer is, over every example and position."""

    def __init__(self, units: int, device: torch.device):
        self.examples = 0
        self.positions = 0
        self._sum = torch.zeros(units, dtype=torch.float64, device=device)
        self._active = torch.zeros(units, dtype=torch.long, device=device)
        self._lowest = torch.full((units,), torch.inf, device=device)
        self._highest = torch.full((units,), -torch.inf, device=device)

    def update(self, activity: Float[Tensor, "examples positions units"]) -> None:
        """Take in some more examples."""
        self.examples += len(activity)
        self.positions += activity.shape[0] * activity.shape[1]
        lowest, highest = activity.amin(1), activity.amax(1)
        self._active += ((lowest != 0) | (highest != 0)).sum(0)
        self._sum += activity.sum(1).sum(0, dtype=torch.float64)
        torch.minimum(self._lowest, lowest.amin(0), out=self._lowest)
        torch.maximum(self._highest, highest.amax(0), out=self._highest)

    @property
    def mean(self) -> Float[Tensor, " units"]:
        """The mean activity of each unit."""
        return self._sum / self.positions

    def table(self) -> pd.DataFrame:
        """A row a unit: `never_active, constant, active_share, mean`."""
        values = {
            "never_active": self._active == 0,
            "constant": self._lowest >= self._highest,
            "active_share": self._active / self.examples,
            "mean": self.mean,
        }
        return pd.DataFrame({name: value.cpu().numpy() for name, value in values.items()})


class SingleAblations:
    """How many labels stay when each unit of a layer is dropped alone, then with the unit that it resembles most."""

    def __init__(self, network: Network, layer: Layer, replacement: Float[Tensor, " units"] | None, together: int):
        self._network, self._layer, self._replacement, self._together = network, layer, replacement, together
        self.alone: Float[np.ndarray, " units"] = np.zeros(layer.units)
        self.paired: Float[np.ndarray, " units"] = np.zeros(layer.units)
        self.labels = 0

    def update(self, run: RecordedRun) -> None:
        """Take in a batch, for each unit alone."""
        self.labels += run.labels.numel()
        self.alone += self._unchanged(run, [[unit] for unit in range(self._layer.units)])

    def update_pairs(self, run: RecordedRun, partners: Sequence[int | None]) -> None:
        """Take in a batch, for each unit with its partner, where it has one."""
        pairs = {unit: [unit, other] for unit, other in enumerate(partners) if other is not None}
        if pairs:
            self.paired[list(pairs)] += self._unchanged(run, list(pairs.values()))

    def _unchanged(self, run: RecordedRun, groups: list[list[int]]) -> np.ndarray:
        together = max(1, self._together // run.examples)
        found = unchanged_without_each(self._network, self._layer, run, groups, self._replacement, together)
        return found.cpu().numpy()


def units_table(
    layer: Layer,
    statistics: UnitStatistics,
    running: RunningCorrelation,
    outgoing: Outgoing,
    single: SingleAblations | None,
    threshold: float,
    tolerance: float,
) -> pd.DataFrame:
    """What is known of each unit of a layer (columns `UNIT_COLUMNS`)."""
    table = pd.concat([statistics.table(), nearest(running, threshold)], axis=1)
    table["layer"], table["unit"] = layer.name, np.arange(layer.units)
    table["outgoing_norm"] = outgoing.norms.numpy()
    table["unchanged_alone"] = np.nan if single is None else single.alone / single.labels
    table["unchanged_with_most_similar"] = np.nan
    if single is not None:
        paired = table["most_similar"].notna()
        table.loc[paired, "unchanged_with_most_similar"] = single.paired[paired] / single.labels
    table["mechanism"] = mechanisms(table, outgoing.only, tolerance)
    return table[list(UNIT_COLUMNS)]


def mechanisms(table: pd.DataFrame, only_by_weights: bool, tolerance: float) -> pd.Series:
    """The first of `MECHANISMS` that holds for each unit.

    Without single-unit ablations only `dead`, `disconnected` and `repeated` can be told; the others are missing.

    dead: its activity is the same in every example and position.
    disconnected: all its outgoing weights are 0, and nothing else takes its activity.
    discarded: what follows takes its activity, but dropped alone it changes no label.
    jointly removable only: dropped alone it changes labels, with the unit that it resembles most it changes none.
    repeated: it has similar units.
    needed: none of these.

    Args:
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

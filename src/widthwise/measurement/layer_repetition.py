"""What is kept of a layer's correlations once all activity was seen: little, however many units it has."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from widthwise.measurement.accumulator import State, joined, part_of
from widthwise.measurement.activity import ActivitySampler
from widthwise.measurement.repetition import Repetition, nearest, repetition, strongest_pairs
from widthwise.measurement.settings import Measurement

STRONGEST_PAIRS = 100


@dataclass(frozen=True)
class LayerRepetition:
    """The summary of a layer's correlations.

    samplings: a summary for each sampling.
    nearest: for each unit, the number of others that resemble it and the most similar one, by the first sampling.
    pairs: the strongest pairs, by the first sampling.
    """

    samplings: list[Repetition]
    nearest: pd.DataFrame
    pairs: pd.DataFrame

    def state_dict(self) -> State:
        """All numbers, by name."""
        summaries = [
            (str(number), {name: torch.tensor(np.asarray(value)) for name, value in vars(each).items()})
            for number, each in enumerate(self.samplings)
        ]
        tables = [
            (name, {str(column): torch.tensor(values.to_numpy()) for column, values in table.astype("float64").items()})
            for name, table in (("nearest", self.nearest), ("pairs", self.pairs))
        ]
        return {"samplings": torch.tensor(len(self.samplings)), **joined([*summaries, *tables])}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "LayerRepetition":
        """The summary with these numbers."""
        samplings = []
        for number in range(int(state["samplings"])):
            own = part_of(state, str(number))
            samplings.append(
                Repetition(
                    similarity=tuple(own["similarity"].tolist()),
                    deviation=tuple(own["deviation"].tolist()),
                    constant_share=own["constant_share"].item(),
                    redundancy=own["redundancy"].item(),
                    histogram=own["histogram"].numpy(),
                )
            )
        tables = [
            pd.DataFrame({column: values.numpy() for column, values in part_of(state, name).items()}).astype(types)
            for name, types in (
                ("nearest", {"similar_units": "int64", "most_similar": "Int64"}),
                ("pairs", {"unit": "int64", "other": "int64"}),
            )
        ]
        return cls(samplings, *tables)


def layer_repetition(activity: ActivitySampler, settings: Measurement) -> LayerRepetition:
    """The summary of the correlations that were gathered for a layer.

    If every sampling has all vectors, their summaries are equal and computed once.
    """
    summaries: list[Repetition] = []
    tables: list[pd.DataFrame] = []
    for running in activity.running:
        correlations = running.compute()
        summaries.append(repetition(running, correlations, settings.reported_thresholds))
        if not tables:
            tables = [
                nearest(correlations, settings.threshold),
                strongest_pairs(running, correlations, STRONGEST_PAIRS),
            ]
    return LayerRepetition(summaries if activity.sampled else summaries * activity.samplings, *tables)

"""A smaller network, and what is known of it."""

from dataclasses import dataclass

import pandas as pd
from torch import nn


@dataclass(frozen=True)
class Compressed:
    """What `compress` returns.

    model: the smaller network, of the user's own class.
    layers: a row for each layer whose units can go: `layer, units, kept, error, reader`. `error` is what the choice adds
        to the squared error of the sum that the reader feeds, as a share of its variance.
    units: a row for each unit of these layers: `layer, unit, kept, position, error`: the position in the order in which
        units go, counted from 0, and the error once it is gone; missing for those that were never tried.
    left: a row for each layer whose units all stay: `layer, units, reason`.
    comparison: both networks on examples that were held back: the share of labels that are the same, with its 95%
        interval (Wilson's), differences of the outputs, parameters, floating-point operations, bytes and seconds.
    """

    model: nn.Module
    layers: pd.DataFrame
    units: pd.DataFrame
    left: pd.DataFrame
    comparison: pd.Series

    def __str__(self) -> str:
        """The comparison, and the layers before and after, in a few lines."""
        known = self.comparison
        lines = [
            f"{known['labels_kept']:.1%} of {known['labels']:,} labels are kept "
            f"[{known['labels_kept_low']:.1%}, {known['labels_kept_high']:.1%}].",
            *(
                f"{title:<12}{known[f'{name}_before']:>16,} → {known[f'{name}_after']:,} "
                f"({known[f'{name}_after'] / known[f'{name}_before']:.0%})"
                for title, name in (("parameters", "parameters"), ("operations", "flops"), ("bytes", "bytes"))
            ),
            f"{'one example':<12}{1e3 * known['seconds_one_before']:>13.2f} ms → "
            f"{1e3 * known['seconds_one_after']:.2f} ms",
            "",
            self.layers.to_string(index=False, float_format=lambda value: f"{value:.2g}"),
        ]
        if len(self.left):
            lines += ["", "Left as they are:", *(f"{row.layer}: {row.reason}" for row in self.left.itertuples())]
        return "\n".join(lines)

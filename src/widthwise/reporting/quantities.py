"""The quantities that figures draw against the width factor: their columns, deviations and titles under a protocol."""

from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from widthwise.analysis.experiment import Analysis
from widthwise.analysis.summary import ALL_TOGETHER, MEAN_OF_LAYERS
from widthwise.measurement.settings import Protocol
from widthwise.reporting.numbers import width_text

QuantityName = Literal["test_accuracy", "auc", "similarity", "prunability", "non_prunability", "redundancy_pca"]
PAPERS: tuple[QuantityName, ...] = ("test_accuracy", "auc", "similarity")
"""The three that the paper draws for each family of networks."""
OF_LAYERS: tuple[QuantityName, ...] = ("auc", "similarity", "prunability")
"""Those of single layers; of the last the authors published values."""
BY_ABLATION = ("auc", "prunability", "non_prunability")
"""Those that depend on how units are dropped."""
OF_NETWORK: dict[Protocol, str] = {"text": MEAN_OF_LAYERS, "figures": ALL_TOGETHER}

RELATIVE_TITLES: dict[QuantityName, str] = {
    "prunability": "Prunable units / units of the widest",
    "non_prunability": "Non-prunable units / units of the widest",
    "redundancy_pca": "Redundant components / units of the widest",
}
"""Titles of the quantities that can be counts relative to all units of the widest network."""


@dataclass(frozen=True)
class Quantity:
    """A column of the tables `summary`, `networks` and `layers`, as a figure draws it.

    column, deviation: the columns of its means and of their deviations, which are its error bars.
    title: its name on an axis.
    proportion: whether it lies between 0 and 1.
    complement: whether 1 minus the column is drawn.
    relative: whether it is drawn as a count relative to all units of the widest network: the share times the width
        factor, divided by the widest network's.
    """

    column: str
    deviation: str
    title: str
    proportion: bool
    complement: bool = False
    relative: bool = False


def quantity(name: QuantityName, protocol: Protocol, by_layer: bool = False, relative: bool = False) -> Quantity:
    """The quantity of that name, as the tables of a protocol have it.

    Args:
        by_layer: whether it is drawn for each layer by itself.
        relative: whether it is drawn as a count relative to the widest network.
    """
    dropped = "" if by_layer else f", {OF_NETWORK[protocol]}"
    match name:
        case "test_accuracy":
            found = Quantity(name, "test_accuracy_std", "Test accuracy", proportion=True)
        case "auc":
            found = Quantity(name, "auc_std", f"Removability (AUC){dropped}", proportion=True)
        case "similarity":
            columns = (
                ("similarity_reference", "similarity_std_units") if protocol == "figures" else (name, f"{name}_std")
            )
            found = Quantity(*columns, "Similarity (similar units per unit)", proportion=False)
        case "prunability":
            found = Quantity(name, f"{name}_std", f"Prunability{dropped}", proportion=True)
        case "non_prunability":
            title = f"Non-prunable share{dropped}"
            found = Quantity("prunability", "prunability_std", title, proportion=True, complement=True)
        case "redundancy_pca":
            found = Quantity(name, f"{name}_std", "Redundancy (share of components)", proportion=True)
    return replace(found, title=RELATIVE_TITLES[name], relative=True) if relative else found


def valued(table: pd.DataFrame, drawn: Quantity, widest: float = 1.0) -> pd.DataFrame:
    """`table` with `value`, and with `low` and `high`, which are one `deviation` away where there is one."""
    value = 1 - table[drawn.column] if drawn.complement else table[drawn.column]
    factor = table["width_factor"] / widest if drawn.relative else 1.0
    missing = pd.Series(float("nan"), index=table.index)
    deviation = factor * table.get(drawn.deviation, missing)
    value = factor * value
    spread = deviation.fillna(0)
    return table.assign(
        value=value,
        deviation=deviation,
        low=value - spread,
        high=value + spread,
        width=table["width_factor"].map(width_text),
    )


def protocol_of(analysis: Analysis) -> Protocol:
    """The protocol that an analysis was reduced to; `text` where nothing was measured."""
    (protocol,) = analysis.protocols or ("text",)
    return protocol

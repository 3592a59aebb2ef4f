"""The kinds of charts by the names that figures give them, each with the caption that belongs to it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from widthwise.reporting import charts, over_widths, published_layer
from widthwise.reporting.composing import Chart
from widthwise.reporting.quantities import BY_ABLATION, OF_LAYERS, PAPERS, RELATIVE_TITLES, QuantityName
from widthwise.wording import listed

OVER_WIDTHS: dict[QuantityName, str] = {
    "test_accuracy": "Test accuracy against the width factor.",
    "auc": "Removability against the width factor: the area under the ablation curve.",
    "similarity": (
        "Repetition against the width factor: how many other units of its layer a unit resembles (|r| ≥ 0.5), the mean "
        "of the layers."
    ),
    "prunability": (
        "Prunability against the width factor: the share of units that can be dropped before fewer than 80% of the "
        "labels stay."
    ),
    "non_prunability": (
        "Units that cannot be pruned, against the width factor: 1 minus the share of units that can be dropped before "
        "fewer than 80% of the labels stay."
    ),
    "redundancy_pca": (
        "Redundancy against the width factor: the share of a layer's principal components that together hold the last "
        "5% of its variance, the mean of the layers."
    ),
}
RELATIVE = " Shares are drawn as counts, relative to all units of the widest network."


@dataclass(frozen=True)
class Kind:
    """A kind of chart with its arguments: how it is drawn and explained.

    draw: the function that draws the chart.
    caption: the meaning of each mark, in a sentence or two.
    bars: the quantities that have error bars.
    panels: the number of panels side by side; None: one per series.
    ablates: whether it shows what units do that are dropped, which depends on the protocol.
    one_series: whether it shows one series alone.
    published: further published measures whose values it shows in grey, beside those of `bars`.
    needs: a column of the table `networks`; series in which it is missing are not shown.
    """

    draw: Chart
    caption: str
    bars: tuple[QuantityName, ...] = ()
    panels: int | None = 1
    ablates: bool = False
    one_series: bool = False
    published: tuple[str, ...] = ()
    needs: str = ""


def measure(measure: QuantityName, relative: bool = False) -> Kind:
    """One measure against the width factor, one line per series; `relative`: as counts relative to the widest network's
    units.

    Raises:
        ValueError: the measure is none of units.
    """
    if relative and measure not in RELATIVE_TITLES:
        raise ValueError(f"{measure} is no share of units; relative is for {listed(list(RELATIVE_TITLES))}")
    return Kind(
        partial(over_widths.panels, quantities=(measure,), relative=relative),
        f"{OVER_WIDTHS[measure]}{RELATIVE if relative else ''}",
        (measure,),
        ablates=measure in BY_ABLATION,
    )


def measures() -> Kind:
    """The paper's three measures against the width factor, one line per series."""
    return Kind(
        over_widths.panels,
        "(a) Test accuracy, (b) removability (the area under the ablation curve) and (c) similarity (how many other "
        "units a unit resembles) against the width factor. Large marks are means over replicates, faint ones single "
        "networks.",
        PAPERS,
        panels=3,
        ablates=True,
    )


def layers(layers: tuple[str, ...] = ()) -> Kind:
    """Removability and similarity of the layers of one series, or of some of them."""
    return Kind(
        partial(over_widths.layer_panels, layers=layers),
        "(a) Removability, (b) similarity and (c) prunability of each layer against the width factor: the share of its "
        "units that can be dropped before fewer than 80% of the labels stay.",
        OF_LAYERS,
        panels=3,
        one_series=True,
        ablates=True,
    )


def parameters() -> Kind:
    """Trainable parameters against the width factor."""
    return Kind(over_widths.parameter_panel, "Trainable parameters by width.")


def compressed_parameters() -> Kind:
    """Parameters of the smallest network that keeps 95% of the labels, against the width factor."""
    return Kind(
        over_widths.compressed_panel,
        "Parameters of the smallest network that was found to keep 95% of the labels, by width; dashed, those of the "
        "network that it was made from. A level line means that wider networks compress to the same size. Large marks "
        "are means over replicates, faint ones single networks.",
        needs="compressed_parameters",
    )


def ablation_curves() -> Kind:
    """Unchanged labels against the share of dropped units, one panel per series."""
    return Kind(
        charts.ablation_curves,
        "Ablation curves, one line per width: the share of test inputs whose predicted label stays when a random share "
        "of the units is dropped. The area under such a curve is the AUC.",
        panels=None,
        ablates=True,
        published=("unchanged",),
    )


def correlation_violins(layer: str = "", layer_in_words: str = "") -> Kind:
    """The distribution of |r| over the pairs of units of a layer, by default each network's last."""
    shown = layer_in_words or layer or "the last layer"
    return Kind(
        partial(charts.correlation_violins, layer=layer),
        f"How strongly units correlate: the distribution of |r| over all pairs of units of {shown}, one violin per "
        "width, replicates together, with the number of its pairs: units of constant activity are in none. Pairs above "
        "the dashed line count as similar.",
        panels=None,
        published=published_layer.OF_VIOLINS,
    )


def constructions() -> Kind:
    """Expected and measured quantities of the constructions of Section 2.3."""
    return Kind(
        charts.constructions,
        "What theory expects of each construction, beside what was measured; one mark per replicate. Where theory "
        "gives only a bound, the triangle is what the measurement must lie below.",
        panels=3,
    )


KINDS: dict[str, Callable[..., Kind]] = {
    "measure": measure,
    "measures": measures,
    "layers": layers,
    "parameters": parameters,
    "compressed_parameters": compressed_parameters,
    "ablation_curves": ablation_curves,
    "correlation_violins": correlation_violins,
    "constructions": constructions,
}
"""New kinds are added here; their signatures say which arguments a figure gives them."""
OF_ANALYSIS = {"parameters": ("parameters",), "constructions": ("constructions",)}
"""The kinds that an analysis without trends has the tables for."""
OF_TREND = tuple(kind for kind in KINDS if kind != "constructions")

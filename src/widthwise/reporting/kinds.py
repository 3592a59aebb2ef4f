"""The kinds of charts by the names that figures give them, each with the caption that belongs to it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from widthwise.analysis.claims.measures import ACCURACY, AUC, SIMILARITY, Measure
from widthwise.reporting import charts
from widthwise.reporting.composing import Chart

OVER_WIDTHS: dict[Measure, str] = {
    ACCURACY: "Test accuracy against the width factor.",
    AUC: "Removability against the width factor: the area under the ablation curve, the mean of the layers.",
    SIMILARITY: (
        "Repetition against the width factor: how many other units of its layer a unit resembles (|r| ≥ 0.5), the mean "
        "of the layers."
    ),
}


@dataclass(frozen=True)
class Kind:
    """A kind of chart with its arguments: how it is drawn and explained.

    draw: the function that draws the chart.
    caption: the meaning of each mark, in a sentence or two.
    bars: the measures that have error bars.
    panels: the number of panels side by side; None: one per series.
    one_series: whether it shows one series alone.
    """

    draw: Chart
    caption: str
    bars: tuple[Measure, ...] = ()
    panels: int | None = 1
    one_series: bool = False


def measure(measure: Measure) -> Kind:
    """One measure against the width factor, one line per series."""
    return Kind(partial(charts.panels, measures=(measure,)), OVER_WIDTHS[measure], (measure,))


def measures() -> Kind:
    """The three measures against the width factor, one line per series."""
    return Kind(
        charts.panels,
        "Test accuracy, removability (the area under the ablation curve) and similarity (how many other units a unit "
        "resembles) against the width factor. Large marks are means over replicates, faint ones single networks.",
        (ACCURACY, AUC, SIMILARITY),
        panels=3,
    )


def layers(layers: tuple[str, ...] = ()) -> Kind:
    """Removability and similarity of the layers of one series, or of some of them."""
    return Kind(
        partial(charts.layer_panels, layers=layers),
        "Removability and similarity of each layer against the width factor.",
        (AUC, SIMILARITY),
        panels=2,
        one_series=True,
    )


def parameters() -> Kind:
    """Trainable parameters against the width factor."""
    return Kind(charts.parameter_panel, "Trainable parameters by width.")


def ablation_curves() -> Kind:
    """Unchanged labels against the share of dropped units, one panel per series."""
    return Kind(
        charts.ablation_curves,
        "Ablation curves, one line per width: the share of test inputs whose predicted label stays when a random share "
        "of a layer's units is dropped, the mean of the layers. The area under such a curve is the AUC.",
        panels=None,
    )


def correlation_violins(layer: str = "", layer_in_words: str = "") -> Kind:
    """The distribution of |r| over the pairs of units of a layer, by default each network's last."""
    shown = layer_in_words or layer or "the last layer"
    return Kind(
        partial(charts.correlation_violins, layer=layer),
        f"How strongly units correlate: the distribution of |r| over all pairs of units of {shown}, one violin per "
        "width, replicates together. Pairs above the dashed line count as similar.",
        panels=None,
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
    "ablation_curves": ablation_curves,
    "correlation_violins": correlation_violins,
    "constructions": constructions,
}
"""New kinds are added here; their signatures say which arguments a figure gives them."""
OF_ANALYSIS = {"parameters": ("parameters",), "constructions": ("constructions",)}
"""The kinds that an analysis without trends has the tables for."""
OF_TREND = tuple(kind for kind in KINDS if kind != "constructions")

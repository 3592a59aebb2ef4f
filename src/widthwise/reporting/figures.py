"""Which figures an experiment has: those of the paper that it makes, and those that any experiment has."""

from collections.abc import Sequence
from functools import partial

from widthwise.analysis.experiment import Analysis
from widthwise.errors import RequestError
from widthwise.experiments.catalogue_table import figure_name
from widthwise.reporting import charts
from widthwise.reporting.figure import ACCURACY, AUC, SIMILARITY, Figure

TITLES = {ACCURACY: "Test accuracy", AUC: "Removability", SIMILARITY: "Similarity"}
OVER_WIDTHS = {
    ACCURACY: "Test accuracy against the width factor.",
    AUC: "Removability against the width factor: the area under the ablation curve, the mean of the layers.",
    SIMILARITY: (
        "Repetition against the width factor: how many other units of its layer a unit resembles (|r| ≥ 0.5), the mean "
        "of the layers."
    ),
}
PANELS = (
    "Test accuracy, removability (the area under the ablation curve) and similarity (how many other units a unit "
    "resembles) against the width factor. Large marks are means over replicates, faint ones single networks."
)
CURVES = (
    "Ablation curves, a line a width: the share of test inputs whose predicted label stays when a random share of a "
    "layer's units is dropped, the mean of the layers. The area under such a curve is the AUC."
)
VIOLINS = (
    "How strongly units correlate: the distribution of |r| over all pairs of units of {layer}, a violin a width, "
    "replicates together. Pairs above the dashed line count as similar."
)
LAYERS = "Removability and similarity of each layer against the width factor."
GLOROT, HE, LECUN = "Glorot normal", "He normal", "LeCun normal"
NORMAL = (GLOROT, HE, LECUN)
UNIFORM = ("Glorot uniform", "He uniform", "LeCun uniform")
INCEPTION_BLOCKS = ("Mixed_5d", "Mixed_6e", "Mixed_7c")
"""The last 35×35, 17×17 and 8×8 blocks."""


def _measure(name: str, measure: str, of: str, series: tuple[str, ...] = ()) -> Figure:
    draw = partial(charts.panels, measures=(measure,))
    return Figure(name, f"{TITLES[measure]} {of}", OVER_WIDTHS[measure], draw, (measure,), series)


def _panels(name: str, title: str, series: tuple[str, ...] = ()) -> Figure:
    return Figure(name, title, PANELS, charts.panels, (ACCURACY, AUC, SIMILARITY), series, panels=3)


def _layers(name: str, series: str, layers: tuple[str, ...] = ()) -> Figure:
    draw = partial(charts.layer_panels, layers=layers)
    return Figure(name, f"{series.partition(',')[0]} by layer", LAYERS, draw, (AUC, SIMILARITY), (series,), panels=2)


def _parameters(name: str, of: str, series: tuple[str, ...]) -> Figure:
    return Figure(name, f"Parameters of {of}", "Trainable parameters by width.", charts.parameter_panel, (), series)


def _curves(name: str, of: str, series: tuple[str, ...]) -> Figure:
    return Figure(name, f"Ablation of {of}", CURVES, charts.ablation_curves, (), series)


def _violins(name: str, of: str, series: tuple[str, ...]) -> Figure:
    draw = partial(charts.correlation_violins, layer="conv2")
    return Figure(name, f"Correlations in {of}", VIOLINS.format(layer="the last convolution"), draw, (), series)


PAPER: dict[str, tuple[Figure, ...]] = {
    "imagenet-width": (
        _measure("1a", ACCURACY, "on ImageNet"),
        _measure("4a", AUC, "on ImageNet"),
        _measure("4b", SIMILARITY, "on ImageNet"),
        _layers("B7", "ResNet-18"),
        _layers("B8", "Inception-v3", INCEPTION_BLOCKS),
        _layers("B9", "Inception-v3-layer", INCEPTION_BLOCKS),
    ),
    "cifar10-labels": (
        _measure("1b", ACCURACY, "with true and random labels"),
        _measure("5a", AUC, "with true and random labels"),
        _measure("5b", SIMILARITY, "with true and random labels"),
        _layers("B6", "ResNet-56, true labels"),
    ),
    "alexnet-initialization": (
        _measure("1c", ACCURACY, "by initialization", NORMAL),
        _curves("2a", "Glorot-initialized AlexNets", (GLOROT,)),
        _curves("2b", "He-initialized AlexNets", (HE,)),
        _violins("3a", "Glorot-initialized AlexNets", (GLOROT,)),
        _violins("3b", "He-initialized AlexNets", (HE,)),
        _measure("6a", AUC, "by initialization", NORMAL),
        _measure("6b", SIMILARITY, "by initialization", NORMAL),
        _panels("B3", "AlexNets with uniform initializations", UNIFORM),
    ),
    "parameters": (
        _parameters("B1a", "multilayer perceptrons", ("MLP, 10 inputs", "MLP, 10,000 inputs")),
        _parameters("B1b", "the networks for CIFAR-10", ("AlexNet", "ResNet-56")),
        _parameters("B1c", "the networks for ImageNet", ("ResNet-18", "Inception-v3", "Inception-v3-layer")),
    ),
    "resnet18-convergence": (
        _measure("B2a", ACCURACY, "before training ends"),
        _measure("B2b", AUC, "before training ends"),
        _measure("B2c", SIMILARITY, "before training ends"),
    ),
    "mlp10k-initialization": (_panels("B4", "Perceptrons on 10,000 dimensions by their initial σ"),),
    "mlp10-initialization": (_panels("B5", "Perceptrons on 10 dimensions by their initial σ"),),
    "alexnet-regularization": (_panels("B10", "AlexNets by their regularizers"),),
    "mlp10k-optimizer": (_panels("B11", "Perceptrons on 10,000 dimensions by optimizer"),),
    "resnet18-batch-size": (_panels("B12", "ResNet-18s by batch size and learning rate"),),
    "cifar10-batch-size": (_panels("B13", "AlexNets and ResNet-56s by batch size and learning rate"),),
}
"""Every figure of the paper, by the experiment that makes it."""

CONSTRUCTIONS = Figure(
    "constructions",
    "Section 2.3: expected and measured",
    "What theory expects of each construction, beside what was measured; one mark a replicate. Where theory gives only "
    "a bound, the triangle is what the measurement must lie below.",
    charts.constructions,
    panels=3,
)
PANELS_OF_ANY = _panels("panels", "Accuracy, removability and similarity")
ABLATION_CURVES = Figure("ablation-curves", "Ablation curves", CURVES, charts.ablation_curves, panels=3)
CORRELATION_VIOLINS = Figure(
    *("correlation-violins", "Correlations", VIOLINS.format(layer="the last layer"), charts.correlation_violins),
    panels=3,
)


def figures(analysis: Analysis) -> list[Figure]:
    """The figures of an experiment, in the order of the page: those of the paper, or of any sweep.

    Every layer's curves and correlations are in the page's explorer, too.
    """
    own = PAPER.get(analysis.sweep.name)
    if own:
        return list(own)
    match analysis.sweep.analysis:
        case "parameters":
            return [_parameters("parameters", analysis.sweep.title, tuple(analysis.series))]
        case "constructions":
            return [CONSTRUCTIONS]
        case _:
            return [PANELS_OF_ANY, ABLATION_CURVES, CORRELATION_VIOLINS]


def numbered(wanted: str) -> dict[str, tuple[str, ...]]:
    """The figures of the paper that `wanted` names, by experiment: `B3` is one, `6` is 6a and 6b.

    Raises:
        RequestError: the paper has no such figure.
    """
    name = figure_name(wanted)
    found = {
        experiment: tuple(figure.name for figure in made if _is(figure.name, name))
        for experiment, made in PAPER.items()
    }
    found = {experiment: names for experiment, names in found.items() if names}
    if not found:
        raise RequestError(f"the paper has no figure {wanted!r}: it has {', '.join(all_numbers())}")
    return found


def all_numbers() -> Sequence[str]:
    """The figures of the paper, in its order."""
    names = [figure.name for made in PAPER.values() for figure in made]
    return sorted(names, key=lambda name: (name.startswith("B"), int(name.strip("Babc")), name))


def _is(name: str, wanted: str) -> bool:
    return name.upper() == wanted or name.rstrip("abc").upper() == wanted

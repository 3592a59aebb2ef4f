"""`profile`: the two measures of every layer of a network, and what is known of each unit."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from widthwise.measurement.ablation import (
    ABLATION_STREAM,
    AblationCounts,
    ablate,
    area_under_curve,
    corrected_for_chance,
    counted,
)
from widthwise.measurement.correlation import (
    HISTOGRAM_BINS,
    Repetition,
    RunningCorrelation,
    nearest,
    repetition,
    strongest_pairs,
)
from widthwise.measurement.inputs import Batches, Inputs, Predict
from widthwise.measurement.layers import Layer, Selection
from widthwise.measurement.masks import dropped_counts
from widthwise.measurement.network import Network, Run, untouched
from widthwise.measurement.outgoing import outgoing_weights
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Measurement
from widthwise.measurement.units import SingleAblations, UnitStatistics, units_table

RANDOM_SHARES, ACTIVATION_STREAM = 0, 2
THRESHOLDS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
STRONGEST_PAIRS = 100
MEMORY = 1 << 30
"""How many bytes the values of a batch may take on a processor; on another device, a third of what is free."""
LARGEST_VALUE = 24 << 20
"""A value of more bytes is not kept from one run to the next by a processor's allocator; getting it anew is slow."""
LARGEST_BATCH = 1024
VALUES_HELD = 2
"""A run holds its own values, and an ablation of it about as many more."""

OnProgress = Callable[[int, int], None]


def profile(
    model: nn.Module,
    batches: Iterable,
    *,
    layers: Selection | None = None,
    attention_heads: bool = False,
    predict: Predict | None = None,
    settings: Measurement | None = None,
    replacement: Literal["zero", "mean"] = "zero",
    thresholds: Sequence[float] = THRESHOLDS,
    single_units: bool = False,
    tolerance: float = 0.0,
    seed: int = 0,
    replay: bool = True,
    batch_size: int | None = None,
    memory: int | None = None,
    on_progress: OnProgress | None = None,
) -> Profile:
    """Measure removability and repetition in every layer of a network (Sections 2 and 3).

    The model is measured in evaluation mode and left as it was. Inputs are moved to its device.

    Args:
        model: any network. A label is the argmax over the last axis of its output or of the output's `.logits`.
        batches: each a tensor, a dictionary of arguments, or a tuple whose first element is the inputs (and that may
            be a tuple of several arguments); examples first. What can be gone through only once is held in memory.
        layers: what to measure: a layer's or a module's name, a pattern with `*`, several of these, or a function of a
            `Layer` that says whether to. By default the layers that the model names in an attribute `measured_layers`,
            else every value right after a nonlinearity that follows a dense layer or a convolution.
        attention_heads: also measure each attention's heads, as units.
        predict: a function from the model's output to scores, whose argmax is the label, or to integer labels.
        settings: how the two measures are taken; the paper's way by default.
        replacement: what a dropped unit's activity becomes: `zero`, as in the paper, or the unit's `mean`.
        thresholds: of |r|, at which similarity is reported beside that of `settings`.
        single_units: also drop every unit alone, and with the one that it resembles most, to tell why it is removable.
        tolerance: the share of labels that may change while a unit counts as removable.
        seed: of the random draws. The same seed gives the same profile, however the examples are batched.
        replay: False to run the whole network again for each ablation, and not only what follows the layer.
        batch_size: how many examples to run at a time; by default as many as `memory` holds.
        memory: bytes that the values of a batch may take.
        on_progress: told how many examples of how many passes are done, and how many there are.

    Raises:
        ValueError: what was given cannot be measured. The message says what is wrong with it.
    """
    settings = settings or Measurement()
    thresholds = tuple(sorted({*map(float, thresholds), settings.similarity_threshold}))
    _check(replacement, thresholds, tolerance, batch_size)
    if not isinstance(model, nn.Module):
        raise ValueError(f"the model must be a torch.nn.Module, not {type(model).__name__}")
    model = _uncompiled(model)
    source = Batches(batches)
    with untouched(model):
        network = Network(
            model,
            _first(source),
            layers=layers,
            attention_heads=attention_heads,
            predict=predict,
            replay=replay,
        )
        size = batch_size or fitting_batch_size(network, memory)
        measuring = _Measuring(network, source, size, settings, replacement, single_units, seed, on_progress)
        measuring.go()
        return measuring.profile(thresholds, tolerance)


def layers(
    model: nn.Module,
    example: object,
    *,
    layers: Selection | None = None,
    attention_heads: bool = False,
    predict: Predict | None = None,
) -> pd.DataFrame:
    """The layers that `profile` would measure: `layer, units, shape, kind, follows`, a row each, in order of depth.

    Args:
        model: any network.
        example: one batch, in a form that `profile` takes.
        layers, attention_heads, predict: as for `profile`.

    Raises:
        ValueError: there are none, or a name fits none.
    """
    model = _uncompiled(model)
    with untouched(model):
        network = Network(
            model,
            _first(Batches([example])),
            layers=layers,
            attention_heads=attention_heads,
            predict=predict,
        )
    rows = [(layer.name, layer.units, layer.shape, layer.kind, layer.follows) for layer in network.layers]
    return pd.DataFrame(rows, columns=["layer", "units", "shape", "kind", "follows"])


def _uncompiled(model: nn.Module) -> nn.Module:
    """What `torch.compile` was given: a compiled network's layers cannot be seen, and it computes the same."""
    return getattr(model, "_orig_mod", model)


def _first(source: Batches) -> Inputs:
    assert source.first is not None
    return source.first


def _check(replacement: str, thresholds: Sequence[float], tolerance: float, batch_size: int | None) -> None:
    if replacement not in ("zero", "mean"):
        raise ValueError(f"replacement must be 'zero' or 'mean', got {replacement!r}")
    if not all(0 < threshold <= 1 for threshold in thresholds):
        raise ValueError(f"thresholds must be in (0, 1], got {thresholds}")
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance must be in [0, 1), got {tolerance}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")


def fitting_batch_size(network: Network, memory: int | None = None) -> int:
    """How many examples can be run at a time in `memory` bytes and, on a processor, without slow large blocks."""
    on_processor = network.device.type == "cpu"
    if memory is None:
        memory = MEMORY if on_processor else torch.cuda.mem_get_info(network.device)[0] // 3
    size = min(LARGEST_BATCH, memory / max(1, VALUES_HELD * network.bytes_per_example))
    if on_processor:
        size = min(size, LARGEST_VALUE / max(1, network.largest_value))
    return max(1, int(size))


@dataclass
class _LayerMeasures:
    """What is gathered of one layer."""

    counts: AblationCounts
    activity: "_ActivitySampler"
    statistics: UnitStatistics
    single: SingleAblations | None
    replacement: Float[Tensor, " units"] | None


class _Measuring:
    """One measurement: the passes over the data, and what they gather."""

    def __init__(
        self,
        network: Network,
        source: Batches,
        size: int,
        settings: Measurement,
        replacement: str,
        single_units: bool,
        seed: int,
        on_progress: OnProgress | None,
    ):
        self.network, self.source, self.size, self.settings, self.seed = network, source, size, settings, seed
        self.replacement, self.single_units = replacement, single_units
        self._on_progress = on_progress
        self.measures: dict[str, _LayerMeasures] = {}
        self._labels: list[Tensor] = []
        self._classes = 0
        self.total = source.examples
        self._done = 0

    def go(self) -> None:
        """Gather everything: the means first where they replace what is dropped, the pairs last."""
        means = self._means() if self.replacement == "mean" else {}
        first = 0
        for run in self._runs():
            if not self.measures:
                self._prepare(run, means)
            self._take_in(run, first)
            first += run.examples
        if self.single_units:
            self._drop_pairs()

    def _runs(self) -> Iterable[Run]:
        for number, inputs in enumerate(self.source.of_size(self.size), start=1):
            try:
                run = self.network.run(inputs)
            except ValueError:
                raise
            except Exception as error:  # whatever the model's own code raises
                shapes = ", ".join(str((inputs.examples, *shape)) for shape in inputs.shapes)
                raise ValueError(
                    f"the model cannot be run on batch {number}, of shape {shapes}: {type(error).__name__}: {error}"
                ) from error
            yield run
            self._done += run.examples
            if self._on_progress:
                passes = 1 + (self.replacement == "mean") + self.single_units
                self._on_progress(self._done, passes * self.total)

    def _means(self) -> dict[str, Tensor]:
        statistics: dict[str, UnitStatistics] = {}
        for run in self._runs():
            for layer in self.network.layers:
                value = run.values[layer.name]
                if layer.name not in statistics:
                    statistics[layer.name] = UnitStatistics(layer.units, value.device)
                statistics[layer.name].update(_activity(value, layer, run.examples))
        return {name: each.mean for name, each in statistics.items()}

    def _prepare(self, run: Run, means: dict[str, Tensor]) -> None:
        for depth, layer in enumerate(self.network.layers):
            value = run.values[layer.name]
            positions = value.numel() // layer.units // run.examples
            chosen = chosen_activations(self.total * positions, self.settings, self.seed, depth)
            single = None
            if self.single_units:
                single = SingleAblations(self.network, layer, means.get(layer.name), self.size)
            self.measures[layer.name] = _LayerMeasures(
                counted(run, layer, self.settings),
                _ActivitySampler(layer.units, chosen, self.settings.samplings, value.device),
                UnitStatistics(layer.units, value.device),
                single,
                means.get(layer.name),
            )

    def _take_in(self, run: Run, first: int) -> None:
        self._labels.append(run.labels.cpu())
        self._classes = run.classes
        for depth, layer in enumerate(self.network.layers):
            measures = self.measures[layer.name]
            value = run.values[layer.name]
            if not value.isfinite().all():
                raise ValueError(f"the activity of layer {layer.name} is not finite, so it cannot be measured")
            self._check_shape(layer, run, measures)
            activity = _activity(value, layer, run.examples)
            measures.statistics.update(activity)
            measures.activity.update(activity.flatten(0, 1))
            stream = (self.seed, ABLATION_STREAM, depth, RANDOM_SHARES)
            ablate(self.network, layer, run, first, measures.counts, self.settings, stream, measures.replacement)
            if measures.single is not None:
                measures.single.update(run)

    def _check_shape(self, layer: Layer, run: Run, measures: _LayerMeasures) -> None:
        value = run.values[layer.name]
        shape = tuple(value.shape)
        if value.shape[layer.unit_dimension] != layer.units:
            raise ValueError(f"layer {layer.name} has other units for another batch: its value has the shape {shape}")
        if value.numel() % (run.examples * layer.units):
            raise ValueError(f"the value of layer {layer.name}, of shape {shape}, is not of {run.examples} examples")
        if self.settings.granularity == "application" and value.numel() != measures.counts.units * run.examples:
            raise ValueError(
                f"layer {layer.name} has another number of positions for another batch: its value has the shape "
                f"{shape}; give inputs of one size, or granularity='channel'"
            )

    def _drop_pairs(self) -> None:
        partners = {}
        for name, measures in self.measures.items():
            nearest_units = nearest(measures.activity.running[0], self.settings.similarity_threshold)["most_similar"]
            partners[name] = [None if pd.isna(other) else int(other) for other in nearest_units]
        for run in self._runs():
            for name, measures in self.measures.items():
                assert measures.single is not None
                measures.single.update_pairs(run, partners[name])

    def profile(self, thresholds: Sequence[float], tolerance: float) -> Profile:
        """The tables of what was gathered."""
        settings, layers = self.settings, self.network.layers
        gathered = [self.measures[layer.name] for layer in layers]
        names = [layer.name for layer in layers]
        repetitions = [measures.activity.repetitions(thresholds) for measures in gathered]
        labels = torch.cat([label.flatten() for label in self._labels])
        frequencies = labels.unique(return_counts=True)[1]
        classes = self._classes or max(2, len(frequencies))
        units = [
            units_table(
                layer,
                measures.statistics,
                measures.activity.running[0],
                outgoing_weights(self.network.probe, layer),
                measures.single,
                settings.similarity_threshold,
                tolerance,
            )
            for layer, measures in zip(layers, gathered, strict=True)
        ]
        pairs = [strongest_pairs(measures.activity.running[0], STRONGEST_PAIRS) for measures in gathered]
        return Profile(
            layers=_layers_table(layers, gathered, repetitions, thresholds, units, settings, classes),
            ablation=_ablation_table(names, [measures.counts for measures in gathered], settings),
            correlation=_correlation_table(names, repetitions),
            similarity=_similarity_table(names, repetitions, thresholds),
            units=pd.concat(units, ignore_index=True),
            pairs=pd.concat([table.assign(layer=name) for name, table in zip(names, pairs, strict=True)])[
                ["layer", "unit", "other", "r", "r_squared", "slope", "intercept"]
            ].reset_index(drop=True),
            examples=self.total,
            most_frequent_label_share=frequencies.max().item() / len(labels),
            about={
                "model": type(self.network.model).__name__,
                "classes": classes,
                "labels": len(labels),
                "replayed": self.network.replayed,
                "reason": self.network.reason,
                "settings": asdict(settings),
                "replacement": self.replacement,
                "single_units": self.single_units,
                "tolerance": tolerance,
                "seed": self.seed,
                "device": str(self.network.device),
                "positions": {layer.name: int(np.prod(layer.shape)) // layer.units for layer in layers},
            },
        )


def _activity(value: Float[Tensor, "..."], layer: Layer, examples: int) -> Float[Tensor, "examples positions units"]:
    """The units' activity for each example at each position."""
    return value.movedim(layer.unit_dimension, -1).reshape(examples, -1, layer.units).float()


def chosen_activations(vectors: int, settings: Measurement, seed: int, depth: int) -> list[np.ndarray] | None:
    """Which of a layer's activation vectors enter its correlations in each sampling, in order; None for all."""
    if settings.activations is None or vectors <= settings.activations:
        return None
    seeds = np.random.SeedSequence([seed, ACTIVATION_STREAM, depth]).spawn(settings.samplings)
    choices = [np.random.default_rng(each).choice(vectors, settings.activations, replace=False) for each in seeds]
    return [np.sort(choice) for choice in choices]


class _ActivitySampler:
    """Correlations over all activation vectors of a layer or, where they are more than the cap, over random samples."""

    def __init__(self, units: int, chosen: list[np.ndarray] | None, samplings: int, device: torch.device):
        self._seen = 0
        self._chosen = chosen
        self._samplings = samplings
        self.running = [RunningCorrelation(units, device) for _ in chosen or [None]]

    def update(self, activity: Float[Tensor, "vectors units"]) -> None:
        """Take in the next activation vectors."""
        end = self._seen + len(activity)
        if self._chosen is None:
            self.running[0].update(activity)
        else:
            for running, chosen in zip(self.running, self._chosen, strict=True):
                first, last = np.searchsorted(chosen, [self._seen, end])
                places = torch.from_numpy(chosen[first:last] - self._seen).to(activity.device, non_blocking=True)
                running.update(activity[places])
        self._seen = end

    def repetitions(self, thresholds: Sequence[float]) -> list[Repetition]:
        """One a sampling. Samplings of everything are alike, so it is computed once."""
        results = [repetition(running, thresholds) for running in self.running]
        return results if self._chosen is not None else results * self._samplings


def _layers_table(
    layers: list[Layer],
    gathered: list[_LayerMeasures],
    repetitions: list[list[Repetition]],
    thresholds: Sequence[float],
    units: list[pd.DataFrame],
    settings: Measurement,
    classes: int,
) -> pd.DataFrame:
    areas = [area_under_curve(measures.counts.shares()) for measures in gathered]
    corrected = [corrected_for_chance(area, settings.levels, classes) for area in areas]
    chosen = list(thresholds).index(settings.similarity_threshold)
    similarities = [np.array([result.similarity[chosen] for result in results]) for results in repetitions]
    return pd.DataFrame(
        {
            "layer": [layer.name for layer in layers],
            "units": [layer.units for layer in layers],
            "auc": [area.mean() for area in areas],
            "auc_std": [_deviation(area) for area in areas],
            "auc_corrected": [area.mean() for area in corrected],
            "auc_corrected_std": [_deviation(area) for area in corrected],
            "similarity": [similarity.mean() for similarity in similarities],
            "similarity_std": [_deviation(similarity) for similarity in similarities],
            "dead_fraction": [table["constant"].mean() for table in units],
        }
    )


def _deviation(samplings: np.ndarray) -> float:
    """The standard deviation between samplings; of one sampling there is none, so NaN."""
    return float(samplings.std(ddof=1)) if len(samplings) > 1 else float("nan")


def _ablation_table(names: list[str], ablations: list[AblationCounts], settings: Measurement) -> pd.DataFrame:
    samplings, levels = settings.samplings, settings.levels
    shares = np.linspace(0, 1, levels)
    return pd.DataFrame(
        {
            "layer": np.repeat(names, samplings * levels),
            "sampling": np.tile(np.repeat(np.arange(samplings), levels), len(names)),
            "share_dropped": np.tile(shares, len(names) * samplings),
            "units_dropped": np.concatenate(
                [np.tile(dropped_counts(counts.units, levels), samplings) for counts in ablations]
            ),
            "unchanged": np.concatenate([counts.shares().ravel() for counts in ablations]),
        }
    )


def _correlation_table(names: list[str], repetitions: list[list[Repetition]]) -> pd.DataFrame:
    samplings = len(repetitions[0])
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    return pd.DataFrame(
        {
            "layer": np.repeat(names, samplings * HISTOGRAM_BINS),
            "sampling": np.tile(np.repeat(np.arange(samplings), HISTOGRAM_BINS), len(names)),
            "low": np.tile(edges[:-1], len(names) * samplings),
            "high": np.tile(edges[1:], len(names) * samplings),
            "pairs": np.concatenate([result.histogram for results in repetitions for result in results]),
        }
    )


def _similarity_table(
    names: list[str], repetitions: list[list[Repetition]], thresholds: Sequence[float]
) -> pd.DataFrame:
    samplings = len(repetitions[0])
    return pd.DataFrame(
        {
            "layer": np.repeat(names, samplings * len(thresholds)),
            "sampling": np.tile(np.repeat(np.arange(samplings), len(thresholds)), len(names)),
            "threshold": np.tile(thresholds, len(names) * samplings),
            "similarity": np.concatenate([result.similarity for results in repetitions for result in results]),
        }
    )

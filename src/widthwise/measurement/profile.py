"""`profile`: the two measures of every layer of a network, and what is known of each unit."""

from collections.abc import Iterable, Sequence
from typing import Literal

import pandas as pd
from torch import nn

from widthwise.measurement.passes import Measuring, OnProgress, fitting_batch_size
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Measurement
from widthwise.tracing.inputs import Batches, Inputs, Predict
from widthwise.tracing.layers import Selection
from widthwise.tracing.network import Network, untouched

THRESHOLDS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)


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
    settings = Measurement() if settings is None else settings
    if not isinstance(settings, Measurement):
        raise ValueError(f"settings must be a widthwise.Measurement, not {type(settings).__name__}")
    if not isinstance(thresholds, Iterable):
        raise ValueError(f"thresholds must be several numbers, such as (0.5, 0.9), not {thresholds!r}")
    thresholds = tuple(sorted({*map(float, thresholds), settings.similarity_threshold}))
    _check(replacement, thresholds, tolerance, batch_size)
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    model = _module(model)
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
        measuring = Measuring(network, source, size, settings, replacement, single_units, seed, on_progress)
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
        layers: as for `profile`.
        attention_heads: as for `profile`.
        predict: as for `profile`.

    Raises:
        ValueError: there are none, or a name fits none.
    """
    model = _module(model)
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


def _module(model: object) -> nn.Module:
    """The model, or what `torch.compile` was given: a compiled network's layers cannot be seen, and it computes the
    same."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"the model must be a torch.nn.Module, not {type(model).__name__}")
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

"""`profile`: the two measures of every layer of a network, and evidence about each unit."""

from collections.abc import Iterable

import pandas as pd
from torch import nn

from widthwise.errors import RequestError
from widthwise.measurement.batch_size import fitting_batch_size
from widthwise.measurement.passes import Passes
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import PAPER_SETTINGS, Measurement
from widthwise.measurement.tables import profile_tables
from widthwise.progress import OnProgress, unseen
from widthwise.tracing.batches import Batches
from widthwise.tracing.layer_selection import Selection
from widthwise.tracing.network import Network
from widthwise.tracing.predicted_labels import Predict
from widthwise.tracing.untouched import untouched


def profile(
    model: nn.Module,
    batches: Iterable[object],
    *,
    settings: Measurement = PAPER_SETTINGS,
    layers: Selection | None = None,
    attention_heads: bool = False,
    predict: Predict | None = None,
    seed: int = 0,
    replay: bool = True,
    batch_size: int | None = None,
    memory: int | None = None,
    on_progress: OnProgress = unseen,
) -> Profile:
    """Measure removability and repetition in every layer of a network (Sections 2 and 3).

    The model is measured in evaluation mode and left as it was. Inputs are moved to its device.

    Args:
        model: any network. A label is the argmax over the last axis of its output or of the output's `.logits`.
        batches: each is a tensor, a dictionary of arguments, or a tuple whose first element is the inputs (which may be
            a tuple of several arguments); examples first. An iterator, which ends after one pass, is held in memory.
        settings: the options of the two measures; by default the paper's.
        layers: the layers to measure: the name of a layer or module, a pattern with `*`, several of these, or a
            function that takes a `Layer` and returns whether to measure it. None: those that the model names in an
            attribute `measured_layers` or, if it has none, every value right after a nonlinearity that follows a dense
            layer or a convolution.
        attention_heads: also measure the heads of each attention, as units.
        predict: a function from the model's output to scores, whose argmax is the label, or to integer labels.
        seed: the seed of the random draws. The same seed gives the same profile, however the examples are batched.
        replay: False: run the whole network again for each ablation, not only what follows the layer.
        batch_size: the number of examples to run at a time; None: as many as fit in `memory`.
        memory: bytes that the values of a batch may take; None: 1 GiB on a CPU, a third of the free memory on a GPU.
        on_progress: called after each batch with the number of examples done, over all passes.

    Returns: the tables of all that was measured.

    Raises:
        RequestError: the model, its inputs or an argument cannot be used; one sentence says what is wrong.
        TrialError: there is not enough memory for the batch size.
    """
    checked_request(settings, batch_size, seed)
    model = checked_module(model)
    source = Batches(batches)
    with untouched(model):
        network = Network(
            model,
            source.first,
            layers=layers,
            attention_heads=attention_heads,
            predict=predict,
            replay=replay,
        )
        size = batch_size or fitting_batch_size(network, memory)
        passes = Passes(network, source, size, settings, seed, on_progress)
        passes.run()
        return profile_tables(passes)


def layers(
    model: nn.Module,
    example: object,
    *,
    layers: Selection | None = None,
    attention_heads: bool = False,
    predict: Predict | None = None,
) -> pd.DataFrame:
    """The layers that `profile` would measure, one row for each in order of depth.

    Args:
        model: any network.
        example: one batch, in a form that `profile` takes.
        layers: as for `profile`.
        attention_heads: as for `profile`.
        predict: as for `profile`.

    Returns: the columns `layer, units, shape, kind, follows`, described under `Layer`.

    Raises:
        RequestError: there are none, or no layer has a chosen name or fits a chosen pattern.
    """
    model = checked_module(model)
    with untouched(model):
        network = Network(
            model,
            Batches([example]).first,
            layers=layers,
            attention_heads=attention_heads,
            predict=predict,
        )
    rows = [(layer.name, layer.units, layer.shape, layer.kind, layer.follows) for layer in network.layers]
    return pd.DataFrame(rows, columns=["layer", "units", "shape", "kind", "follows"])


def checked_request(settings: object, batch_size: int | None, seed: int) -> None:
    """Refuse arguments that cannot be used.

    Raises:
        RequestError: one is out of its range.
    """
    if not isinstance(settings, Measurement):
        raise RequestError(f"must be a widthwise.Measurement, not {type(settings).__name__}", field="settings")
    if batch_size is not None and batch_size < 1:
        raise RequestError(f"must be at least 1, got {batch_size}", field="batch_size")
    if seed < 0:
        raise RequestError(f"must be at least 0, got {seed}", field="seed")


def checked_module(model: object) -> nn.Module:
    """The model; for one that `torch.compile` returned, the original, which computes the same and has visible layers.

    Raises:
        RequestError: it is not a module.
    """
    if not isinstance(model, nn.Module):
        raise RequestError(f"the model must be a torch.nn.Module, not {type(model).__name__}")
    return getattr(model, "_orig_mod", model)

"""`profile`: the two measures of every layer of a network, and evidence about each unit."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pandas as pd
from torch import Tensor, nn

from widthwise.errors import RequestError
from widthwise.measurement.batch_size import fitting_batch_size
from widthwise.measurement.checkpoint import Checkpoint, digest_of
from widthwise.measurement.incoming import initial_parameters
from widthwise.measurement.part import as_part, check_divisible
from widthwise.measurement.passes import Passes
from widthwise.measurement.reaching import find_network
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import PAPER_SETTINGS, Measurement
from widthwise.measurement.tables import profile_tables
from widthwise.progress import OnProgress, Progress, unseen
from widthwise.tracing.batches import Batches
from widthwise.tracing.failures import check_model, in_one_sentence
from widthwise.tracing.layer_selection import Selection, UnitDimensions
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
    units: UnitDimensions | None = None,
    predict: Predict | None = None,
    seed: int = 0,
    replay: bool = True,
    batch_size: int | None = None,
    memory: int | None = None,
    part: tuple[int, int] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    initial: nn.Module | Mapping[str, Tensor] | None = None,
    on_progress: OnProgress = unseen,
) -> Profile:
    """Measure removability and repetition in every layer of a network (Sections 2 and 3).

    The model is measured in evaluation mode and left as it was. Inputs are moved to its device.

    Args:
        model: any network. A label is the argmax over the classes of its output, of the output's `.logits` or `.out`,
            or of a tuple's first element.
        batches: each is a tensor, a dictionary of arguments, or a tuple whose first element is the inputs (which may be
            a tuple of several arguments). Which of them hold examples is found by running parts of the first batch.
            What fits in `memory`, and an iterator, which ends after one pass, is read once; all else must give the same
            each time. Positions where `attention_mask` is 0 are left out of labels, statistics and correlations.
        settings: the options of the two measures; by default the paper's.
        layers: the layers to measure: the name of a row of `widthwise.layers`, of a module or of a function that is
            called in one; a pattern with `*`; several of these; or a function that takes a `Layer` and returns whether
            to measure it. None: those that the model names in an attribute `measured_layers` or, if it has none, the
            value of every nonlinearity between dense layers or convolutions, on the way to a label.
        attention_heads: also measure the heads of each attention, as units.
        units: the dimension of a value along which its units lie, by the name of the value. It is needed only where the
            units cannot be followed.
        predict: a function from the model's output, or from the output and the inputs, to scores, whose argmax over the
            last axis is the label, or to integer labels.
        seed: the seed of the random draws. The same seed gives the same profile, however the examples are batched; but
            the draws for tokens that a router chose depend on their batch.
        replay: False: run the whole network again for each ablation, not only what follows the layer.
        batch_size: the number of examples to run at a time; None: as many as fit in `memory`.
        memory: bytes that the values of a batch may take, those of batches that are held, and as many for the sums of
            products of correlations. None: 1 GiB on a CPU, and for a batch a third of the free memory on a GPU; for
            sums of products half of the free memory. Layers whose correlations do not fit together are correlated in
            several passes over the data.
        part: measure only this part of the examples, such as `(1, 4)`, the first of four, given all of the batches.
            Each part can be measured by another process or machine; `Profile.merge` makes one profile of all of them.
        checkpoint: a file to which the state of the measurement is written about every minute. If it is there, the
            measurement goes on from it. It is deleted at the end.
        initial: the network as it was before training, or its `state_dict()`, to which weights are compared in
            `weight_change`; None: that column is missing.
        on_progress: called after each batch with the number of examples done, over all passes.

    Returns: the tables of all that was measured.

    Raises:
        RequestError: the model, its inputs or an argument cannot be used; one sentence says what is wrong.
        TrialError: there is not enough memory for the batch size.
    """
    checked_request(settings, batch_size, seed)
    one_part = None if part is None else as_part(part)
    if one_part is not None:
        check_divisible(settings)
    model = checked_module(model)
    start = checked_module(initial) if isinstance(initial, nn.Module) else initial
    before = None if start is None else initial_parameters(model, start)
    raised: list[Exception] = []

    def tell(progress: Progress) -> None:
        try:
            on_progress(progress)
        except Exception as error:
            raised.append(error)
            raise

    with in_one_sentence(model, raised), untouched(model):
        source = Batches(batches) if memory is None else Batches(batches, memory)
        network = find_network(
            model,
            source,
            batch_size,
            layers=layers,
            attention_heads=attention_heads,
            units=units,
            predict=predict,
            replay=replay,
        )
        check_protocols(network, settings)
        size = batch_size or fitting_batch_size(network, memory)
        saved = None
        if checkpoint is not None:
            saved = Checkpoint(checkpoint, _identity(network, source, size, settings, seed, part))
        passes = Passes(network, source, size, settings, seed, tell, one_part, memory, saved, before)
        passes.run()
        measured = passes.measured()
        found = profile_tables(measured)
        return found if part is None else replace(found, state=measured)


def layers(
    model: nn.Module,
    example: object,
    *,
    layers: Selection | None = None,
    attention_heads: bool = False,
    units: UnitDimensions | None = None,
    predict: Predict | None = None,
) -> pd.DataFrame:
    """Every value of a network that may be a layer, and whether `profile` would measure it; in order of depth.

    Args:
        model: any network.
        example: one batch, in a form that `profile` takes.
        layers: as for `profile`.
        attention_heads: as for `profile`.
        units: as for `profile`.
        predict: as for `profile`.

    Returns: the columns `layer, units, shape, kind, follows, unit_dimension`, described under `Layer`; `measured`; and
        `note`: why a value is not measured. `units` and `unit_dimension` are missing where they are not known.

    Raises:
        RequestError: there are none, or no layer has a chosen name or fits a chosen pattern.
    """
    model = checked_module(model)
    with in_one_sentence(model), untouched(model):
        network = find_network(
            model,
            Batches([example]),
            layers=layers,
            attention_heads=attention_heads,
            units=units,
            predict=predict,
            replay=False,
        )
    rows = network.table()
    known = [row.layer for row in rows]
    return pd.DataFrame(
        {
            "layer": [row.candidate.name for row in rows],
            "units": pd.array([layer.units if layer else pd.NA for layer in known], dtype="Int64"),
            "shape": [row.shape for row in rows],
            "kind": [row.candidate.kind for row in rows],
            "follows": [row.candidate.follows for row in rows],
            "unit_dimension": pd.array([layer.unit_dimension if layer else pd.NA for layer in known], dtype="Int64"),
            "measured": [row.measured for row in rows],
            "note": [row.candidate.note for row in rows],
        }
    )


def _identity(
    network: Network, source: Batches, size: int, settings: Measurement, seed: int, part: tuple[int, int] | None
) -> dict[str, str]:
    """What makes a measurement the one it is, in words or as digests."""
    weights = {**dict(network.model.named_parameters()), **dict(network.model.named_buffers())}
    return {
        "network": f"{type(network.model).__name__} {digest_of(weights)}",
        "selection of layers": str([(layer.name, layer.units) for layer in network.layers]),
        "number of examples": str(source.examples),
        "batch size": str(size),
        "part": str(part),
        "seed": str(seed),
        "setting": str(settings),
    }


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


def check_protocols(network: Network, settings: Measurement) -> None:
    """Refuse to drop units of all layers together where that moves the rows of experts.

    Raises:
        RequestError: protocol `figures` is asked for, and experts' rows follow each other in one value.
    """
    grouped = [layer.name for layer in network.layers if layer.part is not None and layer.part.ends is not None]
    if grouped and "figures" in settings.protocols:
        raise RequestError(
            f"'figures' drops units of all layers together, which moves the tokens of experts such as {grouped[0]} "
            "within their value, so it cannot be measured; use 'text', or choose other layers",
            field="protocols",
        )


def checked_module(model: object) -> nn.Module:
    """The model; for one that `torch.compile` returned, the original, which computes the same and has visible layers.

    Raises:
        RequestError: it is not a module, or one that is not ready to be measured.
    """
    if not isinstance(model, nn.Module):
        raise RequestError(f"the model must be a torch.nn.Module, not {type(model).__name__}")
    original = getattr(model, "_orig_mod", model) if "_modules" in vars(model) else model
    check_model(original)
    return original

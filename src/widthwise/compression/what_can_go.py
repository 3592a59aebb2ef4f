"""`what_can_go`: the units, parameters and operations of each layer that a network can do without."""

from collections.abc import Iterable, Sequence

import pandas as pd
from torch import nn

from widthwise.compression.compress import compress
from widthwise.compression.compressed import Compressed
from widthwise.compression.examples import as_batches, parted
from widthwise.compression.layer_sizes import layer_sizes
from widthwise.errors import RequestError
from widthwise.progress import OnProgress, unseen
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.predicted_labels import Predict

LABELS = (0.99, 0.95, 0.9)
FITTED_ON, COMPARED_ON = 400, 600
"""At most this many examples, of all batches evenly."""
COLUMNS = (
    *("labels", "layer", "units_before", "units_after", "parameters_before", "parameters_after"),
    *("flops_before", "flops_after", "compared", "labels_kept", "labels_kept_low", "labels_kept_high"),
)


def what_can_go(
    model: nn.Module,
    batches: Iterable[object],
    *,
    labels: Iterable[float] = LABELS,
    predict: Predict | None = None,
    stream: bool = False,
    seed: int = 0,
    on_progress: OnProgress = unseen,
) -> pd.DataFrame:
    """The units, parameters and operations of each layer that can go while a share of labels stays.

    For each share the smallest network is sought that keeps as many labels, as `compress` does with `labels=`: eight
    networks are fitted for each. They are fitted on at most 400 of the examples and compared on at most 600 others, so
    that it does not take longer with more of them.

    Args:
        model: the network, as for `compress`.
        batches: as for `compress`.
        labels: the shares of labels that stay, each above 0 and at most 1.
        predict: as for `compress`.
        stream: as for `compress`.
        seed: as for `compress`.
        on_progress: called after each layer.

    Returns: for each share a row for the whole network, whose `layer` is empty, and one for each layer: `labels, layer,
        units_before, units_after, parameters_before, parameters_after, flops_before, flops_after, compared,
        labels_kept, labels_kept_low, labels_kept_high`. Parameters and operations of a layer are those of the module of
        that name, and missing where there is none; the whole network's are all. The last four are the whole network's:
        the number of labels that were compared, and the share that stays, with its 95% interval.

    Raises:
        RequestError: as `compress` does, for one when nothing can go.
        TrialError: there is not enough memory.
    """
    shares = _checked(labels)
    fit, compare = parted(model, batches, predict, FITTED_ON, COMPARED_ON)
    given, check = as_batches(fit), as_batches(compare)

    rows: list[dict[str, object]] = []
    example = compare[0].part(0, 1) if compare[0].divisible else compare[0]
    for share in shares:
        found = compress(
            model, given, labels=share, check=check, predict=predict, stream=stream, seed=seed, on_progress=on_progress
        )
        rows += [{"labels": share, **row} for row in _rows(model, found, example, predict)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        {name: "Int64" for name in COLUMNS if name.endswith(("_before", "_after")) or name == "compared"}
    )


def _checked(labels: Iterable[float]) -> Sequence[float]:
    if isinstance(labels, (int, float, str)):
        raise RequestError(f"must be several shares of labels, such as 0.99 and 0.95, not {labels!r}", field="labels")
    shares = list(labels)
    if not shares:
        raise RequestError("is empty; give shares of labels, such as 0.99 and 0.95", field="labels")
    for share in shares:
        if not isinstance(share, (int, float)) or not 0 < share <= 1:
            raise RequestError(f"must be above 0 and at most 1, got {share}", field="labels")
    return shares


def _rows(model: nn.Module, found: Compressed, example: Inputs, predict: Predict | None) -> Iterable[dict[str, object]]:
    """The whole network, and each layer in the order of the network's modules."""
    known = found.comparison
    units = _units(found)
    before, after = (layer_sizes(each, example, predict) for each in (model, found.model))
    yield {
        "layer": "",
        "units_before": sum(pair[0] for pair in units.values()),
        "units_after": sum(pair[1] for pair in units.values()),
        **{
            f"{size}_{when}": known[f"{size}_{when}"]
            for size in ("parameters", "flops")
            for when in ("before", "after")
        },
        "compared": known["labels"],
        **known[["labels_kept", "labels_kept_low", "labels_kept_high"]],
    }
    with_operations = [name for name, (_, operations) in before.items() if name and operations]
    order = {name: number for number, (name, _) in enumerate(model.named_modules())}
    for name in sorted({*units, *with_operations}, key=lambda name: (order.get(name, len(order)), name)):
        row: dict[str, object] = {"layer": name}
        if name in units:
            row |= dict(zip(("units_before", "units_after"), units[name], strict=True))
        for when, sizes in (("before", before), ("after", after)):
            if name in sizes:
                row |= {f"parameters_{when}": sizes[name][0], f"flops_{when}": sizes[name][1]}
        yield row


def _units(found: Compressed) -> dict[str, tuple[int, int]]:
    """The units of each layer before and after."""
    units: dict[str, tuple[int, int]] = {}
    for row in found.layers.to_dict("records"):
        for name in (row["layer"], *filter(None, row["coupled"].split(", "))):
            units[name] = row["units"], row["kept"]
    return units | {row["layer"]: (row["units"], row["units"]) for row in found.left.to_dict("records")}

"""The measures of the networks that count, averaged over layers, replicates and samplings."""

from collections.abc import Collection, Mapping

import pandas as pd

from widthwise.analysis.compressibility import MEASURES as COMPRESSIBILITY
from widthwise.analysis.measurement_error import measurement_errors
from widthwise.experiments.store import Store

MEAN_OF_LAYERS = "mean of layers"
"""In the table `ablation`, a network's own curve under the protocol `text`."""
ALL_TOGETHER = "all layers together"
"""The same under the protocol `figures`, which drops units of every layer at once."""
OF_NETWORK = (ALL_TOGETHER, MEAN_OF_LAYERS)
NETWORK = ["trial", "series"]
"""The key of an experiment's networks: two series may share a trial."""
OF_REMOVABILITY = ["auc", "auc_std", "prunability", "prunability_std"]
"""Measures that depend on the protocol."""
OF_REPETITION = [
    *("similarity", "similarity_std", "similarity_reference", "similarity_std_units"),
    *("redundancy_pca", "dead_fraction"),
]
MEASURES = [*OF_REMOVABILITY, *OF_REPETITION]

Varied = Mapping[str, Collection[str]]
"""For trials in which not every layer's width varies, the layers whose width does, by the trial's id."""
Samplings = Mapping[str, int]
"""The number of samplings that a trial's measures are means of, by its id."""


def removability_of_networks(chosen: pd.DataFrame, store: Store) -> pd.DataFrame:
    """The table `removability` of every chosen network, after its trial, series, width factor and replicate."""
    return _stacked(chosen, store, "removability")


def layers_of_networks(chosen: pd.DataFrame, removability: pd.DataFrame, store: Store) -> pd.DataFrame:
    """The layers of every chosen network, once for each protocol; and `depth`: the layer's position in its network,
    counted from 1."""
    layers = _stacked(chosen, store, "layers")
    return _by_protocol(layers.assign(depth=layers.groupby(NETWORK, sort=False).cumcount() + 1), removability, NETWORK)


def measure_networks(
    chosen: pd.DataFrame, layers: pd.DataFrame, removability: pd.DataFrame, varied: Varied, samplings: Samplings
) -> pd.DataFrame:
    """`chosen` with the measures of each network, one row for each protocol.

    Adds `protocol`, `units` (the sum over layers) and the `MEASURES`. They are means over the network's layers
    (Section 3, "Samplings and Replicates"); only `figures` has units of all layers dropped together for its
    removability. If the width of only some layers varies, as in the paper's Inception-v3-layer, all are means over
    those. Deviations are between samplings, but `similarity_std_units` is that between the units of a layer. The
    standard errors over samplings and units come last (`measurement_errors`).
    """
    measured = pd.merge(chosen, _of_networks(layers, removability, varied, samplings, NETWORK), on=NETWORK)
    return _protocol_by_protocol(measured)


def measure_epochs(
    chosen: pd.DataFrame, store: Store, varied: Varied, samplings: Samplings, names: Mapping[int, str]
) -> pd.DataFrame:
    """The chosen networks at each epoch that they keep, in the form of `measure_networks` (Fig. B2).

    Args:
        names: the series' names by epoch, which is counted from 1, in their order.
    """
    keys = ["trial", "epoch"]
    removability = _stacked(chosen, store, "epochs_removability")
    layers = _by_protocol(_stacked(chosen, store, "epochs"), removability, keys)
    measures = _of_networks(layers, removability, varied, samplings, keys)
    accuracies = layers.groupby(keys, as_index=False)["test_accuracy"].first()
    of_end = chosen.drop(columns=["series", "test_accuracy", "test_loss"])
    rows = pd.merge(of_end, pd.merge(measures, accuracies, on=keys), on="trial")
    rows.insert(0, "series", rows.pop("epoch").map(names))
    order = {name: index for index, name in enumerate(names.values())}
    rows = rows.dropna(subset="series").sort_values("series", key=lambda each: each.map(order), kind="stable")
    return _protocol_by_protocol(rows)


def summarize_layers(layers: pd.DataFrame) -> pd.DataFrame:
    """`protocol, series, width_factor, layer, depth, units, n` and the measures: means over replicates, by depth.

    Deviations are as in `summarize`.
    """
    groups = layers.groupby(["protocol", "series", "width_factor", "layer"], sort=False)
    mean, between = groups.mean(numeric_only=True), groups.std(numeric_only=True)
    columns = {"depth": groups["depth"].first(), "units": groups["units"].first(), "n": groups.size()}
    columns |= {name: mean[name] for name in MEASURES}
    columns |= {name: between[name.removesuffix("_std")].fillna(mean[name]) for name in ("auc_std", "prunability_std")}
    return pd.DataFrame(columns).reset_index()


def summarize(networks: pd.DataFrame) -> pd.DataFrame:
    """One row for each protocol, series and width factor: means over replicates, deviations and n.

    Deviations are between replicates, but `similarity_std` is the mean of the deviations between samplings within a
    trial, and `similarity_std_units` of those between the units of a layer; that between replicates is
    `similarity_between_std`. With one replicate `auc_std` and `prunability_std` are those between samplings.
    `compressibility` and `compressed_parameters` are there if the networks have them. `degenerate` counts the
    replicates that have collapsed to one label.
    """
    groups = networks.groupby(["protocol", "series", "width_factor"], sort=False)
    mean, between = groups.mean(numeric_only=True), groups.std(numeric_only=True)
    columns: dict[str, pd.Series] = {"n": groups.size()}
    for name in (
        *("train_accuracy", "validation_accuracy", "test_accuracy"),
        *("auc", "prunability", "similarity", "similarity_reference", "redundancy_pca", "dead_fraction"),
    ):
        columns |= {name: mean[name], f"{name}_std": between[name]}
    columns |= {name: columns[name].fillna(mean[name]) for name in ("auc_std", "prunability_std")}
    columns |= {"similarity_std": mean["similarity_std"], "similarity_between_std": between["similarity"]}
    columns |= {"similarity_std_units": mean["similarity_std_units"]}
    for name in (each for each in COMPRESSIBILITY if each in mean):
        columns |= {name: mean[name], f"{name}_std": between[name]}
    columns |= {"degenerate": groups["degenerate"].sum().astype(int), "parameters": groups["parameters"].first()}
    return pd.DataFrame(columns).reset_index()


def ablation_curves(chosen: pd.DataFrame, store: Store, varied: Varied) -> pd.DataFrame:
    """`protocol, series, width_factor, layer, share_dropped, unchanged, unchanged_std, n`: means over replicates.

    Under `text`, with several layers, the mean over those whose width varies is a further "layer", `mean of layers`;
    under `figures` units of every layer are dropped in `all layers together`. The deviation is between replicates.
    """
    curves = _stacked(chosen, store, "ablation").replace({"layer": {"": ALL_TOGETHER}})
    keys = ["protocol", "trial", "series", "width_factor", "replicate", "layer", "share_dropped"]
    curves = curves.groupby(keys, sort=False)[["unchanged"]].mean().reset_index()
    of_text = curves[curves["protocol"] == "text"]
    if of_text["layer"].nunique() > 1:
        keys.remove("layer")
        whole = (
            _of_varied(of_text, varied)
            .groupby(keys, sort=False, as_index=False)["unchanged"]
            .mean()
            .assign(layer=MEAN_OF_LAYERS)
        )
        curves = pd.concat([curves, whole])
    keys = ["protocol", "series", "width_factor", "layer", "share_dropped"]
    groups = curves.groupby(keys, sort=False)["unchanged"]
    return pd.DataFrame({"unchanged": groups.mean(), "unchanged_std": groups.std(), "n": groups.size()}).reset_index()


def curves_of_networks(ablation: pd.DataFrame) -> pd.DataFrame:
    """The curves of whole networks, of one protocol: those of all layers together, of their mean, or of the only
    one."""
    names = ablation["layer"].unique()
    return ablation[ablation["layer"] == next((name for name in OF_NETWORK if name in names), names[0])]


def curves_of_layers(ablation: pd.DataFrame) -> pd.DataFrame:
    """The curves of single layers."""
    return ablation[~ablation["layer"].isin(OF_NETWORK)]


def correlation_distributions(chosen: pd.DataFrame, store: Store) -> pd.DataFrame:
    """`series, width_factor, layer, low, high, pairs, share`: the pairs of units with |r| in [low, high).

    `pairs` is their number in all replicates together, the mean of the samplings; `share` is their share among all
    pairs. Units of constant activity are in no pair.
    """
    counted = _stacked(chosen, store, "correlation")
    keys, interval = ["series", "width_factor", "layer"], ["low", "high"]
    of_network = counted.groupby([*keys, "trial", *interval], sort=False, as_index=False)["pairs"].mean()
    pairs = of_network.groupby([*keys, *interval], sort=False, as_index=False)["pairs"].sum()
    total = pairs.groupby(keys)["pairs"].transform("sum")
    return pairs.assign(share=(pairs["pairs"] / total).where(total > 0, 0.0))


def _by_protocol(layers: pd.DataFrame, removability: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Layers once for each protocol, with the removability that each has under it."""
    single = removability.loc[removability["layer"] != "", ["protocol", *keys, "layer", *OF_REMOVABILITY]]
    others = layers.drop(columns=[name for name in layers if str(name).startswith(("auc", "prunability"))])
    merged = pd.merge(others, single, on=[*keys, "layer"])
    return _protocol_by_protocol(merged)


def _of_networks(
    layers: pd.DataFrame, removability: pd.DataFrame, varied: Varied, samplings: Samplings, keys: list[str]
) -> pd.DataFrame:
    """`protocol, units`, the measures of each network and their errors, by `keys`."""
    counted, by = _of_varied(layers, varied), ["protocol", *keys]
    groups = counted.groupby(by, sort=False)
    measures = groups[MEASURES].mean().join(measurement_errors(counted, by, samplings))
    measures.insert(0, "units", groups["units"].sum())
    together = removability[(removability["layer"] == "") & ~removability["trial"].isin(varied)]
    error = together["auc_std"] / together["trial"].map(samplings) ** 0.5
    measures.update(together.assign(auc_error_samplings=error).set_index(by)[[*OF_REMOVABILITY, "auc_error_samplings"]])
    return measures.reset_index()


def _protocol_by_protocol(rows: pd.DataFrame) -> pd.DataFrame:
    order = {"text": 0, "figures": 1}
    return rows.sort_values("protocol", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def _of_varied(layers: pd.DataFrame, varied: Varied) -> pd.DataFrame:
    """The rows of the layers that count for their network's number."""
    if not varied:
        return layers
    pairs = zip(layers["trial"], layers["layer"], strict=True)
    return layers[[layer in varied.get(trial, (layer,)) for trial, layer in pairs]]


def _stacked(chosen: pd.DataFrame, store: Store, name: str) -> pd.DataFrame:
    """One table of every chosen trial, after the trial, series, width factor and replicate."""
    networks = chosen[["trial", "series", "width_factor", "replicate"]]
    return pd.merge(networks, store.stacked(chosen["trial"].drop_duplicates(), name), on="trial")

"""The measures of the networks that count, averaged over layers, replicates and samplings."""

from collections.abc import Collection, Mapping

import pandas as pd

from widthwise.experiments.store import Store

MEAN_OF_LAYERS = "mean of layers"
NETWORK = ["trial", "series"]
"""The key of an experiment's networks: two series may share a trial."""
MEASURES = ["auc", "auc_std", "similarity", "similarity_std", "dead_fraction"]

Varied = Mapping[str, Collection[str]]
"""For trials in which not every layer's width varies, the layers whose width does, by the trial's id."""


def layers_of_networks(chosen: pd.DataFrame, store: Store) -> pd.DataFrame:
    """The table `layers` of every chosen network, after its trial, series, width factor and replicate; and `depth`:
    the layer's position in its network, counted from 1."""
    layers = _stacked(chosen, store, "layers")
    return layers.assign(depth=layers.groupby(NETWORK, sort=False).cumcount() + 1)


def measure_networks(chosen: pd.DataFrame, layers: pd.DataFrame, varied: Varied) -> pd.DataFrame:
    """`chosen` with the measures of each network: means over its layers (Section 3, "Samplings and Replicates").

    Adds `units` (the sum over layers), `auc, auc_std, similarity, similarity_std, dead_fraction`; the deviations are
    between samplings. If the width of only some layers varies, as in the paper's Inception-v3-layer, the means are over
    those.
    """
    counted = _of_varied(layers, varied)
    measures = counted.groupby(NETWORK)[MEASURES].mean()
    measures.insert(0, "units", counted.groupby(NETWORK)["units"].sum())
    return chosen.join(measures, on=NETWORK)


def measure_epochs(chosen: pd.DataFrame, store: Store, varied: Varied, names: Mapping[int, str]) -> pd.DataFrame:
    """The chosen networks at each epoch that they keep, in the form of `measure_networks`, one row each (Fig. B2).

    Args:
        names: the series' names by epoch, which is counted from 1, in their order.
    """
    epochs = _of_varied(_stacked(chosen, store, "epochs"), varied)
    groups = epochs.groupby(["trial", "epoch"])
    measures = groups[[*MEASURES, "test_accuracy"]].mean()
    measures.insert(0, "units", groups["units"].sum())
    of_end = chosen.drop(columns=["series", "test_accuracy", "test_loss"])
    rows = pd.merge(of_end, measures.reset_index(), on="trial")
    rows.insert(0, "series", rows.pop("epoch").map(names))
    order = {name: index for index, name in enumerate(names.values())}
    return rows.dropna(subset="series").sort_values("series", key=lambda each: each.map(order), kind="stable")


def summarize_layers(layers: pd.DataFrame) -> pd.DataFrame:
    """`series, width_factor, layer, depth, units, n` and the measures: means over replicates, in order of depth.

    Deviations are as in `summarize`.
    """
    groups = layers.groupby(["series", "width_factor", "layer"], sort=False)
    mean, between = groups.mean(numeric_only=True), groups.std(numeric_only=True)
    columns = {"depth": groups["depth"].first(), "units": groups["units"].first(), "n": groups.size()}
    columns |= {name: mean[name] for name in MEASURES}
    columns["auc_std"] = between["auc"].fillna(mean["auc_std"])
    return pd.DataFrame(columns).reset_index()


def summarize(networks: pd.DataFrame) -> pd.DataFrame:
    """One row for each series and width factor: means over replicates, deviations and n.

    Deviations are between replicates, but `similarity_std` is the paper's, the mean of the deviations between
    samplings within a trial; that between replicates is `similarity_between_std`. With one replicate `auc_std` is that
    between samplings. `degenerate` counts the replicates that have collapsed to one label.
    """
    groups = networks.groupby(["series", "width_factor"], sort=False)
    mean, between = groups.mean(numeric_only=True), groups.std(numeric_only=True)
    columns: dict[str, pd.Series] = {"n": groups.size()}
    for name in ("train_accuracy", "validation_accuracy", "test_accuracy", "auc", "similarity", "dead_fraction"):
        columns |= {name: mean[name], f"{name}_std": between[name]}
    columns["auc_std"] = between["auc"].fillna(mean["auc_std"])
    columns |= {"similarity_std": mean["similarity_std"], "similarity_between_std": between["similarity"]}
    columns |= {"degenerate": groups["degenerate"].sum().astype(int), "parameters": groups["parameters"].first()}
    return pd.DataFrame(columns).reset_index()


def ablation_curves(chosen: pd.DataFrame, store: Store, varied: Varied) -> pd.DataFrame:
    """`series, width_factor, layer, share_dropped, unchanged, unchanged_std, n`: curves, averaged over replicates.

    With several layers, the mean over those whose width varies is a further "layer", `mean of layers`. The deviation is
    between replicates.
    """
    curves = _stacked(chosen, store, "ablation")
    keys = ["trial", "series", "width_factor", "replicate", "layer", "share_dropped"]
    curves = curves.groupby(keys, sort=False)[["unchanged"]].mean().reset_index()
    if curves["layer"].nunique() > 1:
        keys.remove("layer")
        whole = (
            _of_varied(curves, varied)
            .groupby(keys, sort=False, as_index=False)["unchanged"]
            .mean()
            .assign(layer=MEAN_OF_LAYERS)
        )
        curves = pd.concat([curves, whole])
    groups = curves.groupby(["series", "width_factor", "layer", "share_dropped"], sort=False)["unchanged"]
    return pd.DataFrame({"unchanged": groups.mean(), "unchanged_std": groups.std(), "n": groups.size()}).reset_index()


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

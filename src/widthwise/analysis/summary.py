"""The measures of the networks that count, averaged over layers, replicates and samplings."""

import pandas as pd

from widthwise.experiments.store import Store

MEAN_OF_LAYERS = "mean of layers"


def measure_networks(chosen: pd.DataFrame, store: Store) -> pd.DataFrame:
    """`chosen` with the measures of each network: means over its layers (Section 3, "Samplings and Replicates").

    Adds `units` (the sum over layers), `auc, auc_std, similarity, similarity_std, dead_fraction`; the deviations are
    between samplings.
    """
    layers = _stacked(chosen, store, "layers")
    measures = layers.groupby("trial")[["auc", "auc_std", "similarity", "similarity_std", "dead_fraction"]].mean()
    measures.insert(0, "units", layers.groupby("trial")["units"].sum())
    return chosen.join(measures, on="trial")


def summarize(networks: pd.DataFrame) -> pd.DataFrame:
    """A row for each series and width factor: means over replicates, deviations and n.

    Deviations are between replicates, but `similarity_std` is the paper's, the mean of the deviations between
    samplings within a trial; that between replicates is `similarity_between_std`. With one replicate `auc_std` is that
    between samplings. `degenerate` counts the replicates that have collapsed to one label.
    """
    groups = networks.groupby(["series", "width_factor"], sort=False)
    mean, between = groups.mean(numeric_only=True), groups.std(numeric_only=True)
    columns = {"n": groups.size()}
    for name in ("train_accuracy", "validation_accuracy", "test_accuracy", "auc", "similarity", "dead_fraction"):
        columns |= {name: mean[name], f"{name}_std": between[name]}
    columns["auc_std"] = between["auc"].fillna(mean["auc_std"])
    columns |= {"similarity_std": mean["similarity_std"], "similarity_between_std": between["similarity"]}
    columns |= {"degenerate": groups["degenerate"].sum().astype(int), "parameters": groups["parameters"].first()}
    return pd.DataFrame(columns).reset_index()


def ablation_curves(chosen: pd.DataFrame, store: Store) -> pd.DataFrame:
    """`series, width_factor, layer, share_dropped, unchanged, unchanged_std, n`: curves, averaged over replicates.

    With several layers, the mean over them is a further "layer", `mean of layers`. The deviation is between replicates.
    """
    curves = _stacked(chosen, store, "ablation")
    keys = ["series", "width_factor", "replicate", "layer", "share_dropped"]
    curves = curves.groupby(keys, sort=False, as_index=False)["unchanged"].mean()
    if curves["layer"].nunique() > 1:
        keys.remove("layer")
        whole = curves.groupby(keys, sort=False, as_index=False)["unchanged"].mean().assign(layer=MEAN_OF_LAYERS)
        curves = pd.concat([curves, whole])
    groups = curves.groupby(["series", "width_factor", "layer", "share_dropped"], sort=False)["unchanged"]
    return pd.DataFrame({"unchanged": groups.mean(), "unchanged_std": groups.std(), "n": groups.size()}).reset_index()


def correlation_distributions(chosen: pd.DataFrame, store: Store) -> pd.DataFrame:
    """`series, width_factor, layer, low, high, share`: which share of the pairs of units has |r| in [low, high)."""
    pairs = _stacked(chosen, store, "correlation")
    keys = ["series", "width_factor", "layer"]
    pairs = pairs.groupby([*keys, "low", "high"], sort=False, as_index=False)["pairs"].sum()
    total = pairs.groupby(keys)["pairs"].transform("sum")
    share = (pairs["pairs"] / total).where(total > 0, 0.0)
    return pairs.drop(columns="pairs").assign(share=share)


def _stacked(chosen: pd.DataFrame, store: Store, name: str) -> pd.DataFrame:
    """One table of every chosen trial, with the trial and its place in the sweep in front."""
    tables = store.tables(chosen["trial"], name)
    places = chosen[["trial", "series", "width_factor", "replicate"]]
    return pd.merge(places, pd.concat([table.assign(trial=trial) for trial, table in tables.items()]), on="trial")

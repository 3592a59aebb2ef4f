"""How far a network's measures are off since samplings, and units, were drawn: the levels below the replicate."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

Numbers = Float[np.ndarray, "*layers"]


def measurement_errors(layers: pd.DataFrame, keys: list[str], samplings: Mapping[str, int]) -> pd.DataFrame:
    """The standard errors of networks' measures over draws of samplings and of units, one row each, by `keys`.

    A network's number is the mean over layers, whose samplings are drawn independently. An error is missing where one
    sampling was drawn, or every layer has too few units. An AUC has no error of units: nothing of an ablation is
    measured unit by unit, and each sampling draws other units already.

    Args:
        layers: the layers that count for the networks' numbers: `trial, units, auc_std, similarity_std, similarity,
            similarity_std_units`, and `keys`, which name the network.
        samplings: by the trial's id, the number of samplings of each measure.

    Returns: `auc_error_samplings, similarity_error_samplings, similarity_error_units`.
    """
    count = layers["trial"].map(samplings)
    of_units = units_error(*(layers[name].to_numpy(dtype=float) for name in UNIT_COLUMNS))
    squares = layers[keys].assign(
        auc_error_samplings=layers["auc_std"] ** 2 / count,
        similarity_error_samplings=layers["similarity_std"] ** 2 / count,
        similarity_error_units=of_units**2,
    )
    groups = squares.groupby(keys, sort=False)
    return (groups.sum(min_count=1) ** 0.5).div(groups.size(), axis=0)


UNIT_COLUMNS = ("units", "similarity", "similarity_std_units")


def units_error(units: Numbers, similarity: Numbers, deviation: Numbers) -> Numbers:
    """The standard error of layers' similarity, were their units drawn again from a population of such units.

    Similarity is a U-statistic of degree 2, the mean over pairs of units of whether they are similar, times the number
    of others (Hoeffding, 1948). Drawing a unit again changes its own number of similar units and, by 1, that of each
    unit that was like it; so the error is about twice that of a mean of independent numbers. Missing where there are
    fewer than 5 units.

    Args:
        units: the number of units of each layer.
        similarity: the mean number of similar units.
        deviation: the standard deviation of that number between the layer's units, around their mean.
    """
    n = np.where(units >= 5, units, np.nan)
    share = np.clip(similarity / (n - 1), 0, 1)
    of_pairs = share * (1 - share)
    of_units = np.clip((deviation**2 * n / (n - 1) / (n - 2) - of_pairs) / (n - 4), 0, None)
    return np.sqrt((n - 1) / n * (4 * (n - 2) * of_units + 2 * of_pairs))

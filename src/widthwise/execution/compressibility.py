"""How small a trial's network can be made, among its results."""

from collections.abc import Iterable

import pandas as pd
from torch import nn

from widthwise.compression.smallest import smallest
from widthwise.errors import RequestError, TrialError
from widthwise.networks.cost import parameters
from widthwise.tracing.predicted_labels import Predict

TRAINING_EXAMPLES, TEST_EXAMPLES = 1000, 1000
"""At most this many, evenly spaced, to make a smaller network by, and to compare it on."""


def compressibility(
    network: nn.Module, train: Iterable[object], test: Iterable[object], predict: Predict | None, seed: int
) -> tuple[dict[str, float | int | bool], dict[str, pd.DataFrame]]:
    """Results and tables of the smallest network that gives 95% of a trained network's labels.

    The results are `compressed_parameters`, the number of its parameters; `compressibility`, their share of the trained
    network's; and `compressed_labels_kept`, the share of the labels of test examples that it keeps. Where the network
    cannot be compressed there are none, and the table `not_compressed` has the reason.

    Args:
        network: the trained network.
        train, test: batches of training examples, without labels, and of test examples.
        predict: the scores in the network's output, as for `profile`.
        seed: the seed of the draws.
    """
    try:
        found = smallest(network, train, test, predict=predict, seed=seed)
    except (RequestError, TrialError) as error:
        reason = error.problem if isinstance(error, RequestError) else str(error)  # its field is none of the trial's
        return {}, {"not_compressed": pd.DataFrame({"reason": [reason]})}
    results = {
        "compressed_parameters": found.parameters,
        "compressibility": found.parameters / parameters(network),
        "compressed_labels_kept": found.labels_kept,
    }
    return results, {}

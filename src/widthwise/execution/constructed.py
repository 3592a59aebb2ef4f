"""The constructions of Section 2.3 from a trained network, and their relation to it."""

import torch
from torch import Tensor, nn

from widthwise.data.dataset import Dataset, Split
from widthwise.experiments.trial import Construction
from widthwise.measurement.ablation import labels_without
from widthwise.networks.construction import construct
from widthwise.networks.mlp import MLP
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.network import Network
from widthwise.tracing.untouched import untouched


def constructed(
    network: nn.Module, construction: Construction, dataset: Dataset, seed: int
) -> tuple[MLP, dict[str, float | int]]:
    """A construction from a trained network, and results that relate the two over the test set.

    `output_difference` is the largest difference of an output, relative to the largest output; `removable_units` the
    number of units that can be dropped, each alone, with every label unchanged; `unchanged_without_added` the
    proportion of unchanged labels when all units that the construction added are dropped.
    """
    assert isinstance(network, MLP), "a trial with a construction is of an MLP"
    train, test = (_inputs(split) for split in (dataset.train, dataset.test))
    wide = construct(network, construction, train, seed)
    return wide, _compare(network, wide, test)


def _inputs(split: Split) -> Tensor:
    inputs, _ = next(iter(split.batches(len(split))))
    assert isinstance(inputs, Tensor), "an MLP has one input"
    return inputs


def _compare(small: MLP, wide: MLP, examples: Tensor) -> dict[str, float | int]:
    units = wide.output.in_features
    added = list(range(small.output.in_features, units))
    with untouched(wide):
        network = Network(wide, Inputs((examples,), {}))
        layer = network.layers[0]
        run = network.run(Inputs((examples,), {}))
        alone = [torch.equal(labels_without(network, layer, run, [unit]), run.labels) for unit in range(units)]
        unchanged = labels_without(network, layer, run, added) == run.labels
        output, intact = wide(examples), small(examples)
    return {
        "output_difference": ((output - intact).abs().max() / intact.abs().max()).item(),
        "removable_units": sum(alone),
        "unchanged_without_added": unchanged.double().mean().item(),
    }

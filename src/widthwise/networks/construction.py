"""The constructions of Section 2.3: a network twice as wide that computes the same, with other kinds of spare units."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from widthwise.measurement.correlation import RunningCorrelation
from widthwise.networks.description import Construction
from widthwise.networks.mlp import HIDDEN_UNITS, MLP
from widthwise.randomness import generator

SPLIT_SCALE = 100.0
"""η, in units of the largest absolute output weight."""
UNCORRELATED = 0.4
"""An added unit must have a smaller |r| than this with every other, so that it stays under 0.5 on other inputs."""
CANDIDATES, ROUNDS = 512, 200


@torch.no_grad()
def construct(small: MLP, construction: Construction, inputs: Float[Tensor, "examples features"], seed: int) -> MLP:
    """A network with the output of `small` and, but for `small` itself, twice its hidden units.

    η has opposite signs at the two outputs of each unit: an equal offset to both would never change a label.

    Args:
        small: a trained MLP with two outputs.
        construction: the network of the paper to build.
        inputs: examples on which added units must be uncorrelated.
        seed: the seed of the incoming weights of added units.

    Raises:
        RuntimeError: not enough uncorrelated units exist; the small network has too many units for its inputs.
    """
    if construction == "small":
        return small
    incoming, bias = small.linear.weight, small.linear.bias
    outgoing = small.output.weight
    nothing = torch.zeros_like(outgoing)
    added, added_bias, first, second = incoming, bias, outgoing, nothing
    match construction:
        case "removable":
            added, added_bias = _uncorrelated_units(small, inputs, seed)
        case "repeated":
            offset = SPLIT_SCALE * outgoing.abs().max() * torch.tensor([[1.0], [-1.0]])
            first, second = outgoing / 2 + offset, outgoing / 2 - offset
        case "dead":
            added, added_bias = torch.zeros_like(incoming), torch.zeros_like(bias)

    width_factor = 2 * small.linear.out_features / HIDDEN_UNITS
    wide = MLP(small.linear.in_features, 2, width_factor)
    wide.linear.weight.copy_(torch.cat([incoming, added]))
    wide.linear.bias.copy_(torch.cat([bias, added_bias]))
    wide.output.weight.copy_(torch.cat([first, second], dim=1))
    wide.output.bias.copy_(small.output.bias)
    return wide


def _uncorrelated_units(
    small: MLP, inputs: Float[Tensor, "examples features"], seed: int
) -> tuple[Float[Tensor, "units features"], Float[Tensor, " units"]]:
    """As many random ReLU units as the small network has, uncorrelated with its units and with each other.

    Random candidates are accepted one after the other if they correlate with none accepted before.
    """
    units, features = small.linear.weight.shape
    stream = generator(seed, "uncorrelated units")
    taken = small.hidden(inputs)
    weights, biases = torch.empty(0, features), torch.empty(0)
    for _ in range(ROUNDS):
        candidates = nn.functional.normalize(torch.randn(CANDIDATES, features, generator=stream))
        offsets = torch.randn(CANDIDATES, generator=stream)
        activity = torch.relu(inputs @ candidates.T + offsets)
        fitting = _greatest_correlation(activity, taken) < UNCORRELATED
        for candidate in fitting.nonzero().flatten().tolist():
            if _greatest_correlation(activity[:, [candidate]], taken).item() < UNCORRELATED:
                taken = torch.cat([taken, activity[:, [candidate]]], dim=1)
                weights = torch.cat([weights, candidates[[candidate]]])
                biases = torch.cat([biases, offsets[[candidate]]])
            if len(weights) == units:
                return weights, biases
    raise RuntimeError(
        f"found only {len(weights)} of {units} mutually uncorrelated units for inputs of {features} dimensions; "
        "use a smaller width factor or more dimensions"
    )


def _greatest_correlation(
    activity: Float[Tensor, "examples candidates"], others: Float[Tensor, "examples units"]
) -> Float[Tensor, " candidates"]:
    """The largest |r| of each candidate with any of the others; 1 for a candidate that never varies."""
    candidates = activity.shape[1]
    running = RunningCorrelation(candidates + others.shape[1])
    running.update(torch.cat([activity, others], dim=1))
    varying = (~running.constant).nonzero().flatten()
    is_candidate = varying < candidates
    greatest = torch.ones(candidates)
    absolute = running.compute().r.abs()[is_candidate][:, ~is_candidate]
    greatest[varying[is_candidate]] = absolute.amax(1).float()
    return greatest

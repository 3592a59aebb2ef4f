"""Condensation and the way from initialization: the directions of units' incoming weights, and their change."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from widthwise.errors import RequestError
from widthwise.measurement.accumulator import State
from widthwise.tracing.incoming_weights import incoming_weights
from widthwise.tracing.layer import Layer
from widthwise.tracing.tape import Tape

SAME_DIRECTION = 0.95
"""Units whose incoming weights have at least this |cosine| point in nearly the same direction, or the opposite one."""


@dataclass(frozen=True)
class Incoming:
    """A layer's incoming weights, unit by unit; NaN where they are not known.

    cosine: the largest |cosine| with another unit. Units whose weights share a direction have condensed (Luo et al.,
        2021, "Phase Diagram for Two-layer ReLU Neural Networks at Infinite-width Limit"). As there, and in Zhou et al.,
        2022, "Towards Understanding the Condensation of Neural Networks at Initial Training", a unit's vector is its
        weights with its bias, if the dense layer or convolution has one; opposite vectors count as one orientation.
    aligned: the number of other units with a |cosine| of at least `SAME_DIRECTION`.
    change: ‖w - w₀‖ / ‖w₀‖, the change of its weights w, without the bias, from their initial values w₀.
    """

    cosine: Float[Tensor, " units"]
    aligned: Float[Tensor, " units"]
    change: Float[Tensor, " units"]

    def state_dict(self) -> State:
        """The three numbers of each unit."""
        return {"cosine": self.cosine, "aligned": self.aligned, "change": self.change}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], units: int) -> "Incoming":
        """What `state_dict` returned; all NaN if there is nothing in it."""
        return cls(**state) if state else unknown(units)

    def same(self, other: "Incoming") -> bool:
        """Whether these may be numbers of the same weights, found on machines that round differently."""
        pairs = ((self.cosine, other.cosine), (self.change, other.change))
        return all(torch.allclose(one, two, rtol=1e-3, atol=1e-3, equal_nan=True) for one, two in pairs)


def unknown(units: int) -> Incoming:
    """That of a layer whose incoming weights are not known."""
    return Incoming(*torch.full((3, units), torch.nan, dtype=torch.float64))


def incoming(tape: Tape, layer: Layer, initial: Mapping[int, Tensor] | None) -> Incoming:
    """The incoming weights of a layer.

    Args:
        tape: a run that has all its values.
        layer: the layer.
        initial: the parameters' initial values, as `initial_parameters` gives them; None: they are not known.
    """
    weights, found = incoming_weights(tape, layer), unknown(layer.units)
    if weights is None:
        return found
    cosine, aligned = weights.largest_cosines(SAME_DIRECTION)
    change = found.change
    before = None if initial is None else incoming_weights(tape, layer, initial)
    if before is not None:
        change = weights.change_from(before)
    return Incoming(cosine.cpu(), aligned.cpu(), change.cpu())


def initial_parameters(model: nn.Module, initial: object) -> dict[int, Tensor]:
    """The initial value of each of a model's parameters, by the `id` of the parameter, from a network or its state.

    Raises:
        RequestError: it is neither, or a parameter is missing or has another shape.
    """
    given = dict(initial.named_parameters()) if isinstance(initial, nn.Module) else initial
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        raise RequestError(f"must be a network or its state_dict(), not {kind}", field="initial")
    found = {}
    for name, parameter in model.named_parameters():
        value = given.get(name)
        if not isinstance(value, Tensor):
            raise RequestError(f"must hold every parameter of the model, and has no {name!r}", field="initial")
        if value.shape != parameter.shape:
            shapes = f"{tuple(value.shape)} where the model's is {tuple(parameter.shape)}"
            raise RequestError(f"holds {name!r} with the shape {shapes}", field="initial")
        found[id(parameter)] = value.detach()
    return found

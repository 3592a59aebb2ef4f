"""The dimension of a layer's value along which the examples lie."""

from collections.abc import Sequence
from dataclasses import replace

from widthwise.errors import RequestError
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.layer import NO_TOKEN, Layer, LeftOut, reached, slot_at
from widthwise.tracing.tape import Tape


def with_examples(
    layers: Sequence[Layer], probe: Inputs, tape: Tape, fewer: Tape | None, chosen: bool
) -> tuple[list[Layer], list[LeftOut]]:
    """The layers with the dimension along which the examples lie in each value, and those that are left out.

    A value without such a dimension or without units is left out or, if a user chose it, refused.

    Args:
        layers: the layers.
        probe, tape: some examples, and the run on them, with its values.
        fewer: the run on fewer of them; None: there is none.
        chosen: whether a user chose the layers.

    Raises:
        RequestError: a chosen layer cannot be measured, or none is left.
    """
    found: list[Layer] = []
    left_out: list[LeftOut] = []
    for layer in layers:
        shape = () if layer.routed else tuple(layer.opened(tape.values[slot_at(tape, layer)]).shape)
        along = None if layer.routed else _example_dimension(layer, shape, probe, fewer)
        if layer.routed and (layer.part is not None or reached(tape, layer) is not None):
            found.append(_of_tokens(layer))
        elif along is not None and 0 not in shape:
            rest = tuple(size for dimension, size in enumerate(shape) if dimension != along)
            found.append(replace(layer, example_dimension=along, shape=rest))
        else:
            lacks = "no units" if layer.units == 0 else "no dimension of examples"
            reason = NO_TOKEN if layer.routed else f"its value has {lacks}"
            if chosen:
                of_shape = "" if layer.routed else f", of shape {shape}"
                raise RequestError(f"{layer.name}{of_shape} cannot be measured: {reason}", field="layers")
            left_out.append(LeftOut(layer.name, layer.kind, reason))
    if not found:
        raise RequestError("no layer's value has units and a dimension of examples, so there is nothing to measure")
    return found, left_out


def _of_tokens(layer: Layer) -> Layer:
    """A routed layer, whose tokens lie along the first dimension that is not that of the units."""
    # of `layer.shape`, the first dimension is missing
    return layer if layer.unit_dimension else replace(layer, example_dimension=1, shape=(layer.units, *layer.shape[1:]))


def _example_dimension(layer: Layer, shape: tuple[int, ...], probe: Inputs, fewer: Tape | None) -> int | None:
    """The dimension of a layer's value along which the examples lie; None: there is none.

    It is the only one that is shorter for fewer examples; where there is no such run, the first that is as long as
    there are examples.
    """
    if fewer is None:
        fitting = [at for at, size in enumerate(shape) if size == probe.examples and at != layer.unit_dimension]
        return fitting[0] if fitting else None
    try:
        other = tuple(layer.opened(fewer.values[slot_at(fewer, layer)]).shape)
    except RequestError:  # that run did not reach it
        return None
    differing = [at for at, sizes in enumerate(zip(shape, other, strict=False)) if sizes[0] != sizes[1]]
    fits = len(shape) == len(other) and len(differing) == 1 and differing[0] != layer.unit_dimension
    return differing[0] if fits else None

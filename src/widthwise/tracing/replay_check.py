"""A check that replaying a tape gives the same as the model itself, before the tape is relied on."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from widthwise.errors import RequestError
from widthwise.tracing.arrangement import TOLERANCE, alike
from widthwise.tracing.in_place import write_counts
from widthwise.tracing.layer import Layer, slot_at
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import Escape, Tape
from widthwise.wording import one_line


def check_same_parts(model: nn.Module, modules: Mapping[str, nn.Module], parameters: Mapping[str, Tensor]) -> None:
    """Refuse a model that now has other modules or parameters than before it was run.

    Raises:
        RequestError: it has.
    """
    for noun, before, now in (
        ("module", modules, dict(model.named_modules())),
        ("parameter", parameters, dict(model.named_parameters())),
    ):
        for name in {**before, **now}:
            if before.get(name) is not now.get(name):
                raise RequestError(
                    f"the network changes its own {noun} {name} when it is run; if it only makes it in its first run, "
                    "run it once before"
                )


def check_repeatable(parameters: Mapping[str, Tensor], versions: Mapping[str, int], one: Tape, other: Tape) -> None:
    """Refuse a model that writes to its parameters or answers differently to the same inputs.

    Args:
        parameters: the model's parameters by name.
        versions: the number of writes to each parameter before the two runs.
        one, other: tapes of two runs on the same inputs.

    Raises:
        RequestError: the model does so.
    """
    changed = [name for name, parameter in parameters.items() if write_counts([parameter])[0] != versions[name]]
    if changed:
        raise RequestError(f"the network writes to its own parameter {changed[0]} when it is run; it must not")
    if not alike(one.values[one.results[0]], other.values[other.results[0]], TOLERANCE):
        raise RequestError(
            "the network answers differently to the same inputs, so a change of a label would mean nothing; "
            "it must not be random in evaluation mode"
        )


def unseen_source(tape: Tape, constants: Mapping[int, Tensor]) -> str:
    """The reason why a run cannot be replayed: it used a tensor that no recorded function returned; empty if it can.

    Args:
        tape: the run.
        constants: tensors that are the same in every run, by `id`.
    """
    unknown = [tensor for tensor in tape.sources if id(tensor) not in constants]
    if not unknown:
        return ""
    shape = tuple(unknown[0].shape)
    return f"a value of shape {shape} came from a function that is not PyTorch's own, such as a compiled module's"


def replay_problem(
    tape: Tape, layers: Sequence[Layer], scores_with: Callable[[Layer, Tensor], Tensor], tried: bool = True
) -> str:
    """The reason why replaying the tape from a layer on would differ from the model; empty if it would not.

    The tape is searched for escapes, then tried: with half of each layer's values dropped, the other half, and all of
    them, the replay must give the same as the whole model.

    Args:
        tape: a run, with all its values.
        layers: the layers to replay from.
        scores_with: runs the whole model with another value of a layer; returns its scores.
        tried: False: it is not tried, only searched for escapes.
    """
    for layer in layers:
        slot = slot_at(tape, layer)
        plan = tape.replay_plan([slot], tape.results[0])
        if plan.escape:
            return escape_reason(layer.name, plan.escape)
        if not tried:
            continue
        value = tape.values[slot]
        half = torch.arange(value.numel(), device=value.device).view(value.shape) % 2 == 0
        for kept in (half, ~half, torch.zeros_like(half)):
            ablated = value * kept
            try:
                replayed = tape.replay(plan, lambda _, __, ablated=ablated: ablated.clone())
            except Exception as error:  # whatever a function raises outside of the model's own code
                return f"what follows {layer.name} cannot be run by itself: {one_line(error)}"
            if not alike(replayed, scores_with(layer, ablated), TOLERANCE):
                return f"running again what follows {layer.name} does not give what the network gives"
    return ""


def joint_replay_problem(
    tape: Tape, layers: Sequence[Layer], scores_with: Callable[[Callable[[Layer, Tensor], Tensor]], Tensor]
) -> str:
    """The reason why replaying the tape from all layers at once would differ from the model; empty if it would not.

    It is tried as by `replay_problem`.

    Args:
        tape: a run, with all its values.
        layers: the layers to replay from.
        scores_with: runs the whole model with other values of the layers, which a function gives; returns its scores.
    """
    slots: dict[Slot, list[Layer]] = {}
    for layer in layers:
        slots.setdefault(slot_at(tape, layer), []).append(layer)
    plan = tape.replay_plan(slots, tape.results[0])
    if plan.escape:
        return escape_reason("its layers", plan.escape)
    for kept in (0, 1):

        def halved(layer: Layer, value: Tensor, kept: int = kept) -> Tensor:
            return value * (torch.arange(value.numel(), device=value.device).view(value.shape) % 2 == kept)

        def changed(slot: Slot, value: Tensor, halved: Callable[[Layer, Tensor], Tensor] = halved) -> Tensor:
            for layer in slots[slot]:
                value = layer.closed(halved(layer, layer.opened(value)), value)
            return value

        try:
            replayed = tape.replay(plan, changed)
        except Exception as error:  # whatever a function raises outside of the model's own code
            return f"what follows its layers cannot be run by itself: {one_line(error)}"
        if not alike(replayed, scores_with(halved), TOLERANCE):
            return "running again what follows all its layers does not give what the network gives"
    return ""


def escape_reason(layer: str, escape: Escape) -> str:
    """The reason why a network cannot be replayed from a layer on: its code reads a value."""
    where = f"in {escape.path}" if escape.path else "in its forward"
    return f"what the network does depends on a value behind {layer} ({escape.reader}, {where})"

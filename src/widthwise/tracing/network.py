"""A model, run batch by batch, and run again with another value in one of its layers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from widthwise.tracing.inputs import Inputs, NoLabelError, Predict, labels_of, scores_of
from widthwise.tracing.layers import Layer, Selection, find_layers, slot_at
from widthwise.tracing.recording import record, run_with
from widthwise.tracing.structure import tensors_in
from widthwise.tracing.tape import Escape, ReplayPlan, Tape

PROBE_EXAMPLES = 4
REPLAY_TOLERANCE = 1e-4
DTYPES_FASTER_CHANNELS_LAST = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class RecordedRun:
    """One batch's run: the labels, `examples ...`, and what it takes to run parts of it again."""

    inputs: Inputs
    labels: Int[Tensor, "..."]
    classes: int
    values: dict[str, Tensor]
    tape: Tape
    plans: dict[str, ReplayPlan]

    @property
    def examples(self) -> int:
        """How many examples the batch has."""
        return self.inputs.examples


class Network:
    """A model that can be run from any of its layers on.

    Where the model's code lets it, only what is downstream of a layer is run again (`replayed`); else the whole model
    is, with the layer's value replaced by a hook, and `reason` says why. `whole` says whether all that it computes is
    on its tape.

    Args:
        model: in evaluation mode.
        example: a batch, of which the first examples are run to find the layers.
        layers, attention_heads: see `find_layers`.
        predict: from the model's output to scores, whose argmax over the last axis is a label, or to labels.
        replay: False to run the whole model each time.

    Raises:
        ValueError: it has no such layers, its answers give no labels, or it answers differently each time.
    """

    def __init__(
        self,
        model: nn.Module,
        example: Inputs,
        *,
        layers: Selection | None = None,
        attention_heads: bool = False,
        predict: Predict | None = None,
        replay: bool = True,
    ):
        self.model = model
        self._predict = predict
        self._devices = {parameter.device for parameter in model.parameters()}
        self._check_weights()
        self._versions = {name: parameter._version for name, parameter in model.named_parameters()}
        self.channels_last = False
        probe = example.part(0, PROBE_EXAMPLES) if example.divisible else example
        tape = self._record(probe, 1)
        self.channels_last = _gains_from_channels_last(tape, probe)
        sizes = _own_bytes(tape)
        self.bytes_per_example = sum(sizes) / probe.examples
        self.largest_value = max(sizes, default=0) / probe.examples
        found = find_layers(model, tape, layers, attention_heads)
        self.layers = self._with_examples(found, probe, tape, chosen=layers is not None)
        self.probe = self._record(probe, 1)
        self._check_same(tape, self.probe)
        self._constants = {id(tensor): tensor for tensor in tape.sources}
        unseen = self._unseen(self.probe)
        self.whole = not unseen
        problem = "it was asked for"
        if replay:
            problem = unseen or self._problem(probe, self.probe)
        self.replayed, self.reason = not problem, problem

    @property
    def device(self) -> torch.device:
        """Where the model is, and its inputs are moved to."""
        return next(iter(self._devices), torch.device("cpu"))

    def prepared(self, inputs: Inputs) -> Inputs:
        """Copies of a batch's tensors where the model is and in the layout in which it is fastest."""

        def prepare(tensor: Tensor) -> Tensor:
            moved = tensor.to(self.device, non_blocking=True) if len(self._devices) == 1 else tensor
            if self.channels_last and moved.dim() == 4:
                moved = moved.contiguous(memory_format=torch.channels_last)
            return moved.clone() if moved is tensor else moved

        return inputs.each(prepare)

    def run(self, inputs: Inputs, number: int = 1) -> RecordedRun:
        """Run the model on the batch of that number, and keep what other runs of it need.

        Raises:
            ValueError: the batch does not go through the model, or its answer is not a number.
        """
        tape = self._record(inputs, number)
        scores, labels = (tape.values[slot] for slot in tape.results)
        if scores.is_floating_point() and scores.isnan().any():
            raise ValueError("the model's output holds NaN, so no label can be formed; look at its inputs and weights")
        slots = {layer.name: slot_at(tape, layer) for layer in self.layers}
        values = {name: tape.values[slot] for name, slot in slots.items()}
        plans = {}
        if self.replayed:
            plans = {name: tape.replay_plan(slot, tape.results[1]) for name, slot in slots.items()}
            problem = next((_told(name, plan.escape) for name, plan in plans.items() if plan.escape), "")
            problem = problem or self._unseen(tape)
            if problem:  # in this batch for the first time; from now on the whole network is run
                self.replayed, self.reason, plans = False, problem, {}
        tape.keep({slot for plan in plans.values() for slot in plan.frontier})
        classes = scores.shape[-1] if scores.is_floating_point() else 0
        return RecordedRun(inputs, labels, classes, values, tape, plans)

    def rerun(self, run: RecordedRun, layer: Layer, value: Float[Tensor, "..."]) -> Int[Tensor, "..."]:
        """The labels if the layer's value had been `value`, which is used up.

        Raises:
            ValueError: the network cannot be run with that value.
        """
        try:
            if self.replayed:
                return run.tape.replay(run.plans[layer.name], value)
        except Exception as error:  # whatever a function raises at the value
            raise _fails_without(layer, error) from error
        return self._run_with(run.inputs, layer, value)[1]

    def _run_with(self, inputs: Inputs, layer: Layer, value: Tensor) -> Sequence[Tensor]:
        prepared = self.prepared(inputs)
        try:
            return run_with(self.model, lambda: self._answer(prepared), layer.place, value)
        except Exception as error:  # whatever the model's own code raises
            raise _fails_without(layer, error) from error

    def _record(self, inputs: Inputs, number: int) -> Tape:
        prepared = self.prepared(inputs)
        try:
            tape = record(self.model, lambda: self._answer(prepared))
            given = {id(tensor) for tensor in tensors_in((prepared.args, prepared.kwargs))}
            tape.sources = [tensor for tensor in tape.sources if id(tensor) not in given]
            return tape
        except NoLabelError:
            raise
        except Exception as error:  # whatever the model's own code raises
            shapes = ", ".join(str((inputs.examples, *shape)) for shape in inputs.shapes)
            hint = ""
            if isinstance(error, TypeError):
                hint = "; a batch of a model with several arguments is ((first, second),) or a dictionary"
            raise ValueError(
                f"{type(self.model).__name__} cannot be run on batch {number}, of shape {shapes}: {_said(error)}{hint}"
            ) from error

    def _answer(self, inputs: Inputs) -> Sequence[Tensor]:
        scores = scores_of(inputs.call(self.model), self._predict)
        return scores, labels_of(scores)

    def _check_weights(self) -> None:
        for name, tensor in [*self.model.named_parameters(), *self.model.named_buffers()]:
            if tensor.is_meta:
                raise ValueError(
                    f"the parameter {name} is on the meta device and has no values; load the weights first"
                )
            if tensor.is_floating_point() and tensor.isnan().any():
                raise ValueError(f"the parameter {name} holds NaN, so the network cannot be measured")

    def _with_examples(self, layers: list[Layer], probe: Inputs, tape: Tape, chosen: bool) -> list[Layer]:
        """The layers with the dimension along which the examples lie in each value: it is longer for more of them.

        A value that has none is no layer.
        """
        if not probe.divisible or probe.examples == 1:
            return layers
        fewer = self._record(probe.part(0, probe.examples - 1), 1)
        found = []
        for layer in layers:
            shapes = [one.values[slot_at(one, layer)].shape for one in (tape, fewer)]
            places = [place for place, sizes in enumerate(zip(*shapes, strict=True)) if sizes[0] != sizes[1]]
            if len(places) == 1 and places[0] != layer.unit_dimension:
                shape = tuple(size for place, size in enumerate(shapes[0]) if place != places[0])
                found.append(replace(layer, example_dimension=places[0], shape=shape))
            elif chosen:
                raise ValueError(
                    f"the value of {layer.name}, of shape {tuple(shapes[0])}, has no dimension of examples, so it "
                    "is no layer"
                )
        if not found:
            raise ValueError("no layer's value has a dimension of examples; the inputs must have their examples first")
        return found

    def _check_same(self, one: Tape, other: Tape) -> None:
        changed = [
            name for name, parameter in self.model.named_parameters() if parameter._version != self._versions[name]
        ]
        if changed:
            raise ValueError(f"the network writes to its own parameter {changed[0]} when it is run; it must not")
        if not _alike(one.values[one.results[0]], other.values[other.results[0]]):
            raise ValueError(
                "the network answers differently to the same inputs, so no label of it can be said to stay; "
                "it must not be random in evaluation mode"
            )

    def _unseen(self, tape: Tape) -> str:
        """Why a run cannot be replayed: it used a value that none of the recorded functions gave and that is not there
        for every run."""
        unknown = [tensor for tensor in tape.sources if id(tensor) not in self._constants]
        if not unknown:
            return ""
        shape = tuple(unknown[0].shape)
        return f"a value of shape {shape} came from a function that is not PyTorch's own, such as a compiled module's"

    def _problem(self, probe: Inputs, tape: Tape) -> str:
        """Why replaying would not give what the model gives; empty where it would.

        Looked for in the tape, and tried: with half of each layer's values dropped, the other half, and all of them,
        both ways must give the same.
        """
        for layer in self.layers:
            slot = slot_at(tape, layer)
            plan = tape.replay_plan(slot, tape.results[0])
            if plan.escape:
                return _told(layer.name, plan.escape)
            value = tape.values[slot]
            half = torch.arange(value.numel(), device=value.device).view(value.shape) % 2 == 0
            for stays in (half, ~half, torch.zeros_like(half)):
                ablated = value * stays
                try:
                    replayed = tape.replay(plan, ablated.clone())
                except Exception as error:  # whatever a function raises outside of the model's own code
                    return f"what follows {layer.name} cannot be run by itself: {_said(error)}"
                hooked = self._run_with(probe, layer, ablated)[0]
                if not _alike(replayed, hooked):
                    return f"running again what follows {layer.name} does not give what the network gives"
        return ""


def _fails_without(layer: Layer, error: Exception) -> ValueError:
    return ValueError(f"the network cannot be run without units of layer {layer.name}: {_said(error)}")


def _said(error: Exception) -> str:
    """An error in a line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """In evaluation mode without gradients; afterwards each module's mode and all buffers are what they were."""
    modes = {module: module.training for module in model.modules()}
    with torch.inference_mode(False), torch.no_grad():
        attached = {module: dict(module._buffers) for module in modes}
        contents = [(buffer, buffer.clone()) for buffer in model.buffers()]
        try:
            for module in modes:  # not by train(), of which a network may have one of its own that does more
                module.training = False
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
            for module, buffers in attached.items():
                module._buffers.clear()
                module._buffers.update(buffers)
            for buffer, before in contents:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def _told(layer: str, escape: Escape) -> str:
    """Why a network cannot be replayed from a layer."""
    where = f"in {escape.path}" if escape.path else "in its forward"
    return f"what the network does depends on a value behind {layer} ({escape.reader}, {where})"


def _alike(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    scale = other.abs().nan_to_num(0, 0, 0).max().item()
    return torch.allclose(one, other, rtol=REPLAY_TOLERANCE, atol=REPLAY_TOLERANCE * scale, equal_nan=True)


def _own_bytes(tape: Tape) -> list[int]:
    """How much memory each value of a run takes, without its inputs and the parameters."""
    sizes = []
    for slot, operation in tape.producers().items():
        if operation.owns_result or operation.overwritten:
            sizes.append(tape.values[slot].numel() * tape.values[slot].element_size())
    return sizes


def _gains_from_channels_last(tape: Tape, probe: Inputs) -> bool:
    """Whether the inputs should have their channels last in memory: if they are images that are convolved in 2-D."""
    images: list[Any] = [tensor for tensor in (*probe.args, *probe.kwargs.values()) if isinstance(tensor, Tensor)]
    convolved = any(operation.place[1] == "conv2d" for operation in tape.operations)
    return convolved and any(image.dim() == 4 and image.dtype in DTYPES_FASTER_CHANNELS_LAST for image in images)

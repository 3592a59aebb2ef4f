"""A model, run batch by batch, and run again with another value in one of its layers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from widthwise.errors import RequestError, TrialError
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.layer import Layer, slot_at
from widthwise.tracing.layer_selection import Selection, find_layers
from widthwise.tracing.predicted_labels import NO_LABEL, NoLabelError, Predict, labels_of, scores_of
from widthwise.tracing.recording import record
from widthwise.tracing.replacing import run_with
from widthwise.tracing.replay_check import (
    check_repeatable,
    escape_reason,
    joint_replay_problem,
    replay_problem,
    unseen_source,
)
from widthwise.tracing.structure import Slot, tensors_in
from widthwise.tracing.tape import CallSite, ReplayPlan, Tape
from widthwise.wording import one_line

PROBE_EXAMPLES = 4
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""PyTorch's words on GPUs, on Linux and on Windows."""
DTYPES_FASTER_CHANNELS_LAST = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class RecordedRun:
    """The run of one batch, and all that is needed to run parts of it again.

    inputs: the batch.
    labels: the predicted labels, examples first; a language model predicts one for each position.
    classes: the number of possible labels; 0 where the output holds the labels themselves.
    values: the value of each layer, by the layer's name.
    tape, plans: the tape, and the plan to replay it from each layer on.
    together: the plan to replay it with the values of all layers changed; None: the whole network is run.
    slots: the slot of each layer's value.
    """

    inputs: Inputs
    labels: Tensor
    classes: int
    values: dict[str, Tensor]
    tape: Tape
    plans: dict[str, ReplayPlan]
    together: ReplayPlan | None = None
    slots: dict[str, Slot] = field(default_factory=dict)

    @property
    def examples(self) -> int:
        """The number of examples in the batch."""
        return self.inputs.examples


class Network:
    """A model that can be run from any of its layers on.

    layers: the layers, in order of depth.
    replayed: whether only what is downstream of a layer is run again. Where the model's code does not allow that, the
        whole model is run with the layer's value replaced by a hook.
    reason: why the network is not replayed; empty where it is.
    whole: whether all that the model computes is on its tape.
    slower_replayed: the names of layers for which the whole network is run since that was measured to be faster.
    replayed_together: whether only what is downstream of a layer is run again when all layers are changed at once.

    Args:
        model: in evaluation mode.
        example: a batch, of which the first examples are run to find the layers.
        layers, attention_heads: the layers to find, see `find_layers`.
        predict: a function from the model's output to scores, whose argmax over the last axis is a label, or to labels.
        replay: False: run the whole model each time.

    Raises:
        RequestError: the model has no such layers, its output has no labels, or it answers differently each time.
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
        _check_weights(model)
        before = {name: parameter._version for name, parameter in model.named_parameters()}
        self.channels_last = False
        probe = example.part(0, PROBE_EXAMPLES) if example.divisible else example
        tape = self._record(probe, 1)
        self.channels_last = _gains_from_channels_last(tape, probe)
        sizes = _own_bytes(tape)
        self.bytes_per_example = sum(sizes) / probe.examples
        self.largest_value = max(sizes, default=0) / probe.examples
        found = find_layers(model, tape, layers, attention_heads)
        located = self._with_examples(found, probe, tape, chosen=layers is not None)
        self.layers = [replace(layer, stream=depth) for depth, layer in enumerate(located)]
        self.probe, self.probe_inputs = self._record(probe, 1), probe
        check_repeatable(model, before, tape, self.probe)
        self._constants = {id(tensor): tensor for tensor in tape.sources}
        unseen = unseen_source(self.probe, self._constants)
        self.whole = not unseen
        problem = "it was asked for"
        if replay:
            problem = unseen or replay_problem(
                self.probe,
                self.layers,
                lambda layer, value: self._run_with(probe, {layer.call_site: lambda _: value}, layer.name)[0],
            )
        self.replayed, self.reason = not problem, problem
        self.slower_replayed: set[str] = set()
        self.replayed_together = False

    @property
    def device(self) -> torch.device:
        """The device of the model, to which its inputs are moved."""
        return next(iter(self._devices), torch.device("cpu"))

    def prepared(self, inputs: Inputs) -> Inputs:
        """Copies of a batch's tensors on the model's device, in the memory layout in which it is fastest."""

        def prepare(tensor: Tensor) -> Tensor:
            moved = tensor.to(self.device, non_blocking=True) if len(self._devices) == 1 else tensor
            if self.channels_last and moved.dim() == 4:
                moved = moved.contiguous(memory_format=torch.channels_last)
            return moved.clone() if moved is tensor else moved

        return inputs.each(prepare)

    def run(self, inputs: Inputs, number: int = 1) -> RecordedRun:
        """Run the model on a batch, and keep the values that other runs of it need.

        Args:
            inputs: the batch.
            number: its number, counted from 1, for messages.

        Raises:
            RequestError: the model cannot be run on the batch, or its output holds NaN or infinite scores.
            TrialError: there is not enough memory.
        """
        tape = self._record(inputs, number)
        scores, labels = (tape.values[slot] for slot in tape.results)
        if scores.is_floating_point() and (labels == NO_LABEL).any():
            kind = "NaN" if scores.isnan().any() else "infinite scores"
            raise RequestError(
                f"the model's output holds {kind}, so no label can be formed; check its inputs and weights"
            )
        slots = {layer.name: slot_at(tape, layer) for layer in self.layers}
        values = {name: tape.values[slot] for name, slot in slots.items()}
        plans, together = {}, None
        if self.replayed:
            plans = {name: tape.replay_plan([slot], tape.results[1]) for name, slot in slots.items()}
            escapes = (escape_reason(name, plan.escape) for name, plan in plans.items() if plan.escape)
            problem = next(escapes, "") or unseen_source(tape, self._constants)
            if problem:  # in this batch for the first time; from now on the whole network is run
                self.replayed, self.replayed_together, self.reason, plans = False, False, problem, {}
        if self.replayed_together:
            together = tape.replay_plan(list(slots.values()), tape.results[1])
        kept = [*plans.values(), *filter(None, [together])]
        tape.keep({slot for plan in kept for slot in plan.frontier})
        classes = scores.shape[-1] if scores.is_floating_point() else 0
        return RecordedRun(inputs, labels, classes, values, tape, plans, together, slots)

    def rerun(self, run: RecordedRun, layer: Layer, value: Tensor) -> Tensor:
        """The labels if the layer's value had been `value`, whose memory may be overwritten.

        Raises:
            RequestError: the network cannot be run with that value.
            TrialError: there is not enough memory.
        """
        if self.replays(layer):
            return self.replay(run, layer, value)
        return self.run_whole(run, layer, value)

    def replays(self, layer: Layer) -> bool:
        """Whether only what is downstream of a layer is run again for an ablation of it."""
        return self.replayed and layer.name not in self.slower_replayed

    def replay(self, run: RecordedRun, layer: Layer, value: Tensor) -> Tensor:
        """`rerun` from the tape."""
        try:
            return run.tape.replay(run.plans[layer.name], lambda *_: value)
        except Exception as error:  # whatever a function raises at the value
            raise _fails_without(layer.name, error) from error

    def run_whole(self, run: RecordedRun, layer: Layer, value: Tensor) -> Tensor:
        """`rerun` with the whole model."""
        return self._run_with(run.inputs, {layer.call_site: lambda _: value}, layer.name)[1]

    def try_together(self) -> None:
        """Find out whether the network can be replayed when all layers are changed at once."""
        if self.replayed:
            problem = joint_replay_problem(
                self.probe,
                self.layers,
                lambda change: self._run_with(self.probe_inputs, self._changes(change), "")[0],
            )
            self.replayed_together = not problem

    def rerun_together(self, run: RecordedRun, change: Callable[[Layer, Tensor], Tensor]) -> Tensor:
        """The labels if every layer had another value.

        Args:
            run: the run of a batch.
            change: gives a layer's other value, in memory that may be overwritten, from the value that it has after the
                changes of the layers before it.

        Raises:
            RequestError: the network cannot be run with those values.
            TrialError: there is not enough memory.
        """
        if run.together is None:
            return self._run_with(run.inputs, self._changes(change), "")[1]
        layers: dict[Slot, list[Layer]] = {}
        for layer in self.layers:
            layers.setdefault(run.slots[layer.name], []).append(layer)

        def changed(slot: Slot, value: Tensor) -> Tensor:
            for layer in layers[slot]:  # usually one
                value = change(layer, value)
            return value

        try:
            return run.tape.replay(run.together, changed)
        except Exception as error:  # whatever a function raises at the values
            raise _fails_without("", error) from error

    def _changes(self, change: Callable[[Layer, Tensor], Tensor]) -> dict[CallSite, Callable[[Tensor], Tensor]]:
        return {layer.call_site: lambda value, layer=layer: change(layer, value) for layer in self.layers}

    def _run_with(
        self, inputs: Inputs, changes: Mapping[CallSite, Callable[[Tensor], Tensor]], name: str
    ) -> Sequence[Tensor]:
        prepared = self.prepared(inputs)
        try:
            return run_with(self.model, lambda: self._scores_and_labels(prepared), changes)
        except Exception as error:  # whatever the model's own code raises
            raise _fails_without(name, error) from error

    def _record(self, inputs: Inputs, number: int) -> Tape:
        prepared = self.prepared(inputs)
        try:
            tape = record(self.model, lambda: self._scores_and_labels(prepared))
        except NoLabelError:
            raise
        except Exception as error:  # whatever the model's own code raises
            shapes = ", ".join(str((inputs.examples, *shape)) for shape in inputs.shapes)
            hint = ""
            if isinstance(error, TypeError):
                hint = "; a batch of a model with several arguments is ((first, second),) or a dictionary"
            problem = f"{type(self.model).__name__} cannot be run on batch {number}, of shape {shapes}"
            raise _failure(f"{problem}: {one_line(error)}{hint}", error) from error
        given = {id(tensor) for tensor in tensors_in((prepared.args, prepared.kwargs))}
        tape.sources = [tensor for tensor in tape.sources if id(tensor) not in given]
        return tape

    def _scores_and_labels(self, inputs: Inputs) -> Sequence[Tensor]:
        scores = scores_of(inputs.call(self.model), self._predict)
        return scores, labels_of(scores)

    def _with_examples(self, layers: list[Layer], probe: Inputs, tape: Tape, chosen: bool) -> list[Layer]:
        """The layers with the dimension along which the examples lie in each value, found by running fewer examples.

        A value without such a dimension is not a layer: it is left out or, if a user chose it, refused.
        """
        if not probe.divisible or probe.examples == 1:
            return layers
        fewer = self._record(probe.part(0, probe.examples - 1), 1)
        found = []
        for layer in layers:
            shapes = [one.values[slot_at(one, layer)].shape for one in (tape, fewer)]
            differing = [dimension for dimension, (one, two) in enumerate(zip(*shapes, strict=True)) if one != two]
            if len(differing) == 1 and differing[0] != layer.unit_dimension:
                shape = tuple(size for dimension, size in enumerate(shapes[0]) if dimension != differing[0])
                found.append(replace(layer, example_dimension=differing[0], shape=shape))
            elif chosen:
                raise RequestError(
                    f"the value of {layer.name}, of shape {tuple(shapes[0])}, has no dimension of examples, so it "
                    "is no layer",
                    field="layers",
                )
        if not found:
            raise RequestError(
                "no layer's value has a dimension of examples; the inputs must have their examples first"
            )
        return found


def _fails_without(layer: str, error: Exception) -> RequestError | TrialError:
    of = f"layer {layer}" if layer else "several layers"
    return _failure(f"the network cannot be run without units of {of}: {one_line(error)}", error)


def _failure(problem: str, error: Exception) -> RequestError | TrialError:
    """The exception to raise for an error of the model's code; too little memory is not an error of the request."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
        return TrialError(f"{problem}; a smaller batch_size takes less memory")
    return RequestError(problem)


def _check_weights(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_meta:
            raise RequestError(f"the parameter {name} is on the meta device and has no values; load the weights first")
        if tensor.is_floating_point() and tensor.isnan().any():
            raise RequestError(f"the parameter {name} holds NaN, so the network cannot be measured")


def _own_bytes(tape: Tape) -> list[int]:
    """Size in bytes of each value of a run, except inputs and parameters."""
    sizes = []
    for slot, operation in tape.producers().items():
        if operation.owns_result or operation.overwritten:
            sizes.append(tape.values[slot].numel() * tape.values[slot].element_size())
    return sizes


def _gains_from_channels_last(tape: Tape, probe: Inputs) -> bool:
    """Whether channels should be last in the inputs' memory: true for images for a 2-D convolution."""
    given = [*probe.args, *probe.kwargs.values()]
    images = [tensor for tensor in given if isinstance(tensor, Tensor) and tensor.dim() == 4]
    convolved = any(operation.call_site.function == "conv2d" for operation in tape.operations)
    return convolved and any(image.dtype in DTYPES_FASTER_CHANNELS_LAST for image in images)

"""A model, run batch by batch, and run again with another value in one of its layers."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from widthwise.errors import RequestError, TrialError
from widthwise.tracing.arrangement import PROBE_EXAMPLES, alike, find_arrangement, tolerance_of
from widthwise.tracing.experts import holder
from widthwise.tracing.failures import failure, is_out_of_memory, without_values
from widthwise.tracing.flow import Flow
from widthwise.tracing.graph import Graph
from widthwise.tracing.in_place import write_counts
from widthwise.tracing.inputs import Inputs, copied
from widthwise.tracing.known_labels import KnownLabels
from widthwise.tracing.layer import NO_TOKEN, Layer, LeftOut, reached, slot_at
from widthwise.tracing.layer_selection import Row, Selection, UnitDimensions, find_layers
from widthwise.tracing.padding import kept_labels, kept_positions
from widthwise.tracing.predicted_labels import NO_LABEL, Predict, check_classes, labels_of, scores_of
from widthwise.tracing.recording import record
from widthwise.tracing.replacing import run_with
from widthwise.tracing.replay_check import (
    check_repeatable,
    check_same_parts,
    escape_reason,
    joint_replay_problem,
    replay_problem,
    unseen_source,
)
from widthwise.tracing.structure import Slot, tensors_in
from widthwise.tracing.tape import CallSite, ReplayPlan, Tape
from widthwise.wording import one_line

DTYPES_FASTER_CHANNELS_LAST = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class RecordedRun:
    """The run of one batch, and all that is needed to run parts of it again.

    inputs: the batch.
    labels: the predicted labels, examples first; a language model predicts one for each position, and those at padding
        are left out.
    classes: the number of possible labels; 0 where the output holds the labels themselves.
    values: the value of each layer, by the layer's name; none of a routed layer that the run did not reach.
    tape, plans: the tape, and the plan to replay it from each layer on.
    together: the plan to replay it with the values of all layers changed; None: the whole network is run.
    slots: the slot of each layer's value.
    layers: each layer of `values`, by its name, with the rows that an expert has in this run.
    label_examples: the index of the example that each label, of all in one dimension, belongs to; None: not known.
    """

    inputs: Inputs
    labels: Tensor
    classes: int
    values: dict[str, Tensor]
    tape: Tape
    plans: dict[str, ReplayPlan]
    together: ReplayPlan | None = None
    slots: dict[str, Slot] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    label_examples: Int[Tensor, " labels"] | None = None

    @property
    def examples(self) -> int:
        """The number of examples in the batch."""
        return self.inputs.examples

    def rows(self, layer: Layer) -> int:
        """The number of rows of a layer's value: one for each example or, if it is routed, each token."""
        return layer.rows(self.values[layer.name], self.examples)

    def positions_kept(self, layer: Layer) -> Bool[Tensor, "examples positions"] | None:
        """Which of a layer's positions are not padding; None: all of them, as for a routed layer."""
        if layer.routed:
            return None
        value = self.values[layer.name]
        kept = kept_positions(self.inputs, tuple(value.shape), layer.example_dimension, layer.unit_dimension)
        return None if kept is None else kept.to(value.device)


class Network:
    """A model that can be run from any of its layers on.

    layers: the layers, in order of depth.
    rows: every value that may be a layer, in order of depth.
    left_out: nonlinearities that are not measured, and why.
    replayed: whether only what is downstream of a layer is run again. Where the model's code does not allow that, the
        whole model is run with the layer's value replaced by a hook.
    reason: why the network is not replayed; empty where it is.
    whole: whether all that the model computes is on its tape.
    slower_replayed: the names of layers for which the whole network is run since that was measured to be faster.
    replayed_together: whether only what is downstream of a layer is run again when all layers are changed at once.
    arrangement: which of its inputs hold examples, and whether batches can be cut and joined.

    Args:
        model: in evaluation mode.
        example: a batch, of which the first examples are run to find the layers.
        examples: how many of them.
        layers, attention_heads: the layers to find, see `find_layers`.
        predict: a function from the model's output to scores, whose argmax over the last axis is a label, or to labels.
        replay: False: run the whole model each time.
        units: the dimension along which a value's units lie, by the name of the value.
        replay_tried: False: trust that replaying gives what the network gives, unless the tape says otherwise.

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
        units: UnitDimensions | None = None,
        replay_tried: bool = True,
        examples: int = PROBE_EXAMPLES,
    ):
        self.model = model
        self._predict = predict
        self._devices = {parameter.device for parameter in model.parameters()}
        modules, self._parameters = dict(model.named_modules()), dict(model.named_parameters())
        before = dict(zip(self._parameters, write_counts(list(self._parameters.values())), strict=True))
        self._classes_along: int | None = None
        self._label_examples: Tensor | None = None
        self.channels_last = False
        self._tolerance = tolerance_of(_precision(self._parameters.values()))
        probed = find_arrangement(example, self._probed, self._tolerance, examples)
        check_same_parts(model, modules, self._parameters)
        self.arrangement, probe, tape = probed.arrangement, probed.inputs, probed.tape
        sizes = _own_bytes(tape)
        self.bytes_per_example = sum(sizes) / probe.examples
        self.largest_value = max(sizes, default=0) / probe.examples
        again = self._record(probe, 1)
        check_repeatable(self._parameters, before, tape, again)
        self._constants = {id(tensor): tensor for tensor in tape.sources}
        self.whole = not unseen_source(again, self._constants)
        found = find_layers(model, again, layers, attention_heads, units, self._constants, self.whole)
        self.rows, self.left_out, self._routed = found.rows, found.left_out, found.routed
        self.layers = self._with_examples(found.layers, probe, again, probed.fewer, chosen=layers is not None)
        self.probe, self.probe_inputs = self._in_fastest_layout(probe, again), probe
        unseen = unseen_source(self.probe, self._constants)
        problem = "it was asked for"
        if replay:
            problem = unseen or replay_problem(
                self.probe,
                self.layers,
                lambda layer, value: self._run_with(probe, {layer.call_site: lambda _: value}, [], layer.name)[0],
                replay_tried,
            )
        self.replayed, self.reason = not problem, problem
        self.slower_replayed: set[str] = set()
        self._without_units = KnownLabels()
        self.replayed_together = False

    @property
    def device(self) -> torch.device:
        """The device of the model, to which its inputs are moved."""
        return next(iter(self._devices), torch.device("cpu"))

    def prepared(self, inputs: Inputs) -> Inputs:
        """Copies of a batch's tensors on the model's device, in the memory layout in which it is fastest."""

        def prepare(tensor: Tensor) -> Tensor:
            if problem := without_values(tensor):
                raise RequestError(f"an input {problem} and has no values; give tensors that hold the data")
            moved = tensor.to(self.device, non_blocking=True) if len(self._devices) == 1 else tensor
            if self.channels_last and moved.dim() == 4:
                moved = moved.contiguous(memory_format=torch.channels_last)
            return copied(moved) if moved is tensor else moved

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
        inputs = self.arrangement.of(inputs, number)
        tape = self._record(inputs, number)
        scores, labels = (tape.values[slot] for slot in tape.results)
        if scores.is_floating_point() and (labels == NO_LABEL).any():
            kind = "NaN" if scores.isnan().any() else "infinite scores"
            raise RequestError(
                f"the model's output holds {kind}, so no label can be formed; check its inputs and weights"
            )
        found = [each for each in (reached(tape, layer) for layer in self.layers) if each is not None]
        slots = {layer.name: slot for slot, layer in found}
        layers = {layer.name: layer for _, layer in found}
        values = {layer.name: layer.opened(tape.values[slot]) for slot, layer in found}
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
        return RecordedRun(inputs, labels, classes, values, tape, plans, together, slots, layers, self._label_examples)

    def rerun(self, run: RecordedRun, layer: Layer, value: Tensor) -> Tensor:
        """The labels if the layer's value had been `value`, whose memory may be overwritten.

        Raises:
            RequestError: the network cannot be run with that value.
            TrialError: there is not enough memory.
        """
        return self.replay(run, layer, value) if self.replays(layer) else self.run_whole(run, layer, value)

    def rerun_without_units(self, run: RecordedRun, layer: Layer, activity: Float[Tensor, " units"] | float) -> Tensor:
        """The labels if each of a layer's units had one activity everywhere, in every batch the same.

        Raises:
            RequestError: the network cannot be run with that value.
            TrialError: there is not enough memory.
        """
        value = run.values[layer.name]

        def rerun() -> Tensor:
            shape = [-1 if each == layer.unit_dimension else 1 for each in range(value.dim())]
            filled = torch.as_tensor(activity).to(value).view(shape).expand_as(value)
            return self.rerun(run, layer, torch.empty_like(value).copy_(filled))

        if layer.part is not None or not self.replays(layer):  # the rest of a value with several experts differs
            return rerun()
        return self._without_units.get(layer, value, run.plans[layer.name], run.tape, rerun)

    def replays(self, layer: Layer) -> bool:
        """Whether only what is downstream of a layer is run again for an ablation of it."""
        return self.replayed and layer.name not in self.slower_replayed

    def replay(self, run: RecordedRun, layer: Layer, value: Tensor) -> Tensor:
        """`rerun` from the tape."""
        try:
            found = run.layers[layer.name]
            return run.tape.replay(run.plans[layer.name], lambda _, whole: found.closed(value, whole))
        except Exception as error:  # whatever a function raises at the value
            raise _fails_without(layer.name, error) from error

    def run_whole(self, run: RecordedRun, layer: Layer, value: Tensor) -> Tensor:
        """`rerun` with the whole model."""
        found = run.layers[layer.name]
        changes = {layer.call_site: lambda whole: found.closed(value, whole)}
        return self._run_with(run.inputs, changes, [], layer.name)[1]

    def try_together(self) -> None:
        """Find out whether the network can be replayed when all layers are changed at once."""
        if self.replayed:
            problem = joint_replay_problem(
                self.probe,
                self.layers,
                lambda change: self._run_together(self.probe_inputs, change)[0],
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
            return self._run_together(run.inputs, change)[1]
        layers: dict[Slot, list[Layer]] = {}
        for name, layer in run.layers.items():
            layers.setdefault(run.slots[name], []).append(layer)

        def changed(slot: Slot, value: Tensor) -> Tensor:
            for layer in layers[slot]:  # usually one
                value = layer.closed(change(layer, layer.opened(value)), value)
            return value

        try:
            return run.tape.replay(run.together, changed)
        except Exception as error:  # whatever a function raises at the values
            raise _fails_without("", error) from error

    def _run_together(self, inputs: Inputs, change: Callable[[Layer, Tensor], Tensor]) -> Sequence[Tensor]:
        """The scores and labels of a batch if every layer had another value; a router may then skip experts."""
        layers: dict[CallSite, list[Layer]] = {}
        for layer in self.layers:
            layers.setdefault(layer.call_site, []).append(layer)

        def changed(value: Tensor, site: CallSite) -> Tensor:
            for layer in layers[site]:  # usually one
                value = layer.closed(change(layer, layer.opened(value)), value)
            return value

        changes = {site: partial(changed, site=site) for site in layers}
        return self._run_with(inputs, changes, [site for site in layers if layers[site][0].routed], "")

    def _run_with(
        self,
        inputs: Inputs,
        changes: Mapping[CallSite, Callable[[Tensor], Tensor]],
        skipped: Collection[CallSite],
        name: str,
    ) -> Sequence[Tensor]:
        prepared = self.prepared(inputs)
        try:
            return run_with(self.model, lambda: self._scores_and_labels(prepared), changes, skipped)
        except Exception as error:  # whatever the model's own code raises
            raise _fails_without(name, error) from error

    def _record(self, inputs: Inputs, number: int) -> Tape:
        try:
            prepared = self.prepared(inputs)
            tape = record(self.model, lambda: self._scores_and_labels(prepared))
        except (RequestError, TrialError):
            raise
        except Exception as error:  # whatever the model's own code raises
            if self.channels_last and not is_out_of_memory(error):  # may hold for images of other sizes
                self.channels_last = False
                return self._record(inputs, number)
            shapes = ", ".join(map(str, inputs.shapes))
            hint = ""
            if isinstance(error, TypeError):
                hint = "; a batch of a model with several arguments is ((first, second),) or a dictionary"
            problem = f"{type(self.model).__name__} cannot be run on batch {number}, of shape {shapes}"
            raise failure(f"{problem}: {one_line(error)}{hint}", error) from error
        given = {id(tensor) for tensor in tensors_in((prepared.args, prepared.kwargs))}
        tape.sources = [tensor for tensor in tape.sources if id(tensor) not in given]
        return tape

    def _probed(self, inputs: Inputs) -> Tape:
        """The run of a few examples; in the first one, the dimension of the classes is found."""
        tape = self._record(inputs, 1)
        scores = tape.values[tape.results[0]]
        if self._classes_along is not None or not self._has_dimensions(scores):
            return tape
        graph = Graph(self.model, tape, map(id, tape.sources), whole=True)
        carried = Flow(graph).at(tape.results[0])
        classes = carried.units if carried is not None else None
        found = classes.dimension if classes is not None and classes.width == 1 else None
        self._classes_along = check_classes(scores, found, inputs)
        last = self._classes_along == scores.dim() - 1
        return tape if last and kept_labels(inputs, scores.shape[:-1]) is None else self._record(inputs, 1)

    def _has_dimensions(self, scores: Tensor) -> bool:
        """Whether the classes need not be in the last dimension of what the model returns."""
        return self._predict is None and scores.is_floating_point() and scores.dim() > 2

    def _scores_and_labels(self, inputs: Inputs) -> Sequence[Tensor]:
        scores = scores_of(inputs.call(self.model), self._predict, inputs)
        if self._has_dimensions(scores):
            if self._classes_along is None:
                return scores, labels_of(scores)
            scores = scores.movedim(self._classes_along, -1)
        rows = scores.dim() - scores.is_floating_point()
        kept = kept_labels(inputs, scores.shape[:rows])
        self._label_examples = _examples_of_labels(inputs.examples, scores.shape[:rows], kept, scores.device)
        if kept is not None:
            scores = scores.flatten(0, rows - 1).index_select(0, kept)
        return scores, labels_of(scores)

    def _in_fastest_layout(self, probe: Inputs, given: Tape) -> Tape:
        """The given run of the first examples or, if that is faster and gives the same, one with channels last."""
        if not _gains_from_channels_last(given, probe):
            return given
        self.channels_last = True
        tape = self._record(probe, 1)
        if self.channels_last and not self._same(given, tape):
            self.channels_last = False
            return self._record(probe, 1)
        return tape

    def _same(self, one: Tape, other: Tape) -> bool:
        """Whether two runs give the same scores and values of layers."""
        pairs = [(one.results[0], other.results[0])]
        try:
            pairs += [(slot_at(one, layer), slot_at(other, layer)) for layer in self.layers]
        except RequestError:  # a run did not reach a layer
            return False
        return all(alike(one.values[here], other.values[there], self._tolerance) for here, there in pairs)

    def _with_examples(
        self, layers: list[Layer], probe: Inputs, tape: Tape, fewer: Tape | None, chosen: bool
    ) -> list[Layer]:
        """The layers with the dimension along which the examples lie in each value, from a run of fewer examples.

        A value without such a dimension or without units is left out or, if a user chose it, refused.
        """
        found = []
        for layer in layers:
            if layer.routed:
                if layer.part is not None or reached(tape, layer) is not None:
                    found.append(_of_tokens(layer))
                elif chosen:
                    raise RequestError(f"{layer.name} cannot be measured: {NO_TOKEN}", field="layers")
                else:
                    self.left_out.append(LeftOut(layer.name, layer.kind, NO_TOKEN))
                continue
            shape = tuple(layer.opened(tape.values[slot_at(tape, layer)]).shape)
            along = _example_dimension(layer, shape, probe, fewer)
            if along is not None and 0 not in shape:
                rest = tuple(size for dimension, size in enumerate(shape) if dimension != along)
                found.append(replace(layer, example_dimension=along, shape=rest))
                continue
            lacks = "no units" if layer.units == 0 else "no dimension of examples"
            if chosen:
                raise RequestError(
                    f"the value of {layer.name}, of shape {shape}, has {lacks}, so it is no layer", field="layers"
                )
            self.left_out.append(LeftOut(layer.name, layer.kind, f"its value has {lacks}"))
        if not found:
            raise RequestError("no layer's value has units and a dimension of examples, so there is nothing to measure")
        return found

    def unreached(self) -> dict[str, nn.Module]:
        """The experts that the first examples do not reach, by their paths: modules beside others that get tokens."""
        modules, called = dict(self.model.named_modules()), _with_holders(_modules_with_values(self.probe))
        routed = _with_holders(self._routed)
        experts = {(holder(path), type(modules[path])) for path in routed}
        return {
            path: module
            for path, module in modules.items()
            if path not in called and holder(path) in called and (holder(path), type(module)) in experts
        }

    def reached_by(self, inputs: Inputs) -> set[str]:
        """The paths of the modules that a batch reaches.

        Raises:
            RequestError, TrialError: as `run` does.
        """
        inputs = self.arrangement.of(inputs)
        return _with_holders(_modules_with_values(self._record(inputs, 1)))

    def table(self) -> list[Row]:
        """Every value that may be a layer, in order of depth, with what is known of its examples."""
        layers = {layer.name: layer for layer in self.layers}
        reasons = {each.name: each.reason for each in self.left_out}
        rows = []
        for row in self.rows:
            layer = layers.get(row.candidate.name)
            if row.measured and layer is None:
                candidate = replace(row.candidate, note=reasons.get(row.candidate.name, ""))
                rows.append(replace(row, candidate=candidate, measured=False))
            else:
                rows.append(replace(row, layer=layer or row.layer, shape=layer.shape if layer else row.shape))
        return rows


def _modules_with_values(tape: Tape) -> set[str]:
    """The paths of the modules that a run called for at least one example or token."""
    return {call.path for call in tape.calls if any(tape.values[slot].numel() for slot in call.outputs)}


def _with_holders(paths: Iterable[str]) -> set[str]:
    """The paths of modules and of those that hold them."""
    parts = [path.split(".") for path in paths]
    return {".".join(each[:count]) for each in parts for count in range(len(each) + 1)}


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


def _examples_of_labels(
    examples: int, shape: Sequence[int], kept: Int[Tensor, " kept"] | None, device: torch.device
) -> Int[Tensor, " labels"] | None:
    """The index of the example that each label belongs to, if examples are first in the shape of all labels."""
    if not shape or shape[0] != examples:
        return None
    indices = torch.arange(examples, device=device).repeat_interleave(math.prod(shape[1:]))
    return indices if kept is None else indices[kept]


def _fails_without(layer: str, error: Exception) -> RequestError | TrialError:
    of = f"layer {layer}" if layer else "several layers"
    return failure(f"the network cannot be run without units of {of}: {one_line(error)}", error)


def _precision(parameters: Iterable[Tensor]) -> torch.dtype:
    """The type of floating point with the fewest digits among those of a model's parameters."""
    types = {parameter.dtype for parameter in parameters if parameter.is_floating_point()}
    return max(types or {torch.float32}, key=lambda each: torch.finfo(each).eps)


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

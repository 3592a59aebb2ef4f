"""A model, run batch by batch, and run again with another value in one of its layers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from widthwise.errors import RequestError
from widthwise.tracing.arrangement import PROBE_EXAMPLES, alike, find_arrangement, tolerance_of
from widthwise.tracing.example_dimension import with_examples
from widthwise.tracing.in_place import write_counts
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.known_labels import KnownLabels
from widthwise.tracing.layer import Layer, reached, slot_at
from widthwise.tracing.layer_selection import Row, Selection, UnitDimensions, find_layers
from widthwise.tracing.model_runs import ModelRuns, fails_without, gains_from_channels_last
from widthwise.tracing.predicted_labels import NO_LABEL, Predict
from widthwise.tracing.reach import reached_modules, unreached_experts
from widthwise.tracing.recorded_run import RecordedRun
from widthwise.tracing.replay_check import (
    check_repeatable,
    check_same_parts,
    escape_reason,
    joint_replay_problem,
    replay_problem,
    unseen_source,
)
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import CallSite, Tape


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
        self._runs = ModelRuns(model, predict)
        modules, self._parameters = dict(model.named_modules()), dict(model.named_parameters())
        before = dict(zip(self._parameters, write_counts(list(self._parameters.values())), strict=True))
        self._tolerance = tolerance_of(_precision(self._parameters.values()))
        probed = find_arrangement(example, self._runs.record_first, self._tolerance, examples)
        check_same_parts(model, modules, self._parameters)
        self.arrangement, probe, tape = probed.arrangement, probed.inputs, probed.tape
        sizes = _own_bytes(tape)
        self.bytes_per_example = sum(sizes) / probe.examples
        self.largest_value = max(sizes, default=0) / probe.examples
        again = self._runs.record(probe)
        check_repeatable(self._parameters, before, tape, again)
        self._constants = {id(tensor): tensor for tensor in tape.sources}
        self.whole = not unseen_source(again, self._constants)
        found = find_layers(model, again, layers, attention_heads, units, self._constants, self.whole)
        self.rows, self.left_out, self._routed = found.rows, found.left_out, found.routed
        self.layers, lacking = with_examples(found.layers, probe, again, probed.fewer, chosen=layers is not None)
        self.left_out += lacking
        self.probe, self.probe_inputs = self._in_fastest_layout(probe, again), probe
        unseen = unseen_source(self.probe, self._constants)
        problem = "it was asked for"
        if replay:
            problem = unseen or replay_problem(self.probe, self.layers, self._scores_with, replay_tried)
        self.replayed, self.reason = not problem, problem
        self.slower_replayed: set[str] = set()
        self._without_units = KnownLabels()
        self.replayed_together = False

    @property
    def device(self) -> torch.device:
        """The device of the model, to which its inputs are moved."""
        return self._runs.device

    @property
    def channels_last(self) -> bool:
        """Whether images are given with channels last in memory."""
        return self._runs.channels_last

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
        tape = self._runs.record(inputs, number)
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
        return RecordedRun(
            inputs, labels, classes, values, tape, plans, together, slots, layers, self._runs.label_examples
        )

    def recorded(self, inputs: Inputs, number: int = 1) -> Tape:
        """The run of a batch, with all of its values, whose results are its scores and its labels.

        Raises:
            RequestError: the model cannot be run on the batch.
            TrialError: there is not enough memory.
        """
        return self._runs.record(self.arrangement.of(inputs, number), number)

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
            raise fails_without(layer.name, error) from error

    def run_whole(self, run: RecordedRun, layer: Layer, value: Tensor) -> Tensor:
        """`rerun` with the whole model."""
        found = run.layers[layer.name]
        changes = {layer.call_site: lambda whole: found.closed(value, whole)}
        return self._runs.with_changes(run.inputs, changes, layer.name)[1]

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
            raise fails_without("", error) from error

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
        return self._runs.with_changes(inputs, changes, "", [site for site in layers if layers[site][0].routed])

    def _scores_with(self, layer: Layer, value: Tensor) -> Tensor:
        """The scores of the first examples if a layer's whole value had been another."""
        return self._runs.with_changes(self.probe_inputs, {layer.call_site: lambda _: value}, layer.name)[0]

    def _in_fastest_layout(self, probe: Inputs, given: Tape) -> Tape:
        """The given run of the first examples or, if that is faster and gives the same, one with channels last."""
        if not gains_from_channels_last(given, probe):
            return given
        self._runs.channels_last = True
        tape = self._runs.record(probe)
        if self._runs.channels_last and not self._same(given, tape):
            self._runs.channels_last = False
            return self._runs.record(probe)
        return tape

    def _same(self, one: Tape, other: Tape) -> bool:
        """Whether two runs give the same scores and values of layers."""
        pairs = [(one.results[0], other.results[0])]
        try:
            pairs += [(slot_at(one, layer), slot_at(other, layer)) for layer in self.layers]
        except RequestError:  # a run did not reach a layer
            return False
        return all(alike(one.values[here], other.values[there], self._tolerance) for here, there in pairs)

    def unreached(self) -> dict[str, nn.Module]:
        """The experts that the first examples do not reach, by their paths: modules beside others that get tokens."""
        return unreached_experts(self.model, self.probe, self._routed)

    def reached_by(self, inputs: Inputs) -> set[str]:
        """The paths of the modules that a batch reaches.

        Raises:
            RequestError, TrialError: as `run` does.
        """
        return reached_modules(self._runs.record(self.arrangement.of(inputs)))

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

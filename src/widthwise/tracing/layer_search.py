"""The search for a network's layers on the tape of a run."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from torch import nn

from widthwise.errors import RequestError
from widthwise.tracing.experts import (
    experts_side_by_side,
    find_routing,
    is_chosen_by_data,
    is_of_one_expert,
    may_be_shifted,
)
from widthwise.tracing.flow import Carried, Flow
from widthwise.tracing.functions import ACTIVATIONS, SOFTMAXES
from widthwise.tracing.graph import Graph
from widthwise.tracing.heads import attention_heads
from widthwise.tracing.incoming_weights import product_of
from widthwise.tracing.inner_values import InnerValues
from widthwise.tracing.layer import HEAD, Layer, Part, Product
from widthwise.tracing.nonlinearities import Nonlinearity, NonlinearitySearch
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import CallSite, ModuleCall, Operation, Tape
from widthwise.tracing.unit_flow import Units
from widthwise.wording import did_you_mean

NO_LABEL = "its value leads to no label"
OUTPUT = "the output's own activation"
CHOSEN_WEIGHT = "units not known: its weight is one of several that the data choose, so its calls may be of any of them"
SKIPPED = "units not known: where an expert gets no token its call is skipped, so this call may be of another expert"
WEIGHTS = "a softmax over positions, as an attention's"
NO_PRODUCT = "follows no dense layer or convolution"
NAMED = re.compile(r"(?P<base>.*?)(:(?P<number>\d+))?(\[(?P<index>\d+)\])?")


@dataclass(frozen=True)
class Candidate:
    """A value that may be a layer.

    name, call_site, kind, follows: as of a `Layer`.
    slot: the value. depth: the number of operations before it.
    units: the dimension along which its units lie; None if that is not known.
    note: why it is not measured unless it is named; empty if it is.
    part, product: as of a `Layer`.
    """

    name: str
    call_site: CallSite
    slot: Slot
    depth: int
    kind: str
    follows: str
    units: Units | None
    note: str = ""
    part: Part | None = None
    product: Product | None = None


class LayerSearch:
    """Finds layers on the tape of a model's run.

    routing: what a router does.

    Args:
        model: the model.
        tape: the run, with all its values.
        constants: the `id` of every tensor that is the same in every run.
        whole: whether all that the model computes is on the tape.
        units: the dimension along which a value's units lie, by the name of the value.
    """

    def __init__(
        self,
        model: nn.Module,
        tape: Tape,
        constants: Iterable[int] = (),
        whole: bool = True,
        units: Mapping[str, int] | None = None,
    ):
        self._modules = dict(model.named_modules())
        self._tape = tape
        self._graph = Graph(model, tape, constants, whole)
        self._flow = Flow(self._graph)
        self._given = dict(units or {})
        self._names = self._operation_names()
        self.routing = find_routing(self._graph, self._flow)

    def nonlinearities(self) -> list[Candidate]:
        """The value of every nonlinearity that is not inside of another one; those with a note are no layers."""
        found = NonlinearitySearch(self._modules, self._graph, self._flow).found()
        inner = InnerValues(self._graph, self._flow, found)
        candidates = []
        for one in found:
            carried = self._flow.at(one.slot)
            function = self._tape.operations[one.operations[-1]].name
            statistic = carried is not None and carried.units is None and carried.reduced
            if inner.is_inner(one) or (statistic and function not in ACTIVATIONS):
                continue
            for candidate in self._each_expert(self._of(one)):
                note = candidate.note
                if not self._graph.leads_to_label(one.slot):
                    note = NO_LABEL
                elif not note and not self._graph.leads_to_product(one.slot):
                    note = OUTPUT
                elif not note and candidate.units and function in SOFTMAXES and not self._over_units(one, candidate):
                    note = WEIGHTS
                candidates.append(replace(candidate, note=note))
        return candidates

    def attention_heads(self) -> list[Candidate]:
        """The value of each attention before its heads are joined."""
        candidates, calls = [], Counter[str]()
        for heads in attention_heads(self._graph, self._flow):
            operation = heads.operation
            name = ".".join(filter(None, (operation.call_site.path, "heads")))
            calls[name] += 1
            numbered = _numbered(name, calls[name])
            depth = self._graph.depth[id(operation)]
            candidate = Candidate(
                *(numbered, operation.call_site, operation.outputs[0], depth, HEAD, ""),
                heads.units,
                "" if heads.units else "units not known: its heads lie along no dimension of their own",
            )
            candidates.append(self._as_given(candidate))
        return candidates

    def routed_modules(self) -> set[str]:
        """The paths of the modules that return values whose rows are tokens that a router chose."""
        return {call.path for call in self._tape.calls if not self.routing.values.isdisjoint(call.outputs)}

    def module_names(self) -> list[str]:
        """The name of each call of a module that returns tensors, in order."""
        return [_numbered(call.path, call.number + 1) for call in self._tape.calls if call.outputs and call.path]

    def find(self, name: str) -> Candidate | None:
        """The value with a name: of a module, `PATH`, or of a function that is called there, `PATH.FUNCTION`.

        `NAME:2` is from the second call, `NAME[1]` the second of several tensors.
        """
        match = NAMED.fullmatch(name)
        assert match is not None
        spellings = [(name, 1, 0), (match["base"], int(match["number"] or 1), int(match["index"] or 0))]
        for base, number, index in spellings:
            for call in self._tape.calls:
                if call.path and (call.path, call.number + 1) == (base, number) and len(call.outputs) > index:
                    return self._of_call(call, index)
            operation = self._names.get(_numbered(base, number))
            if operation is not None and len(operation.outputs) > index:
                return self._of_operation(operation, _numbered(base, number), index)
        whole = self.find(name.rpartition("[")[0]) if match["index"] else None
        experts = [] if whole is None else self._each_expert(whole)
        return next((expert for expert in experts if expert.name == name), None)

    def named(self, name: str, others: Iterable[str] = ()) -> Candidate:
        """The value with a name, which must have units.

        Args:
            name: as for `find`.
            others: further names of layers, for hints.

        Raises:
            RequestError: there is none, or it has no units.
        """
        found = self.find(name)
        if found is None:
            raise RequestError(f"{name!r} is no layer of the network; {self._hint(name, others)}")
        return self.measurable(found)

    def calls_of(self, path: str) -> list[Candidate]:
        """The value of every call of a module.

        Raises:
            RequestError: the module is not there, is not called, or returns no value that has units.
        """
        calls = [call for call in self._tape.calls if call.path == path and call.outputs]
        if not calls or not path:
            return [self.named(path)]
        return [self.measurable(self._of_call(call, 0)) for call in calls]

    def layer(self, candidate: Candidate, stream: int) -> Layer:
        """A candidate whose units are known, as a layer; its examples are taken to lie along the first dimension."""
        assert candidate.units is not None
        value, part = self._tape.values[candidate.slot], candidate.part
        if part is not None and part.ends is None:
            value = value.select(part.dimension, part.index)
        dimension, width, split = candidate.units.dimension, candidate.units.width, None
        if width > 1:
            split = (dimension, (value.shape[dimension] // width, width))
        elif candidate.units.period:
            split = (dimension, (-1, candidate.units.period))
            dimension += 1
        opened = value if split is None else value.unflatten(*split)
        return Layer(
            *(candidate.name, candidate.call_site, opened.shape[dimension], dimension, tuple(opened.shape[1:])),
            *(candidate.kind, candidate.follows, 0, split, part),
            routed=candidate.slot in self.routing.values or part is not None,
            stream=stream,
            product=candidate.product,
        )

    def shape(self, candidate: Candidate) -> tuple[int, ...]:
        """The shape of a candidate's value without its first dimension."""
        return tuple(self._tape.values[candidate.slot].shape[1:])

    @property
    def given_units(self) -> list[str]:
        """The names of the values for which a user gave the dimension of the units."""
        return list(self._given)

    def _over_units(self, one: Nonlinearity, candidate: Candidate) -> bool:
        """Whether a softmax is over the dimension of the units."""
        if candidate.units is None or candidate.part is not None:
            return True
        operation = self._tape.operations[one.operations[-1]]
        given = operation.args[1] if len(operation.args) > 1 else operation.kwargs.get("dim")
        return not isinstance(given, int) or given % self._tape.values[one.slot].dim() == candidate.units.dimension

    def _of(self, one: Nonlinearity) -> Candidate:
        if one.call is not None:
            return self._of_call(one.call, 0)
        operation = self._tape.operations[one.operations[0]]
        name = next(name for name, each in self._names.items() if each is operation)
        return self._of_operation(operation, name, 0)

    def _of_call(self, call: ModuleCall, index: int) -> Candidate:
        name = _numbered(call.path, call.number + 1) + (f"[{index}]" if index else "")
        kind = type(self._modules[call.path]).__name__
        return self._candidate(name, CallSite(call.path, "", call.number, index), call.outputs[index], kind)

    def _of_operation(self, operation: Operation, name: str, index: int) -> Candidate:
        name += f"[{index}]" if index else ""
        site = operation.call_site._replace(output=index)
        return self._candidate(name, site, operation.outputs[index], operation.name)

    def _candidate(self, name: str, site: CallSite, slot: Slot, kind: str) -> Candidate:
        producer = self._graph.producers.get(slot)
        depth = self._graph.depth[id(producer)] if producer is not None else -1
        carried = self._flow.at(slot)
        units, note, follows = None, NO_PRODUCT, ""
        if carried is not None:
            follows = self._follows(carried.product)
            units, note = carried.units, f"units not known: {carried.note}" if carried.units is None else ""
            if units is not None and is_chosen_by_data(self._graph, carried.product):
                units, note = None, CHOSEN_WEIGHT
            if units is not None and not self._is_known_call(site, slot, carried):
                units, note = None, SKIPPED
        if self._tape.values[slot].dim() < 2:
            units, note = None, "it has one number for each example"
        product = None
        if carried is not None and units is not None and carried.plain and not units.offset:
            count = units.count(self._tape.values[slot].shape[units.dimension])
            product = product_of(self._graph, carried.product, count)
        return self._as_given(Candidate(name, site, slot, depth, kind, follows, units, note, product=product))

    def _is_known_call(self, site: CallSite, slot: Slot, carried: Carried) -> bool:
        """Whether a call has the same number in every run, though a router may skip others."""
        if slot in self.routing.values and carried.ends is None and not experts_side_by_side(carried):
            return is_of_one_expert(self._graph, self.routing, site, carried.product)
        if slot in self.routing.values:  # of all experts
            return len([call for call in self._tape.calls if call.path == site.path]) <= 1
        return not may_be_shifted(self._graph, self.routing, site)

    def _each_expert(self, candidate: Candidate) -> list[Candidate]:
        """A candidate for each expert whose units a value holds; the candidate itself if it does not hold several."""
        carried = self._flow.at(candidate.slot)
        if carried is None or candidate.name in self._given:
            return [candidate]
        if carried.units is not None and carried.ends is not None:
            count = len(self._tape.values[carried.ends.inputs[2]])
            parts = [(Part(index, 0, carried.ends.call_site), carried.units) for index in range(count)]
        else:
            found = experts_side_by_side(carried)
            parts = [(Part(expert.index, expert.dimension), expert.units) for expert in found]
        return [
            self._as_given(
                replace(
                    candidate, name=f"{candidate.name}[{part.index}]", units=units, note="", part=part, product=None
                )
            )
            for part, units in parts
        ] or [candidate]

    def _as_given(self, candidate: Candidate) -> Candidate:
        """The candidate, with its units along the dimension that the user gave, if one was given."""
        dimension = self._given.get(candidate.name)
        if dimension is None:
            return candidate
        count = self._tape.values[candidate.slot].dim()
        if isinstance(dimension, bool) or not isinstance(dimension, int) or not -count <= dimension < count:
            raise RequestError(
                f"the value of {candidate.name} has {count} dimensions, so its units cannot lie along {dimension!r}",
                field="units",
            )
        return replace(candidate, units=Units(dimension % count), note="", product=None)

    def _follows(self, product: Operation) -> str:
        module, function, _, _ = product.call_site
        leaf = module and not list(self._modules[module].children())
        return module if leaf else ".".join(filter(None, (module, function)))

    def measurable(self, candidate: Candidate) -> Candidate:
        """The candidate, if its units are known.

        Raises:
            RequestError: they are not, or its value cannot be a layer's.
        """
        value = self._tape.values[candidate.slot]
        if value.dim() < 2 or not value.is_floating_point():
            raise RequestError(
                f"the value of {candidate.name} has shape {tuple(value.shape)} and type {value.dtype}; a layer's value "
                "is of floating point, with examples along one dimension and units along another"
            )
        if candidate.units is None:
            reason = candidate.note.removeprefix("units not known: ")
            raise RequestError(
                f"where the units of {candidate.name}, of shape {tuple(value.shape)}, lie is not known: {reason}; say "
                f"along which dimension, in Python by units={{{candidate.name!r}: dimension}}"
            )
        return candidate

    def _operation_names(self) -> dict[str, Operation]:
        names, calls = dict[str, Operation](), Counter[str]()
        for operation in self._tape.operations:
            path = ".".join(filter(None, (operation.call_site.path, _label(operation))))
            if path in self._modules:  # a module and a function of one name
                path += "()"
            calls[path] += 1
            names[_numbered(path, calls[path])] = operation
        return names

    def _hint(self, name: str, others: Iterable[str]) -> str:
        if name in self._modules:
            return "the network has such a module, but does not call it or it gives no tensor"
        calls = {call.path for call in self._tape.calls if call.path and call.outputs}
        for known in ({*calls, *others}, self._names):
            if hint := did_you_mean(name, known, likeness=0.4 if known is not self._names else 0.8):
                return hint
        layers = [candidate.name for candidate in self.nonlinearities() if not candidate.note]
        return f"the first of its layers are {', '.join(layers[:8])}" if layers else "it has no layer"


def _label(operation: Operation) -> str:
    """A function's name without what marks operators and writing in place."""
    name = operation.name
    if not name.startswith("__"):
        return name
    name = name.strip("_")
    return name[1:] if name in ("iadd", "isub", "imul", "idiv", "itruediv", "ipow") else name


def _numbered(name: str, call: int) -> str:
    return name if call == 1 else f"{name}:{call}"

"""Recording a model's run on a tape."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from widthwise.errors import RequestError
from widthwise.tracing.call_sites import CallSites, watched
from widthwise.tracing.composites import opened
from widthwise.tracing.in_place import function_name, storage, storages, write_counts, writes_in_place
from widthwise.tracing.structure import Slot, mapped, tensors_in
from widthwise.tracing.tape import Escape, ModuleCall, Operation, Tape

WITHOUT_VALUES = {
    *("size", "dim", "ndimension", "numel", "nelement", "element_size", "stride", "storage_offset", "__len__"),
    *("is_contiguous", "is_floating_point", "is_complex", "is_signed", "is_same_size", "is_conj", "is_neg"),
    *("is_inference", "is_pinned", "is_shared", "get_device", "type", "data_ptr", "untyped_storage", "__hash__"),
    *("result_type", "can_cast", "promote_types", "broadcast_shapes", "has_names", "register_hook", "__dir__"),
    *("_is_view", "_has_compatible_shallow_copy_type"),
}
"""Functions whose results are not tensors and depend only on the shapes, types or memory of their arguments."""
SHAPES_FROM_VALUES = {
    *("nonzero", "argwhere", "unique", "unique_consecutive", "_unique2", "_unique", "masked_select", "bincount"),
    *("repeat_interleave",),
}
"""Functions whose result has a shape that depends on the values of their arguments."""


def record(model: nn.Module, run: Callable[[], Sequence[Tensor]]) -> Tape:
    """The tape of `run()`, which calls `model` and returns tensors that were computed from its output."""
    recorder = _Recorder({storage(each): name for name, each in model.named_parameters() if each.numel()})
    with watched(model, recorder.enter, recorder.leave), recorder:
        results = run()
    recorder.tape.results = tuple(recorder.slot(result) for result in results)
    return recorder.tape


class _Recorder(TorchFunctionMode):
    """Writes the tape while it is active."""

    def __init__(self, parameters: dict[int, str]):
        super().__init__()
        self.tape = Tape()
        self._parameters = parameters
        self._count = 0
        self._slots: dict[int, Slot] = {}
        self._held: list[Tensor] = []  # so that no two tensors of a run have the same `id`
        self._in_memory: dict[int, list[tuple[Tensor, Slot]]] = {}
        self._stale: dict[int, set[Slot]] = {}
        self._sites = CallSites()
        self._starts: dict[str, int] = {}

    def enter(self, path: str, given: list[Tensor]) -> None:
        self._sites.enter(path)
        self._starts[path] = len(self.tape.operations)

    def leave(self, path: str, output: object) -> None:
        self._sites.leave(path)
        operations = range(self._starts[path], len(self.tape.operations))
        number = self._sites.of_module(path).number
        held = vars(output) if hasattr(output, "__dict__") and not isinstance(output, (Tensor, dict, list)) else output
        outputs = tuple(self.slot(tensor) for tensor in tensors_in(held))
        slot = outputs[0] if isinstance(output, Tensor) else None
        self.tape.calls.append(ModuleCall(path, number, operations, slot, outputs))

    def slot(self, tensor: Tensor) -> Slot:
        """The slot of a tensor's present value."""
        if id(tensor) in self._stale:
            for written in self._stale.pop(id(tensor)):
                self._escape(written, "overwriting memory that another value shares")
            self._new(tensor)
        if id(tensor) not in self._slots:
            self.tape.sources.append(tensor)
            self._new(tensor)
        return self._slots[id(tensor)]

    def _new(self, tensor: Tensor) -> Slot:
        slot = Slot(self._count)
        self._count += 1
        self._slots[id(tensor)] = slot
        self._held.append(tensor)
        self._in_memory.setdefault(storage(tensor), []).append((tensor, slot))
        self._stale.pop(id(tensor), None)
        self.tape.values[slot] = tensor
        return slot

    def _escape(self, slot: Slot, reader: str) -> None:
        self.tape.escapes.append(Escape(slot, reader, self._sites.path))

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if (steps := opened(func)) is not None:
            with self:
                return steps(*args, **kwargs)
        name = function_name(func)
        operands = list(tensors_in((args, kwargs)))
        inputs = [self.slot(operand) for operand in operands]
        recorded = mapped(args, self.slot), mapped(kwargs, self.slot)
        written = args[0] if args and writes_in_place(name, args, kwargs) else None
        if isinstance(written, Tensor):
            self._refuse_parameter(written)
        before = self._save(written) if isinstance(written, Tensor) else None
        counts = write_counts(operands)
        result = func(*args, **kwargs)

        site = self._sites.of_function(name)
        if before is None and write_counts(operands) != counts:
            for slot in inputs:
                self._escape(slot, f"{name}, which overwrites an argument")
        outputs = list(tensors_in(result))
        if not outputs and before is None:
            if name not in WITHOUT_VALUES and name != "__get__":
                for slot in inputs:
                    self._escape(slot, name)
            return result
        self._note_shapes_from_values(name, args, kwargs, inputs)
        owns_result = not (storages(outputs) & storages(operands))
        overwritten = None
        if before is not None and isinstance(written, Tensor):
            overwritten = (before, self._new(written))
            self._mark_stale(written, overwritten[1])
        template = mapped(result, lambda tensor: self._slots[id(tensor)] if tensor is written else self._new(tensor))
        self.tape.operations.append(Operation(func, *recorded, template, site, overwritten, owns_result))
        return result

    def _refuse_parameter(self, written: Tensor) -> None:
        """Stop before a parameter is overwritten, so that it stays what it was.

        Raises:
            RequestError: the memory is a parameter's.
        """
        name = self._parameters.get(storage(written))
        if name is not None:
            raise RequestError(f"the network writes to its own parameter {name} when it is run; it must not")

    def _save(self, overwritten: Tensor) -> Slot:
        """Copy a tensor and others in the same memory before it is overwritten; return the tensor's slot."""
        before = self.slot(overwritten)
        copies: dict[int, Tensor] = {}
        for tensor, slot in self._in_memory[storage(overwritten)]:
            if self.tape.values[slot] is tensor:
                if id(tensor) not in copies:
                    copies[id(tensor)] = tensor.clone()
                self.tape.values[slot] = copies[id(tensor)]
        return before

    def _mark_stale(self, overwritten: Tensor, written: Slot) -> None:
        """Record which other tensors share the memory: reading one from now on returns what was written."""
        for tensor, _ in self._in_memory[storage(overwritten)]:
            if tensor is not overwritten:
                self._stale.setdefault(id(tensor), set()).update((self._slots[id(tensor)], written))

    def _note_shapes_from_values(
        self, name: str, args: tuple[object, ...], kwargs: dict[str, object], inputs: list[Slot]
    ) -> None:
        repeats = args[1] if len(args) > 1 else kwargs.get("repeats")
        if name == "repeat_interleave" and isinstance(repeats, int):
            return
        if name in SHAPES_FROM_VALUES or (name == "where" and len(args) == 1):
            for slot in inputs:
                self._escape(slot, name)
        elif name in ("__getitem__", "__setitem__"):
            for index in tensors_in(args[1:2]):
                if index.dtype in (torch.bool, torch.uint8):
                    self._escape(self.slot(index), "indexing by a mask")

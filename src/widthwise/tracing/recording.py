"""Running a model while its tape is written, or with one of its values replaced."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from widthwise.tracing.structure import Slot, mapped, tensors_in
from widthwise.tracing.tape import Escape, ModuleCall, Operation, Place, Tape

WITHOUT_VALUES = {
    *("size", "dim", "ndimension", "numel", "nelement", "element_size", "stride", "storage_offset", "__len__"),
    *("is_contiguous", "is_floating_point", "is_complex", "is_signed", "is_same_size", "is_conj", "is_neg"),
    *("is_inference", "is_pinned", "is_shared", "get_device", "type", "data_ptr", "untyped_storage", "__hash__"),
    *("result_type", "can_cast", "promote_types", "broadcast_shapes", "has_names", "register_hook", "__dir__"),
    *("_is_view", "_has_compatible_shallow_copy_type"),
}
"""Functions whose answers, numbers and words, depend on the shapes of tensors and not on what they hold."""
SHAPES_FROM_VALUES = {
    *("nonzero", "argwhere", "unique", "unique_consecutive", "_unique2", "_unique", "masked_select", "bincount"),
    *("repeat_interleave",),
}


def record(model: nn.Module, run: Callable[[], Sequence[Tensor]]) -> Tape:
    """The tape of `run()`, which calls `model` and returns tensors that were computed from what it gives."""
    recorder = _Recorder()
    with _watched(model, recorder.enter, recorder.leave), recorder:
        results = run()
    recorder.tape.results = tuple(recorder.slot(result) for result in results)
    return recorder.tape


def run_with(model: nn.Module, run: Callable[[], Sequence[Tensor]], place: Place, value: Tensor) -> Sequence[Tensor]:
    """`run()`, where the value at one place of `model` is replaced on the way, by a hook on it."""
    replacer = _Replacer(place, value)
    with _watched(model, replacer.enter, replacer.leave), replacer:
        results = run()
    if not replacer.done:
        raise ValueError(f"{'.'.join(map(str, place[:2]))} was not reached when the network was run again")
    return results


class _Paths:
    """Which module's `forward` is running, and how often each place was passed."""

    def __init__(self):
        self.stack = [""]
        self._passed: Counter[tuple[str, str]] = Counter()

    def enter(self, path: str) -> None:
        self.stack.append(path)

    def leave(self, path: str) -> None:
        """Leave a module, and those inside it that an error left before their end."""
        while self.stack.pop() != path:
            pass

    def place(self, name: str) -> Place:
        """The place of a call of a function that stands in the running module."""
        return self._numbered((self.stack[-1], name))

    def _numbered(self, key: tuple[str, str]) -> Place:
        self._passed[key] += 1
        return (*key, self._passed[key] - 1)

    def returned(self, path: str) -> Place:
        """The place of a value that a module returns."""
        return self._numbered((path, ""))


class _Recorder(TorchFunctionMode):
    """Writes the tape while it is active."""

    def __init__(self):
        super().__init__()
        self.tape = Tape()
        self._count = 0
        self._slots: dict[int, Slot] = {}
        self._held: list[Tensor] = []  # so that no two tensors of a run have one identity
        self._in_memory: dict[int, list[tuple[Tensor, Slot]]] = {}
        self._stale: dict[int, set[Slot]] = {}
        self._paths = _Paths()
        self._starts: dict[str, int] = {}

    def enter(self, path: str, given: list[Tensor]) -> None:
        self._paths.enter(path)
        self._starts[path] = len(self.tape.operations)

    def leave(self, path: str, output: object) -> None:
        self._paths.leave(path)
        operations = range(self._starts[path], len(self.tape.operations))
        number = self._paths.returned(path)[2]
        slot = self.slot(output) if isinstance(output, Tensor) else None
        self.tape.calls.append(ModuleCall(path, number, operations, slot))

    def slot(self, tensor: Tensor) -> Slot:
        """Where a tensor's present value is."""
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
        self._in_memory.setdefault(_storage(tensor), []).append((tensor, slot))
        self._stale.pop(id(tensor), None)
        self.tape.values[slot] = tensor
        return slot

    def _escape(self, slot: Slot, reader: str) -> None:
        self.tape.escapes.append(Escape(slot, reader, self._paths.stack[-1]))

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        operands = list(tensors_in((args, kwargs)))
        inputs = [self.slot(operand) for operand in operands]
        recorded = mapped(args, self.slot), mapped(kwargs, self.slot)
        before = None
        if operands and writes_in_place(name, args, kwargs):
            before = self._save(args[0])
        versions = _versions(operands)
        result = func(*args, **kwargs)

        place = self._paths.place(name)
        if before is None and _versions(operands) != versions:
            for slot in inputs:
                self._escape(slot, f"{name}, which overwrites an argument")
        outputs = list(tensors_in(result))
        if not outputs and before is None:
            if name not in WITHOUT_VALUES and name != "__get__":
                for slot in inputs:
                    self._escape(slot, name)
            return result
        self._note_shapes_from_values(name, args, inputs)
        owns_result = not (_storages(outputs) & _storages(operands))
        overwritten = None
        if before is not None:
            overwritten = (before, self._new(args[0]))
            self._mark_stale(args[0], overwritten[1])
        template = mapped(result, lambda tensor: self._slots[id(tensor)] if tensor is args[0] else self._new(tensor))
        if overwritten is None:
            template = mapped(result, self._new)
        self.tape.operations.append(Operation(func, *recorded, template, place, overwritten, owns_result))
        return result

    def _save(self, overwritten: Tensor) -> Slot:
        """Keep what a tensor, and others in the same memory, hold before it is overwritten. Gives the tensor's slot."""
        before = self.slot(overwritten)
        copies: dict[int, Tensor] = {}
        for tensor, slot in self._in_memory[_storage(overwritten)]:
            if self.tape.values[slot] is tensor:
                if id(tensor) not in copies:
                    copies[id(tensor)] = tensor.clone()
                self.tape.values[slot] = copies[id(tensor)]
        return before

    def _mark_stale(self, overwritten: Tensor, written: Slot) -> None:
        """Whoever reads another tensor of the same memory from now on reads what was written."""
        for tensor, _ in self._in_memory[_storage(overwritten)]:
            if tensor is not overwritten:
                self._stale.setdefault(id(tensor), set()).update((self._slots[id(tensor)], written))

    def _note_shapes_from_values(self, name: str, args: tuple, inputs: list[Slot]) -> None:
        if name in SHAPES_FROM_VALUES or (name == "where" and len(args) == 1):
            for slot in inputs:
                self._escape(slot, name)
        elif name in ("__getitem__", "__setitem__"):
            for index in tensors_in(args[1:2]):
                if index.dtype in (torch.bool, torch.uint8):
                    self._escape(self.slot(index), "indexing by a mask")


class _Replacer(TorchFunctionMode):
    """Replaces the value at one place while it is active."""

    def __init__(self, place: Place, value: Tensor):
        super().__init__()
        self.done = False
        self._place, self._value = place, value
        self._paths = _Paths()
        self._given: dict[str, list[tuple[Tensor, list[int]]]] = {}

    def enter(self, path: str, given: list[Tensor]) -> None:
        self._paths.enter(path)
        self._given[path] = [(tensor, _versions([tensor])) for tensor in given]

    def leave(self, path: str, output: object) -> Tensor | None:
        self._paths.leave(path)
        if self._paths.returned(path) != self._place:
            return None
        self.done = True
        for tensor, version in self._given[path]:
            if tensor is output and _versions([tensor]) != version:  # written in place, and used so by whoever holds it
                return tensor.copy_(self._value)
        return self._value

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        result = func(*args, **kwargs)
        if name == self._place[1] and self._paths.place(name) == self._place:
            self.done = True
            return result.copy_(self._value) if writes_in_place(name, args, kwargs) else self._value
        return result


@contextmanager
def _watched(
    model: nn.Module, enter: Callable[[str, list[Tensor]], None], leave: Callable[[str, object], Tensor | None]
) -> Iterator[None]:
    """Hear of every module's call, by hooks that are taken away afterwards."""
    with ExitStack() as stack:
        for path, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue
            before = module.register_forward_pre_hook(
                lambda module, args, path=path: enter(path, list(tensors_in(args)))
            )
            after = module.register_forward_hook(
                lambda module, args, output, path=path: leave(path, output), always_call=True
            )
            stack.callback(before.remove)
            stack.callback(after.remove)
        yield


def writes_in_place(name: str, args: tuple, kwargs: dict[str, Any]) -> bool:
    """Whether a call of a PyTorch function of that name overwrites its first argument."""
    if not args or not isinstance(args[0], Tensor):
        return False
    if name in ("__setitem__", "__set__") or (name.startswith("__i") and name[3:-2] in _OPERATORS):
        return True
    if kwargs.get("inplace"):
        return True
    flagged = name in _POSITIONAL_INPLACE and any(argument is True for argument in args[_POSITIONAL_INPLACE[name] :])
    return flagged or (name.endswith("_") and not name.endswith("__") and name not in ("requires_grad_", "retain_grad"))


_OPERATORS = {"add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift", "div"}
_POSITIONAL_INPLACE = {
    **dict.fromkeys(("relu", "relu6", "selu", "silu", "mish", "hardswish", "hardsigmoid"), 1),
    **dict.fromkeys(("elu", "celu", "leaky_relu"), 2),
    **dict.fromkeys(("threshold", "hardtanh", "dropout", "alpha_dropout", "dropout2d", "dropout3d"), 3),
    "rrelu": 4,
}
"""Where the argument `inplace` stands in functions that have one."""


def _versions(tensors: Sequence[Tensor]) -> list[int]:
    """How often each was written to; that of tensors made in inference mode is not counted."""
    return [0 if tensor.is_inference() else tensor._version for tensor in tensors]


def _storage(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # a sparse or a wrapped tensor has none
        return id(tensor)


def _storages(tensors: Sequence[Tensor]) -> set[int]:
    return {_storage(tensor) for tensor in tensors}

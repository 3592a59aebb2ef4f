"""Running a model with the value of one of its calls replaced by another."""

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from widthwise.errors import RequestError
from widthwise.tracing.call_sites import CallSites, watched
from widthwise.tracing.composites import opened
from widthwise.tracing.in_place import function_name, write_counts, writes_in_place
from widthwise.tracing.tape import CallSite


def run_with(model: nn.Module, run: Callable[[], Sequence[Tensor]], site: CallSite, value: Tensor) -> Sequence[Tensor]:
    """The results of `run()`, which calls `model`, as if its call `site` returned `value`.

    Raises:
        RequestError: the run did not reach that call.
    """
    replacer = _Replacer(site, value)
    with watched(model, replacer.enter, replacer.leave), replacer:
        results = run()
    if not replacer.done:
        name = ".".join(filter(None, (site.path, site.function)))
        raise RequestError(f"{name} was not reached when the network was run again")
    return results


class _Replacer(TorchFunctionMode):
    """Replaces the value of one call, while it is active."""

    def __init__(self, site: CallSite, value: Tensor):
        super().__init__()
        self.done = False
        self._site, self._value = site, value
        self._sites = CallSites()
        self._given: dict[str, list[tuple[Tensor, list[int]]]] = {}

    def enter(self, path: str, given: list[Tensor]) -> None:
        self._sites.enter(path)
        self._given[path] = [(tensor, write_counts([tensor])) for tensor in given]

    def leave(self, path: str, output: object) -> object:
        self._sites.leave(path)
        if self._sites.of_module(path)[:3] != self._site[:3]:
            return None
        self.done = True
        if not isinstance(output, Tensor):
            return self._with_value(output)
        for tensor, version in self._given[path]:
            if tensor is output and write_counts([tensor]) != version:  # written in place, and others hold it
                return tensor.copy_(self._value)
        return self._value

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
        result = func(*args, **kwargs)
        if name == self._site.function and self._sites.of_function(name)[:3] == self._site[:3]:
            self.done = True
            if isinstance(result, Tensor) and writes_in_place(name, args, kwargs):
                return result.copy_(self._value)
            return self._value if isinstance(result, Tensor) else self._with_value(result)
        return result

    def _with_value(self, output: object) -> object:
        """What a call returned, with the value in place of one of its tensors."""
        count = itertools.count()
        return _each_tensor(output, lambda tensor: self._value if next(count) == self._site.output else tensor)


def _each_tensor(structure: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """A structure of the same types, such as named tuples, with `function` applied to its tensors in order."""
    if isinstance(structure, Tensor):
        return function(structure)
    if isinstance(structure, dict):
        made = copy.copy(structure)
        for key, part in structure.items():
            made[key] = _each_tensor(part, function)
        return made
    if isinstance(structure, (tuple, list)):
        parts, kind = [_each_tensor(part, function) for part in structure], type(structure)
        return kind(*parts) if hasattr(structure, "_fields") else kind(parts)
    return structure

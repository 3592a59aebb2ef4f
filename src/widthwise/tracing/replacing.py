"""Running a model with the values of some of its calls replaced by others."""

import copy
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from widthwise.errors import RequestError
from widthwise.tracing.call_sites import CallSites, watched
from widthwise.tracing.composites import opened
from widthwise.tracing.in_place import function_name, write_counts, writes_in_place
from widthwise.tracing.tape import CallSite


def run_with(
    model: nn.Module,
    run: Callable[[], Sequence[Tensor]],
    changes: Mapping[CallSite, Callable[[Tensor], Tensor]],
    skipped: Collection[CallSite] = (),
) -> Sequence[Tensor]:
    """The results of `run()`, which calls `model`, as if some of its calls returned other values.

    Args:
        model: the model.
        run: calls it.
        changes: for each value, the function that gives the other value from the one that the call returns.
        skipped: those of the calls that the run need not reach.

    Raises:
        RequestError: the run did not reach one of the calls.
    """
    replacer = _Replacer(changes)
    with watched(model, replacer.enter, replacer.leave), replacer:
        results = run()
    may_be_skipped = {site[:3] for site in skipped}
    for path, function, _ in replacer.waiting.keys() - may_be_skipped:
        name = ".".join(filter(None, (path, function)))
        raise RequestError(f"{name} was not reached when the network was run again")
    return results


class _Replacer(TorchFunctionMode):
    """Replaces the values of some calls, while it is active."""

    def __init__(self, changes: Mapping[CallSite, Callable[[Tensor], Tensor]]):
        super().__init__()
        self._changes: dict[tuple[str, str, int], dict[int, Callable[[Tensor], Tensor]]] = {}
        for site, change in changes.items():
            self._changes.setdefault(site[:3], {})[site.output] = change
        self.waiting = dict.fromkeys(self._changes)
        self._functions = {function for _, function, _ in self._changes}
        self._sites = CallSites()
        self._given: dict[str, list[tuple[Tensor, list[int]]]] = {}

    def enter(self, path: str, given: list[Tensor]) -> None:
        self._sites.enter(path)
        self._given[path] = [(tensor, write_counts([tensor])) for tensor in given]

    def leave(self, path: str, output: object) -> object:
        self._sites.leave(path)
        site = self._sites.of_module(path)[:3]
        if site not in self._changes:
            return None
        self.waiting.pop(site, None)
        if not isinstance(output, Tensor):
            return self._changed(site, output)
        value = self._changes[site][0](output)
        for tensor, version in self._given[path]:
            if tensor is output and write_counts([tensor]) != version:  # written in place, and others hold it
                return tensor.copy_(value)
        return value

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
        if name in self._functions and (site := self._sites.of_function(name)[:3]) in self._changes:
            self.waiting.pop(site, None)
            if not isinstance(result, Tensor):
                return self._changed(site, result)
            value = self._changes[site][0](result)
            return result.copy_(value) if writes_in_place(name, args, kwargs) else value
        return result

    def _changed(self, site: tuple[str, str, int], output: object) -> object:
        """What a call returned, with other values in place of some of its tensors."""
        count, changes = itertools.count(), self._changes[site]
        return _each_tensor(output, lambda tensor: changes.get(next(count), lambda same: same)(tensor))


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

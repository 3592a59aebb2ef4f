"""Running a model with the values of some of its calls replaced by others."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from widthwise.errors import RequestError
from widthwise.tracing.call_sites import CallSites, watched
from widthwise.tracing.in_place import write_counts, writes_in_place
from widthwise.tracing.structure import tensors_in
from widthwise.tracing.tape import CallSite


def run_with(
    model: nn.Module, run: Callable[[], Sequence[Tensor]], changes: Mapping[CallSite, Callable[[Tensor], Tensor]]
) -> Sequence[Tensor]:
    """The results of `run()`, which calls `model`, as if some of its calls returned other values.

    Args:
        model: the model.
        run: calls it.
        changes: for each call, the function that gives the other value from the value that the call returns.

    Raises:
        RequestError: the run did not reach one of the calls.
    """
    replacer = _Replacer(changes)
    with watched(model, replacer.enter, replacer.leave), replacer:
        results = run()
    for site in replacer.waiting:
        name = ".".join(filter(None, (site.path, site.function)))
        raise RequestError(f"{name} was not reached when the network was run again")
    return results


class _Replacer(TorchFunctionMode):
    """Replaces the values of some calls, while it is active."""

    def __init__(self, changes: Mapping[CallSite, Callable[[Tensor], Tensor]]):
        super().__init__()
        self.waiting = dict.fromkeys(changes)
        self._changes = changes
        self._functions = {site.function for site in changes}
        self._sites = CallSites()
        self._given: dict[str, list[tuple[Tensor, list[int]]]] = {}

    def enter(self, path: str, given: list[Tensor]) -> None:
        self._sites.enter(path)
        self._given[path] = [(tensor, write_counts([tensor])) for tensor in given]

    def leave(self, path: str, output: object) -> Tensor | None:
        self._sites.leave(path)
        site = self._sites.of_module(path)
        if site not in self._changes or not isinstance(output, Tensor):
            return None
        self.waiting.pop(site, None)
        value = self._changes[site](output)
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
        name = getattr(func, "__name__", str(func))
        result = func(*args, **kwargs)
        if name in self._functions and (site := self._sites.of_function(name)) in self._changes:
            self.waiting.pop(site, None)
            given = result if isinstance(result, Tensor) else next(tensors_in(result))
            value = self._changes[site](given)
            if isinstance(result, Tensor) and writes_in_place(name, args, kwargs):
                return result.copy_(value)
            return value
        return result

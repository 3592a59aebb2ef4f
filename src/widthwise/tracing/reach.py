"""Which modules a run reaches, and which experts of a mixture it does not."""

from collections.abc import Iterable

from torch import nn

from widthwise.tracing.experts import holder
from widthwise.tracing.tape import Tape


def reached_modules(tape: Tape) -> set[str]:
    """The paths of the modules that a run called for at least one example or token, and of those that hold them."""
    return _with_holders(call.path for call in tape.calls if any(tape.values[slot].numel() for slot in call.outputs))


def unreached_experts(model: nn.Module, tape: Tape, routed: Iterable[str]) -> dict[str, nn.Module]:
    """The experts that a run does not reach, by their paths: modules beside others that get tokens.

    Args:
        model: the model.
        tape: the run, with all its values.
        routed: the paths of the modules that return values whose rows are tokens that a router chose.
    """
    modules, called = dict(model.named_modules()), reached_modules(tape)
    experts = {(holder(path), type(modules[path])) for path in _with_holders(routed)}
    return {
        path: module
        for path, module in modules.items()
        if path not in called and holder(path) in called and (holder(path), type(module)) in experts
    }


def _with_holders(paths: Iterable[str]) -> set[str]:
    """The paths of modules and of those that hold them."""
    parts = [path.split(".") for path in paths]
    return {".".join(each[:count]) for each in parts for count in range(len(each) + 1)}

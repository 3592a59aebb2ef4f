"""The choice of a network's layers to measure: all, those that the model names, or those that a user chooses."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from torch import nn

from widthwise.errors import RequestError
from widthwise.tracing.layer import Layer
from widthwise.tracing.layer_search import LayerSearch, Located
from widthwise.tracing.tape import Tape

Selection = str | Iterable[str] | Callable[[Layer], bool]


def find_layers(model: nn.Module, tape: Tape, selection: Selection | None, attention_heads: bool) -> list[Layer]:
    """The layers to measure, in order of depth.

    Without a selection they are those that the model names in an attribute `measured_layers` or, if it has none, every
    value right after a nonlinearity that follows a dense layer or a convolution.

    Raises:
        RequestError: there are none, or no layer has a chosen name or fits a chosen pattern.
    """
    search = LayerSearch(model, tape)
    declared = getattr(model, "measured_layers", None)
    heads = search.attention_heads() if attention_heads else []
    if selection is None:
        found = search.after_nonlinearities() if declared is None else _declared(search, declared)
        if not found + heads:
            raise RequestError(
                f"{type(model).__name__} has no nonlinearity after a dense layer or a convolution; name the modules "
                "whose values are to be measured, or list them in an attribute measured_layers of the model",
                field="layers",
            )
        return _in_order(found + heads)
    candidates = search.after_nonlinearities() + heads
    if declared is not None:
        candidates += _declared(search, declared)
    return _in_order(_chosen(search, selection, candidates))


def _declared(search: LayerSearch, names: str | Iterable[str]) -> list[Located]:
    """The layers that the model itself names."""
    try:
        return search.named([names] if isinstance(names, str) else names)
    except RequestError as error:
        raise RequestError(f"the model's measured_layers: {error}") from None


def _chosen(search: LayerSearch, selection: Selection, candidates: list[Located]) -> list[Located]:
    if callable(selection):
        found = [each for each in candidates if selection(each[1])]
        if not found:
            raise RequestError(f"the function accepts none of the network's {len(candidates)} layers", field="layers")
        return found
    if not isinstance(selection, Iterable):
        raise RequestError(
            f"must be names, patterns or a function of a layer, not {type(selection).__name__}", field="layers"
        )
    found = []
    for wanted in [selection] if isinstance(selection, str) else selection:
        found += _fitting(search, wanted, candidates)
    if not found:
        raise RequestError("nothing is selected; leave it out to measure every layer", field="layers")
    return found


def _fitting(search: LayerSearch, wanted: str, candidates: list[Located]) -> list[Located]:
    """The layers that have a name or fit a pattern."""
    if any(character in wanted for character in "*?["):
        fitting = [each for each in candidates if fnmatchcase(each[1].name, wanted)]
        if not fitting:
            names = ", ".join(layer.name for _, layer in candidates[:8]) or "none"
            raise RequestError(f"no layer fits the pattern {wanted!r}; the first layers are {names}", field="layers")
        return fitting
    known = [each for each in candidates if wanted in (each[1].name, each[1].name.partition(":")[0])]
    if not known and wanted.endswith(":1"):
        known = [each for each in candidates if each[1].name == wanted[:-2]]
    if known:
        return known
    try:
        return search.named([wanted], [layer.name for _, layer in candidates])
    except RequestError as error:
        raise RequestError(error.problem, field="layers") from None


def _in_order(located: list[Located]) -> list[Layer]:
    unique = {layer.name: (depth, layer) for depth, layer in located}
    return [layer for _, layer in sorted(unique.values(), key=lambda each: each[0])]

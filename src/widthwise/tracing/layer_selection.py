"""The choice of a network's layers to measure: all, those that the model names, or those that a user chooses."""

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from torch import nn

from widthwise.errors import RequestError
from widthwise.tracing.layer import Layer, LeftOut
from widthwise.tracing.layer_search import Candidate, LayerSearch
from widthwise.tracing.tape import Tape

Selection = str | Iterable[str] | Callable[[Layer], bool]
UnitDimensions = Mapping[str, int]
"""The dimension along which a value's units lie, by the name of the value."""
NAMED_STREAMS = 1 << 32
"""From this number on, streams of random draws are derived from a layer's name."""


@dataclass(frozen=True)
class Row:
    """A value that may be a layer.

    candidate: the value. layer: the same as a layer; None if its units are not known.
    shape: the shape of the value without its first dimension.
    measured: whether it is measured.
    """

    candidate: Candidate
    layer: Layer | None
    shape: tuple[int, ...]
    measured: bool


@dataclass(frozen=True)
class Found:
    """The values of a network that may be layers, and those that are measured.

    rows: all of them, in order of depth.
    left_out: nonlinearities that are missed.
    routed: the paths of the modules that return values whose rows are tokens that a router chose.
    """

    rows: list[Row]
    left_out: list[LeftOut]
    routed: set[str]

    @property
    def layers(self) -> list[Layer]:
        """The layers to measure, in order of depth."""
        return [row.layer for row in self.rows if row.measured and row.layer is not None]


def find_layers(
    model: nn.Module,
    tape: Tape,
    selection: Selection | None = None,
    attention_heads: bool = False,
    units: UnitDimensions | None = None,
    constants: Iterable[int] = (),
    whole: bool = True,
) -> Found:
    """The layers of a network.

    Without a selection those are measured that the model names in an attribute `measured_layers` or, if it has none,
    the value of every nonlinearity between dense layers or convolutions, on the way to a label.

    Args:
        model, tape, constants, whole, units: see `LayerSearch`.
        selection: names, patterns, or a function of a layer.
        attention_heads: whether to measure heads, too.

    Raises:
        RequestError: there are none, or no layer has a chosen name or fits a chosen pattern.
    """
    search = LayerSearch(model, tape, constants, whole, units)
    nonlinearities = search.nonlinearities()
    heads = search.attention_heads() if attention_heads else []
    names = getattr(model, "measured_layers", None)
    declared = None if names is None else _declared(search, names)
    usual = _in_order([each for each in nonlinearities if not each.note] if declared is None else declared)
    streams = {candidate.name: index for index, candidate in enumerate(usual)}
    listed = _in_order([*nonlinearities, *heads, *usual])

    def layer(candidate: Candidate) -> Layer:
        name = candidate.name
        return search.layer(candidate, streams.get(name, NAMED_STREAMS + zlib.crc32(name.encode())))

    if selection is None:
        chosen = usual + [head for head in heads if head.units]
        if not chosen:
            raise RequestError(_nothing(model, nonlinearities), field="layers")
    elif callable(selection):
        offered = _in_order([*usual, *[each for each in (*nonlinearities, *heads) if not each.note]])
        chosen = [each for each in offered if selection(layer(each))]
        if not chosen:
            raise RequestError(f"the function accepts none of the network's {len(offered)} layers", field="layers")
    else:
        chosen = _chosen(search, selection, listed)
    _check_units(search, chosen)
    measured = {candidate.name for candidate in chosen}
    left_out = []
    if declared is None:
        missed = [each for each in (*nonlinearities, *heads) if each.note and each.name not in measured]
        left_out = [LeftOut(each.name, each.kind, each.note) for each in missed]
    other = "the network names other layers" if declared is not None else ""
    rows = []
    for each in _in_order([*listed, *chosen]):
        note = "" if each.name in measured else each.note or other
        if selection is not None and each.name not in measured:
            note = note or "not chosen"
        rows.append(
            Row(
                replace(each, note=note), layer(each) if each.units else None, search.shape(each), each.name in measured
            )
        )
    return Found(rows, left_out, search.routed_modules())


def _nothing(model: nn.Module, nonlinearities: list[Candidate]) -> str:
    kind = type(model).__name__
    ask = "name the modules whose values are to be measured, or list them in an attribute measured_layers of the model"
    if not nonlinearities:
        return f"{kind} has no nonlinearity after a dense layer or a convolution; {ask}"
    first = nonlinearities[0]
    return (
        f"{kind} has no nonlinearity that is a hidden layer of known units: of its {len(nonlinearities)}, the first is "
        f"{first.name} ({first.note}); {ask}"
    )


def _declared(search: LayerSearch, names: str | Iterable[str]) -> list[Candidate]:
    """The layers that the model itself names."""
    try:
        return [each for name in ([names] if isinstance(names, str) else names) for each in search.calls_of(name)]
    except RequestError as error:
        raise RequestError(f"the model's measured_layers: {error.problem}") from None


def _chosen(search: LayerSearch, selection: object, listed: list[Candidate]) -> list[Candidate]:
    if not isinstance(selection, Iterable):
        raise RequestError(
            f"must be names, patterns or a function of a layer, not {type(selection).__name__}", field="layers"
        )
    found = []
    for wanted in [selection] if isinstance(selection, str) else selection:
        if not isinstance(wanted, str):
            raise RequestError(f"a layer's name is a text, not {type(wanted).__name__}", field="layers")
        try:
            found += _fitting(search, wanted, listed)
        except RequestError as error:
            raise RequestError(error.problem, field="layers") from None
    if not found:
        raise RequestError("nothing is selected; leave it out to measure every layer", field="layers")
    return found


def _fitting(search: LayerSearch, wanted: str, listed: list[Candidate]) -> list[Candidate]:
    """The layer of a name, or the layers that fit a pattern, or the modules that do, if no layer does."""
    for name in (wanted, wanted.removesuffix(":1")):
        if exact := [each for each in listed if each.name == name]:
            return [search.measurable(each) for each in exact]
        if (found := search.find(name)) is not None:
            return [search.measurable(found)]
    if not any(character in wanted for character in "*?["):
        return [search.named(wanted, [each.name for each in listed])]
    fitting = [each for each in listed if _fits(each.name, wanted)]
    if fitting:
        known = [each for each in fitting if each.units]
        return known or [search.measurable(fitting[0])]
    modules = [search.find(name) for name in search.module_names() if _fits(name, wanted)]
    known = [each for each in modules if each is not None and each.units]
    if not known:
        names = ", ".join(each.name for each in listed[:8]) or "none"
        raise RequestError(f"no layer fits the pattern {wanted!r}; the first layers are {names}")
    return known


def _fits(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern, in which brackets may be meant or be part of names."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, pattern.replace("[", "[[]"))


def _check_units(search: LayerSearch, chosen: list[Candidate]) -> None:
    """Refuse a dimension that was given for a value that is not measured."""
    for name in search.given_units:
        if all(candidate.name != name for candidate in chosen):
            if search.find(name) is None:
                search.named(name)
            problem = f"{name} is given a dimension, but is not measured; name it in layers, too"
            raise RequestError(problem, field="units")


def _in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    unique = {candidate.name: candidate for candidate in candidates}
    return sorted(unique.values(), key=lambda each: each.depth)

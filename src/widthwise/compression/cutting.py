"""The smaller network from what stays of each group, and what goes wrong with it, found by running it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from widthwise.compression.comparison import close
from widthwise.compression.groups import Codes, Group, Left, Passage
from widthwise.compression.neighbour_norms import among
from widthwise.compression.shortcuts import CHANNELS, Rearrangement
from widthwise.compression.surgery import SIZES, Kept, smaller
from widthwise.errors import RequestError, TrialError
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.model_runs import ModelRuns
from widthwise.tracing.predicted_labels import Predict
from widthwise.tracing.untouched import untouched
from widthwise.wording import one_line

MOST_SCALED = 3
"""Attributes of modules that are tried together as numbers that change with the units."""


class Cutting:
    """Cuts a network, and tries whether it still works.

    Args:
        model: the network, which stays as it is. probe: a few inputs. predict: as for `compress`.
    """

    def __init__(self, model: nn.Module, probe: Inputs, predict: Predict | None):
        self._model, self._probe, self._predict = model, probe, predict
        self._worked: set[tuple[str, ...]] = set()
        self._in_vain: set[tuple[str, ...]] = set()

    def cut(
        self,
        groups: Sequence[Group],
        kept: Mapping[str, Sequence[int]],
        changed: Mapping[str, Tensor],
        biases: Mapping[str, Tensor],
    ) -> nn.Module:
        """The network with what stays of some groups, and other values of its parameters."""
        return smaller(
            self._model,
            _kept(groups, kept),
            changed,
            biases,
            self.attributes(groups, kept),
            rearrangements(groups, kept),
        )

    def attributes(self, groups: Sequence[Group], kept: Mapping[str, Sequence[int]]) -> dict[str, int]:
        """The values, in the smaller network, of attributes of its modules that change with the units."""
        values: dict[str, int] = {}
        for group in groups:
            for name in group.scaled:
                path, _, attribute = name.rpartition(".")
                whole = getattr(self._model.get_submodule(path), attribute)
                values[name] = whole // group.units * len(kept[group.name])
        return values

    def working(self, groups: list[Group], kept: Mapping[str, Sequence[int]]) -> tuple[list[Group], list[Left]]:
        """The groups of which some units can go, and those without which the network fails or gives something else."""
        if not self._problem(groups, kept):
            return groups, []
        working: list[Group] = []
        failing: list[Left] = []
        for group in groups:
            problem = self._problem([group], kept)
            scaled = self._scaled(group, kept) if problem else None
            if scaled is not None:
                working.append(scaled)
            elif problem:
                failing += [Left(name, group.units, f"without some of its units {problem}") for name in group.names]
            else:
                working.append(group)
        return working, failing

    def _scaled(self, group: Group, kept: Mapping[str, Sequence[int]]) -> Group | None:
        """The group with the numbers around its layers that have to change with it; None: that does not help.

        Such a number is 1, or as many as the outputs that make up a unit, times the number of units: that of heads, or
        the size of all heads together. Which of them the network's code uses is found by running it.
        """
        tensors = [*(cut.tensor for cut in group.cuts), *(each.weight for each in group.readings)]
        holding = {tensor.rpartition(".")[0] for tensor in tensors}
        around = {*holding, *(path.rpartition(".")[0] for path in holding)}
        modules = [(path, self._model.get_submodule(path)) for path in sorted(around)]
        sizes = {group.units * each for each in {1, *group.widths}} | {len(each.columns) for each in group.readings}
        found = [
            f"{path}.{name}".lstrip(".")
            for path, module in modules
            for name, value in vars(module).items()
            if type(value) is int and value in sizes and not isinstance(module, (*SIZES,))
        ]
        for names in self._combinations(tuple(found)):
            changed = replace(group, scaled=names)
            if not self._problem([changed], kept):
                self._worked.add(tuple(name.rpartition(".")[2] for name in names))
                return changed
        self._in_vain.add(tuple(name.rpartition(".")[2] for name in found))
        return None

    def _combinations(self, found: Sequence[str]) -> list[tuple[str, ...]]:
        """The combinations of attributes to try: what worked for another layer, then few before many.

        None of those that were tried in vain for a layer with the same ones, so that it does not take long for many.
        """
        if tuple(name.rpartition(".")[2] for name in found) in self._in_vain:
            return []
        tried = [names for count in range(1, MOST_SCALED + 1) for names in itertools.combinations(found, count)]
        return sorted(tried, key=lambda names: tuple(name.rpartition(".")[2] for name in names) not in self._worked)

    def _problem(self, groups: Sequence[Group], kept: Mapping[str, Sequence[int]]) -> str:
        """What goes wrong without some units that nothing reads any more; empty if nothing does."""
        unread: dict[str, Tensor] = {}
        for group in groups:
            for reading in group.readings:
                weight = unread.get(reading.weight)
                weight = dict(self._model.named_parameters())[reading.weight].clone() if weight is None else weight
                gone = ~torch.isin(reading.columns - 1, torch.tensor(list(kept[group.name]))) & (reading.columns > 0)
                weight.index_fill_(reading.dimension, torch.nonzero(gone).flatten().to(weight.device), 0)
                unread[reading.weight] = weight
        whole = self.cut([], {}, unread, {})
        for group in groups:
            for passage in group.entries:
                _silence(whole.get_submodule(passage.shortcut.path), passage, kept[group.name])
            for each in group.normalized:
                module = whole.get_submodule(each.norm.path)
                there = (each.columns == 0) | torch.isin(each.columns - 1, torch.tensor(list(kept[group.name])))
                vars(module)["forward"] = among(type(module).forward.__get__(module), torch.nonzero(there).flatten())
        part = self.cut(groups, kept, unread, {})
        try:
            with untouched(whole), untouched(part):
                pair = [scores(each, self._probe, self._predict) for each in (whole, part)]
        except (RequestError, TrialError) as error:
            return f"the network fails: {one_line(error.__cause__ or error)}"
        return "" if close(pair[0], pair[1]) else "the network gives something else, though nothing reads them"


def _kept(groups: Sequence[Group], kept: Mapping[str, Sequence[int]]) -> Kept:
    """The indices that stay of every parameter and buffer that is cut."""
    staying: dict[tuple[str, int], Tensor] = {}

    def cut(tensor: str, dimension: int, codes: Codes, units: Tensor) -> None:
        codes = codes.cpu()
        stays = (codes == 0) | torch.isin(codes - 1, units)
        before = staying.get((tensor, dimension))
        staying[tensor, dimension] = stays if before is None else before & stays

    for group in groups:
        units = torch.tensor(list(kept[group.name]), dtype=torch.long)
        for each in group.cuts:
            cut(each.tensor, each.dimension, each.codes, units)
        for reading in group.readings:
            cut(reading.weight, reading.dimension, reading.columns, units)
    return {place: torch.nonzero(stays).flatten() for place, stays in staying.items()}


def rearrangements(groups: Sequence[Group], kept: Mapping[str, Sequence[int]]) -> dict[str, Rearrangement]:
    """Which channels each shortcut takes and gives in the smaller network, by the module's path."""
    found: dict[str, Rearrangement] = {}
    for group in groups:
        units = torch.tensor(list(kept[group.name]), dtype=torch.long)
        for passage, taking in [*((each, True) for each in group.entries), *((each, False) for each in group.exits)]:
            shortcut, path = passage.shortcut, passage.shortcut.path
            there = (passage.columns == 0) | torch.isin(passage.columns - 1, units)
            indices = tuple(torch.nonzero(there).flatten().tolist())
            before = found.get(path) or shortcut.whole
            found[path] = replace(before, taken=indices) if taking else replace(before, wanted=indices)
    return found


def uneven_half(units: int) -> list[int]:
    """About half of some units, in no pattern that a network's code could follow."""
    drawn = torch.randperm(units, generator=torch.Generator().manual_seed(units))
    return sorted(drawn[: units // 2 + 1 if units > 2 else 1].tolist())


def scores(model: nn.Module, inputs: Inputs, predict: Predict | None) -> Tensor:
    """The scores of a network for some inputs."""
    runs = ModelRuns(model, predict)
    runs.record_first(inputs)
    return runs.with_changes(inputs, {}, "")[0]


def _silence(module: nn.Module, passage: Passage, kept: Sequence[int]) -> None:
    """Let a shortcut see zeros in place of the units that go."""
    gone = torch.nonzero((passage.columns > 0) & ~torch.isin(passage.columns - 1, torch.tensor(list(kept)))).flatten()
    module.register_forward_pre_hook(
        lambda _, args: (args[0].index_fill(CHANNELS, gone.to(args[0].device), 0), *args[1:])
    )

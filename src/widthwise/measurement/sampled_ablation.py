"""Ablations of random examples, until the area under each curve is known as precisely as asked for.

Examples are taken in a random order, `STEP` at a time. A run of a step gives each of its examples one level of the
curve, so that most curves are done before any example is run twice: labels of different examples say more about a mean
than labels of one example at several levels. Levels whose labels vary most get most examples (Neyman 1934): the number
of runs at a level is in proportion to the weight of its share in the area, times the standard deviation of its labels
so far. All runs of a step are of one sampling, and samplings take turns.

After each step a curve's standard error decides whether it goes on. If all examples were run, they are run again at
levels and samplings that they were not run at, as often as the error asks for; in the end, everything is run. An
example's draws depend on its index in the random order; which runs are made depends on labels alone, not on time or on
the size of batches.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from widthwise.measurement.ablation import Dropping, Replacements, per_example
from widthwise.measurement.accumulator import State, part_of
from widthwise.measurement.accumulator import joined as joined_states
from widthwise.measurement.curves import Curve
from widthwise.measurement.label_counts import LabelCounts
from widthwise.measurement.work import Work
from widthwise.tracing.inputs import Inputs, joined
from widthwise.tracing.network import Network
from widthwise.tracing.predicted_labels import NO_LABEL
from widthwise.tracing.recorded_run import RecordedRun

INTACT = "intact runs"
"""The kind of work that running the network itself is."""
STEP = 64
ORDER_STREAM, LEVEL_STREAM = 3, 4
"""The parts of a seed that keep the order of examples, and the choice of their levels, apart from other draws."""
LARGEST_VARIANCE = 0.25
"""Of a number in [0, 1]."""


def random_order(examples: int, seed: int) -> Int[np.ndarray, " examples"]:
    """The indices of all examples in the order in which they are ablated."""
    return np.random.default_rng(np.random.SeedSequence([seed, ORDER_STREAM])).permutation(examples)


def most_examples(examples: int, precision: float) -> int:
    """The number of examples that is enough for any curve, if each of them is run once."""
    return min(examples, STEP * math.ceil(LARGEST_VARIANCE / precision**2 / STEP))


class ChosenExamples:
    """Examples in random order, collected from batches that come in their own order.

    Args:
        order: the indices of examples, in the order wanted.
    """

    def __init__(self, order: Int[np.ndarray, " examples"]):
        self._positions = {int(index): position for position, index in enumerate(order)}
        self._found: dict[int, Inputs] = {}
        self._seen = 0
        self.together = True

    @property
    def empty(self) -> bool:
        """Whether no batch was added."""
        return self._seen == 0

    def update(self, inputs: Inputs, labels_known: bool) -> None:
        """Add the examples of the next batch.

        Args:
            inputs: the batch.
            labels_known: whether it is known which example each label belongs to.
        """
        if not inputs.divisible or not labels_known:
            self.together = False
        for index in range(inputs.examples if self.together else 0):
            position = self._positions.get(self._seen + index)
            if position is not None:
                part = inputs.part(index, index + 1).copied()
                self._found[position] = part
                self.together &= self._found[min(self._found)].joins(part)
        if not self.together:
            self._found.clear()
        self._seen += inputs.examples

    def steps(self) -> Iterator[Inputs]:
        """The examples, `STEP` at a time."""
        found = [self._found[position] for position in sorted(self._found)]
        for first in range(0, len(found), STEP):
            yield joined(found[first : first + STEP])


class SampledCurve:
    """The runs of one curve so far, and the choice of the next ones.

    Args:
        curve: the curve.
        samplings: the number of samplings.
        seed: the seed of the random draws.
        precision: the standard error to reach.
        device: the device of the network.
    """

    def __init__(self, curve: Curve, samplings: int, seed: int, precision: float, device: torch.device):
        self.curve = curve
        self.counts = LabelCounts(samplings, len(curve.groups), device)
        self.runs = 1
        """The number of runs of each example the next time that it is taken."""
        self._samplings, self._precision, self._seed = samplings, precision, seed
        self._stream = [seed, LEVEL_STREAM, *map(ord, curve.protocol), *(layer.stream for layer in curve.layers)]
        self._possible = ~np.array(curve.intact)
        self._steps: list[_Step] = []

    @property
    def narrow(self) -> bool:
        """Whether the area is known as precisely as asked for, or more examples would not change that."""
        if not self._possible.any():
            return True
        if self.curve.whole and not self.counts.compared[:, self._possible].all():  # draws that all examples share
            return False
        return self.counts.examples_error(self.curve) <= self._precision

    @property
    def exhausted(self) -> bool:
        """Whether everything was run for the examples that were taken."""
        return all(step.done[:, :, self._possible].all() for step in self._steps)

    def still_needed(self) -> float:
        """An estimate of the number of runs of one example that are still needed."""
        if self.narrow:
            return 0.0
        spread = (self.curve.weights * self.counts.deviations())[self._possible].sum()
        needed = (spread / self._precision) ** 2
        error = self.counts.examples_error(self.curve)
        done = float(self.counts.examples.sum())
        if not math.isnan(error) and error > 0:
            needed = max(needed, done * (error / self._precision) ** 2)
        return max(needed - done, 1.0)

    def begin(self, number: int, examples: int) -> None:
        """Choose the levels at which the examples of a step are run next, as often as it is time for.

        Args:
            number: the index of the step.
            examples: the number of its examples.
        """
        if number == len(self._steps):
            self._steps.append(_Step(examples, self._samplings, len(self.curve.groups)))
        step = self._steps[number]
        step.chosen, step.before = [], (step.unchanged.copy(), step.compared.copy())
        ran = self.counts.examples.astype(float)
        for _ in range(self.runs):
            sampling = (number + step.visits) % self._samplings
            step.chosen.append((sampling, self._choose(step, sampling, ran, [number, step.visits])))
            step.visits += 1

    def _choose(
        self, step: "_Step", sampling: int, ran: Float[np.ndarray, " groups"], stream: list[int]
    ) -> Int[np.ndarray, " examples"]:
        """The group of levels that each example is run at; −1 where it was run at all of this sampling."""
        free = ~step.done[:, sampling] & self._possible
        wanted = self.curve.weights * self.counts.deviations() * self._possible
        wanted /= wanted.sum()
        chosen = np.full(len(free), -1)
        generator = np.random.default_rng(np.random.SeedSequence([*self._stream, *stream]))
        for example in generator.permutation(len(free)).tolist():
            if free[example].any():
                missing = np.where(free[example], wanted * (ran.sum() + 1) - ran, -np.inf)
                chosen[example] = group = int(missing.argmax())
                ran[group] += 1
                step.done[example, slice(None) if self.curve.everything[group] else sampling, group] = True
        return chosen

    def run(self, number: int, start: int, run: RecordedRun, first: int, dropping: Dropping) -> None:
        """Run a batch of a step's examples as chosen.

        Args:
            number: the index of the step.
            start: the number of the step's examples before the batch.
            run: the intact run of the batch.
            first: the position of its first example in the random order.
            dropping: the batch and the curve.
        """
        step = self._steps[number]
        labels = per_example(run, torch.ones_like(run.labels, dtype=torch.bool)).cpu().numpy()
        rows = slice(start, start + run.examples)
        for sampling, chosen in step.chosen:
            groups = chosen[rows]
            if (groups < 0).all():
                continue
            dropping.draw(self._seed, sampling, first)
            device = run.labels.device
            levels = torch.from_numpy(groups.clip(0)).to(device)
            ablated = dropping.labels(levels)
            stayed = per_example(run, ablated == run.labels).cpu().numpy()
            lost = torch.zeros_like(self.counts.lost[0])
            lost.index_add_(0, levels, per_example(run, ablated == NO_LABEL) * torch.from_numpy(groups >= 0).to(device))
            ran = np.zeros((run.examples, len(self.curve.groups)), dtype=np.int64)
            ran[groups >= 0, groups[groups >= 0]] = 1
            compared, unchanged = ran * labels[:, None], ran * stayed[:, None]
            step.unchanged[rows] += unchanged
            step.compared[rows] += compared
            shared = np.array(self.curve.everything) | (np.arange(self._samplings)[:, None] == sampling)
            self.counts.update(torch.from_numpy(unchanged.sum(0) * shared).to(device), compared.sum(0) * shared)
            self.counts.update_lost(lost * torch.from_numpy(shared).to(device))

    def end(self, number: int) -> None:
        """Take account of a step that was run."""
        step, device = self._steps[number], self.counts.unchanged.device
        counts = [torch.from_numpy(each).to(device) for each in (step.unchanged, step.compared)]
        before = [torch.from_numpy(each).to(device) for each in step.before] if step.before[1].any() else []
        self.counts.update_examples(*counts, *before)

    def state_dict(self) -> State:
        """The counts, and which runs the examples of each step had."""
        steps = self._steps
        state = {
            "runs": torch.tensor(self.runs),
            "sizes": torch.tensor([len(step.done) for step in steps], dtype=torch.long),
            "visits": torch.tensor([step.visits for step in steps], dtype=torch.long),
        }
        for name in ("done", "unchanged", "compared") if steps else ():
            state[name] = torch.from_numpy(np.concatenate([getattr(step, name) for step in steps]))
        return {**state, **joined_states([("counts", self.counts.state_dict())])}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from where another one was at the end of a step."""
        self.counts.load_state_dict(part_of(state, "counts"))
        self.runs = int(state["runs"])
        last = 0
        for size, visits in zip(state["sizes"].tolist(), state["visits"].tolist(), strict=True):
            first, last = last, last + size
            step = _Step(size, self._samplings, len(self.curve.groups))
            step.visits = visits
            for name in ("done", "unchanged", "compared"):
                getattr(step, name)[:] = state[name][first:last].numpy()
            self._steps.append(step)

    def plan_another_sweep(self, examples: int) -> None:
        """Set the number of runs of each example, when all of them are taken once more."""
        self.runs = max(1, math.ceil(self.still_needed() / examples))


class _Step:
    """The examples of one step: which runs they had, and how many of their labels stayed."""

    def __init__(self, examples: int, samplings: int, groups: int):
        self.done = np.zeros((examples, samplings, groups), dtype=bool)
        self.unchanged = np.zeros((examples, groups), dtype=np.int64)
        self.compared = np.zeros((examples, groups), dtype=np.int64)
        self.before = (self.unchanged, self.compared)
        self.chosen: list[tuple[int, np.ndarray]] = []
        self.visits = 0


def ablate_sampled(
    network: Network,
    examples: ChosenExamples,
    sampled: Sequence[SampledCurve],
    size: int,
    replacements: Replacements,
    work: Work,
    behind: tuple[int, int] = (0, 0),
    on_step: Callable[[tuple[int, int]], None] = lambda behind: None,
) -> None:
    """Run ablations of random examples until every curve is known as precisely as asked for, or everything was run.

    Args:
        network: the network.
        examples: the examples, in random order.
        sampled: the curves.
        size: the number of examples to run at a time.
        replacements: the activity of dropped units.
        work: is told what was done.
        behind: the number of sweeps over the examples, and of steps of the next one, that the curves have behind them.
        on_step: called with these numbers after each step.
    """
    steps = examples.steps
    for sweep in itertools.count(behind[0]):
        first = 0
        for number, inputs in enumerate(steps()):
            if (sweep, number) < behind:
                first += inputs.examples
                continue
            waiting = [each for each in sampled if not each.narrow and (sweep == 0 or not each.exhausted)]
            if not waiting:
                work.finish()
                return
            work.expect_more(max(each.still_needed() / each.runs for each in waiting))
            with work.batch(inputs.examples):
                for each in waiting:
                    each.begin(number, inputs.examples)
                for start in range(0, inputs.examples, size):
                    part = inputs.part(start, start + size)
                    with work.doing(INTACT, part.examples):
                        run = network.run(part, number + 1)
                    for each in waiting:
                        kind = kind_of(each.curve)
                        with work.doing(kind, part.examples * each.runs, each.curve.name):
                            dropping = Dropping(network, each.curve, run, replacements)
                            each.run(number, start, run, first + start, dropping)
                for each in waiting:
                    each.end(number)
                    done = int(each.counts.examples.sum())
                    work.expect(kind_of(each.curve), done + each.still_needed())
            first += inputs.examples
            on_step((sweep, number + 1))
        for each in sampled:
            each.plan_another_sweep(first)


def kind_of(curve: Curve) -> str:
    """The kind of work that running a curve's ablations is."""
    return f"{curve.protocol} {curve.name}"

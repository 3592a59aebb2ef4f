"""A claim of the paper, its test on an experiment's tables, and what was found."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from widthwise.analysis.experiment import Analysis
from widthwise.wording import counted, listed

Answer = Literal["agrees", "disagrees", "cannot be told", "not run"]


@dataclass(frozen=True)
class Finding:
    """What a test found: the answer, and the numbers that decided it in a sentence."""

    answer: Answer
    evidence: str


Judge = Callable[[Analysis, Sequence[str]], Finding]
"""From an experiment's tables and the series that a claim needs to what they say."""


@dataclass(frozen=True)
class Check:
    """A test of one claim on an experiment's tables. Networks that have collapsed to one label never count.

    criterion: what is tested and when it agrees or disagrees, in one sentence.
    judge: the test.
    series: those that it needs; none: all that the experiment has at its scale.
    left_out: of all, those that it is not about.
    """

    criterion: str
    judge: Judge
    series: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def needs(self, analysis: Analysis) -> list[str]:
        """The series that the claim is about, at the analysis's scale."""
        return list(self.series) or [name for name in analysis.series if name not in self.left_out]

    def has_data(self, analysis: Analysis) -> bool:
        """Whether anything was run of any series that the claim is about."""
        return not _run(analysis).isdisjoint(self.needs(analysis))

    def __call__(self, analysis: Analysis) -> Finding:
        needed = self.needs(analysis)
        missing = [name for name in needed if name not in _run(analysis)]
        if missing or not needed:
            return Finding("not run", f"Nothing was run of {listed(missing) or 'what it is about'}.")
        if analysis.networks.empty:
            awaited = int((analysis.runs["status"] == "missing").sum())
            why = f"{counted(awaited, 'training')} not run yet" if awaited else "every training diverged"
            return Finding("cannot be told", f"No network counts: {why}.")
        finding = self.judge(analysis, needed)
        if finding.answer == "agrees" and not self.series and _leaves_out_series(analysis):
            said = f"{finding.evidence.rstrip('.')}; this scale leaves out series that the claim is about."
            return Finding("cannot be told", said)
        return finding


@dataclass(frozen=True)
class Claim:
    """An outcome that the paper states in words.

    name: short, unique, fit to be an HTML id.
    statement: the outcome in one sentence.
    source: where the paper states it.
    experiment: that of the catalogue which shows it.
    test: what decides whether our networks agree.
    """

    name: str
    statement: str
    source: str
    experiment: str
    test: Check

    @property
    def criterion(self) -> str:
        """What is tested and when it agrees or disagrees, in one sentence."""
        return self.test.criterion


def together(findings: Iterable[Finding]) -> Finding:
    """What several findings say of a claim about them all: it agrees where each does, and disagrees where any does.

    Each is tested by itself at 5%. That all agree is no easier for their being several; that one disagrees is.
    """
    parts = list(findings)
    answers = {part.answer for part in parts}
    order: tuple[Answer, ...] = ("not run", "disagrees", "cannot be told", "agrees")
    return Finding(next(answer for answer in order if answer in answers), sentence(part.evidence for part in parts))


def sentence(parts: Iterable[str]) -> str:
    """Parts of a sentence as one; what is said twice, once."""
    return f"{'; '.join(dict.fromkeys(part.rstrip('.') for part in parts))}."


def _leaves_out_series(analysis: Analysis) -> bool:
    """Whether the experiment has series at the paper's scale that it does not have at this one."""
    sweep = analysis.sweep
    here, there = (sweep.at(scale).series for scale in (analysis.scale, "paper"))
    return any(len(values) < len(there[axis]) for axis, values in here.items())


def _run(analysis: Analysis) -> set[str]:
    """The series of which something was run: a network was trained, or training diverged."""
    networks, runs = analysis.networks, analysis.runs
    trained = set(networks["series"]) if len(networks) else set()
    return trained | (set(runs.loc[runs["status"] == "diverged", "series"]) if len(runs) else set())

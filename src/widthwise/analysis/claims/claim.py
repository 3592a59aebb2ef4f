"""A claim with its check on an experiment's tables, and the finding of a check."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from widthwise.analysis.experiment import Analysis
from widthwise.measurement.settings import Protocol
from widthwise.wording import counted, listed

Answer = Literal["agrees", "disagrees", "cannot be told", "not run"]
Names = tuple[str, ...]
SomeNames = Annotated[Names, Field(min_length=1)]


@dataclass(frozen=True)
class Finding:
    """The answer of a check, and the numbers that decided it in a sentence: effects with their intervals first.

    p: the p-value of the claim, against its not being so; None where the check is no test of significance, or where
        there was too little to test.
    """

    answer: Answer
    evidence: str
    p: float | None = None


Judge = Callable[[Analysis, Sequence[str]], Finding]
"""A function from an experiment's tables and the series that a claim needs to a finding."""


@dataclass(frozen=True)
class Check:
    """A test of one claim on an experiment's tables. Networks that have collapsed to one label never count.

    criterion: the test in one sentence: when it agrees and when it disagrees.
    judge: the test.
    series: the series that it needs; empty: all that the experiment has at its scale.
    excluding: the series that it is not about.
    control: the series that all others are compared with, if there is one.
    layers: the layers that it names.
    """

    criterion: str
    judge: Judge
    series: Names = ()
    excluding: Names = ()
    control: str = ""
    layers: Names = ()

    @property
    def named_series(self) -> Names:
        """Every series that it names."""
        return (*self.series, *self.excluding, *filter(None, [self.control]))

    def needs(self, analysis: Analysis) -> list[str]:
        """The series that the claim is about, at the analysis's scale."""
        return list(self.series) or [name for name in analysis.series if name not in self.excluding]

    def has_data(self, analysis: Analysis) -> bool:
        """True if anything was run of any series that the claim is about."""
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
        unknown = self._unknown_layers(analysis, needed)
        if unknown:
            return Finding("cannot be told", f"There is no layer {listed(unknown, 'or')} in {listed(needed)}.")
        finding = self.judge(analysis, needed)
        if finding.answer == "agrees" and not self.series and _leaves_out_series(analysis):
            evidence = f"{finding.evidence.rstrip('.')}; this scale leaves out series that the claim is about."
            return Finding("cannot be told", evidence, finding.p)
        return finding

    def _unknown_layers(self, analysis: Analysis, series: Sequence[str]) -> list[str]:
        """Layers that it names and none of its series has."""
        there = set(analysis.layers.loc[analysis.layers["series"].isin(series), "layer"]) if self.layers else set()
        return [name for name in dict.fromkeys(self.layers) if there and name not in there]


@dataclass(frozen=True)
class CheckedClaim:
    """A claim of the paper or of a sweep's author, with its check.

    name: short, unique in its experiment, usable as an HTML id.
    statement: the outcome in one sentence.
    source: the text that states it.
    experiment: the experiment that shows it.
    check: the test that decides whether our networks agree.
    protocol: the protocol that it is tested under; None: the experiment's own (`Analysis.protocol`).
    """

    name: str
    statement: str
    source: str
    experiment: str
    check: Check
    protocol: Protocol | None = None

    def under(self, analysis: Analysis) -> Protocol | None:
        """The protocol that an experiment is tested under."""
        return self.protocol or analysis.protocol

    def find(self, analysis: Analysis) -> Finding:
        """The finding on an experiment's networks."""
        protocol = self.under(analysis)
        if protocol and analysis.protocols and protocol not in analysis.protocols:
            return Finding("cannot be told", f"Nothing was measured by the protocol {protocol}.")
        return self.check(analysis.under(protocol))

    @property
    def criterion(self) -> str:
        """The test in one sentence: when it agrees and when it disagrees."""
        return self.check.criterion


def together(findings: Iterable[Finding]) -> Finding:
    """Several findings as one on a claim about them all: it agrees where each does, and disagrees where any does.

    Each is tested by itself at 5%. With several tests it is no easier for all to agree, but easier for one to disagree.
    The p-value of all being so is the greatest, and there is one only if each part has one.
    """
    parts = list(findings)
    p_values = [part.p for part in parts if part.p is not None]
    greatest = max(p_values) if len(p_values) == len(parts) else None
    answers = {part.answer for part in parts}
    order: tuple[Answer, ...] = ("not run", "disagrees", "cannot be told", "agrees")
    answer: Answer = next(answer for answer in order if answer in answers)
    return Finding(answer, sentence(part.evidence for part in parts), greatest)


def sentence(parts: Iterable[str]) -> str:
    """Parts of a sentence as one; equal parts once."""
    return f"{'; '.join(dict.fromkeys(part.rstrip('.') for part in parts))}."


def _leaves_out_series(analysis: Analysis) -> bool:
    """True if the experiment has series at the paper's scale that it does not have at this one."""
    sweep = analysis.sweep
    here, there = (sweep.at(scale).series for scale in (analysis.scale, "paper"))
    return any(len(values) < len(there[axis]) for axis, values in here.items())


def _run(analysis: Analysis) -> set[str]:
    """The series of which something was run: a network was trained, or training diverged."""
    networks, runs = analysis.networks, analysis.runs
    trained = set(networks["series"]) if len(networks) else set()
    return trained | (set(runs.loc[runs["status"] == "diverged", "series"]) if len(runs) else set())

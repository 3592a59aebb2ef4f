"""All that the passes of a measurement gathered: what tables are made of, and what parts of the data are merged by."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from widthwise.errors import RequestError
from widthwise.measurement.accumulator import State, joined, part_of
from widthwise.measurement.activity import ActivitySampler
from widthwise.measurement.curves import Curve
from widthwise.measurement.incoming import Incoming
from widthwise.measurement.label_counts import LabelCounts
from widthwise.measurement.label_frequencies import LabelFrequencies
from widthwise.measurement.layer_repetition import LayerRepetition, layer_repetition
from widthwise.measurement.result import AboutNetwork
from widthwise.measurement.settings import Measurement
from widthwise.measurement.units import SingleAblations, UnitStatistics
from widthwise.tracing.layer import NO_TOKEN, LeftOut
from widthwise.tracing.outgoing_weights import OutgoingWeights


@dataclass
class MeasuredLayer:
    """One layer's name, number of units and kind, and what was gathered for it.

    incoming: the directions and changes of its incoming weights.
    activity: its correlations; None once only their summary, `repetition`, is kept.
    """

    name: str
    units: int
    kind: str
    statistics: UnitStatistics
    outgoing_weights: OutgoingWeights
    incoming: Incoming
    activity: ActivitySampler | None = None
    repetition: LayerRepetition | None = None
    single: SingleAblations | None = None

    @property
    def reached(self) -> bool:
        """Whether any activity was seen; if not, a router chose no token for this expert."""
        return self.statistics.positions > 0

    def summary(self, settings: Measurement) -> LayerRepetition:
        """The summary of its correlations."""
        if self.repetition is None:
            assert self.activity is not None
            self.repetition = layer_repetition(self.activity, settings)
        return self.repetition


@dataclass
class Measured:
    """What a measurement gathered.

    layers, curves, counts: the layers; the ablation curves, and the labels counted for each.
    labels: how often each label was predicted.
    examples: the number of examples.
    classes: the number of possible labels; 0 where the output holds the labels themselves.
    network: facts about the network, for the profile's `about`.
    part: which part of the data was measured, as `(number, parts)`; None: all.
    """

    settings: Measurement
    seed: int
    layers: list[MeasuredLayer]
    curves: list[Curve]
    counts: list[LabelCounts]
    labels: LabelFrequencies
    examples: int
    classes: int
    network: AboutNetwork
    part: tuple[int, int] | None = None

    def facts(self) -> dict[str, Any]:
        """All that is not a tensor, as plain data."""
        return {
            "settings": {field.name: _plain(getattr(self.settings, field.name)) for field in fields(self.settings)},
            "seed": self.seed,
            "examples": self.examples,
            "classes": self.classes,
            "network": self.network,
            "part": _plain(self.part),
            "layers": [
                {
                    "name": layer.name,
                    "units": layer.units,
                    "kind": layer.kind,
                    "only": layer.outgoing_weights.only,
                    "samplings": len(layer.activity.running) if layer.activity else 0,
                    "sampled": bool(layer.activity and layer.activity.sampled),
                }
                for layer in self.layers
            ],
            "curves": [
                {name: _plain(value) for name, value in asdict(curve).items() if name != "layers"}
                for curve in self.curves
            ],
        }

    def state_dict(self) -> State:
        """All tensors."""
        layers = []
        for number, layer in enumerate(self.layers):
            assert layer.activity is not None
            layers += [
                (f"statistics {number}", layer.statistics.state_dict()),
                (f"activity {number}", layer.activity.state_dict()),
                (f"outgoing {number}", {"norms": layer.outgoing_weights.norms}),
                (f"incoming {number}", layer.incoming.state_dict()),
            ]
        counts = [(f"counts {number}", each.state_dict()) for number, each in enumerate(self.counts)]
        return joined([("labels", self.labels.state_dict()), *counts, *layers])

    @classmethod
    def from_state(cls, facts: Mapping[str, Any], state: Mapping[str, Tensor]) -> "Measured":
        """What `facts` and `state_dict` describe."""
        cpu = torch.device("cpu")
        options: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in facts["settings"].items()
        }
        settings = Measurement(**options)
        layers = []
        for number, each in enumerate(facts["layers"]):
            statistics = UnitStatistics(each["units"], cpu)
            statistics.load_state_dict(part_of(state, f"statistics {number}"))
            activity = ActivitySampler.empty(each["units"], each["samplings"], each["sampled"], settings.samplings)
            activity.load_state_dict(part_of(state, f"activity {number}"))
            outgoing = OutgoingWeights(state[f"outgoing {number}:norms"], each["only"])
            incoming = Incoming.from_state(part_of(state, f"incoming {number}"), each["units"])
            kind = each.get("kind", "")  # is needed for experts alone, which parts that lack it do not have
            layers.append(MeasuredLayer(each["name"], each["units"], kind, statistics, outgoing, incoming, activity))
        curves, counts = [], []
        for number, each in enumerate(facts["curves"]):
            dropped = tuple(tuple(levels) for levels in each["dropped"])
            curve = Curve(each["protocol"], (), each["name"], each["whole"], tuple(each["units"]), dropped)
            count = LabelCounts(settings.samplings, len(curve.groups), cpu)
            count.load_state_dict(part_of(state, f"counts {number}"))
            curves.append(curve)
            counts.append(count)
        labels = LabelFrequencies()
        labels.load_state_dict(part_of(state, "labels"))
        part = None if facts["part"] is None else tuple(facts["part"])
        return cls(
            settings=settings,
            seed=facts["seed"],
            layers=layers,
            curves=curves,
            counts=counts,
            labels=labels,
            examples=facts["examples"],
            classes=facts["classes"],
            network=facts["network"],
            part=part,
        )

    def without_unreached(self) -> "Measured":
        """The same without layers that a router chose no token for, which are listed as left out."""
        unreached = {layer.name: layer for layer in self.layers if not layer.reached}
        if not unreached:
            return self
        left_out = [LeftOut(layer.name, layer.kind, NO_TOKEN) for layer in unreached.values()]
        network: AboutNetwork = {**self.network}
        network["left_out"] = [*network["left_out"], *map(asdict, left_out)]
        kept = [
            (curve, counts)
            for curve, counts in zip(self.curves, self.counts, strict=True)
            if curve.name not in unreached
        ]
        return replace(
            self,
            layers=[layer for layer in self.layers if layer.reached],
            curves=[curve for curve, _ in kept],
            counts=[counts for _, counts in kept],
            network=network,
        )

    def merge(self, other: "Measured") -> None:
        """Add what was gathered from another part of the same data."""
        self.labels.merge(other.labels)
        self.examples += other.examples
        self.classes = max(self.classes, other.classes)
        for own, added in zip(self.layers, other.layers, strict=True):
            assert own.activity is not None
            assert added.activity is not None
            own.statistics.merge(added.statistics)
            own.activity.merge(added.activity)
            own.repetition = None
        for count, added_count in zip(self.counts, other.counts, strict=True):
            count.merge(added_count)
        if other.network["reason"]:
            self.network["replayed"], self.network["reason"] = False, other.network["reason"]


def merged(parts: Sequence[Measured]) -> Measured:
    """What was gathered from all parts of the same data.

    Raises:
        RequestError: they are not exactly all parts of the same data, measured in the same way.
    """
    ordered = sorted(parts, key=lambda part: part.part or (0, 0))
    whole, *others = copy.deepcopy(ordered[:1]) + ordered[1:]  # the first part itself stays what it is
    if whole.part is None or [each.part for each in ordered] != [
        (number, whole.part[1]) for number in range(1, whole.part[1] + 1)
    ]:
        given = ", ".join("all" if each.part is None else "{} of {}".format(*each.part) for each in ordered)
        raise RequestError(f"profiles of all parts of the data are needed, each of them once; given are: {given}")
    for other in others:
        for name, differs in _differences(whole, other).items():
            if differs:
                raise RequestError(f"the parts were measured with different {name}, so they cannot be merged")
        whole.merge(other)
    whole.part = None
    return whole


def _differences(one: Measured, other: Measured) -> dict[str, bool]:
    facts, others = one.facts(), other.facts()
    layers = [[{**layer, "only": None} for layer in each["layers"]] for each in (facts, others)]
    pairs = [*zip(one.layers, other.layers, strict=False)]
    return {
        "settings": facts["settings"] != others["settings"],
        "seeds": one.seed != other.seed,
        "networks": facts["network"]["model"] != others["network"]["model"]
        or any(
            not torch.equal(mine.outgoing_weights.norms, its.outgoing_weights.norms)
            for mine, its in pairs
            if not mine.outgoing_weights.norms.isnan().any()
        ),
        "layers": layers[0] != layers[1],
        "incoming weights, or initial ones": any(not mine.incoming.same(its.incoming) for mine, its in pairs),
        "sizes of inputs": facts["curves"] != others["curves"],
    }


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, tuple) else value

"""What the run of one batch leaves for other runs of it."""

from dataclasses import dataclass, field

from jaxtyping import Bool, Int
from torch import Tensor

from widthwise.tracing.inputs import Inputs
from widthwise.tracing.layer import Layer
from widthwise.tracing.padding import kept_positions
from widthwise.tracing.structure import Slot
from widthwise.tracing.tape import ReplayPlan, Tape


@dataclass(frozen=True)
class RecordedRun:
    """The run of one batch, and all that is needed to run parts of it again.

    inputs: the batch.
    labels: the predicted labels, examples first; a language model predicts one for each position, and those at padding
        are left out.
    classes: the number of possible labels; 0 where the output holds the labels themselves.
    values: the value of each layer, by the layer's name; none of a routed layer that the run did not reach.
    tape, plans: the tape, and the plan to replay it from each layer on.
    together: the plan to replay it with the values of all layers changed; None: the whole network is run.
    slots: the slot of each layer's value.
    layers: each layer of `values`, by its name, with the rows that an expert has in this run.
    label_examples: the index of the example that each label, of all in one dimension, belongs to; None: not known.
    """

    inputs: Inputs
    labels: Tensor
    classes: int
    values: dict[str, Tensor]
    tape: Tape
    plans: dict[str, ReplayPlan]
    together: ReplayPlan | None = None
    slots: dict[str, Slot] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    label_examples: Int[Tensor, " labels"] | None = None

    @property
    def examples(self) -> int:
        """The number of examples in the batch."""
        return self.inputs.examples

    def rows(self, layer: Layer) -> int:
        """The number of rows of a layer's value: one for each example or, if it is routed, each token."""
        return layer.rows(self.values[layer.name], self.examples)

    def positions_kept(self, layer: Layer) -> Bool[Tensor, "examples positions"] | None:
        """Which of a layer's positions are not padding; None: all of them, as for a routed layer."""
        if layer.routed:
            return None
        value = self.values[layer.name]
        kept = kept_positions(self.inputs, tuple(value.shape), layer.example_dimension, layer.unit_dimension)
        return None if kept is None else kept.to(value.device)

"""A few inputs of a network, on which what is written of it is compared with it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from widthwise.compression.comparison import close
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.model_runs import ModelRuns
from widthwise.tracing.predicted_labels import Predict, scores_of
from widthwise.tracing.untouched import untouched

EXAMPLES = 8


@dataclass(frozen=True)
class Example:
    """Inputs, and what finds the labels in a network's output for them; None: as for `profile`."""

    inputs: Inputs
    predict: Predict | None

    @classmethod
    def of(cls, inputs: Inputs, predict: Predict | None) -> "Example":
        """A few examples of a batch; all of them if it cannot be cut."""
        few = inputs.part(0, EXAMPLES) if inputs.divisible else inputs
        return cls(few.copied(), predict)


class Reference:
    """A copy of a network on the CPU that returns a tensor, and what others must give for its inputs.

    model: the copy. Where the network returns something else than a tensor, the copy returns the scores in it.
    inputs: at least two examples, if they can be run in batches of any size.
    gives_scores: whether the network returns something else than a tensor.

    Args:
        model: the network, which stays as it is.
        example: inputs for it.
    """

    def __init__(self, model: nn.Module, example: Example):
        self.model = copy.deepcopy(model).cpu()
        inputs = example.inputs.each(Tensor.cpu)
        self.inputs = inputs.twice() if inputs.divisible and inputs.examples == 1 else inputs
        self._predict = example.predict
        with untouched(self.model):
            self.gives_scores = not isinstance(self.inputs.call(self.model), Tensor)
        self.simplify(self.model)
        self._runs = ModelRuns(self.model, _itself if self.gives_scores and self._predict else self._predict)
        with untouched(self.model):
            self._runs.record_first(self.inputs)

    def simplify(self, model: nn.Module) -> None:
        """Let a network of the same class return a tensor, too."""
        if self.gives_scores:
            model.register_forward_hook(self._scores, with_kwargs=True)

    def difference(self, run: Callable[[Inputs], object], inputs: Inputs | None = None) -> str:
        """How what a function gives differs from what the network gives; empty if it does not.

        Args:
            run: what should answer alike.
            inputs: the inputs to compare them on. None: all.
        """
        inputs = inputs or self.inputs
        with untouched(self.model):
            expected, labels = self._runs.with_changes(inputs, {}, "")
            scores, others = self._runs.formed(run(inputs), inputs)
        if scores.shape != expected.shape:
            return f"gives a tensor of shape {tuple(scores.shape)}, not {tuple(expected.shape)}"
        if not labels.equal(others):
            return "gives other labels"
        return "" if close(scores, expected) else "gives other outputs"

    def _scores(self, model: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], output: object) -> Tensor:
        return scores_of(output, self._predict, Inputs(args, kwargs))


def _itself(scores: Tensor) -> Tensor:
    return scores

"""Runs of a model on batches: on its device, in its fastest memory layout, with labels formed from its output."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from jaxtyping import Int
from torch import Tensor, nn

from widthwise.errors import RequestError, TrialError
from widthwise.tracing.failures import failure, is_out_of_memory, without_values
from widthwise.tracing.flow import Flow
from widthwise.tracing.graph import Graph
from widthwise.tracing.inputs import Inputs, copied
from widthwise.tracing.padding import kept_labels
from widthwise.tracing.predicted_labels import Predict, check_classes, labels_of, scores_of
from widthwise.tracing.recording import record as recorded
from widthwise.tracing.replacing import run_with
from widthwise.tracing.structure import tensors_in
from widthwise.tracing.tape import CallSite, Tape
from widthwise.wording import one_line

DTYPES_FASTER_CHANNELS_LAST = (torch.float32, torch.bfloat16, torch.float16)


class ModelRuns:
    """Runs a model.

    model: the model.
    channels_last: whether images are given with channels last in memory. It is turned off if a batch fails with that.
    label_examples: for the last run, the index of the example that each label, of all in one dimension, belongs to;
        None: not known.

    Args:
        model: in evaluation mode.
        predict: a function from the model's output to scores, whose argmax over the last axis is a label, or to labels.
    """

    def __init__(self, model: nn.Module, predict: Predict | None):
        self.model = model
        self.channels_last = False
        self.label_examples: Int[Tensor, " labels"] | None = None
        self._predict = predict
        self._classes_along: int | None = None
        self._devices = {parameter.device for parameter in model.parameters()}

    @property
    def device(self) -> torch.device:
        """The device of the model, to which its inputs are moved."""
        return next(iter(self._devices), torch.device("cpu"))

    def prepared(self, inputs: Inputs) -> Inputs:
        """Copies of a batch's tensors on the model's device, in the memory layout in which it is fastest."""

        def prepare(tensor: Tensor) -> Tensor:
            if problem := without_values(tensor):
                raise RequestError(f"an input {problem} and has no values; give tensors that hold the data")
            moved = tensor.to(self.device, non_blocking=True) if len(self._devices) == 1 else tensor
            if self.channels_last and moved.dim() == 4:
                moved = moved.contiguous(memory_format=torch.channels_last)
            return copied(moved) if moved is tensor else moved

        return inputs.each(prepare)

    def with_changes(
        self,
        inputs: Inputs,
        changes: Mapping[CallSite, Callable[[Tensor], Tensor]],
        name: str,
        skipped: Collection[CallSite] = (),
    ) -> Sequence[Tensor]:
        """The scores and labels of a batch as if some calls returned other values.

        Args:
            inputs: the batch.
            changes, skipped: as for `run_with`.
            name: the name of the layer whose units are missing then; empty for several layers.

        Raises:
            RequestError: the network cannot be run with those values.
            TrialError: there is not enough memory.
        """
        prepared = self.prepared(inputs)
        try:
            return run_with(self.model, lambda: self._scores_and_labels(prepared), changes, skipped)
        except Exception as error:  # whatever the model's own code raises
            raise fails_without(name, error) from error

    def record(self, inputs: Inputs, number: int = 1) -> Tape:
        """The tape of a batch's run, whose results are its scores, with the classes last, and its labels.

        Raises:
            RequestError: the model cannot be run on the batch.
            TrialError: there is not enough memory.
        """
        try:
            prepared = self.prepared(inputs)
            tape = recorded(self.model, lambda: self._scores_and_labels(prepared))
        except (RequestError, TrialError):
            raise
        except Exception as error:  # whatever the model's own code raises
            if self.channels_last and not is_out_of_memory(error):  # may hold for images of other sizes
                self.channels_last = False
                return self.record(inputs, number)
            shapes = ", ".join(map(str, inputs.shapes))
            hint = ""
            if isinstance(error, TypeError):
                hint = "; a batch of a model with several arguments is ((first, second),) or a dictionary"
            problem = f"{type(self.model).__name__} cannot be run on batch {number}, of shape {shapes}"
            raise failure(f"{problem}: {one_line(error)}{hint}", error) from error
        given = {id(tensor) for tensor in tensors_in((prepared.args, prepared.kwargs))}
        tape.sources = [tensor for tensor in tape.sources if id(tensor) not in given]
        return tape

    def record_first(self, inputs: Inputs) -> Tape:
        """The run of a few examples; in the first one, the dimension of the classes is found."""
        tape = self.record(inputs)
        scores = tape.values[tape.results[0]]
        if self._classes_along is not None or not self._has_dimensions(scores):
            return tape
        graph = Graph(self.model, tape, map(id, tape.sources), whole=True)
        carried = Flow(graph).at(tape.results[0])
        classes = carried.units if carried is not None else None
        found = classes.dimension if classes is not None and classes.width == 1 else None
        self._classes_along = check_classes(scores, found, inputs)
        last = self._classes_along == scores.dim() - 1
        return tape if last and kept_labels(inputs, scores.shape[:-1]) is None else self.record(inputs)

    def _has_dimensions(self, scores: Tensor) -> bool:
        """Whether the classes need not be in the last dimension of what the model returns."""
        return self._predict is None and scores.is_floating_point() and scores.dim() > 2

    def _scores_and_labels(self, inputs: Inputs) -> Sequence[Tensor]:
        return self.formed(inputs.call(self.model), inputs)

    def formed(self, output: object, inputs: Inputs) -> Sequence[Tensor]:
        """The scores and labels in what the model, or one like it, has returned for a batch."""
        scores = scores_of(output, self._predict, inputs)
        if self._has_dimensions(scores):
            if self._classes_along is None:
                return scores, labels_of(scores)
            scores = scores.movedim(self._classes_along, -1)
        rows = scores.dim() - scores.is_floating_point()
        kept = kept_labels(inputs, scores.shape[:rows])
        self.label_examples = _examples_of_labels(inputs.examples, scores.shape[:rows], kept, scores.device)
        if kept is not None:
            scores = scores.flatten(0, rows - 1).index_select(0, kept)
        return scores, labels_of(scores)


def _examples_of_labels(
    examples: int, shape: Sequence[int], kept: Int[Tensor, " kept"] | None, device: torch.device
) -> Int[Tensor, " labels"] | None:
    """The index of the example that each label belongs to, if examples are first in the shape of all labels."""
    if not shape or shape[0] != examples:
        return None
    indices = torch.arange(examples, device=device).repeat_interleave(math.prod(shape[1:]))
    return indices if kept is None else indices[kept]


def fails_without(layer: str, error: Exception) -> RequestError | TrialError:
    """The error that says that a network cannot be run without units of a layer; of several, if it has no name."""
    of = f"layer {layer}" if layer else "several layers"
    return failure(f"the network cannot be run without units of {of}: {one_line(error)}", error)


def gains_from_channels_last(tape: Tape, probe: Inputs) -> bool:
    """Whether channels should be last in the inputs' memory: true for images for a 2-D convolution."""
    given = [*probe.args, *probe.kwargs.values()]
    images = [tensor for tensor in given if isinstance(tensor, Tensor) and tensor.dim() == 4]
    convolved = any(operation.call_site.function == "conv2d" for operation in tape.operations)
    return convolved and any(image.dtype in DTYPES_FASTER_CHANNELS_LAST for image in images)

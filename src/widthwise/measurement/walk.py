"""Passes over the same data, from where an interrupted measurement stopped."""

import hashlib
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from widthwise.errors import RequestError
from widthwise.measurement.accumulator import State, joined, part_of
from widthwise.measurement.checkpoint import Checkpoint, digest_of
from widthwise.measurement.part import Part
from widthwise.measurement.sampled_ablation import INTACT
from widthwise.measurement.work import Work
from widthwise.tracing.batches import Batches
from widthwise.tracing.inputs import Inputs
from widthwise.tracing.network import Network
from widthwise.tracing.recorded_run import RecordedRun
from widthwise.tracing.structure import tensors_in


class Walk:
    """Goes over the data, pass by pass and batch by batch, and writes the state of the measurement now and then.

    whole: the number of examples of all data.
    first, examples: the index of the first example to measure, and the number of those to measure.
    work: what is done, and what is left.

    Args:
        network: the network to run.
        source: the inputs.
        size: the number of examples to run at a time.
        part: the part of the inputs to measure; None: all of them.
        work: see above.
        checkpoint: where to write the state; None: nowhere.

    Raises:
        RequestError: there are no examples in the part.
    """

    def __init__(self, network: Network, source: Batches, size: int, part: Part | None, checkpoint: Checkpoint | None):
        self.whole = source.examples
        self.first, self.examples = 0, self.whole
        if part is not None:
            extents = [(first, inputs.examples) for first, inputs in part.batches(source, size, self.whole)]
            if not extents:
                raise RequestError(f"there are only {self.whole} examples, so this part has none", field="part")
            self.first, self.examples = extents[0][0], sum(examples for _, examples in extents)
        self.work: Work | None = None
        self._network, self._source, self._size, self._part = network, source, size, part
        self._checkpoint = checkpoint
        self._pass = self._finished = self._done = 0
        self._digest = ""

    def inputs(self) -> Iterator[Inputs]:
        """Each batch of the examples to measure."""
        if self._part is None:
            return self._source.of_size(self._size)
        return (inputs for _, inputs in self._part.batches(self._source, self._size, self.whole))

    def runs(
        self, state: Callable[[], State], skipped: Callable[[Inputs], None] = lambda inputs: None
    ) -> Iterator[tuple[int, RecordedRun]]:
        """The next pass: for each batch the index of its first example among all, and its run.

        Batches of an interrupted measurement are not run again.

        Args:
            state: the state of all accumulators, to write now and then.
            skipped: called with the inputs of each batch that is not run again.

        Raises:
            RequestError: the data is not that of the interrupted measurement.
        """
        assert self.work is not None
        self._pass += 1
        if self._pass <= self._finished:
            return
        done, digest = 0, ""
        for number, inputs in enumerate(self.inputs(), start=1):
            with self.work.batch(inputs.examples):
                if done >= self._done:
                    with self.work.doing(INTACT, inputs.examples):
                        run = self._network.run(inputs, number)
                    yield self.first + done, run
                else:
                    skipped(inputs)
                done += inputs.examples
                if self._checkpoint is not None:
                    digest = _chained(digest, inputs)
            if done == self._done and digest != self._digest:
                raise RequestError(
                    "the examples are not those that the interrupted measurement saw; delete its checkpoint to begin "
                    "anew",
                    field="checkpoint",
                )
            if done > self._done:
                self._done, self._digest = done, digest
                self.note(state)
        self._finished, self._done, self._digest = self._pass, 0, ""

    def note(self, state: Callable[[], State]) -> None:
        """Write the state of all accumulators, if it is time to."""
        if self._checkpoint is not None and self._checkpoint.due:
            self._checkpoint.save(joined([("walk", self.state_dict()), ("passes", state())]))

    def interrupted(self) -> State | None:
        """The state of all accumulators of an interrupted measurement, which this goes on with; None: there is none."""
        found = self._checkpoint.load() if self._checkpoint is not None else None
        if found is None:
            return None
        self.load_state_dict(part_of(found, "walk"))
        return part_of(found, "passes")

    def finish(self) -> None:
        """Delete the file of the state, since the measurement is done."""
        if self._checkpoint is not None:
            self._checkpoint.remove()

    def state_dict(self) -> State:
        """The number of finished passes, of examples done in the next one, and a digest of those examples."""
        return {
            "finished": torch.tensor(self._finished),
            "done": torch.tensor(self._done),
            "digest": torch.tensor(list(self._digest.encode()), dtype=torch.uint8),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from where another one was."""
        self._finished, self._done = int(state["finished"]), int(state["done"])
        self._digest = bytes(state["digest"].tolist()).decode()


def _chained(digest: str, inputs: Inputs) -> str:
    """A digest of all batches so far, from that of the earlier ones."""
    tensors = {str(number): tensor for number, tensor in enumerate(tensors_in((inputs.args, inputs.kwargs)))}
    return hashlib.blake2b((digest + digest_of(tensors)).encode(), digest_size=16).hexdigest()

"""The network to measure, with the experts that the first examples do not reach but others do."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from widthwise.errors import RequestError
from widthwise.measurement.batch_size import fitting_batch_size
from widthwise.tracing.batches import Batches
from widthwise.tracing.inputs import Inputs, joined
from widthwise.tracing.layer import NO_TOKEN, LeftOut
from widthwise.tracing.network import Network

APART = "it is reached only by examples that cannot be run together with the first ones"


def find_network(model: nn.Module, source: Batches, size: int | None = None, **options: Any) -> Network:
    """The network, its layers found from the first examples and, for each expert that these do not reach, another one.

    Without a router, the first examples alone are run. Experts that no example reaches are listed as left out.

    Args:
        model: as for `Network`.
        source: the inputs, which are arranged.
        size: the number of examples to run at a time; None: as many as fit.
        options: other arguments of `Network`.

    Raises:
        RequestError, TrialError: as `Network` does.
    """
    network, error = _from_first_examples(model, source.first, options)
    source.arrange(network.arrangement)
    if missing := network.unreached():
        search = _Search(network, set(missing))
        search.run(source, size or fitting_batch_size(network))
        if search.found:
            together = joined([network.probe_inputs, *search.found])
            network, error = Network(model, together, examples=together.examples, **options), None
            source.arrange(network.arrangement)
        listed = [each.name for each in network.left_out]
        for path, module in network.unreached().items():
            if any(name.startswith(f"{path}.") for name in listed):
                continue
            reason = NO_TOKEN if path in search.waiting else APART
            network.left_out.append(LeftOut(path, type(module).__name__, reason))
    if error is not None:
        raise error
    return network


def _from_first_examples(
    model: nn.Module, first: Inputs, options: dict[str, Any]
) -> tuple[Network, RequestError | None]:
    """The network from the first examples; if they do not reach chosen layers, one to look for them, and the error."""
    try:
        return Network(model, first, **options), None
    except RequestError as error:
        if options.get("layers") is None:
            raise
        try:
            network = Network(model, first, **{**options, "layers": None, "units": None, "replay": False})
        except RequestError:
            raise error from None
        return network, error


@dataclass
class _Search:
    """Looks for examples that reach modules.

    network: the network. waiting: the paths of the modules that are not found yet. found: examples that reach others.
    """

    network: Network
    waiting: set[str]
    found: list[Inputs] = field(default_factory=list)

    def run(self, source: Batches, size: int) -> None:
        """Go through the data until every module is found."""
        for inputs in source.of_size(min(size, source.examples)):
            if not self.waiting:
                return
            self._look_at(inputs)

    def _look_at(self, inputs: Inputs) -> None:
        """Halve a batch for as long as it reaches a module, down to one example."""
        reached = self.network.reached_by(inputs) & self.waiting
        if not reached:
            return
        if inputs.examples > 1 and inputs.divisible:
            half = inputs.examples // 2
            self._look_at(inputs.part(0, half))
            self._look_at(inputs.part(half, inputs.examples))
            return
        self.waiting -= reached
        if inputs.divisible and self.network.probe_inputs.joins(inputs):
            self.found.append(inputs.copied())

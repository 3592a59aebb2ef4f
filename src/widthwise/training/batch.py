"""One batch of a training: a step with the gradient of the whole batch, shared between processes and in pieces."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Int
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from widthwise.data.dataset import Inputs
from widthwise.networks.dropout import draw_dropout
from widthwise.networks.own_network import called, logits_of
from widthwise.randomness import seed_sequence
from widthwise.training.batch_normalization import BatchNorm, weigh_running_statistics
from widthwise.training.recipe import Recipe


@dataclass(frozen=True)
class BatchStep:
    """Takes the optimizer's steps.

    fabric: device, precision and processes.
    module, optimizer: as Fabric wraps them; the module's wrapper is a private class.
    network: the module itself.
    recipe, seed: those of the training.
    momenta: of batch normalizations whose running statistics are plain means at first.
    """

    fabric: Fabric
    module: Any
    optimizer: Optimizer
    network: nn.Module
    recipe: Recipe
    seed: int
    momenta: dict[BatchNorm, float]

    def __call__(self, inputs: Inputs, labels: Int[Tensor, " share"], examples: int, step: int) -> Tensor:
        """Step along the gradient of the mean loss over the whole batch.

        Args:
            inputs, labels: this process's share of the batch.
            examples: the number of examples in the whole batch.
            step: the number of the batch since training began, counted from 0.

        Returns:
            The share's summed loss and its number of correct answers, in float64.
        """
        fabric, recipe = self.fabric, self.recipe
        weigh_running_statistics(self.momenta, step)
        self.optimizer.zero_grad()
        totals = torch.zeros(2, dtype=torch.float64, device=fabric.device)
        largest_share = -(-examples // fabric.world_size)
        count = -(-largest_share // (recipe.micro_batch_size or largest_share))  # the same in every process
        first = _first_of_share(examples, fabric)
        pieces = zip(_split(inputs, count), labels.tensor_split(count), strict=True)
        for number, (some, their_labels) in enumerate(pieces):
            self._draw(step, examples, first)
            first += len(their_labels)
            with fabric.no_backward_sync(self.module, enabled=number + 1 < count):
                output = called(self.module, some)
                logits = logits_of(output)
                loss = summed = _summed_loss(logits, their_labels)
                weight = getattr(self.network, "auxiliary_weight", None)
                if weight is not None and isinstance(output, tuple):
                    loss = summed + weight * _summed_loss(output[1], their_labels)
                fabric.backward(loss * (fabric.world_size / examples))
            with torch.no_grad():
                totals += torch.stack([summed, (logits.argmax(-1) == their_labels).sum()])
        self.optimizer.step()
        return totals

    def _draw(self, step: int, examples: int, first: int) -> None:
        """Decide the network's draws by seed, step and example; a user's own dropout draws from the global stream."""
        draw_dropout(self.network, self.seed, step, examples, first)
        torch.manual_seed(int(seed_sequence(self.seed, "network", step, first).generate_state(1)[0]))


def over_processes(fabric: Fabric, totals: Tensor) -> tuple[float, float]:
    """The sums of all processes."""
    loss, correct = cast(Tensor, fabric.all_reduce(totals.clone(), reduce_op="sum")).tolist()
    return loss, correct


def _split(inputs: Inputs, count: int) -> list[Inputs]:
    """Inputs in pieces, as `Tensor.tensor_split` divides them."""
    if isinstance(inputs, Tensor):
        return list(inputs.tensor_split(count))
    pieces = {name: part.tensor_split(count) for name, part in inputs.items()}
    return [{name: parts[number] for name, parts in pieces.items()} for number in range(count)]


def _summed_loss(logits: Tensor, labels: Int[Tensor, " share"]) -> Tensor:
    return nn.functional.cross_entropy(logits.float(), labels, reduction="sum")


def _first_of_share(examples: int, fabric: Fabric) -> int:
    """The number, within a batch, of the first example of this process's share."""
    share, more = divmod(examples, fabric.world_size)
    return share * fabric.global_rank + min(more, fabric.global_rank)

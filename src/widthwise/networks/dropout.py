"""Dropout with draws for each example that do not depend on how a batch is divided or computed in pieces."""

import torch
from torch import Tensor, nn

from widthwise.randomness import seed_sequence


class Dropout(nn.Dropout):
    """Dropout of a dense layer. Until `draw_dropout` is called it is PyTorch's own."""

    draws: tuple[int, int, int] | None = None
    """The seed of the batch's draws, its number of examples, and the index of the first one here."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0 or self.draws is None:
            return super().forward(input)
        seed, examples, first = self.draws
        stream = torch.Generator(input.device).manual_seed(seed)
        kept = torch.rand(examples, *input.shape[1:], generator=stream, device=input.device) >= self.p
        return input * kept[first : first + len(input)] / (1 - self.p)


def draw_dropout(network: nn.Module, seed: int, step: int, examples: int, first: int) -> None:
    """Choose the draws that the dropouts of a network use next.

    Args:
        network: any network.
        seed: the seed of the training.
        step: the number of the batch since training began.
        examples: the number of examples in the whole batch.
        first: the index, in the batch, of the first example that the network receives.
    """
    dropouts = [module for module in network.modules() if isinstance(module, Dropout)]
    for number, module in enumerate(dropouts):
        module.draws = (int(seed_sequence(seed, "dropout", step, number).generate_state(1)[0]), examples, first)

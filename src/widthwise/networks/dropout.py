"""Dropout whose draws are an example's own, however a batch is divided between processes or computed in pieces."""

import torch
from torch import Tensor, nn

from widthwise.randomness import seed_sequence


class Dropout(nn.Dropout):
    """Dropout of a dense layer. Until `draw_dropout` is called it is PyTorch's own."""

    draws: tuple[int, int, int] | None = None
    """The seed of the batch's draws, its number of examples, and which of them is the first here."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0 or self.draws is None:
            return super().forward(input)
        seed, examples, first = self.draws
        stream = torch.Generator(input.device).manual_seed(seed)
        kept = torch.rand(examples, *input.shape[1:], generator=stream, device=input.device) >= self.p
        return input * kept[first : first + len(input)] / (1 - self.p)


def draw_dropout(network: nn.Module, seed: int, step: int, examples: int, first: int) -> None:
    """Say which draws of its dropouts a network is to use next.

    Args:
        network: any network.
        seed: of the training.
        step: the number of the batch since training began.
        examples: in the whole batch.
        first: the number in it of the first example that the network is given.
    """
    dropouts = [module for module in network.modules() if isinstance(module, Dropout)]
    for number, module in enumerate(dropouts):
        module.draws = (int(seed_sequence(seed, "dropout", step, number).generate_state(1)[0]), examples, first)

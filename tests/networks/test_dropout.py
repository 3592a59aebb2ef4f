"""Dropout whose draws are an example's own."""

import torch
from torch import Tensor, nn

from widthwise.networks.dropout import Dropout, draw_dropout

EXAMPLES, UNITS = 10, 2000
ONES = torch.ones(EXAMPLES, UNITS)


def dropped(
    inputs: Tensor = ONES, rate: float = 0.3, seed: int = 3, step: int = 7, examples: int = EXAMPLES, first: int = 0
) -> Tensor:
    module = Dropout(rate)
    draw_dropout(module, seed, step, examples, first)
    return module(inputs)


def test_an_examples_draws_do_not_depend_on_how_the_batch_is_divided():
    whole = dropped()
    for parts in ([4, 6], [1] * 10, [3, 3, 3, 1], [0, 10]):
        pieces, first = [], 0
        for examples in parts:
            pieces.append(dropped(torch.ones(examples, UNITS), first=first))
            first += examples
        assert torch.equal(torch.cat(pieces), whole)


def test_a_share_is_dropped_and_the_rest_makes_up_for_it():
    for rate in (0.1, 0.5, 0.9):
        found = dropped(rate=rate)
        assert set(found.unique().tolist()) == {0.0, (ONES / (1 - rate))[0, 0].item()}
        deviation = (rate * (1 - rate) / ONES.numel()) ** 0.5
        assert abs((found == 0).float().mean().item() - rate) < 5 * deviation


def test_the_gradient_goes_through_what_is_kept():
    inputs = ONES.clone().requires_grad_()
    outputs = dropped(inputs)
    outputs.sum().backward()
    assert inputs.grad is not None
    assert torch.equal(inputs.grad, outputs.detach())


def test_examples_steps_seeds_and_layers_have_draws_of_their_own():
    first = dropped()
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(dropped(step=8), first)
    assert not torch.equal(dropped(seed=4), first)
    assert torch.equal(dropped(), first)
    network = nn.Sequential(Dropout(0.3), nn.Sequential(nn.Identity(), Dropout(0.3)))
    draw_dropout(network, 3, 7, EXAMPLES, 0)
    one, other = (module(ONES) for module in network.modules() if isinstance(module, Dropout))
    assert torch.equal(one, first)
    assert not torch.equal(one, other)


def test_the_global_stream_is_left_alone():
    before = torch.get_rng_state()
    dropped()
    assert torch.equal(torch.get_rng_state(), before)


def test_until_draws_are_said_it_is_pytorchs():
    results = []
    for module in (Dropout(0.3), nn.Dropout(0.3)):
        torch.manual_seed(5)
        results.append(module(ONES))
    assert torch.equal(*results)


def test_in_evaluation_nothing_is_dropped():
    module = Dropout(0.3)
    draw_dropout(module, 3, 7, EXAMPLES, 0)
    assert torch.equal(module.eval()(ONES), ONES)
    assert torch.equal(dropped(rate=0.0), ONES)

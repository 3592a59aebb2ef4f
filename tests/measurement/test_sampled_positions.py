"""Correlations over some positions of each example, drawn by the example's index."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from widthwise.measurement.activity import drawn_positions
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement

EXAMPLES, POSITIONS = 30, 25


def network() -> nn.Sequential:
    """Each position of a sequence by itself, in double precision."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)).double()


def sequences() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(EXAMPLES, POSITIONS, 4, dtype=torch.float64)


def measured(batch_size: int | None = None, **options):
    model = network()
    model(sequences()[:1])
    return profile(model, [sequences()], settings=Measurement(levels=2, **options), seed=9, batch_size=batch_size)


def plainly_drawn(sample: int, seed: int, stream: int) -> list[np.ndarray]:
    """The positions of each example, from the words of the generator one by one."""
    generator = np.random.PCG64(np.random.SeedSequence([seed, 5, stream]))
    start = generator.state
    drawn = []
    for index in range(EXAMPLES):
        generator.state = start
        generator.advance(index << 32)
        words = [int(generator.random_raw()) for _ in range(POSITIONS)]
        drawn.append(np.array(sorted(sorted(range(POSITIONS), key=words.__getitem__)[:sample])))
    return drawn


@pytest.mark.parametrize("activations", [None, 50])
def test_correlations_are_those_of_the_drawn_positions_and_nothing_else_changes(activations: int | None):
    whole = measured(activations=activations)
    some = measured(activations=activations, sample=4, batch_size=7)
    model = network()
    model(sequences()[:1])
    with torch.no_grad():
        activity = model[:2](sequences()).numpy()
    rows = np.concatenate([activity[index, drawn] for index, drawn in enumerate(plainly_drawn(4, 9, 0))])
    if activations is not None:
        child = np.random.SeedSequence([9, 2, 0]).spawn(3)[0]
        rows = rows[np.random.default_rng(child).choice(len(rows), activations, replace=False)]
    expected = np.corrcoef(rows.T)
    for pair in some.pairs.to_dict("records"):
        assert pair["r"] == pytest.approx(expected[pair["unit"], pair["other"]], abs=1e-12)
    assert some.ablation.equals(whole.ablation)
    for name in ("mean", "active_share", "constant", "never_active"):
        assert some.units[name].to_numpy() == pytest.approx(whole.units[name].to_numpy(), rel=1e-12)


def test_the_draw_of_an_example_depends_on_its_index_alone():
    one, other = measured(sample=3, batch_size=30), measured(sample=3, batch_size=4)
    assert one.pairs["r"].to_numpy() == pytest.approx(other.pairs["r"].to_numpy(), abs=1e-12)
    whole = drawn_positions(0, EXAMPLES, POSITIONS, 5, 9, 0)
    assert whole is not None
    assert (whole == np.stack(plainly_drawn(5, 9, 0))).all()
    assert (np.concatenate([drawn_positions(first, 10, POSITIONS, 5, 9, 0) for first in (0, 10, 20)]) == whole).all()
    assert not np.array_equal(drawn_positions(0, EXAMPLES, POSITIONS, 5, 9, 1), whole)


def test_every_position_is_drawn_equally_often():
    counts = np.bincount(drawn_positions(0, 4000, 10, 3, 0, 0).flatten(), minlength=10)
    assert counts.sum() == 12_000
    assert (np.abs(counts - 1200) < 5 * np.sqrt(1200 * 0.7)).all()


def test_short_sequences_are_used_whole():
    assert drawn_positions(0, 3, 5, 5, 0, 0) is None
    for sample in (POSITIONS, POSITIONS + 1):
        assert measured(sample=sample).layers.equals(measured().layers)


def test_sequences_of_several_lengths_can_be_sampled_evenly():
    class Mean(nn.Sequential):
        def forward(self, value: Tensor) -> Tensor:
            return self[2](self[1](self[0](value)).mean(1))

    torch.manual_seed(0)
    model = Mean(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    batches = [torch.randn(8, length, 4) for length in (9, 5, 12)]
    settings = Measurement(levels=2, granularity="channel", activations=40, sample=4)
    found = profile(model, batches, settings=settings)
    assert found.examples == 24
    assert found.correlation.groupby("sampling")["pairs"].sum().tolist() == [15, 15, 15]

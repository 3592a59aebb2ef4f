"""Why each unit could go: told right of units that are made dead, constant, unread, copies or sums of others."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.compression.test_compress import Joined, compress, dense, drawn, seeded
from tests.compression.test_elimination import columns, problem, randoms
from tests.typed import widthwise
from widthwise.compression.elimination import Problem
from widthwise.compression.reasons import Reason, Why, reasons


def read(features: torch.Tensor, width: int = 1) -> Problem:
    """Units as a reader with random weights reads them."""
    return problem(features)[0], columns(features.shape[1] // width, width)


def found(problem: Problem, kept: list[int], kernel: bool = False) -> dict[int, Why]:
    return reasons([problem], kept, [kernel])


def many(kinds: int, width: int, seed: int = 0) -> list[torch.Tensor]:
    """The entries of independent units."""
    return list(randoms(1000, kinds * width, seed).split(width, 1))


@pytest.mark.parametrize("width", [1, 3])
def test_units_are_told_by_what_they_are(width: int):
    one, two, three, four, own = many(5, width)
    dead, constant = torch.zeros_like(one), torch.full_like(one, 3.0)
    mirrored, copied, summed = 1 - 200 * two, 1e-4 * four, one + three - 2
    units = [dead, one, constant, two, mirrored, three, summed, own, four, copied]
    assert found(read(torch.cat(units, 1), width), [1, 3, 5, 8]) == {
        0: Why("dead"),
        2: Why("constant"),
        4: Why("repeated", 3),
        6: Why("dependent"),
        7: Why("cheapest"),
        9: Why("repeated", 8),
    }


def test_a_copy_repeats_the_most_similar_unit_that_stays():
    one, noise, other, _ = many(4, 1)
    features = torch.cat([one, one + 0.1 * noise, one + 0.05 * noise, other], 1)
    assert found(read(features), [1, 2, 3]) == {0: Why("repeated", 2)}
    assert found(read(features), [1, 3])[0] == Why("repeated", 1)
    assert found(read(features), [3])[0] == Why("cheapest"), "its copies went, too"


@pytest.mark.parametrize(("noise", "reason"), [(0.13, "dependent"), (0.16, "cheapest")])
def test_what_nearly_follows_from_several_others(noise: float, reason: Reason):
    one, two, three = (each[:, 0] for each in many(3, 1))
    unit = (one + two) / 2**0.5 + noise * three
    rows = np.stack([one, two, np.ones(1000)], 1)
    (left,) = np.linalg.lstsq(rows, unit.numpy())[1]
    share = 1 - left / (1000 * unit.numpy().var())
    assert (share > 0.98) == (reason == "dependent")
    features = torch.stack([one, two, unit], 1)
    assert found(read(features), [0, 1]) == {2: Why(reason)}


def test_a_unit_without_weights_is_disconnected():
    moments, blocks = read(torch.cat(many(3, 2), 1), 2)
    moments.weights[:2] = 0
    assert found((moments, blocks), [2]) == {0: Why("disconnected"), 1: Why("cheapest")}


def test_a_reason_holds_for_all_readers():
    one, two, three, four = many(4, 1)
    first = read(torch.cat([one, one, 0 * one, 0 * one, 2 * two, two], 1))
    second = read(torch.cat([two, three, 0 * one, 0 * one + 1, 3 * four, four], 1))
    assert reasons([first, second], [0, 4], [False, False]) == {
        1: Why("cheapest"),
        2: Why("dead"),
        3: Why("constant"),
        5: Why("repeated", 4),
    }


def test_a_unit_follows_from_what_else_is_read():
    one, two, three = many(3, 1)
    moments, blocks = read(torch.cat([one, two, one + three, three], 1))
    assert found((moments, blocks[:3]), [0, 1]) == {2: Why("dependent")}
    assert found(read(torch.cat([one, two, one + three], 1)), [0, 1]) == {2: Why("cheapest")}


@pytest.mark.parametrize("kept", [20, 22, 23])
def test_with_few_rows_nothing_is_known_to_follow(kept: int):
    """Of 24 rows, 23 features and a 1 give any value, and 22 of them nearly any."""
    assert set(found(read(randoms(24, 30)), list(range(kept))).values()) == {Why("cheapest")}


def test_with_many_features_more_seems_to_follow_than_does():
    features = randoms(120, 50)
    features[:, 49] = features[:, :49].sum(1) / 7 + 0.19 * features[:, 49]
    rows = np.concatenate([features[:, :49], np.ones((120, 1))], 1)
    (left,) = np.linalg.lstsq(rows, features[:, 49].numpy())[1]
    assert 1 - left / (120 * features[:, 49].numpy().var()) > 0.98, "though it is 0.965 in all rows that there may be"
    assert found(read(features), list(range(49))) == {49: Why("cheapest")}


def test_units_that_are_on_or_off_are_not_constant():
    """One entry is always 1, the others sometimes; under a kernel they would be those of a padded constant."""
    features = (torch.cat(many(2, 4), 1) > 0).double()
    features[:, 0] = 1
    assert found(read(features, 4), [1]) == {0: Why("cheapest")}
    assert found(read(features, 4), [1], kernel=True) == {0: Why("constant")}


def test_nothing_went():
    assert found(read(torch.cat(many(2, 1), 1)), [0, 1]) == {}


def made_redundant() -> nn.Sequential:
    """A network whose units 0 to 3 are dead, constant, a copy of unit 9 and unread."""
    network = dense(12)
    with torch.no_grad():
        network[0].weight[:2] = 0
        network[0].bias[0], network[0].bias[1] = -1.0, 2.0
        network[0].weight[2], network[0].bias[2] = 3 * network[0].weight[9], 3 * network[0].bias[9]
        network[2].weight[:, 3] = 0
    return network


def test_the_tables_of_a_network():
    small = compress(made_redundant(), [drawn(1, 1000, 6)], keep=0.5, layers="0")
    units = small.units.set_index("unit")
    assert units.loc[[0, 1, 3], "reason"].tolist() == ["dead", "constant", "disconnected"]
    assert small.layers.loc[0, ["dead", "constant", "disconnected", "repeated", "dependent"]].tolist() == [
        1,
        1,
        1,
        1,
        0,
    ]
    (copy,) = units.index[units["reason"] == "repeated"]
    assert {copy, units.loc[copy, "repeats"]} == {2, 9}
    assert units["reason"].isna().equals(units["kept"])
    assert units["repeats"].notna().sum() == 1
    assert small.layers.loc[0, "cheapest"] == 2
    assert "6 units went: 1 dead, 1 constant, 1 disconnected, 1 repeated and 2 cheapest." in str(small)


def test_channels_of_a_padded_convolution():
    """Of 3x3 kernels a unit has nine entries, which are 0 beyond the edge, also of a constant channel."""
    network = seeded(
        nn.Sequential(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 4)),
        )
    )
    norm, reader = network[1], network[3]
    with torch.no_grad():
        norm.weight[:2] = 0
        norm.bias[0], norm.bias[1] = -1.0, 2.0
        for tensor in (*network[0].parameters(), norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor[3] = tensor[2]
        reader.weight[:, 1] *= 0.001
        reader.weight[4], reader.bias[4] = 0, -1.0
    units = compress(network, [drawn(2, 60, 3, 6, 6)], keep=0.5).units.set_index(["layer", "unit"])
    assert units.loc[[("0", 0), ("0", 1), ("3", 4)], "reason"].tolist() == ["dead", "constant", "dead"]
    copies = units.loc[[("0", 2), ("0", 3)]]
    assert copies["kept"].sum() == 1
    ((went, other),) = copies.loc[~copies["kept"], ["reason", "repeats"]].to_numpy()
    assert went == "repeated"
    assert copies.loc[("0", other), "kept"]


def test_a_branch_that_repeats_another_follows_from_it():
    """They are chosen one after the other; of a copy in another branch no index can be told."""
    network = seeded(Joined())
    with torch.no_grad():
        network.one.weight[1], network.one.bias[1] = 0, network.two.bias[4]
        network.one.weight[1, :, 1, 1] = network.two.weight[4, :, 0, 0]
    units = compress(network, [drawn(3, 60, 3, 8, 8)], keep=0.5).units.set_index(["layer", "unit"])
    assert units.loc[("one", 1), ["position", "reason"]].tolist() == [0, "dependent"]
    assert units.loc["two", "reason"].dropna().unique().tolist() == ["cheapest"]


def test_what_is_shown(tmp_path: Path):
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "from tests.compression.test_reasons import made_redundant\n\n"
        "def batches():\n    return [torch.randn(500, 6, generator=torch.Generator().manual_seed(0))]\n"
    )
    done = widthwise("compress", f"{tmp_path}/mine.py:made_redundant", "--data", f"{tmp_path}/mine.py:batches")
    assert re.search(r"^Label \d is kept least: \d+\.\d% of \d+\.$", done.stdout, re.MULTILINE)
    assert re.search(r"^Went from +Dead +Constant +Disconnected +Repeated +Cheapest$", done.stdout, re.MULTILINE)
    assert re.search(r"^0 +1 +1 +1 +1 +2$", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 80

"""Condensation and the change of weights, on networks whose weights are known, against plain NumPy."""

import copy
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widthwise.errors import RequestError
from widthwise.measurement.incoming import initial_parameters
from widthwise.measurement.profile import profile
from widthwise.measurement.result import ADDED_COLUMNS, Profile
from widthwise.measurement.settings import Measurement
from widthwise.tracing.incoming_weights import IncomingWeights

FAST = Measurement(levels=2, samplings=1)


def units_of(model: nn.Module, inputs: Tensor, **options) -> pd.DataFrame:
    return profile(model.eval(), [inputs], settings=FAST, **options).units


def cosines(rows: np.ndarray) -> np.ndarray:
    """|cosine| of every two rows, by a plain loop; -1 of a row with itself."""
    found = np.full((len(rows), len(rows)), -1.0)
    for one, first in enumerate(rows):
        for other, second in enumerate(rows):
            if one != other:
                found[one, other] = abs(first @ second) / np.linalg.norm(first) / np.linalg.norm(second)
    return found


def rows_of(weight: Tensor, bias: Tensor | None) -> np.ndarray:
    flat = weight.detach().double().flatten(1)
    return (flat if bias is None else torch.cat([flat, bias.detach().double()[:, None]], dim=1)).numpy()


def test_units_that_read_the_same_direction_have_condensed_whatever_their_length_and_sign():
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    model[0].weight.data = torch.tensor([[1.0, 0, 0], [3, 0, 0], [-2, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]])
    model[0].bias.data = torch.zeros(6)
    measured = profile(model, [torch.randn(50, 3)], settings=FAST)
    units = measured.units
    assert units["incoming_cosine"].tolist()[:5] == pytest.approx([1, 1, 1, 0.5**0.5, 0.5**0.5])
    assert units["aligned_units"].tolist()[:5] == [2, 2, 2, 0, 0]
    assert pd.isna(units["incoming_cosine"][5])
    assert pd.isna(units["aligned_units"][5])
    assert measured.layers["condensed_share"].tolist() == [pytest.approx(3 / 5)]


def test_a_bias_is_part_of_the_vector():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    model[0].weight.data, model[0].bias.data = torch.ones(2, 2), torch.tensor([1.0, -1.0])
    units = units_of(model, torch.randn(20, 2))
    assert units["incoming_cosine"].tolist() == pytest.approx([1 / 3, 1 / 3])  # (1 + 1 - 1) / (√3 √3)
    assert units["aligned_units"].tolist() == [0, 0]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_cosines_of_a_convolution_are_those_of_its_kernels(scale: float, bias: bool):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 9, 3, bias=bias), nn.BatchNorm2d(9), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))
    for parameter in model[0].parameters():
        parameter.data *= scale
    units = units_of(model, torch.randn(20, 2, 4, 4))
    expected = cosines(rows_of(model[0].weight / scale, model[0].bias / scale if bias else None))
    assert units["incoming_cosine"].tolist() == pytest.approx(expected.max(1).tolist(), abs=1e-6)


def test_units_of_other_groups_read_other_inputs_and_only_their_biases_meet():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2))
    kernels = torch.zeros(6, 4, 3, 3)
    kernels[:3, :2], kernels[3:, 2:] = model[0].weight.data[:3], model[0].weight.data[3:]
    expected = cosines(rows_of(kernels, model[0].bias)).max(1)
    units = units_of(model, torch.randn(20, 4, 4, 4))
    assert units["incoming_cosine"].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_transposed_convolutions_and_products_of_matrices_have_columns_of_weights():
    class Products(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = nn.ConvTranspose1d(4, 6, 3, groups=2)
            self.plain, self.added, self.bias = (nn.Parameter(torch.randn(*s)) for s in ((36, 5), (5, 7), (7,)))
            self.head = nn.Linear(7, 2)

        def forward(self, value: Tensor) -> Tensor:
            value = F.relu(self.up(value)).flatten(1)
            return self.head(torch.tanh(torch.addmm(self.bias, torch.relu(value @ self.plain), self.added)))

    torch.manual_seed(2)
    model = Products()
    kernels = torch.zeros(6, 4, 3)
    kernels[:3, :2] = model.up.weight.data[:2].transpose(0, 1)
    kernels[3:, 2:] = model.up.weight.data[2:].transpose(0, 1)
    rows = [
        rows_of(kernels, model.up.bias),
        rows_of(model.plain.T, None),
        rows_of(model.added.T, model.bias),
    ]
    units = units_of(model, torch.randn(20, 4, 4))
    expected = [value for each in rows for value in cosines(each).max(1)]
    assert units["incoming_cosine"].tolist() == pytest.approx(expected, abs=1e-6)


class Ways(nn.Module):
    """Values of one dense layer, as they are, with something added, gated, mixed in order, or repeated."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, value: Tensor, way: str = "") -> Tensor:
        first = self.one(value)
        found = {
            "plain": lambda: torch.relu(first),
            "swish": lambda: first * torch.sigmoid(first),
            "scaled": lambda: torch.relu(F.layer_norm(first, (4,)) * 2 + 1),
            "residual": lambda: torch.relu(first + self.two(value)),
            "of the input": lambda: torch.relu(first + value),
            "gate": lambda: F.silu(first) * self.two(value),
            "half": lambda: torch.cat([F.glu(first), F.glu(first)], dim=-1),
            "flipped": lambda: torch.relu(first.flip(-1)),
            "joined": lambda: torch.relu(torch.cat([self.one(value)[:, :2], self.two(value)[:, :2]], dim=-1)),
            "fused gate": lambda: (F.silu(first[:, :2]) * first[:, 2:]).repeat(1, 2),
        }[self.way]()
        return self.head(found)


@pytest.mark.parametrize(
    ("way", "known"),
    [
        *(("plain", True), ("swish", True), ("scaled", True), ("residual", False), ("of the input", False)),
        *(("gate", False), ("half", False), ("flipped", False), ("joined", False), ("fused gate", False)),
    ],
)
def test_weights_are_known_where_each_unit_is_one_output_of_one_layer_and_never_guessed(way: str, known: bool):
    torch.manual_seed(0)
    model = Ways()
    model.way = way
    units = units_of(model, torch.randn(20, 4), initial=Ways())
    expected = cosines(rows_of(model.one.weight, model.one.bias)).max(1)
    if known:
        assert units["incoming_cosine"].tolist() == pytest.approx(expected.tolist(), abs=1e-6)
        assert (units["weight_change"] > 0).all()
    else:
        assert len(units)
        for column in ("incoming_cosine", "aligned_units", "weight_change"):
            assert units[column].isna().all()


def test_many_units_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    weights = IncomingWeights(torch.randn(30, 5), torch.randn(30), groups=3)
    whole = weights.largest_cosines(0.6)
    monkeypatch.setattr("widthwise.tracing.incoming_weights.ENTRIES_AT_A_TIME", 90)
    parts = weights.largest_cosines(0.6)
    torch.testing.assert_close(parts, whole)
    assert 0 < whole[1].sum() < 30 * 29


def test_weight_change_is_relative_to_the_initial_weights_of_each_unit():
    torch.manual_seed(0)
    before = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    before[0].weight.data[3] = 0
    after = copy.deepcopy(before)
    after[0].weight.data[0] *= 3
    after[0].weight.data[1] *= -1
    after[0].bias.data += 5
    after[2].weight.data += torch.randn(5, 4)
    measured = profile(after, [torch.randn(30, 3)], settings=FAST, initial=before)
    change = measured.units["weight_change"].to_numpy()
    old, new = before[2].weight.detach().numpy(), after[2].weight.detach().numpy()
    expected = np.linalg.norm(new - old, axis=1) / np.linalg.norm(old, axis=1)
    np.testing.assert_allclose(change[:3], [2, 2, 0], rtol=1e-6)
    assert np.isnan(change[3])
    np.testing.assert_allclose(change[4:], expected, rtol=1e-5)
    assert measured.layers["weight_change"].tolist() == pytest.approx([4 / 3, expected.mean()], rel=1e-5)
    assert profile(after, [torch.randn(30, 3)], settings=FAST, initial=before.state_dict()).units[
        "weight_change"
    ].tolist() == pytest.approx(change.tolist(), nan_ok=True)
    unknown = profile(after, [torch.randn(30, 3)], settings=FAST)
    assert unknown.units["weight_change"].isna().all()
    assert unknown.layers["weight_change"].isna().all()


def test_weights_that_are_computed_from_parameters_are_computed_from_the_initial_ones():
    torch.manual_seed(0)
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.ReLU(), nn.Linear(4, 2))
    before = copy.deepcopy(model)
    model[0].parametrizations.weight.original0.data *= 1.5  # the lengths of all rows
    assert units_of(model, torch.randn(30, 3), initial=before)["weight_change"].tolist() == pytest.approx([0.5] * 4)


def test_initial_networks_that_do_not_fit_are_refused():
    model, inputs = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), [torch.randn(10, 3)]
    wider = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    cases = [
        (wider, r"initial: holds '0.weight' with the shape \(5, 3\) where the model's is \(4, 3\)"),
        ({"0.weight": torch.ones(4, 3)}, "initial: must hold every parameter of the model, and has no '0.bias'"),
    ]
    for initial, problem in cases:
        with pytest.raises(RequestError, match=problem):
            profile(model, inputs, initial=initial)
    with pytest.raises(RequestError, match=r"initial: must be a network or its state_dict\(\), not str"):
        initial_parameters(model, "initial.pt")


def test_parts_are_merged_with_their_incoming_weights_or_not_at_all():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.GELU(), nn.Linear(6, 2)).double()
    before, other = copy.deepcopy(model), copy.deepcopy(model)
    before[0].weight.data *= 2
    other[0].weight.data *= 4
    inputs = torch.randn(40, 3, dtype=torch.float64).split(10)
    options = {"settings": FAST, "initial": before}
    parts = [profile(model, inputs, **options, part=(number, 2)) for number in (1, 2)]
    whole = profile(model, inputs, **options)
    pd.testing.assert_frame_equal(Profile.merge(parts).units, whole.units, rtol=1e-12)
    assert whole.units["weight_change"].tolist() == pytest.approx([0.5] * 6)
    assert (whole.units["mean"] < 0).any()
    with pytest.raises(RequestError, match="different incoming weights, or initial ones"):
        Profile.merge([parts[0], profile(model, inputs, settings=FAST, initial=other, part=(2, 2))])


def without_what_came_later(path: Path, new: Path) -> None:
    """A file as it was before incoming weights and dormancy were measured."""
    from safetensors import safe_open
    from safetensors.torch import save

    with zipfile.ZipFile(path) as source, zipfile.ZipFile(new, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            table = name.removesuffix(".parquet")
            if table in ADDED_COLUMNS:
                source.extract(name, path.parent)
                frame = pd.read_parquet(path.parent / name).drop(columns=list(ADDED_COLUMNS[table]))
                content = frame.to_parquet(index=False)
            if name.endswith(".safetensors"):
                source.extract(name, path.parent)
                with safe_open(path.parent / name, "pt") as state:
                    later = [key for key in state.keys() if key.startswith("incoming") or key.endswith("magnitude")]  # noqa: SIM118
                    assert later
                    kept = {key: state.get_tensor(key) for key in state.keys() if key not in later}  # noqa: SIM118
                    content = save(kept, state.metadata())
            target.writestr(name, content)


@pytest.mark.parametrize(("activation", "dormancy_known"), [(nn.ReLU, True), (nn.Tanh, False)])
def test_files_of_earlier_versions_are_read_and_merged_without_what_they_lack(
    activation: type[nn.Module], dormancy_known: bool, tmp_path: Path
):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), activation(), nn.Linear(6, 2)).double()
    inputs = torch.randn(40, 3, dtype=torch.float64).split(10)
    parts = []
    for number in (1, 2):
        path, old = tmp_path / f"{number}.profile", tmp_path / f"{number}.old"
        profile(model, inputs, settings=FAST, part=(number, 2)).save(path)
        without_what_came_later(path, old)
        parts.append(Profile.load(old))
    whole = profile(model, inputs, settings=FAST)
    for name, columns in ADDED_COLUMNS.items():
        read = getattr(parts[0], name)
        assert list(read.columns) == list(getattr(whole, name).columns)
        assert read[list(columns)].isna().all(axis=None)
        assert read.drop(columns=list(columns)).notna().any(axis=None)
    merged = Profile.merge(parts)
    assert merged.units["incoming_cosine"].isna().all()
    assert merged.units["mean"].tolist() == pytest.approx(whole.units["mean"].tolist())
    if dormancy_known:
        assert merged.units["dormancy"].tolist() == pytest.approx(whole.units["dormancy"].tolist())
    else:
        assert merged.units["dormancy"].isna().all()
        assert merged.units["dormant"].isna().all()
        assert whole.units["dormant"].notna().all()

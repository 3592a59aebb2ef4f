"""Which layer of settings gave a field its value, from the program's default up to an axis."""

from pathlib import Path

import pytest

from widthwise.commands.options import parsed_settings
from widthwise.errors import RequestError
from widthwise.experiments.explanation import Explanation, origins
from widthwise.experiments.settings import Layer
from widthwise.experiments.sweep import Sweep, catalogue
from widthwise.experiments.trial import Trial

EVERY_LAYER = """
extends: alexnet-regularization
series: {regularizer: [dropout, weight decay]}
trial: {training: {batch_size: 64}}
tune: {training.learning_rate: [0.1, 0.01]}
"""


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    file = tmp_path / "own.yaml"
    file.write_text(EVERY_LAYER)
    return Sweep.load(str(file)).with_values(parsed_settings(["training.momentum=0.5", "replicates=2"]))


@pytest.mark.parametrize(
    ("path", "values", "layer"),
    [
        ("training.optimizer", ("momentum",), "the paper's recipe for alexnet"),
        ("training.epsilon", (1e-8,), "the program's default"),
        ("network.name", ("alexnet",), "the base alexnet"),
        ("training.epochs", (200,), "scale quick of the base alexnet"),
        ("training.patience", (15,), "scale quick of the base alexnet"),
        ("training.batch_size", (32,), "scale quick of the base cifar10"),
        ("training.momentum", (0.5,), "set for this run"),
        ("training.learning_rate", (0.1, 0.01), "the axis tune"),
        ("network.width_factor", (0.125, 0.25, 0.5), "the axis widths"),
        ("seed", (0, 1), "the axis replicates, set for this run"),
    ],
)
def test_each_layer_is_named_where_it_gives_the_value(sweep: Sweep, path: str, values: tuple, layer: str):
    assert sweep.explain(path, "quick") == [Explanation(path, values, layer, ())]


def test_a_layer_is_named_only_until_another_is_laid_over_it(sweep: Sweep):
    (explained,) = sweep.explain("training.batch_size", "paper")
    assert (explained.values, explained.layer) == ((64,), "the trial of own")


def test_series_that_differ_are_told_apart(sweep: Sweep):
    assert sweep.explain("network.dropout") == [
        Explanation("network.dropout", (0.5,), "series, regularizer dropout", ("dropout",)),
        Explanation("network.dropout", (0.0,), "the program's default", ("weight decay",)),
    ]
    labels = Sweep.load("cifar10-labels").explain("network.dropout")
    assert {name for each in labels for name in each.series} == {"AlexNet, true labels", "AlexNet, random labels"}


def test_a_section_is_explained_field_by_field(sweep: Sweep):
    found = {each.path: each.layer for each in sweep.explain("training.decay", "quick")}
    assert found == {
        "training.decay.every": "scale quick of the base alexnet",
        "training.decay.kind": "scale quick of the base alexnet",
        "training.decay.rate": "scale quick of the base alexnet",
    }


@pytest.mark.parametrize("name", catalogue())
def test_the_values_are_those_of_the_trials(name: str):
    sweep = Sweep.load(name)
    runs = list(sweep.runs("smoke"))
    for each in sweep.explain("training", "smoke"):
        section, _, field = each.path.partition(".")
        for run in runs:
            if not each.series or run.series in each.series:
                value = run.trial.model_dump(mode="json")[section]
                for part in field.split("."):
                    value = value[part]
                assert value in each.values, each


def test_another_kind_of_section_starts_anew_in_the_explanation_too():
    layers = [
        Layer("below", {"network": {"name": "alexnet"}}),
        Layer("above", {"training": {"decay": {"kind": "step", "at": [3]}}}),
    ]
    found = {each.path: each.layer for each in origins(layers, "training.decay", "test")}
    assert found["training.decay.rate"] == "the program's default", "the recipe's rate is of another decay"
    assert found["training.decay.at"] == "above"
    assert Trial().training.decay.kind == "constant"


def test_an_unknown_field_is_answered_with_the_nearest(sweep: Sweep):
    with pytest.raises(RequestError, match=r"there is no field training\.epoch; did you mean training\.epochs\?"):
        sweep.explain("training.epoch")


def test_a_single_network_is_explained_too(typed):
    words = ("train", "alexnet", "--width-factor", "0.5", "--set", "training.epochs=3", "--explain")
    for path, value, layer in (
        ("training.epochs", "3", "set for this run"),
        ("training.patience", "50", "the paper's recipe for alexnet"),
        ("network.width_factor", "0.5", "the arguments"),
        ("data.seed", "0", "the seed"),
        ("network.dropout", "0.0", "the program's default"),
    ):
        code, shown, _ = typed(*words, path)
        assert (code, " ".join(shown.splitlines()[-1].split())) == (0, f"{path} {value} {layer}")


def test_the_command_prints_it_and_runs_nothing(typed, tmp_path: Path):
    words = ("run", "mlp10-initialization", "--scale", "smoke", "--store", tmp_path / "store", "--explain")
    code, shown, _ = typed(*words, "training.epochs")
    assert (code, shown.splitlines()[-1].split()) == (
        0,
        ["training.epochs", "5", "scale", "smoke", "of", "the", "base", "teacher", "every", "series"],
    )
    assert '"layer": "scale smoke of the base teacher"' in typed(*words, "training.epochs", "--json")[1]
    code, _, message = typed(*words, "training.epoch")
    assert (code, message) == (2, "widthwise: there is no field training.epoch; did you mean training.epochs?\n")
    assert list(tmp_path.iterdir()) == []

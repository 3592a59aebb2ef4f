"""The catalogue is the paper's: each of its figures has an experiment, and each experiment has the paper's setting."""

import pytest

from widthwise.analysis.experiment import planned_series
from widthwise.errors import RequestError
from widthwise.experiments.catalogue_table import differences, entry, named_figures
from widthwise.experiments.figure import in_order_of_paper
from widthwise.experiments.sweep import PlannedTrial, Sweep, catalogue
from widthwise.reporting.figures import chosen_figures

ARTEFACTS = {
    "parameters": ["B1"],
    "constructions": ["§2.3"],
    "mlp10-initialization": ["B5"],
    "mlp10k-initialization": ["B4"],
    "mlp10k-optimizer": ["B11"],
    "alexnet-initialization": ["1c", "2", "3", "6", "B3"],
    "cifar10-labels": ["1b", "5", "B6"],
    "alexnet-regularization": ["B10"],
    "cifar10-batch-size": ["B13"],
    "imagenet-width": ["1a", "4", "B7", "B8", "B9"],
    "resnet18-batch-size": ["B12"],
    "resnet18-convergence": ["B2"],
    **dict.fromkeys(
        ("2021-alexnet-activation", "2021-alexnet-optimizer", "2021-mlp-data-size", "2021-mlp-optimizer"), ["AAAI 2021"]
    ),
}
"""Every figure of the paper, its Section 2.3, and what its later version adds, by the experiment that makes it."""
PANELS = [
    *("1a", "1b", "1c", "2a", "2b", "3a", "3b", "4a", "4b", "5a", "5b", "6a", "6b"),
    *("B1a", "B1b", "B1c", "B2a", "B2b", "B2c", *(f"B{number}" for number in range(3, 14))),
]
SWEEPS = {name: Sweep.load(name) for name in catalogue()}


def test_every_figure_of_the_paper_has_its_experiment():
    assert {name: sweep.shows for name, sweep in SWEEPS.items()} == ARTEFACTS


def test_every_figure_of_the_paper_has_its_chart():
    numbered = {name: sweep for name, sweep in SWEEPS.items() if not sweep.publication}
    assert in_order_of_paper(name for sweep in numbered.values() for name in sweep.figures) == PANELS
    for experiment, sweep in numbered.items():
        for figure in chosen_figures(sweep):
            assert figure.of_paper
            assert named_figures(figure.name) == {experiment: (figure.name,)}


def test_the_later_version_has_figures_without_numbers():
    for name in (name for name in SWEEPS if SWEEPS[name].publication):
        drawn = chosen_figures(SWEEPS[name])
        assert [figure.name for figure in drawn][:2] == ["accuracy", "prunability"]
        assert not any(figure.of_paper for figure in drawn)


def test_every_series_of_a_figure_is_one_of_its_experiment():
    for sweep in SWEEPS.values():
        for name, figure in sweep.figures.items():
            assert set(figure.series) <= set(planned_series(sweep, "paper")), name


def test_a_figure_is_found_by_its_number_and_by_its_panel():
    assert named_figures("6") == {"alexnet-initialization": ("6a", "6b")}
    assert named_figures("6b") == {"alexnet-initialization": ("6b",)}
    assert named_figures("b3") == named_figures("Fig. B3c") == {"alexnet-initialization": ("B3",)}
    assert named_figures("b1") == {"parameters": ("B1a", "B1b", "B1c")}, "not B10, B11, …"
    assert named_figures("Fig. 4a") == {"imagenet-width": ("4a",)}
    assert set(named_figures("1")) == {"alexnet-initialization", "cifar10-labels", "imagenet-width"}
    assert named_figures("§2.3") == {"constructions": ()}, "all that it has"
    for wanted in ("B20", "7", "2c", "§2"):
        with pytest.raises(RequestError, match=f"the paper has no figure '{wanted}': it has 1a, 1b, 1c, 2a"):
            named_figures(wanted)


def only(name: str, *series: str):
    """The settings of an experiment's trials at the paper's scale, but for widths and seeds; all alike."""
    runs = [run for run in SWEEPS[name].runs("paper") if not series or run.series in series]
    assert runs
    return runs


def test_alexnets_are_trained_as_the_paper_has_it():
    runs = only("alexnet-initialization")
    assert len(runs) == 6 * 5 * 3
    for run in runs:
        training = run.trial.training
        assert (training.optimizer, training.momentum, training.learning_rate) == ("momentum", 0.9, 0.01)
        assert (training.batch_size, training.epochs, training.patience) == (128, 500, 50)
        assert training.decay.kind == "exponential"
        assert training.decay.rate == 0.95
        assert (training.augmentation, training.weight_decay, training.stop_on) == (False, 0, "validation_accuracy")
        assert run.trial.data.train_examples is None
        assert run.trial.data.synthetic is False
    schemes = {run.series: run.trial.initialization.scheme for run in runs}
    assert {name: scheme.replace("_", " ") for name, scheme in schemes.items()} == {
        name: name.lower() for name in schemes
    }


def test_random_labels_are_fitted_to_the_end():
    for run in only("cifar10-labels", "AlexNet, random labels"):
        training = run.trial.training
        assert run.trial.data.random_label_share == 1
        assert (training.epochs, training.stop_on, training.patience, training.stop_at) == (
            5000,
            "train_accuracy",
            25,
            1,
        )
        regularizers = (training.augmentation, training.weight_decay, run.trial.network.dropout)
        assert regularizers == (False, 0, 0), "regularized networks hardly fit random labels"
    for run in only("cifar10-labels", "ResNet-56, random labels"):
        assert run.trial.data.random_label_share == 1
        assert run.trial.training.augmentation is False
        assert (run.trial.training.epochs, run.trial.training.weight_decay) == (182, 0)


def test_regularizers_are_the_papers():
    found = {
        run.series: (run.trial.training.augmentation, run.trial.network.dropout, run.trial.training.weight_decay)
        for run in only("alexnet-regularization")
    }
    assert found == {
        "none": (False, 0, 0),
        "augmentation": (True, 0, 0),
        "dropout": (False, 0.5, 0),
        "weight decay": (False, 0, 1e-3),
        "all three": (True, 0.5, 1e-3),
    }


def test_batch_and_rate_grow_together():
    for run in only("cifar10-batch-size"):
        recipe = run.trial.training
        assert recipe.rate(0) / recipe.scaled_batch_size == pytest.approx(recipe.learning_rate / 128)
    assert {run.trial.training.scaled_batch_size for run in only("cifar10-batch-size")} == {32, 128, 512}
    assert {run.trial.training.scaled_batch_size for run in only("resnet18-batch-size")} == {64, 256, 1024, 4096}


def test_imagenet_is_trained_once_for_each_width_with_inception_as_published():
    runs = only("imagenet-width")
    assert len(runs) == 3 * 5
    of_layer = only("imagenet-width", "Inception-v3-layer")
    assert {run.trial.network.varied_layers for run in of_layer} == {("Mixed_5d",)}
    for run in only("imagenet-width", "Inception-v3"):
        training = run.trial.training
        assert (training.optimizer, training.epsilon, training.learning_rate) == ("rmsprop", 1.0, 0.045)
        assert (training.weight_decay, training.epochs, training.batch_size) == (4e-5, 90, 256)
        assert run.trial.initialization.scheme == "truncated_normal"
        assert run.trial.network.varied_layers is None
    for run in only("imagenet-width", "ResNet-18"):
        assert sorted(run.trial.training.kept_epochs) == [70, 80, 85, 90]


def by_authors(name: str) -> list[PlannedTrial]:
    return list(SWEEPS[name].with_recipe("authors-code").runs("paper"))


def test_the_authors_perceptrons_see_six_batches_of_small_weights():
    for name, rate in (("mlp10-initialization", 0.1), ("mlp10k-initialization", 0.01)):
        for run in by_authors(name):
            training, initialization = run.trial.training, run.trial.initialization
            assert (training.batches_per_epoch, training.order, training.learning_rate) == (6, "fixed", rate)
            assert (training.rate(1) / training.rate(0), training.patience) == (pytest.approx(0.95), 50)
            assert (initialization.scheme, initialization.layer_factors) == ("truncated_normal", {"hidden": 0.1})
            assert run.series == f"σ = {initialization.standard_deviation:g}"
    rates = {run.series: run.trial.training.learning_rate for run in by_authors("mlp10k-optimizer")}
    assert rates == {"momentum": 0.01, "plain gradient descent (SGD)": 0.01, "Adam": 0.001, "RMSProp": 0.001}


def test_the_authors_alexnets_see_the_middle_of_an_image():
    for name, replicates in (
        ("alexnet-initialization", 3),
        ("alexnet-regularization", 2),
        ("cifar10-labels", 2),
        ("cifar10-batch-size", 2),
    ):
        runs = [run for run in by_authors(name) if run.trial.network.name == "alexnet"]
        assert {run.replicate for run in runs} == set(range(replicates))
        for run in runs:
            data, initialization = run.trial.data, run.trial.initialization
            assert (data.crop, data.validation_examples, data.training_examples) == (28, 2500, 47_500)
            assert initialization.scheme.endswith("uniform" if "uniform" in run.series else "truncated_normal")
            assert initialization.biases == {"conv2": 0.1, "dense1": 0.1, "dense2": 0.1}
            if run.trial.training.weight_decay:
                assert run.trial.training.weight_decay_layers == ("dense1", "dense2", "output")
            assert run.trial.training.colour_augmentation == run.trial.training.augmentation
            assert run.trial.training.epochs == (1000 if run.trial.training.augmentation else run.trial.training.epochs)


def test_the_authors_resnets_draw_by_the_fan_in():
    for name in ("cifar10-labels", "cifar10-batch-size", "resnet18-batch-size", "resnet18-convergence"):
        runs = [run for run in by_authors(name) if run.trial.network.name.startswith("resnet")]
        assert {run.trial.initialization.scheme for run in runs} == {"lecun_truncated_normal"}


def test_the_authors_largest_batch_shrinks_with_width():
    batches = {}
    for run in by_authors("resnet18-batch-size"):
        batches.setdefault(run.series, {})[run.width_factor] = run.trial.training.scaled_batch_size
        recipe = run.trial.training
        assert recipe.rate(0) / recipe.scaled_batch_size == pytest.approx(recipe.learning_rate / 256)
    assert batches == {
        "batch 1024": dict.fromkeys((0.25, 0.5, 1, 2), 1024),
        "batch 2048": dict.fromkeys((0.25, 0.5, 1), 2048),
        "batch 4096": dict.fromkeys((0.25, 0.5), 4096),
        "largest batch": {0.25: 8192, 0.5: 4096, 1: 3072, 2: 1024, 4: 512},
    }


def test_it_is_said_where_the_authors_program_differs():
    found = {
        each.path: (each.paper, each.recipe) for each in differences(SWEEPS["mlp10-initialization"], "authors-code")
    }
    assert found["training.batches_per_epoch"] == ((None,), (6,))
    assert found["training.learning_rate"] == ((1.0, 0.1, 0.01, 0.001, 0.0001), (0.1,))
    assert "training.epochs" not in found


def test_smoke_needs_no_files():
    for sweep in SWEEPS.values():
        for trial in sweep.trials("smoke"):
            assert trial.data.name == "teacher" or trial.data.synthetic or trial.training.epochs == 0


def test_the_table_tells_what_varies_with_a_star():
    (row,) = entry(SWEEPS["alexnet-initialization"]).rows
    assert (row.network, row.data.values, row.optimizer.values) == ("AlexNet", ("CIFAR-10",), ("momentum",))
    assert row.initialization.starred
    assert not row.optimizer.starred
    assert row.regularizers.values == ("none",)
    assert row.rate_and_batch.values == ("0.01 × 128",)
    rows = {row.network: row for row in entry(SWEEPS["cifar10-labels"]).rows}
    assert rows["AlexNet"].data.starred
    assert rows["AlexNet"].regularizers.values == ("DA DO WD", "none")
    assert rows["ResNet-56"].regularizers.values == ("BN DA WD", "BN")
    (perceptron,) = entry(SWEEPS["mlp10-initialization"]).rows
    assert perceptron.rate_and_batch.values == ("best × 128",)


def test_the_cost_is_that_of_every_epoch_of_every_trial():
    found = entry(SWEEPS["mlp10-initialization"])
    by_hand = 0
    for width in (32, 64, 128, 256, 512):
        once = 2 * (10 * width + width * 2)
        gradient = once + 2 * width * 2
        by_hand += (once + gradient) * 1000 * 50 * 75
    assert found.flops == by_hand
    assert found.trials == {"smoke": 12, "quick": 100, "paper": 375}
    assert entry(SWEEPS["parameters"]).flops == 0

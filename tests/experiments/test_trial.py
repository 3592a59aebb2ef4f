"""Trials: the fields that fit together, and the trials that can share a stack."""

from typing import Any

import pytest

from widthwise.errors import RequestError
from widthwise.experiments.catalogue_table import training_flops
from widthwise.experiments.settings import resolved
from widthwise.experiments.trial import Trial

ALEXNET, RESNET = {"name": "alexnet"}, {"name": "resnet56", "blocks": 1}


def trial(**content: Any) -> Trial:
    return resolved(content, "sweep.yaml")


def test_layers_are_named_by_any_path_around_them():
    factors = {"hidden": 0.1, "hidden.linear": 0.1, "output": 2}
    assert trial(initialization={"layer_factors": factors}).initialization.layer_factors == factors
    assert trial(initialization={"layer_factors": factors}).initialization.standard_deviation == 0.01
    biases = {"conv2": 0.1, "dense1": 0.1, "dense2.dense": 0.1}
    assert trial(network=ALEXNET, initialization={"biases": biases}).initialization.biases == biases
    layers = ("layer1", "layer2.0.conv1", "linear")
    assert trial(network=RESNET, training={"weight_decay_layers": layers}).training.weight_decay_layers == layers


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"initialization": {"layer_factors": {"hiden": 0.1}}},
            "sweep.yaml: initialization.layer_factors: the network has no dense layer or convolution in 'hiden'; "
            "did you mean hidden?",
        ),
        (
            {"network": {"hidden_layers": 2}, "training": {"weight_decay_layers": ["hidden"]}},
            "sweep.yaml: training.weight_decay_layers: the network has no layer with weights in 'hidden'; "
            "did you mean hidden2?",
        ),
        (
            {"network": RESNET, "initialization": {"biases": {"conv1": 0.1}}},
            "sweep.yaml: initialization.biases: the network has no dense layer or convolution with biases in 'conv1'; "
            "there is linear",
        ),
        (
            {"training": {"weight_decay_layers": []}},
            "sweep.yaml: training: weight_decay_layers names no layer; leave it out, or set weight_decay to 0",
        ),
        (
            {"training": {"batches_per_epoch": 9}},
            "sweep.yaml: training.batches_per_epoch: it is 9 and the training set has only 8 batches of 128; "
            "set it to less",
        ),
        (
            {"training": {"colour_augmentation": True}},
            "sweep.yaml: training.colour_augmentation is for networks that learn images; leave it out",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(content: dict[str, Any], said: str):
    with pytest.raises(RequestError) as raised:
        trial(**content)
    assert str(raised.value) == said


def test_trials_share_a_stack_only_if_they_differ_in_their_draws_alone():
    plain = trial()
    for draws in ({"layer_factors": {"hidden": 0.1}}, {"biases": {"output": 0.5}}):
        other = trial(initialization=draws)
        assert other.cohort == plain.cohort
        assert other.id != plain.id
    others = [
        trial(**content)
        for content in (
            {"training": {"batches_per_epoch": 6}},
            {"training": {"order": "fixed"}},
            {"training": {"weight_decay_layers": ["hidden"]}},
            {"data": {"random_label_splits": ["train"]}},
        )
    ]
    assert len({each.cohort for each in [plain, *others]}) == len(others) + 1
    assert len({each.id for each in [plain, *others]}) == len(others) + 1


def test_equal_trials_are_one_whatever_the_order_of_their_layers():
    one, other = (trial(initialization={"layer_factors": dict(order)}) for order in (FACTORS, FACTORS[::-1]))
    assert (one, hash(one), one.id) == (other, hash(other), other.id)


FACTORS = [("hidden", 0.1), ("output", 2.0)]


def test_arithmetic_is_that_of_the_batches_that_are_trained_on():
    few = trial(training={"batches_per_epoch": 6, "epochs": 10})
    whole = trial(training={"epochs": 10}, data={"train_examples": 6 * 128})
    assert training_flops([few]) == training_flops([whole]) > 0
    last = trial(training={"batches_per_epoch": 8, "epochs": 10})
    assert training_flops([last]) == training_flops([trial(training={"epochs": 10})])


def test_an_initialization_is_read_back_with_its_layers():
    one = trial(network=ALEXNET, initialization={"biases": {"conv2": 0.1}}, data={"crop": 28})
    again = Trial.from_record(one.record(), "trial.json")
    assert (again, again.id) == (one, one.id)

"""Which network is asked for, and which inputs it takes."""

import pytest
from pydantic import TypeAdapter, ValidationError

from widthwise.experiments.trial import Trial
from widthwise.networks.architecture import (
    AlexNetArchitecture,
    Architecture,
    InceptionV3Architecture,
    MLPArchitecture,
    ResNet18Architecture,
    ResNet56Architecture,
)
from widthwise.networks.build import build

ARCHITECTURES = [
    MLPArchitecture,
    AlexNetArchitecture,
    ResNet56Architecture,
    ResNet18Architecture,
    InceptionV3Architecture,
]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_network_is_found_by_its_name(architecture: type):
    content = architecture(width_factor=2).model_dump()
    read = TypeAdapter(Architecture).validate_python(content)
    assert isinstance(read, architecture)
    assert read.model_dump() == content


def test_without_a_name_it_is_the_mlp():
    read = TypeAdapter(Architecture).validate_python({"width_factor": 0.5})
    assert read == MLPArchitecture(width_factor=0.5)


def test_finished_trials_keep_their_ids():
    # what the trial had when the MLP was the only network
    assert Trial().content()["network"] == {"name": "mlp", "width_factor": 1.0}
    assert Trial(network=MLPArchitecture(width_factor=0.25)).content()["network"] == {
        "name": "mlp",
        "width_factor": 0.25,
    }


@pytest.mark.parametrize(
    ("architecture", "field", "value"),
    [
        *((architecture, "activation", "tanh") for architecture in ARCHITECTURES),
        (MLPArchitecture, "hidden_layers", 3),
        (ResNet56Architecture, "blocks", 3),
        (ResNet18Architecture, "blocks", 3),
    ],
)
def test_what_came_later_counts_only_where_it_is_not_the_default(architecture: type, field: str, value: str | int):
    usual, other = architecture(), architecture(**{field: value})
    assert other.content() == {**usual.content(), field: value}
    assert field not in usual.content()
    assert usual == architecture(**{field: architecture.model_fields[field].default})


@pytest.mark.parametrize(
    ("content", "narrowest"),
    [
        ({"name": "mlp"}, 128),
        ({"name": "alexnet"}, 96),
        ({"name": "resnet56"}, 16),
        ({"name": "resnet18"}, 64),
        ({"name": "inception-v3"}, 32),
        ({"name": "inception-v3", "scaled": "mixed_5d"}, 48),
    ],
)
def test_a_width_factor_must_leave_the_narrowest_layer_a_unit(content: dict, narrowest: int):
    adapter = TypeAdapter(Architecture)
    adapter.validate_python({**content, "width_factor": 0.5 / narrowest})
    said = f"leaves a layer of {narrowest} units at 1x without units; it must be at least {0.5 / narrowest:g}"
    with pytest.raises(ValidationError, match=said):
        adapter.validate_python({**content, "width_factor": 0.49 / narrowest})


@pytest.mark.parametrize(
    "content",
    [
        {"name": "vgg"},
        {"name": "mlp", "dropout": 0.5},
        {"name": "mlp", "hidden_layers": 0},
        {"name": "mlp", "activation": "sine"},
        {"name": "alexnet", "hidden_layers": 2},
        {"name": "resnet56", "blocks": 0},
        {"name": "inception-v3", "blocks": 3},
        {"name": "alexnet", "dropout": 1.0},
        {"name": "resnet56", "shortcut": "identity"},
        {"name": "inception-v3", "scaled": "mixed_5c"},
        {"name": "resnet18", "width_factor": 0},
    ],
)
def test_what_a_network_does_not_have_is_refused(content: dict):
    with pytest.raises(ValidationError):
        TypeAdapter(Architecture).validate_python(content)


@pytest.mark.parametrize(
    ("architecture", "shape", "said"),
    [
        (MLPArchitecture(), (3, 32, 32), r"mlp takes inputs of shape \(features,\), not \(3, 32, 32\)"),
        (AlexNetArchitecture(), (3, 224, 224), r"alexnet takes inputs of shape \(3, 32, 32\), not \(3, 224, 224\)"),
        (AlexNetArchitecture(), (10,), r"not \(10,\)"),
        (ResNet56Architecture(), (1, 32, 32), r"resnet56 takes inputs of shape \(3, height, width\), not \(1, 32"),
        (ResNet18Architecture(), (10,), r"resnet18 takes inputs of shape \(3, height, width\), not \(10,\)"),
        (InceptionV3Architecture(), (3, 298, 299), "of at least 299×299 because of its auxiliary head, not"),
    ],
)
def test_inputs_that_a_network_cannot_take_are_refused(architecture, shape: tuple[int, ...], said: str):
    with pytest.raises(ValueError, match=said):
        build(architecture, shape, 10)

"""Which network is asked for, and which inputs it takes."""

import pytest
from pydantic import TypeAdapter, ValidationError

from widthwise.networks.alexnet import AlexNetDescription
from widthwise.networks.catalogue import AnyNetwork
from widthwise.networks.inception_v3 import InceptionV3Description
from widthwise.networks.mlp import MLPDescription
from widthwise.networks.resnet18 import ResNet18Description
from widthwise.networks.resnet56 import ResNet56Description

DESCRIPTIONS = [
    MLPDescription,
    AlexNetDescription,
    ResNet56Description,
    ResNet18Description,
    InceptionV3Description,
]


@pytest.mark.parametrize("description", DESCRIPTIONS)
def test_a_network_is_found_by_its_name(description: type):
    content = description(width_factor=2).model_dump()
    read = TypeAdapter(AnyNetwork).validate_python(content)
    assert isinstance(read, description)
    assert read.model_dump() == content


def test_without_a_name_it_is_the_mlp():
    read = TypeAdapter(AnyNetwork).validate_python({"width_factor": 0.5})
    assert read == MLPDescription(width_factor=0.5)


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
    adapter = TypeAdapter(AnyNetwork)
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
        TypeAdapter(AnyNetwork).validate_python(content)


@pytest.mark.parametrize(
    ("description", "shape", "said"),
    [
        (MLPDescription(), (3, 32, 32), r"mlp takes inputs of shape \(features,\), not \(3, 32, 32\)"),
        (AlexNetDescription(), (3, 224, 224), r"alexnet takes inputs of shape \(3, 32, 32\), not \(3, 224, 224\)"),
        (AlexNetDescription(), (10,), r"not \(10,\)"),
        (ResNet56Description(), (1, 32, 32), r"resnet56 takes inputs of shape \(3, height, width\), not \(1, 32"),
        (ResNet18Description(), (10,), r"resnet18 takes inputs of shape \(3, height, width\), not \(10,\)"),
        (InceptionV3Description(), (3, 298, 299), "of at least 299×299 because of its auxiliary head, not"),
    ],
)
def test_inputs_that_a_network_cannot_take_are_refused(description, shape: tuple[int, ...], said: str):
    with pytest.raises(ValueError, match=said):
        description.build(shape, 10)

"""Every network by its name; its file is imported when it is first asked for."""

import functools
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from widthwise.networks.description import NetworkDescription

NETWORKS = {
    "mlp": "widthwise.networks.mlp:MLPDescription",
    "alexnet": "widthwise.networks.alexnet:AlexNetDescription",
    "resnet56": "widthwise.networks.resnet56:ResNet56Description",
    "resnet18": "widthwise.networks.resnet18:ResNet18Description",
    "inception-v3": "widthwise.networks.inception_v3:InceptionV3Description",
    "own": "widthwise.networks.own_network:OwnNetwork",
}
DEFAULT, OWN = "mlp", "own"


def network_name(settings: Mapping[str, Any]) -> Any:
    """The name of the network of some settings: a user's own if they name a factory, otherwise `mlp`."""
    return settings.get("name", OWN if "factory" in settings else DEFAULT)


@functools.cache
def description_class(name: str) -> type[NetworkDescription]:
    """The class of a network's description.

    Raises:
        KeyError: there is no such network.
    """
    module, _, class_name = NETWORKS[name].partition(":")
    return getattr(import_module(module), class_name)


def paper_recipe(name: str) -> dict[str, Any]:
    """The paper's recipe for a network, section by section; empty if the network is not the paper's."""
    return description_class(name).recipe if name in NETWORKS else {}


def described(settings: Any) -> Any:
    """The description that belongs to a mapping of settings; anything else is returned as it is.

    Raises:
        ValidationError: there is no such network, or it has no such settings.
    """
    if not isinstance(settings, Mapping):
        return settings
    name = network_name(settings)
    if not isinstance(name, str) or name not in NETWORKS:
        known = ", ".join(repr(each) for each in NETWORKS if each != OWN)
        problem = PydanticCustomError("unknown_network", f"input should be {known}")  # pyright: ignore
        error: InitErrorDetails = {"type": problem, "loc": ("name",), "input": name}
        raise ValidationError.from_exception_data("NetworkDescription", [error])
    return description_class(name).model_validate({"name": name, **settings})


AnyNetwork = Annotated[SerializeAsAny[NetworkDescription], BeforeValidator(described)]
"""A field that holds any network's description."""

"""The base of every network's description: its settings, and all that the rest of the program needs to know."""

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import PositiveFloat, model_validator

from widthwise.config import Config

if TYPE_CHECKING:  # PyTorch takes long to import
    from torch import nn

Shape = tuple[int, ...] | dict[str, tuple[int, ...]]
"""The shape of one input; for inputs with several parts, that of each by its name."""

Activation = Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"]
"""The nonlinearity after every layer; a leaky ReLU has slope 0.01 below zero, and GELU is exact."""

Construction = Literal["small", "both", "removable", "repeated", "dead"]
"""A network of Section 2.3, built from a trained small one with hidden activity u and output weights w. small: that
network itself. both: [u, u] with [w, 0]. removable: [u, v] with [w, 0], v uncorrelated. repeated: [u, u] with
[w/2 + η, w/2 - η]. dead: [u, 0] with [w, 0]."""


def scaled_units(units: int, width_factor: float) -> int:
    """The number of units that a layer of `units` at 1x has at `width_factor`, rounded half up.

    Raises:
        ValueError: the layer would be left without units.
    """
    scaled = math.floor(units * width_factor + 0.5)
    if scaled < 1:
        raise ValueError(
            f"width factor {width_factor:g} leaves a layer of {units} units at 1x without units; "
            f"it must be at least {0.5 / units:g}"
        )
    return scaled


class NetworkDescription(Config):
    """A network and its width. A network is one file, which holds its description and its module, and one entry in
    `networks.catalogue`."""

    title: ClassVar[str]
    """Its name in tables and captions."""
    recipe: ClassVar[dict[str, dict[str, Any]]] = {}
    """The paper's recipe, for the sections `initialization`, `data` and `training` of a trial; fields that it leaves
    out have their defaults."""
    normalized: ClassVar[bool] = False
    """Whether it has batch normalization."""
    stackable: ClassVar[bool] = False
    """Whether several copies can be trained as one stack."""
    shapes_in_words: ClassVar[str]
    """The shapes of inputs that it takes."""

    name: str
    """The name in that entry."""
    width_factor: PositiveFloat = 1.0
    """Multiplies the units of every layer."""

    @property
    @abstractmethod
    def measured_layers(self) -> tuple[str, ...] | None:
        """The modules whose units are measured; None: `profile` finds them."""

    @property
    def varied_layers(self) -> tuple[str, ...] | None:
        """The measured layers whose units the width factor multiplies; None: all of them."""
        return None

    @abstractmethod
    def takes(self, shape: Shape) -> bool:
        """Whether it takes inputs of `shape`."""

    def check_shape(self, shape: Shape) -> None:
        """Check that it can take inputs of `shape`.

        Raises:
            ValueError: it cannot.
        """
        if not self.takes(shape):
            raise ValueError(f"the network {self.called} takes inputs of shape {self.shapes_in_words}, not {shape}")

    def check_construction(self) -> None:
        """Check that the constructions of Section 2.3 can be built from it.

        Raises:
            ValueError: they cannot.
        """
        raise ValueError(f"construction is for the network mlp, not {self.called}")

    def build(self, shape: Shape, classes: int) -> "nn.Module":
        """The network, with initial weights as PyTorch or its own code draws them.

        Args:
            shape: the shape of one input.
            classes: the number of labels.

        Raises:
            ValueError: it cannot take inputs of that shape.
        """
        self.check_shape(shape)
        return self.module(shape, classes)

    @abstractmethod
    def module(self, shape: Shape, classes: int) -> "nn.Module":
        """The network for inputs of a shape that it takes."""

    @property
    def called(self) -> str:
        """The network in messages and tables: the name in the catalogue."""
        return self.name


class PublishedNetwork(NetworkDescription):
    """A network of the paper (Table 1), whose layers' units at 1x are published."""

    activation: Activation = "relu"
    """Replaces every ReLU."""

    @property
    @abstractmethod
    def narrowest(self) -> int:
        """The units at 1x of the narrowest layer that is scaled."""

    @model_validator(mode="after")
    def _every_layer_has_units(self):
        scaled_units(self.narrowest, self.width_factor)
        return self


def is_colour_image(shape: Shape) -> bool:
    """Whether `shape` is `(3, height, width)`."""
    return isinstance(shape, tuple) and len(shape) == 3 and shape[0] == 3

"""One training run, fully resolved."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError, model_validator

from widthwise.config import TRIAL_FORMAT, Config, Since
from widthwise.data.source import Source, TeacherData
from widthwise.errors import RequestError
from widthwise.experiments.overlay import overlaid
from widthwise.files import digest
from widthwise.measurement.settings import Measurement
from widthwise.networks.catalogue import AnyNetwork, described, network_name, paper_recipe
from widthwise.networks.description import Construction, NetworkDescription, PublishedNetwork
from widthwise.networks.scheme import Initialization
from widthwise.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

RESULTS_VERSION = 4
"""Part of every trial's id. It increases when the same settings begin to give other numbers."""

NOT_FOR_STACKS = ("augmentation", "colour_augmentation", "precision", "compile", "micro_batch_size")
"""Settings of training that stacks do not have."""
MEASURED = {"measurement": {"protocols": ["text", "figures"]}}
"""What every trial measures unless it says otherwise."""
REMEMBERED = 10_000
"""Number of the latest trials whose ids are kept, not computed again."""


class Trial(Config):
    """Everything that determines the result of a training run, and nothing else.

    Fields left out of `initialization`, `data` and `training` are those of the paper's recipe for the network.
    """

    network: AnyNetwork = Field(default_factory=lambda: described({}))
    initialization: Initialization = Initialization(scheme="normal", standard_deviation=0.01)
    data: Source = TeacherData()
    training: Recipe = Recipe()
    construction: Construction | None = None
    """Measure this network of Section 2.3, built from the trained one, instead of the trained one itself."""
    measurement: Measurement = Measurement(protocols=("text", "figures"))
    """The options of the two measures; removability is measured in both protocols unless it says otherwise."""
    compressibility: Annotated[bool, Since(5)] = False
    """Find out, too, how small the trained network can be made while 95% of its labels stay."""
    seed: Annotated[int, Field(ge=0)] = 0
    """The seed of the initial weights, the order of examples and the measurement's draws."""

    @model_validator(mode="before")
    @classmethod
    def _laid_over_the_recipe(cls, content: Any) -> Any:
        if not isinstance(content, Mapping):
            return content
        return overlaid({**_recipe(content.get("network", {})), **MEASURED}, content)

    @model_validator(mode="after")
    def _sections_fit_together(self):
        if self.data.shape is not None:
            self.network.check_shape(self.data.shape)
        if self.construction is not None:
            self.network.check_construction()
            if not self.stackable:
                raise ValueError("construction is for teacher data")
        for name in ("augmentation", "colour_augmentation"):
            if getattr(self.training, name) and not self.data.augmentable:
                raise ValueError(f"training.{name} is for networks that learn images; leave it out")
        if self.data.training_examples is not None:
            self.training.batches_in_epoch(self.data.training_examples)
        self._check_named_layers()
        if self.stackable:
            defaults = Recipe.model_fields
            wrong = [name for name in NOT_FOR_STACKS if getattr(self.training, name) != defaults[name].default]
            if wrong:
                raise ValueError(
                    f"training.{wrong[0]} is for networks that are trained by themselves, such as those that learn "
                    "images; leave it out"
                )
        return self

    def _check_named_layers(self) -> None:
        """Check that the network has the layers that are named; a user's own is built, and so checked, only to run it.

        Raises:
            RequestError: it does not.
        """
        initialization, layers = self.initialization, self.training.weight_decay_layers
        named = initialization.layer_factors or initialization.biases or layers
        if named and self.data.shape is not None and isinstance(self.network, PublishedNetwork):
            from widthwise.networks.initialization import check_initialized_layers  # PyTorch, which imports slowly
            from widthwise.training.optimizer import decaying_weights

            network = _shapes_alone(self.network, self.data)
            check_initialized_layers(network, initialization)
            decaying_weights(self.training, network)

    @property
    def id(self) -> str:
        """A hash of the trial's content: equal trials have equal ids, wherever and whenever they run."""
        return _id(self)

    @property
    def stackable(self) -> bool:
        """Whether it can be trained in a stack with trials of its cohort."""
        return self.network.stackable and isinstance(self.data, TeacherData)

    @property
    def cohort(self) -> str:
        """The settings that it shares with the trials that it can train with: all but its random draws."""
        return _cohort(self)

    def record(self) -> dict[str, Any]:
        """The trial as plain data, with the version of its fields, as a store keeps it."""
        return {"trial_format": TRIAL_FORMAT, "trial": self.model_dump(mode="json")}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], source: str) -> "Trial":
        """The trial of a record. No file of a user's is read, and nothing of it is run.

        Raises:
            RequestError: the record has a newer format, or is damaged; the message names `source`.
        """
        found = record.get("trial_format", TRIAL_FORMAT)
        if found != TRIAL_FORMAT and not (isinstance(found, int) and 2 <= found < TRIAL_FORMAT):
            raise RequestError(
                f"{source} has fields of format {found} and this version of widthwise reads up to {TRIAL_FORMAT}; "
                "install a newer one"
            )
        try:
            return cls.model_validate(record["trial"])
        except (KeyError, ValidationError):
            raise RequestError(f"{source} is no trial that this version of widthwise reads") from None


def _recipe(network: object) -> dict[str, Any]:
    """The paper's recipe for a network; empty if there is no such network, which is reported elsewhere."""
    if isinstance(network, NetworkDescription):
        return type(network).recipe
    name = network_name(network) if isinstance(network, Mapping) else None
    return paper_recipe(name) if isinstance(name, str) else {}


@lru_cache(maxsize=64)
def _shapes_alone(network: PublishedNetwork, data: Source) -> "nn.Module":
    """The network of a trial, without memory for its weights."""
    import torch

    assert data.shape is not None
    with torch.device("meta"):
        return network.build(data.shape, data.classes or 1)


@lru_cache(maxsize=REMEMBERED)
def _id(trial: Trial) -> str:
    return digest({"results_version": RESULTS_VERSION, **trial.content()})[:16]


@lru_cache(maxsize=REMEMBERED)
def _cohort(trial: Trial) -> str:
    random = {"seed": True, "data": {"seed"}, "initialization": True, "construction": True}
    return json.dumps(trial.model_dump(mode="json", exclude=random), sort_keys=True)

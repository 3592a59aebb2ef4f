"""One training run, fully resolved."""

import hashlib
import json
from functools import lru_cache
from typing import Annotated

from pydantic import Field, model_validator

from widthwise.config import Config
from widthwise.data.source import Source, TeacherData
from widthwise.measurement.settings import Measurement
from widthwise.networks.architecture import Architecture, Construction, MLPArchitecture, check_shape
from widthwise.networks.scheme import Initialization
from widthwise.training.recipe import Recipe

RESULTS_VERSION = 2
"""Part of every trial's id. It grows when the same settings begin to give other numbers."""

FOR_IMAGES = ("augmentation", "precision", "compile", "micro_batch_size")
"""Settings of training that stacks of perceptrons do not have."""
REMEMBERED = 10_000
"""So many trials' ids are computed once."""


class Trial(Config):
    """Everything that decides what a training run gives, and nothing else."""

    network: Architecture = MLPArchitecture()
    initialization: Initialization = Initialization(scheme="normal", standard_deviation=0.01)
    data: Source = TeacherData()
    training: Recipe = Recipe()
    construction: Construction | None = None
    """Measure this network of Section 2.3, built from the trained one, instead of the trained one itself."""
    measurement: Measurement = Measurement()
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the initial weights, the order of examples and the measurement's draws."""

    @model_validator(mode="after")
    def _sections_fit_together(self):
        check_shape(self.network, self.data.shape)
        if self.construction is not None:
            network = self.network
            if not isinstance(network, MLPArchitecture):
                raise ValueError(f"construction is for the network mlp, not {network.name}")
            if (network.hidden_layers, network.activation) != (1, "relu"):
                raise ValueError(
                    "construction is for network.hidden_layers 1 and network.activation relu, "
                    f"not {network.hidden_layers} and {network.activation}"
                )
        if isinstance(self.data, TeacherData):
            defaults = Recipe.model_fields
            wrong = [name for name in FOR_IMAGES if getattr(self.training, name) != defaults[name].default]
            if wrong:
                raise ValueError(f"training.{wrong[0]} is for networks that learn images; leave it out")
        return self

    @property
    def id(self) -> str:
        """A hash of the trial's content: equal trials have equal ids, wherever and whenever they run."""
        return _id(self)

    @property
    def training_examples(self) -> int:
        """How many examples it trains on; of a set of images without a number, all that there are."""
        if self.data.train_examples is not None:
            return self.data.train_examples
        assert not isinstance(self.data, TeacherData)
        return self.data.available[0] - self.data.validation_examples

    @property
    def stackable(self) -> bool:
        """Whether it can train in a stack, with trials that differ in their random draws alone."""
        return isinstance(self.data, TeacherData) and isinstance(self.network, MLPArchitecture)

    @property
    def cohort(self) -> str:
        """What it shares with the trials that it can train with: all but its random draws."""
        return _cohort(self)


@lru_cache(maxsize=REMEMBERED)
def _id(trial: Trial) -> str:
    content = json.dumps({"results_version": RESULTS_VERSION, **trial.content()}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@lru_cache(maxsize=REMEMBERED)
def _cohort(trial: Trial) -> str:
    random = {"seed": True, "data": {"seed"}, "initialization": True, "construction": True}
    return json.dumps(trial.model_dump(mode="json", exclude=random), sort_keys=True)

"""How a network is trained (the table "Training" of the paper's Appendix A.1, as settings)."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from widthwise.section import Section


class ConstantRate(Section):
    """The learning rate stays as it is."""

    kind: Literal["constant"] = "constant"

    def factor(self, epoch: int) -> float:
        """What multiplies the learning rate in `epoch`, counted from 0."""
        return 1.0


class ExponentialDecay(Section):
    """The learning rate is multiplied by `rate` after every `every` epochs."""

    kind: Literal["exponential"]
    rate: PositiveFloat = 0.95
    every: PositiveInt = 1

    def factor(self, epoch: int) -> float:
        """What multiplies the learning rate in `epoch`, counted from 0."""
        return self.rate ** (epoch // self.every)


class StepDecay(Section):
    """The learning rate is multiplied by `rate` once before each of the epochs `at`, counted from 0."""

    kind: Literal["step"]
    rate: PositiveFloat = 0.1
    at: tuple[PositiveInt, ...]

    def factor(self, epoch: int) -> float:
        """What multiplies the learning rate in `epoch`, counted from 0."""
        return self.rate ** sum(epoch >= milestone for milestone in self.at)


Decay = Annotated[ConstantRate | ExponentialDecay | StepDecay, Field(discriminator="kind")]


class Recipe(Section):
    """Optimizer, learning rate and its decay, batches, and when to stop."""

    optimizer: Literal["momentum", "sgd", "adam", "rmsprop"] = "momentum"
    learning_rate: PositiveFloat = 0.01
    decay: Decay = ConstantRate()
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of the optimizers `momentum` and `rmsprop`; the others have none."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    batch_size: PositiveInt = 128
    epochs: PositiveInt = 50
    patience: PositiveInt | None = None
    """Stop after this many epochs without a better validation accuracy and keep the best epoch; none: run all epochs
    and keep the last."""

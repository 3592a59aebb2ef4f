"""The recipe of a training (the table "Training" of the paper's Appendix A.1, as settings)."""

import math
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from widthwise.config import Config, Since
from widthwise.errors import RequestError
from widthwise.wording import counted


class ConstantRate(Config):
    """The learning rate stays as it is."""

    kind: Literal["constant"] = "constant"

    def factor(self, epoch: int) -> float:
        """The factor of the learning rate in `epoch`, counted from 0."""
        return 1.0


class ExponentialDecay(Config):
    """The learning rate is multiplied by `rate` after every `every` epochs."""

    kind: Literal["exponential"]
    rate: PositiveFloat = 0.95
    every: PositiveInt = 1

    def factor(self, epoch: int) -> float:
        """The factor of the learning rate in `epoch`, counted from 0."""
        return self.rate ** (epoch // self.every)


class StepDecay(Config):
    """The learning rate is multiplied by `rate` once before each of the epochs `at`, counted from 0."""

    kind: Literal["step"]
    rate: PositiveFloat = 0.1
    at: tuple[PositiveInt, ...]

    def factor(self, epoch: int) -> float:
        """The factor of the learning rate in `epoch`, counted from 0."""
        return self.rate ** sum(epoch >= milestone for milestone in self.at)


OptimizerName = Literal["momentum", "nesterov", "sgd", "adam", "rmsprop", "adagrad", "adadelta"]
OPTIMIZERS: dict[OptimizerName, str] = {
    "momentum": "momentum",
    "nesterov": "Nesterov momentum",
    "sgd": "plain gradient descent (SGD)",
    "adam": "Adam",
    "rmsprop": "RMSProp",
    "adagrad": "AdaGrad",
    "adadelta": "AdaDelta",
}
"""Their names in sentences and as names of series."""
Decay = Annotated[ConstantRate | ExponentialDecay | StepDecay, Field(discriminator="kind")]


class Recipe(Config):
    """Optimizer, learning rate and its decay, batches, regularizers, precision, and when to stop."""

    optimizer: OptimizerName = "momentum"
    learning_rate: PositiveFloat = 0.01
    decay: Decay = ConstantRate()
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """For the optimizers `momentum`, `nesterov` (which needs some) and `rmsprop`; the others have none."""
    epsilon: PositiveFloat = 1e-8
    """Added by `adam`, `rmsprop`, `adagrad` and `adadelta` to the root that they divide by."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Applies to the weights of dense layers and convolutions; in a perceptron, also to its biases."""
    weight_decay_layers: Annotated[tuple[str, ...] | None, Since(4)] = None
    """Only the weights of these layers decay, and no biases. A layer is named by its path in the network or by the path
    of what it lies in; None: all layers."""
    batch_size: PositiveInt = 128
    scale: PositiveFloat = 1.0
    """The paper's k: multiplies the batch size and the learning rate together."""
    micro_batch_size: PositiveInt | None = None
    """Compute a batch's gradient in pieces of at most this many examples, for a batch that does not fit in memory.
    Batch normalization then works on each piece by itself."""
    batches_per_epoch: Annotated[PositiveInt | None, Since(4)] = None
    """The number of batches in an epoch, which does not train on the examples after them; None: all."""
    order: Annotated[Literal["shuffled", "fixed"], Since(4)] = "shuffled"
    """`shuffled`: the order of the examples is drawn afresh each epoch. `fixed`: it is that of the data, so that every
    epoch has the same batches."""
    epochs: NonNegativeInt = 50
    """With 0 the network is neither trained nor measured: its parameters and its arithmetic are counted."""
    stop_on: Literal["validation_accuracy", "train_accuracy"] = "validation_accuracy"
    """The accuracy that `patience` and `stop_at` use."""
    patience: PositiveInt | None = None
    """Stop after this many epochs without a better accuracy and keep the best epoch; None: run all epochs and keep the
    last."""
    stop_at: Annotated[float, Field(gt=0, le=1)] | None = None
    """Stop when the accuracy reaches this."""
    augmentation: bool = False
    """Crop and flip training images at random."""
    colour_augmentation: Annotated[bool, Since(4)] = False
    """Change brightness and contrast of training images at random, before they are standardized. Where each image is
    standardized by itself, brightness alone has no effect; contrast, which is around each channel's mean, has one."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Lightning Fabric's name: all in float32, or matrix products and convolutions in bfloat16."""
    compile: bool = False
    """Compile the network with `torch.compile`; the last digits of a result may differ."""
    keep_epochs: tuple[int, ...] = ()
    """Epochs whose networks are kept and measured besides the trial's own, counted from 1, or from the end with -1 for
    the last (Fig. B2)."""

    @model_validator(mode="after")
    def _fields_fit_together(self):
        if self.micro_batch_size is not None and self.micro_batch_size > self.scaled_batch_size:
            raise ValueError(
                f"micro_batch_size is {self.micro_batch_size} and the batch {self.scaled_batch_size}; "
                "it must be at most the batch"
            )
        if self.optimizer == "nesterov" and not self.momentum:
            raise ValueError("optimizer nesterov needs some momentum; sgd has none")
        if self.weight_decay_layers == ():
            raise ValueError("weight_decay_layers names no layer; leave it out, or set weight_decay to 0")
        wrong = [epoch for epoch in self.keep_epochs if not 1 <= abs(epoch) <= self.epochs]
        if wrong:
            raise ValueError(f"keep_epochs names epoch {wrong[0]}; there are 1 to {self.epochs}, or -1 for the last")
        return self

    @property
    def optimizer_in_words(self) -> str:
        """The optimizer as a series' name, for a sweep's `label: "{training.optimizer_in_words}"`."""
        return OPTIMIZERS[self.optimizer]

    @property
    def scaled_batch_size(self) -> int:
        """Examples in a batch."""
        return max(1, math.floor(self.batch_size * self.scale + 0.5))

    def batches_in_epoch(self, examples: int) -> int:
        """The number of batches in an epoch on a training set of `examples`.

        Raises:
            RequestError: it has fewer than `batches_per_epoch`.
        """
        available = -(-examples // self.scaled_batch_size)
        if self.batches_per_epoch is None:
            return available
        if self.batches_per_epoch > available:
            has = f"{counted(available, 'batch', 'batches')} of {self.scaled_batch_size:,}"
            raise RequestError(
                f"it is {self.batches_per_epoch:,} and the training set has only {has}; set it to less",
                field="training.batches_per_epoch",
            )
        return self.batches_per_epoch

    def examples_in_epoch(self, examples: int) -> int:
        """The number of examples that an epoch trains on, of a training set of `examples`.

        Raises:
            RequestError: as for `batches_in_epoch`.
        """
        return min(examples, self.batches_in_epoch(examples) * self.scaled_batch_size)

    def rate(self, epoch: int) -> float:
        """The learning rate in `epoch`, counted from 0."""
        return self.learning_rate * self.scale * self.decay.factor(epoch)

    @property
    def kept_epochs(self) -> frozenset[int]:
        """`keep_epochs`, all counted from 1."""
        return frozenset(epoch if epoch > 0 else self.epochs + 1 + epoch for epoch in self.keep_epochs)

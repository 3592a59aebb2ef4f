"""The time that a network by itself takes, estimated from a few steps and a prediction."""

import itertools
import time
from dataclasses import replace

import torch
from torch import nn

from widthwise.data.dataset import Dataset, Split
from widthwise.data.examples import ResidentExamples, of_each
from widthwise.data.resident import ResidentImages
from widthwise.execution.cost import trial_arithmetic
from widthwise.execution.datasets import Extent, extent, load_dataset
from widthwise.execution.machine import Machine, computing
from widthwise.execution.outcome import TRAINING_EXAMPLES_EVALUATED, SplitInputs, predicted_by
from widthwise.execution.processes import fabric_on
from widthwise.experiments.trial import Trial
from widthwise.measurement.profile import layers, profile
from widthwise.networks.build import build_initialized
from widthwise.networks.own_network import called
from widthwise.training.evaluation import SINGLE_BATCH
from widthwise.training.loop import train

TIMED_FLOPS = 4e11
"""A timing uses about this much arithmetic at most, unless the fewest examples that it needs take more."""
MORE_BATCHES = 8
"""An epoch with this many more batches separates the time of a batch from the fixed time of an epoch."""
RUNS = 4
"""Epochs of such a timing; the fastest but the first counts."""
SHARE_THAT_FOLLOWS = 0.5
"""Share of a network that follows one of its layers, on average."""
FEWEST = 2


def seconds_alone(trial: Trial, machine: Machine) -> float:
    """Seconds to train a trial's network for all of its epochs, and to measure it; reading files is not counted.

    Data in files is not read: the same number of random images replaces it.
    """
    recipe, data = trial.training, extent(trial.data, machine)
    cost = trial_arithmetic(trial, machine)
    count = _affordable(recipe.scaled_batch_size, cost.training_flops)
    cheap = RUNS * MORE_BATCHES * count * cost.training_flops < TIMED_FLOPS
    batches, in_epoch = recipe.batches_in_epoch(data.train), recipe.examples_in_epoch(data.train)
    network = build_initialized(trial.network, trial.initialization, data.shape, data.classes, trial.seed)
    with computing(machine.threads):
        fabric = fabric_on(replace(machine, processes=1), recipe.precision)

        def epoch(number: int) -> float:
            """Seconds of an epoch of `number` batches, each of `count` examples."""
            short = recipe.model_copy(
                update={
                    "batch_size": count,
                    "scale": 1.0,
                    "epochs": RUNS if cheap else 2,
                    "micro_batch_size": None,
                    "keep_epochs": (),
                    "batches_per_epoch": None,
                }
                | {"patience": None, "stop_at": None, "learning_rate": 1e-9}
            )
            examples, few = (_examples(trial, data, each, machine) for each in (number * count, FEWEST))
            timed = Dataset(examples, few, few, data.classes, data.shape)
            seconds = train(network, timed, short, trial.seed, fabric).history["seconds"]
            return min(after - before for before, after in itertools.pairwise(seconds))

        one = epoch(1)
        if cheap:
            of_a_batch = max(epoch(1 + MORE_BATCHES) - one, 0.0) / MORE_BATCHES
            an_epoch = max(one - of_a_batch, 0.0) + of_a_batch * batches
        else:
            an_epoch = one / count * in_epoch
        network.to(machine.device).eval()
        predicted, measured = _seconds_to_measure(trial, network, data, cost.forward_flops, machine)
    an_epoch += predicted * data.validation
    if machine.device != "cpu":
        an_epoch /= machine.processes  # a GPU each
    evaluated = predicted * (min(data.train, TRAINING_EXAMPLES_EVALUATED) + data.validation + data.test)
    return an_epoch * recipe.epochs + evaluated + measured * (1 + len(recipe.keep_epochs))


def _seconds_to_measure(
    trial: Trial, network: nn.Module, data: Extent, flops: int, machine: Machine
) -> tuple[float, float]:
    """Seconds to predict one example, and to measure the network over its test set."""
    examples = _examples(trial, data, _affordable(SINGLE_BATCH, flops), machine)
    inputs = next(iter(examples.batches(len(examples))))[0]
    with torch.no_grad():
        called(network, inputs)  # what starts slowly
        _finish(machine)
        started = time.perf_counter()
        called(network, inputs)
        _finish(machine)
    predicted = (time.perf_counter() - started) / len(examples)
    found = getattr(network, "measured_layers", None)
    if found is None:
        number = int(layers(network, (inputs,), predict=predicted_by(trial))["measured"].sum())
    else:
        number = len(found)
    settings = trial.measurement
    together = 1 if "figures" in settings.protocols else 0  # ablations of all layers, which run nearly the whole
    curves = SHARE_THAT_FOLLOWS * number * len(settings.protocols) + together
    runs = ((settings.levels - 2) * settings.samplings + 2) * curves
    if runs * flops * data.test > TIMED_FLOPS:
        return predicted, predicted * runs * data.test
    test = SplitInputs(_examples(trial, data, data.test, machine), SINGLE_BATCH)
    started = time.perf_counter()
    profile(network, test, settings=settings, predict=predicted_by(trial), seed=trial.seed)
    return predicted, time.perf_counter() - started


def _affordable(most: int, flops: int) -> int:
    """How many examples, of so much arithmetic each, a timing takes."""
    return max(FEWEST, min(most, int(TIMED_FLOPS / max(flops, 1))))


def _finish(machine: Machine) -> None:
    """Wait for the work that was started on a GPU."""
    if machine.device != "cpu":
        torch.cuda.synchronize(machine.device)


def _examples(trial: Trial, data: Extent, count: int, machine: Machine) -> Split:
    """`count` of the trial's examples, repeated if it has fewer; for data in files, random images."""
    device = torch.device(machine.device)
    if not trial.data.on_disk:
        train = load_dataset(trial.data, machine, None).train
        inputs, labels = next(iter(train.batches(min(count, len(train)))))
        again = torch.arange(count, device=labels.device) % len(labels)
        return ResidentExamples(of_each(inputs, lambda part: part[again]), labels[again], device)
    stream = torch.Generator().manual_seed(0)
    assert isinstance(data.shape, tuple), "images have one shape"
    images = torch.randint(256, (count, *data.shape), generator=stream, dtype=torch.uint8)
    labels = torch.randint(data.classes, (count,), generator=stream)
    return ResidentImages(images, labels, device, getattr(trial.data, "crop", None))

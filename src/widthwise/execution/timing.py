"""The time that a network by itself takes, estimated from a few steps and a prediction."""

import time
from dataclasses import replace

import torch

from widthwise.data.dataset import Dataset, Split
from widthwise.data.examples import ResidentExamples
from widthwise.data.resident import ResidentImages
from widthwise.execution.datasets import Extent, extent, load_dataset
from widthwise.execution.machine import Machine, computing
from widthwise.execution.processes import fabric_on
from widthwise.experiments.trial import Trial
from widthwise.measurement.profile import layers
from widthwise.networks.build import build_initialized
from widthwise.networks.cost import arithmetic
from widthwise.training.evaluation import called
from widthwise.training.loop import train

TIMED_FLOPS = 4e11
"""A timing uses as many examples as this much arithmetic allows, and at most a batch."""
RUNS_OF_A_MEASUREMENT = 17
"""Runs of what follows a layer: 5 levels with some but not all units dropped, in 3 samplings, and 2 whole runs."""
SHARE_THAT_FOLLOWS = 0.5
"""Share of a network that follows one of its layers, on average."""
FEWEST = 2


def seconds_alone(trial: Trial, machine: Machine) -> float:
    """Seconds to train a trial's network for all of its epochs, and to measure it; reading files is not counted.

    Data in files is not read: the same number of random images replaces it.
    """
    recipe, data = trial.training, extent(trial.data, machine)
    cost = arithmetic(trial.network, data.shape, data.classes)
    count = max(FEWEST, min(recipe.scaled_batch_size, int(TIMED_FLOPS / max(cost.training_flops, 1))))
    examples, few = (_examples(trial, data, number, machine) for number in (count, FEWEST))
    batch = len(examples)
    short = recipe.model_copy(
        update={"batch_size": batch, "scale": 1.0, "epochs": 2, "micro_batch_size": None, "keep_epochs": ()}
        | {"patience": None, "stop_at": None, "learning_rate": 1e-9}
    )
    dataset = Dataset(examples, few, few, data.classes, data.shape)
    network = build_initialized(trial.network, trial.initialization, data.shape, data.classes, trial.seed)
    with computing(machine.threads):
        fabric = fabric_on(replace(machine, processes=1), recipe.precision)
        first, second = train(network, dataset, short, trial.seed, fabric).history["seconds"]
        trained = (second - first) / batch * data.train
        inputs = next(iter(examples.batches(batch)))[0]
        network.to(machine.device).eval()
        with torch.no_grad():
            called(network, inputs)  # what starts slowly
            _finish(machine)
            started = time.perf_counter()
            called(network, inputs)
            _finish(machine)
        predicted = (time.perf_counter() - started) / batch
        found = getattr(network, "measured_layers", None)
        number = len(layers(network, (inputs,)) if found is None else found)
    measured = predicted * RUNS_OF_A_MEASUREMENT * SHARE_THAT_FOLLOWS * number
    an_epoch = trained + predicted * data.validation
    if machine.device != "cpu":
        an_epoch /= machine.processes  # a GPU each
    return an_epoch * recipe.epochs + measured * data.test * (1 + len(recipe.keep_epochs))


def _finish(machine: Machine) -> None:
    """Wait for the work that was started on a GPU."""
    if machine.device != "cpu":
        torch.cuda.synchronize(machine.device)


def _examples(trial: Trial, data: Extent, count: int, machine: Machine) -> Split:
    """A few of the trial's examples; for data in files, random images."""
    device = torch.device(machine.device)
    if not trial.data.on_disk:
        inputs, labels = next(iter(load_dataset(trial.data, machine, None).train.batches(count)))
        return ResidentExamples(inputs, labels, device)
    stream = torch.Generator().manual_seed(0)
    assert isinstance(data.shape, tuple), "images have one shape"
    images = torch.randint(256, (count, *data.shape), generator=stream, dtype=torch.uint8)
    labels = torch.randint(data.classes, (count,), generator=stream)
    return ResidentImages(images, labels, device)

"""How long a trial on images takes, from a few steps and a measurement on random images."""

import time
from dataclasses import replace

import torch

from widthwise.data.dataset import Dataset
from widthwise.data.resident import ResidentImages
from widthwise.data.source import TeacherData
from widthwise.execution.machine import Machine, computing
from widthwise.execution.single_networks import fabric_for, initialized
from widthwise.experiments.trial import Trial
from widthwise.networks.cost import arithmetic
from widthwise.training.loop import train

TIMED_FLOPS = 4e11
"""A timing is of as many images as this much arithmetic allows, and at most a batch."""
RUNS_OF_A_MEASUREMENT = 17
"""Of what follows a layer: 5 levels that are neither none nor all of the units, 3 samplings, and the whole twice."""
SHARE_THAT_FOLLOWS = 0.5
"""Of a network, behind one of its layers, on average."""
FEWEST = 2


def seconds_on_images(trial: Trial, machine: Machine) -> float:
    """Seconds to train a trial's network for all of its epochs, and to measure it; reading files is not counted."""
    assert not isinstance(trial.data, TeacherData)
    recipe, cost = trial.training, arithmetic(trial.network, trial.data.shape, trial.data.classes)
    batch = _within(TIMED_FLOPS / cost.training_flops, recipe.scaled_batch_size)
    short = recipe.model_copy(
        update={"batch_size": batch, "scale": 1.0, "epochs": 2, "micro_batch_size": None, "keep_epochs": ()}
        | {"patience": None, "stop_at": None, "learning_rate": 1e-9}
    )
    images, few = _random_images(trial, batch, machine), _random_images(trial, FEWEST, machine)
    dataset = Dataset(images, few, few, trial.data.classes, trial.data.shape, "random images")
    network = initialized(trial, dataset)
    with computing(machine.threads):
        fitted = train(network, dataset, short, trial.seed, fabric_for(trial, replace(machine, processes=1)))
        first, second = fitted.history["seconds"]
        trained = (second - first) / batch * trial.training_examples
        inputs = next(images.batches(batch))[0]
        network.to(machine.device).eval()
        with torch.no_grad():
            network(inputs)  # what starts slowly
            started = time.perf_counter()
            network(inputs).sum().item()
        predicted = (time.perf_counter() - started) / len(inputs)
        runs = RUNS_OF_A_MEASUREMENT * SHARE_THAT_FOLLOWS * len(network.measured_layers)  # pyright: ignore
        measured = predicted * runs
    examples = trial.data.test_examples or trial.data.available[1]
    an_epoch = trained + predicted * trial.data.validation_examples
    if machine.device != "cpu":
        an_epoch /= machine.processes  # a GPU each
    return an_epoch * recipe.epochs + measured * examples * (1 + len(recipe.keep_epochs))


def _within(number: float, most: int) -> int:
    return max(FEWEST, min(most, int(number)))


def _random_images(trial: Trial, count: int, machine: Machine) -> ResidentImages:
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, *trial.data.shape), generator=stream, dtype=torch.uint8)
    labels = torch.randint(trial.data.classes, (count,), generator=stream)
    return ResidentImages(images, labels, torch.device(machine.device))

"""Teacher data (Section 3, "Datasets"): normal inputs, labelled by a random network that is not one-sided."""

import torch
from torch import nn

from widthwise.data.dataset import Dataset
from widthwise.data.examples import ResidentExamples
from widthwise.data.labels import partly_random
from widthwise.data.source import TeacherData
from widthwise.networks.build import build_initialized
from widthwise.networks.mlp import MLPDescription
from widthwise.networks.scheme import Initialization
from widthwise.randomness import generator, seed_sequence

CLASSES = 2
TEACHER = MLPDescription(width_factor=0.25)
TEACHER_INITIALIZATION = Initialization(scheme="normal", standard_deviation=0.01)
BALANCE = (0.4, 0.6)
"""The share of random inputs that each label must cover."""
BALANCE_EXAMPLES = 2000


@torch.no_grad()
def draw_teacher(dimensions: int, seed: int) -> nn.Module:
    """A random 1/4x MLP, drawn again until each of its two labels covers 40–60% of random inputs."""
    inputs = torch.randn(BALANCE_EXAMPLES, dimensions, generator=generator(seed, "balance"))
    attempt = 0
    while True:
        state = int(seed_sequence(seed, "teacher", attempt).generate_state(1)[0])
        teacher = build_initialized(TEACHER, TEACHER_INITIALIZATION, (dimensions,), CLASSES, state)
        share = teacher(inputs).argmax(1).float().mean().item()
        if BALANCE[0] <= share <= BALANCE[1]:
            return teacher
        attempt += 1


@torch.no_grad()
def teacher_data(source: TeacherData, device: torch.device | None = None) -> Dataset:
    """Inputs from N(0, I) and the labels that a balanced random teacher gives them, some replaced by random ones.

    The same source produces the same data, and its training examples do not depend on the sizes of the other splits.
    """
    teacher = draw_teacher(source.dimensions, source.seed)

    def split(name: str, examples: int) -> ResidentExamples:
        inputs = torch.randn(examples, source.dimensions, generator=generator(source.seed, name))
        labels = partly_random(teacher(inputs).argmax(1), source, name, source.classes)
        return ResidentExamples(inputs, labels, device)

    return Dataset(
        train=split("train", source.train_examples),
        validation=split("validation", source.validation_examples),
        test=split("test", source.test_examples),
        classes=CLASSES,
        shape=source.shape,
    )

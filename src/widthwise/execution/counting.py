"""Trials without training, whose parameters and arithmetic are counted."""

from widthwise.execution.machine import Machine
from widthwise.experiments.store import Outcome
from widthwise.experiments.trial import Trial


def is_counted(trial: Trial) -> bool:
    """Whether a trial is only counted, not trained."""
    return trial.training.epochs == 0


def counted(trial: Trial, machine: Machine) -> Outcome:
    """The outcome of such a trial."""
    from widthwise.execution.cost import trial_arithmetic  # PyTorch

    cost = trial_arithmetic(trial, machine)
    flops = {"forward_flops": cost.forward_flops, "training_flops": cost.training_flops}
    return Outcome("counted", {"parameters": cost.parameters, **flops})

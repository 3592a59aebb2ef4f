"""Removable and repeated units in neural networks: measure them in any network, and test how they grow with width."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from widthwise.errors import RequestError as RequestError
    from widthwise.errors import TrialError as TrialError
    from widthwise.execution.train import train as train
    from widthwise.experiments.store import Store as Store
    from widthwise.experiments.sweep import Sweep as Sweep
    from widthwise.experiments.trial import Trial as Trial
    from widthwise.measurement.profile import layers as layers
    from widthwise.measurement.profile import profile as profile
    from widthwise.measurement.result import Profile as Profile
    from widthwise.measurement.settings import Measurement as Measurement
    from widthwise.reporting.report import report as report
    from widthwise.tracing.layer import Layer as Layer
    from widthwise.workflow import run as run

_PLACES = {
    "Layer": "widthwise.tracing.layer",
    "Measurement": "widthwise.measurement.settings",
    "Profile": "widthwise.measurement.result",
    "RequestError": "widthwise.errors",
    "Store": "widthwise.experiments.store",
    "Sweep": "widthwise.experiments.sweep",
    "Trial": "widthwise.experiments.trial",
    "TrialError": "widthwise.errors",
    "layers": "widthwise.measurement.profile",
    "profile": "widthwise.measurement.profile",
    "report": "widthwise.reporting.report",
    "run": "widthwise.workflow",
    "train": "widthwise.execution.train",
}

__all__ = [
    "Layer",
    "Measurement",
    "Profile",
    "RequestError",
    "Store",
    "Sweep",
    "Trial",
    "TrialError",
    "layers",
    "profile",
    "report",
    "run",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import widthwise` costs nothing."""
    if name not in _PLACES:
        raise AttributeError(f"module 'widthwise' has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value

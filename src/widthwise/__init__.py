"""Removable and repeated units in neural networks: measure them in any network, and test how they grow with width."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from widthwise.compression.compress import compress as compress
    from widthwise.compression.compress import frontier as frontier
    from widthwise.compression.compressed import Compressed as Compressed
    from widthwise.compression.files import load_compressed as load_compressed
    from widthwise.compression.plan import CompressionPlan as CompressionPlan
    from widthwise.compression.plan import compression_plan as compression_plan
    from widthwise.compression.what_can_go import what_can_go as what_can_go
    from widthwise.errors import RequestError as RequestError
    from widthwise.errors import TrialError as TrialError
    from widthwise.execution.machine import Machine as Machine
    from widthwise.execution.train import Trained as Trained
    from widthwise.execution.train import train as train
    from widthwise.experiments.store import Store as Store
    from widthwise.experiments.store_copy import Copied as Copied
    from widthwise.experiments.store_copy import copy_store as copy_store
    from widthwise.experiments.sweep import Sweep as Sweep
    from widthwise.experiments.trial import Trial as Trial
    from widthwise.measurement.plan import Plan as Plan
    from widthwise.measurement.plan import plan as plan
    from widthwise.measurement.profile import layers as layers
    from widthwise.measurement.profile import profile as profile
    from widthwise.measurement.result import Profile as Profile
    from widthwise.measurement.settings import Measurement as Measurement
    from widthwise.progress import Progress as Progress
    from widthwise.reporting.report import Report as Report
    from widthwise.reporting.report import report as report
    from widthwise.tracing.layer import Layer as Layer
    from widthwise.workflow import SweepResult as SweepResult
    from widthwise.workflow import run as run

    __version__: str

_MODULES = {
    "Compressed": "widthwise.compression.compressed",
    "CompressionPlan": "widthwise.compression.plan",
    "Copied": "widthwise.experiments.store_copy",
    "Layer": "widthwise.tracing.layer",
    "Machine": "widthwise.execution.machine",
    "Measurement": "widthwise.measurement.settings",
    "Plan": "widthwise.measurement.plan",
    "Profile": "widthwise.measurement.result",
    "Progress": "widthwise.progress",
    "Report": "widthwise.reporting.report",
    "RequestError": "widthwise.errors",
    "Store": "widthwise.experiments.store",
    "Sweep": "widthwise.experiments.sweep",
    "SweepResult": "widthwise.workflow",
    "Trained": "widthwise.execution.train",
    "Trial": "widthwise.experiments.trial",
    "TrialError": "widthwise.errors",
    "compress": "widthwise.compression.compress",
    "compression_plan": "widthwise.compression.plan",
    "copy_store": "widthwise.experiments.store_copy",
    "frontier": "widthwise.compression.compress",
    "layers": "widthwise.measurement.profile",
    "load_compressed": "widthwise.compression.files",
    "plan": "widthwise.measurement.plan",
    "profile": "widthwise.measurement.profile",
    "report": "widthwise.reporting.report",
    "run": "widthwise.workflow",
    "train": "widthwise.execution.train",
    "what_can_go": "widthwise.compression.what_can_go",
}
"""The module that defines each public name. It is imported when the name is first used."""

__all__ = list(_MODULES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import widthwise` costs nothing."""
    if name == "__version__":
        from importlib.metadata import version

        value = version("widthwise")
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module 'widthwise' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, whether they have been used or not."""
    return [*__all__, "__version__"]

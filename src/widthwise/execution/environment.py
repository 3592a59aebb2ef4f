"""The environment that a result may depend on besides its trial: versions, the processor, the commit."""

import functools
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


@functools.cache
def environment(device: str = "cpu", threads: int = 1, processes: int = 1) -> dict[str, str]:
    """Versions of the libraries, the machine, the GPU if one is used, processes, threads of each, and the commit of a
    git checkout."""
    packages = {name: version(name) for name in ("widthwise", "torch", "numpy")}
    return {
        **packages,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": _processor(),
        "system": platform.system(),
        "device": device,
        **_accelerator(device),
        "threads": str(threads),
        "processes": str(processes),
        "commit": _commit(),
    }


def _accelerator(device: str) -> dict[str, str]:
    if not device.startswith("cuda"):
        return {}
    import torch

    return {"accelerator": torch.cuda.get_device_name(device)}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _commit() -> str:
    """The commit of the checkout that this package lies in; empty for an installed package."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return ""
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()

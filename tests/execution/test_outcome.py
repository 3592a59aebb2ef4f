"""The tables that a trial keeps of what it measured, against its weights before and after training."""

from pathlib import Path

import numpy as np
import pytest

from widthwise.execution.runner import run_trials
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Sweep
from widthwise.networks.build import build_initialized


def test_the_change_of_each_unit_s_weights_is_from_the_initial_network(tmp_path: Path):
    trial = Sweep.load("mlp10-initialization").trials("smoke")[0]
    store = Store(tmp_path / "store")
    run_trials([trial], store, workers=0)
    initial = build_initialized(trial.network, trial.initialization, (10,), 2, trial.seed).state_dict()
    trained = store.network(trial.id)
    name = next(name for name, value in initial.items() if value.ndim == 2)  # a stored network has no order
    before, after = initial[name].numpy(), trained[name]
    expected = np.linalg.norm(after - before, axis=1) / np.linalg.norm(before, axis=1)
    units = store.table(trial.id, "units")
    assert units["weight_change"].tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert (expected > 0).all()
    assert store.table(trial.id, "layers")["weight_change"].tolist() == pytest.approx([expected.mean()], rel=1e-5)

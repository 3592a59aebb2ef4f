"""Every run of a sweep as a row, and of those that differ only in tuned values, the one that counts."""

from collections.abc import Sequence

import pandas as pd

from widthwise.experiments.settings import by_path
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import PlannedTrial

ENOUGH_ACCURACY = 0.95
"""A network with at least this training accuracy has fitted its training set."""
NEARLY_BEST = 0.02
"""If none has fitted, networks within this much of the best training accuracy are eligible."""
ROUNDING = 1e-9
NETWORK = ["series", "width_factor", "replicate"]


def collect(store: Store, runs: Sequence[PlannedTrial]) -> pd.DataFrame:
    """One row per run: `series, width_factor, replicate`, tuned values, `trial`, `status` and the trial's results.

    `status` is `trained`, `diverged`, `counted` (not to be trained) or `missing`: not run, not finished, or damaged.
    The order is the sweep's.
    """
    finished = store.inspect([run.trial for run in runs]).finished
    rows = []
    for run in runs:
        outcome = finished.get(run.trial.id, {"status": "missing", "results": {}})
        rows.append(
            {
                "series": run.series,
                "width_factor": run.width_factor,
                "replicate": run.replicate,
                **run.tuned,
                **({"construction": run.trial.construction} if run.trial.construction else {}),
                "trial": run.trial.id,
                "status": outcome["status"],
                **outcome["results"],
            }
        )
    return pd.DataFrame(rows)


def settings_of(runs: Sequence[PlannedTrial]) -> pd.DataFrame:
    """One row per trial: `trial`, and every field of its settings by its path, missing if it has no such field."""
    trials = {run.trial.id: run.trial for run in runs}
    table = pd.DataFrame([by_path(trial.model_dump(mode="json")) for trial in trials.values()], dtype=object)
    return table.assign(trial=list(trials))


def choose(runs: pd.DataFrame) -> pd.DataFrame:
    """For each series, width and replicate, the trained run that counts.

    It is the one with the best validation accuracy among the networks that fit their training set: a training
    accuracy of at least 0.95 or, where no run reaches that, within 0.02 of the best one's. On a hard task, choosing by
    validation accuracy alone would select collapsed networks. Ties go to the better training accuracy, then to the
    first run. Where a run is missing, the best is not known yet and none counts.
    """
    missing = (runs["status"] == "missing").groupby([runs[name] for name in NETWORK]).transform("any")
    trained = runs[~missing & (runs["status"] == "trained")]
    if trained.empty:
        return trained
    best = trained.groupby(NETWORK)["train_accuracy"].transform("max")
    enough = best.sub(NEARLY_BEST + ROUNDING).where(best < ENOUGH_ACCURACY, ENOUGH_ACCURACY)
    eligible = trained[trained["train_accuracy"] >= enough]
    ranked = eligible.sort_values(["validation_accuracy", "train_accuracy"], ascending=False, kind="stable")
    return ranked.groupby(NETWORK).head(1).sort_index()

"""Recognizing that the report in a store is up to date: made from the same results, with all its files."""

from collections.abc import Sequence
from importlib.metadata import version

import pandas as pd

from widthwise.experiments.store import Store, StoredSweep
from widthwise.files import digest
from widthwise.measurement.settings import Protocol
from widthwise.reporting import paths
from widthwise.reporting.csv_tables import from_csv
from widthwise.reporting.look import Look
from widthwise.reporting.paths import FileFormat


def stamp(
    store: Store,
    sweeps: Sequence[StoredSweep],
    formats: Sequence[FileFormat],
    protocol: Protocol | None,
    look: Look,
) -> str:
    """A digest of all that a report is made from: the program's version, the sweeps, their trials' outcomes, and what
    its figures show and how they look."""
    made_from = [
        [sweep.model_dump(mode="json"), scale, other, store.outcome_digests(sweep.trials(scale))]
        for sweep, scale, other in sweeps
    ]
    return digest([version("widthwise"), sorted(formats), protocol, vars(look), made_from])


def read_tables(
    store: Store, stamp: str, formats: Sequence[FileFormat]
) -> tuple[dict[str, dict[str, pd.DataFrame]], dict[str, Protocol | None]] | None:
    """The tables of the existing report, and each experiment's protocol, if its stamp is `stamp` and all its files
    exist."""
    try:
        found = store.read_json(paths.STAMP)
        if found["stamp"] != stamp:
            return None
        store.read(paths.PAGE)
        drawn = [name.rpartition("/") for name in store.read_json(paths.FIGURES)["figures"]]
        files = [paths.figure(experiment, name, each) for experiment, _, name in drawn for each in formats]
        if not all(map(store.has, files)):
            return None
        tables = {
            key: {name: from_csv(store.read(paths.table(key, name))) for name in names}
            for key, names in found["tables"].items()
        }
        return tables, dict(found["protocols"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # not there, damaged, or of another format
        return None

"""The store: a folder, or any fsspec URL, of finished trials.

DIR/store.json                marks the folder as a store; the format, and the program's version
DIR/sweeps/NAME.SCALE.json    the sweeps that were run into it
           NAME@DIGEST.SCALE.json    an earlier version of a sweep, with other trials
DIR/trials/ID/trial.json      the resolved trial, and the environment that it ran in
              network.safetensors, history.parquet
              layers.parquet, removability.parquet, ablation.parquet, correlation.parquet, similarity.parquet,
              units.parquet: the tables of its profile
              network-epoch-N.safetensors, epochs.parquet, epochs_removability.parquet: other epochs that it keeps
              damaged.parquet: images that could not be decoded, and why
              checkpoint.safetensors: from which an unfinished trial continues
              outcome.json    written last: a trial without it is not finished, and is never read
DIR/data/NAME.json            the fingerprint of the image files that the trials were trained on
"""

import io
from collections.abc import Iterable, Mapping
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy

from widthwise.errors import RequestError
from widthwise.experiments import stored_sweeps
from widthwise.experiments.store_files import StoreFiles
from widthwise.experiments.stored_sweeps import StoredSweep
from widthwise.experiments.stored_trials import NETWORK, OUTCOME, TRIAL, Inspection, Outcome, as_files, inspected
from widthwise.experiments.sweep import Scale, Sweep
from widthwise.experiments.trial import Trial
from widthwise.files import digest

CHECKPOINT = "checkpoint.safetensors"


class Store(StoreFiles):
    """Finished trials at `location`, a folder or an fsspec URL.

    Raises:
        RequestError: the location cannot be reached, or holds other files than a store's, or a store of another format.
    """

    def save(self, trial: Trial, outcome: Outcome, environment: Mapping[str, str]) -> None:
        """Keep a finished trial."""
        folder = f"trials/{trial.id}"
        for name, content in as_files(trial, outcome, environment).items():
            self.write(f"{folder}/{name}", content)
        self.remove(self.checkpoint_of(trial.id))
        self.remove_partial(folder)

    def checkpoint_of(self, identity: str) -> str:
        """The name of the file from which an unfinished trial continues."""
        return f"trials/{identity}/{CHECKPOINT}"

    def inspect(self, trials: Iterable[Trial]) -> Inspection:
        """The `trials` that are finished and undamaged, and those that are damaged."""
        unique = {trial.id: trial for trial in trials}
        present = {name.rpartition("/")[2] for name in self.names("trials")}
        candidates = [trial for identity, trial in unique.items() if identity in present]
        finished, damaged = {}, {}
        results = self.each(lambda trial: inspected(self, trial.id), candidates)
        for trial, result in zip(candidates, results, strict=True):
            if isinstance(result, str):
                damaged[trial.id] = result
            elif result is not None:
                finished[trial.id] = result
        return Inspection(finished, damaged)

    def discard(self, identity: str) -> None:
        """Make a trial unfinished: remove its outcome first, then the rest."""
        self.remove(f"trials/{identity}/{OUTCOME}")
        self.remove_folder(f"trials/{identity}")

    def outcome_digests(self, trials: Iterable[Trial]) -> dict[str, str]:
        """The digests of the outcomes of those `trials` that have one, by id. No other file of a trial is read."""
        found = {}
        for identity in {trial.id: None for trial in trials}:
            with suppress(FileNotFoundError):
                found[identity] = digest(self.read(f"trials/{identity}/{OUTCOME}"))
        return found

    def table(self, identity: str, name: str) -> pd.DataFrame:
        """One of a trial's tables, such as `history` or `layers`."""
        return pq.read_table(io.BytesIO(self.read(f"trials/{identity}/{name}.parquet"))).to_pandas()

    def stacked(self, identities: Iterable[str], name: str) -> pd.DataFrame:
        """The same table of many trials, one below the other, with the trial's id in the column `trial`."""

        def read(identity: str) -> pa.Table:
            table = pq.read_table(io.BytesIO(self.read(f"trials/{identity}/{name}.parquet")), use_threads=False)
            return table.append_column("trial", pa.array([identity] * len(table), pa.string()))

        tables = self.each(read, list(identities))
        return pa.concat_tables(tables, promote_options="default").to_pandas()  # once, which takes longer than reading

    def trial(self, identity: str) -> Trial:
        """A trial by its id."""
        name = f"trials/{identity}/{TRIAL}"
        return Trial.from_record(self.read_json(name), self.path(name))

    def environment(self, identity: str) -> dict[str, str]:
        """The environment in which a trial ran: versions, device, commit."""
        return self.read_json(f"trials/{identity}/{TRIAL}")["environment"]

    def network(self, identity: str) -> dict[str, np.ndarray]:
        """A trained network's parameters by name.

        Raises:
            FileNotFoundError: the trial is not finished, or its network is gone.
            ValueError: the file is not the one that the trial wrote, or the trial has none.
        """
        outcome = self.read_json(f"trials/{identity}/{OUTCOME}")
        if NETWORK not in outcome["files"]:
            raise ValueError("its training diverged, or it was copied without its network")
        content = self.read(f"trials/{identity}/{NETWORK}")
        if digest(content) != outcome["files"][NETWORK]["sha256"]:
            raise ValueError(f"{NETWORK} of trial {identity} was changed after the trial ended")
        return safetensors.numpy.load(content)

    def add_sweep(self, sweep: Sweep, scale: Scale) -> None:
        """Record that `sweep` was run into this store.

        Another version of it, one with other trials, is kept under a name with its digest.
        """
        stored_sweeps.add_sweep(self, sweep, scale)

    def sweeps(self) -> list[StoredSweep]:
        """The sweeps that were run into this store, with their scales.

        Raises:
            RequestError: a sweep's file is damaged, or has another format.
        """
        return stored_sweeps.stored_sweeps(self)

    def data_files(self, name: str) -> str | None:
        """The fingerprint of the files of the data set `name` that trials were trained on, if there are any.

        Raises:
            RequestError: the record has another format.
        """
        try:
            return str(self.read_json(f"data/{name}.json")["fingerprint"])
        except RequestError:  # another format is no damage
            raise
        except (FileNotFoundError, ValueError, KeyError):
            return None

    def add_data_files(self, name: str, fingerprint: str) -> None:
        """Record the fingerprint of the files of the data set `name` that trials are trained on."""
        self.write_json(f"data/{name}.json", {"fingerprint": fingerprint})

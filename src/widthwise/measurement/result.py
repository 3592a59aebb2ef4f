"""`Profile`: the result of a measurement, as tidy tables, in memory and in a file."""

import io
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, TypedDict

import pandas as pd

from widthwise.errors import RequestError
from widthwise.files import write_whole

if TYPE_CHECKING:
    from widthwise.measurement.measured import Measured

FORMAT = 3
TABLES = ("layers", "removability", "ablation", "correlation", "similarity", "units", "pairs")
STATE_FILE = "state.safetensors"
ADDED_COLUMNS = {
    "layers": dict.fromkeys(("dormant_share", "rarely_active_share", "condensed_share", "weight_change"), "float64"),
    "units": {
        **{"rarely_active": "boolean", "dormancy": "float64", "dormant": "boolean"},
        **{"incoming_cosine": "float64", "aligned_units": "Int64", "weight_change": "float64"},
    },
}
"""Columns that files of this format lack if earlier versions wrote them; they are then missing throughout."""
DEGENERATE_SHARE = 0.99
"""A network that predicts one label for a larger share of the inputs has collapsed; its measures mean nothing."""


class AboutNetwork(TypedDict):
    """The network of a profile.

    model: the type of the network.
    replayed, reason: whether only what follows a layer was run again; if not, why.
    batches_as_given: why batches were neither cut nor joined; empty if they could be.
    all_run: why ablations were run for every example though a precision was asked for; empty if they were not.
    left_out: the nonlinearities that are not measured, each with its `name`, `kind` and `reason`.
    device: the device of the network.
    """

    model: str
    replayed: bool
    reason: str
    batches_as_given: str
    all_run: str
    left_out: list[dict[str, str]]
    device: str


class About(AboutNetwork):
    """The network of a profile, and how it was measured.

    classes: the number of possible labels.
    labels: the number of labels that were compared.
    settings: the fields of the `Measurement`.
    seed: the seed of the random draws.
    """

    classes: int
    labels: int
    settings: dict[str, object]
    seed: int


@dataclass(frozen=True, repr=False)
class Profile:
    """The use that a network makes of its units, as tables with one observation in each row.

    layers: a row for each layer in order of depth. `layer, units, auc, auc_std, auc_corrected, auc_corrected_std,
        similarity, similarity_std, dead_fraction, similarity_std_units, similarity_reference, redundancy_pca,
        dormant_share, rarely_active_share, condensed_share, weight_change`. AUC is the area under the layer's ablation
        curve, in [0, 1]; `auc_corrected` is the same on a scale where 0 is a network that answers at random once
        ablated; similarity is the mean number of other units that a unit resembles; the standard deviations are between
        samplings; `dead_fraction` is the share of constant units. The last four summarize `units`: the shares of units
        that are dormant, rarely active, and aligned with others, and the mean of `weight_change`.
    removability: `protocol, layer, auc, auc_std, auc_corrected, auc_corrected_std, prunability, prunability_std,
        precision`: a row for each protocol and layer; in protocol `figures` also one of all layers together, whose
        `layer` is empty. Prunability is the share of dropped units at which unchanged labels fall below 0.8 (or
        `prunability_threshold`); `precision` is the standard error of `auc` over examples and draws together.
    ablation: `layer, protocol, sampling, share_dropped, units_dropped, unchanged, labels, not_finite`: the proportion
        of labels that stayed, the number that was compared, and how many of these could not be formed, since scores
        were NaN or infinite after the ablation.
    correlation: `layer, sampling, low, high, pairs`: the number of pairs of units with |r| in [low, high).
    similarity: `layer, sampling, threshold, similarity`: similarity for several thresholds of |r|.
    units: a row for each unit: its activity, its incoming and outgoing weights, similar units, the labels that stay
        without it, and the `mechanism` by which it is removable (see the documentation on measuring a model).
    pairs: the strongest pairs of each layer: `layer, unit, other, r, r_squared, slope, intercept`, where
        `other ≈ slope * unit + intercept`.
    examples: the number of inputs.
    most_frequent_label_share: the share of labels that are the most frequent one. Near 1 the network has collapsed:
        its AUC is 1 and means nothing.
    about: the network, and how it was measured.
    state: of a profile of a part of the data, all that `merge` needs; None otherwise.
    """

    layers: pd.DataFrame
    removability: pd.DataFrame
    ablation: pd.DataFrame
    correlation: pd.DataFrame
    similarity: pd.DataFrame
    units: pd.DataFrame
    pairs: pd.DataFrame
    examples: int
    most_frequent_label_share: float
    about: About
    state: "Measured | None" = field(default=None, compare=False)

    @property
    def degenerate(self) -> bool:
        """Whether the network has collapsed to one label."""
        return self.most_frequent_label_share > DEGENERATE_SHARE

    @property
    def warnings(self) -> list[str]:
        """Warnings for a reader of the numbers, one sentence each."""
        found = []
        if self.degenerate:
            found.append(
                f"{self.most_frequent_label_share:.1%} of the labels are the same one: the network has collapsed, and "
                "its AUC means nothing."
            )
        lost = self.ablation[self.ablation["not_finite"] > 0]
        if len(lost):
            found.append(
                f"After {len(lost)} of {len(self.ablation)} ablations, {lost['not_finite'].sum():,} of "
                f"{lost['labels'].sum():,} labels could not be formed, since scores were NaN or infinite; they count "
                "as changed."
            )
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the profile to one file: a ZIP archive with a Parquet file for each table, and a JSON file.

        That of a part of the data also holds all that `merge` needs, as a safetensors file.

        Raises:
            OSError: the file cannot be written.
        """
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w") as archive:
            for name in TABLES:
                table = io.BytesIO()
                getattr(self, name).to_parquet(table, index=False)
                archive.writestr(f"{name}.parquet", table.getvalue())
            archive.writestr("profile.json", json.dumps(self.summary(), indent=1))
            if self.state is not None:
                from widthwise.measurement.checkpoint import packed

                facts = {"facts": json.dumps(self.state.facts())}
                archive.writestr(STATE_FILE, packed(self.state.state_dict(), facts))
        write_whole(path, sink.getvalue())

    def summary(self) -> dict[str, object]:
        """Everything that is not in a table, as plain data."""
        return {
            "format": FORMAT,
            "examples": self.examples,
            "most_frequent_label_share": self.most_frequent_label_share,
            "about": self.about,
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Profile":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            RequestError: the file is of another kind or format.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                content = json.loads(archive.read("profile.json"))
                found = content.pop("format")
                if found != FORMAT:
                    raise RequestError(f"{path} is a profile of format {found}; this version reads format {FORMAT}")
                state = _read_state(archive) if STATE_FILE in archive.namelist() else None
                tables = {name: _read_table(archive, name) for name in TABLES}
        except FileNotFoundError:
            raise
        except (zipfile.BadZipFile, KeyError, json.JSONDecodeError, AttributeError, TypeError, OSError) as error:
            raise RequestError(f"{path} is no profile that Profile.save wrote ({error})") from None
        return cls(**tables, **content, state=state)

    @classmethod
    def merge(cls, parts: "Sequence[Profile]") -> "Profile":
        """The profile of the whole data, from those of all its parts.

        It is that which `profile` makes of the whole: counts are equal, correlations up to rounding in the precision in
        which the network runs.

        Args:
            parts: what `profile(..., part=(1, n))` to `part=(n, n)` returned, in any order.

        Raises:
            RequestError: they are not exactly all parts of the same data, measured in the same way.
        """
        from widthwise.measurement.measured import merged
        from widthwise.measurement.tables import profile_tables

        states = [part.state for part in parts]
        if not states or None in states:
            raise RequestError("only profiles that were measured with part= can be merged, all parts of the data")
        return profile_tables(merged([state for state in states if state is not None]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Profile):
            return NotImplemented
        pairs = [(getattr(self, each.name), getattr(other, each.name)) for each in fields(self) if each.compare]
        return all(one.equals(two) if isinstance(one, pd.DataFrame) else one == two for one, two in pairs)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        from widthwise.measurement.profile_text import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from widthwise.measurement.profile_text import as_html

        return as_html(self)


def _read_table(archive: zipfile.ZipFile, name: str) -> pd.DataFrame:
    table = pd.read_parquet(io.BytesIO(archive.read(f"{name}.parquet")))
    for column, dtype in ADDED_COLUMNS.get(name, {}).items():
        if column not in table:
            table[column] = pd.Series(None, index=table.index, dtype=dtype)
    return table


def _read_state(archive: zipfile.ZipFile) -> "Measured":
    from widthwise.measurement.checkpoint import unpacked
    from widthwise.measurement.measured import Measured

    facts, state = unpacked(archive.read(STATE_FILE))
    return Measured.from_state(json.loads(facts["facts"]), state)

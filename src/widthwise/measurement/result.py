"""`Profile`: what was measured, as tidy tables, in memory, in a file, and to read."""

import io
import json
import os
import textwrap
import zipfile
from dataclasses import dataclass, field, fields
from html import escape
from typing import Any

import pandas as pd

from widthwise.files import write_whole

FORMAT = 1
TABLES = ("layers", "ablation", "correlation", "similarity", "units", "pairs")
DEGENERATE_SHARE = 0.99
"""A network that gives one label to a larger share of the inputs has collapsed; its measures mean nothing."""
SHOWN_LAYERS = 24
TERMINAL_WIDTH = 80


@dataclass(frozen=True, repr=False)
class Profile:
    """What a network does with its units, one observation a row.

    layers: a row a layer in order of depth. `layer, units, auc, auc_std, auc_corrected, auc_corrected_std, similarity,
        similarity_std, dead_fraction`. AUC is the area under the layer's ablation curve, in [0, 1], and `auc_corrected`
        the same where 0 is a network that answers at random once ablated; similarity is the mean number of other units
        that a unit resembles; the deviations are between samplings; `dead_fraction` is the share of constant units.
    ablation: `layer, sampling, share_dropped, units_dropped, unchanged`: the proportion of labels that stayed.
    correlation: `layer, sampling, low, high, pairs`: how many pairs of units have |r| in [low, high).
    similarity: `layer, sampling, threshold, similarity`: the same as in `layers`, at several thresholds.
    units: a row a unit: how active it is, its outgoing weights, what it resembles, what happens without it, and the
        `mechanism` by which it is removable (see the documentation on measuring a model).
    pairs: the strongest pairs of each layer: `layer, unit, other, r, r_squared, slope, intercept`, where
        `other ≈ slope * unit + intercept`.
    examples: how many inputs were measured.
    most_frequent_label_share: the share of labels that are the most frequent one. Near 1 the network has collapsed:
        its AUC is 1 and means nothing.
    about: what was measured and how: `model, classes, labels, replayed, reason, settings, replacement, seed` …
    """

    layers: pd.DataFrame
    ablation: pd.DataFrame
    correlation: pd.DataFrame
    similarity: pd.DataFrame
    units: pd.DataFrame
    pairs: pd.DataFrame
    examples: int
    most_frequent_label_share: float
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def degenerate(self) -> bool:
        """Whether the network has collapsed to one label."""
        return self.most_frequent_label_share > DEGENERATE_SHARE

    @property
    def warnings(self) -> list[str]:
        """What a reader of the numbers must know."""
        found = []
        if self.degenerate:
            found.append(
                f"{self.most_frequent_label_share:.1%} of the labels are the same one: the network has collapsed, and "
                "its AUC means nothing."
            )
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to one file: a ZIP archive of a Parquet file for each table and one of JSON."""
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w") as archive:
            for name in TABLES:
                table = io.BytesIO()
                getattr(self, name).to_parquet(table, index=False)
                archive.writestr(f"{name}.parquet", table.getvalue())
            archive.writestr("profile.json", json.dumps(self.summary(), indent=1))
        write_whole(path, sink.getvalue())

    def summary(self) -> dict[str, Any]:
        """All that is not in a table."""
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
            ValueError: the file is not such a one.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                content = json.loads(archive.read("profile.json"))
                found = content.pop("format")
                if found != FORMAT:
                    raise ValueError(f"{path} is a profile of format {found}; this version reads {FORMAT}")
                tables = {name: pd.read_parquet(io.BytesIO(archive.read(f"{name}.parquet"))) for name in TABLES}
        except (zipfile.BadZipFile, KeyError, json.JSONDecodeError, AttributeError, TypeError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise ValueError(f"{path} is no profile that Profile.save wrote ({error})") from None
        return cls(**tables, **content)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Profile):
            return NotImplemented
        pairs = [(getattr(self, each.name), getattr(other, each.name)) for each in fields(self)]
        return all(one.equals(two) if isinstance(one, pd.DataFrame) else one == two for one, two in pairs)

    __hash__ = None  # type: ignore[assignment]

    def heading(self) -> str:
        """What was measured, in a line."""
        layers = f"{len(self.layers)} layer{'s' if len(self.layers) > 1 else ''}"
        return f"Profile of {self.about.get('model', 'a network')}: {layers}, {self.examples:,} examples"

    def rows(self) -> list[tuple[str, ...]]:
        """A row of text for each layer: name, units, AUC, corrected AUC, similarity, share of dead units."""
        return [
            (
                str(row["layer"]),
                f"{row['units']}",
                _with_deviation(row["auc"], row["auc_std"], 3),
                _with_deviation(row["auc_corrected"], row["auc_corrected_std"], 3),
                _with_deviation(row["similarity"], row["similarity_std"], 2),
                f"{row['dead_fraction']:.1%}",
            )
            for row in self.layers.to_dict("records")
        ]

    def notes(self) -> list[str]:
        """How it was measured, and what a reader must know."""
        kinds = self.units["mechanism"].fillna("not told").value_counts()
        counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        how = "only what follows a layer was run again"
        if not self.about.get("replayed", True):
            how = f"the whole network was run again for each ablation, because {self.about['reason']}"
        return [*self.warnings, f"Units: {counts}.", f"{how[0].upper()}{how[1:]}."]

    def __repr__(self) -> str:
        rows = self.rows()
        hidden = max(0, len(rows) - SHOWN_LAYERS)
        if hidden:
            rows = [*rows[: SHOWN_LAYERS // 2], ("…", *[""] * 5), *rows[-(SHOWN_LAYERS // 2) :]]
        room = TERMINAL_WIDTH - sum(
            2 + max(map(len, column)) for column in list(zip(COLUMN_TITLES, *rows, strict=True))[1:]
        )
        table = [COLUMN_TITLES, *((shortened(row[0], room), *row[1:]) for row in rows)]
        widths = [max(len(row[column]) for row in table) for column in range(len(COLUMN_TITLES))]
        lines = [
            "  ".join(
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        notes = [line for note in self.notes() for line in textwrap.wrap(note, TERMINAL_WIDTH)]
        return "\n".join([self.heading(), "", *lines, "", *notes])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(title)}</th>" for title in COLUMN_TITLES)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows())
        notes = "<br>".join(escape(note) for note in self.notes())
        return (
            f"<b>{escape(self.heading())}</b><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<small>{notes}</small>"
        )


COLUMN_TITLES = ("Layer", "Units", "AUC", "Corrected", "Similarity", "Dead")


def _with_deviation(value: float, deviation: float, digits: int) -> str:
    return f"{value:.{digits}f}" if pd.isna(deviation) else f"{value:.{digits}f} ±{deviation:.{digits}f}"


def shortened(name: str, room: int) -> str:
    """A long name with its first parts as their first letters, numbers kept, so that it still tells layers apart."""
    parts = name.split(".")
    for place, part in enumerate(parts[:-1]):
        if len(".".join(parts)) <= room:
            break
        if not part.isdigit():
            parts[place] = part[:1]
    name = ".".join(parts)
    return name if len(name) <= room else f"…{name[len(name) - max(room, 2) + 1 :]}"

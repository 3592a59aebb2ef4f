"""A profile as text for terminals and as a table for notebooks and pages."""

import textwrap
from html import escape

import pandas as pd

from widthwise.measurement.result import Profile
from widthwise.measurement.short_names import short_names
from widthwise.wording import counted, with_minus

COLUMN_TITLES = ("Layer", "Units", "AUC", "Corrected", "Similarity", "Dead")
SHOWN_LAYERS = 24
TERMINAL_WIDTH = 80
NAMED_LEFT_OUT = 5
"""Of more nonlinearities that are not measured only the number is given."""


def heading(profile: Profile) -> str:
    """The model, and the numbers of layers and examples, in one line."""
    layers, examples = counted(len(profile.layers), "layer"), f"{profile.examples:,} examples"
    return f"Profile of {profile.about['model']}: {layers}, {examples}"


def rows(profile: Profile) -> list[tuple[str, ...]]:
    """A row of text for each layer, with the columns `COLUMN_TITLES`."""
    return [
        (
            str(row["layer"]),
            f"{row['units']}",
            _with_deviation(row["auc"], row["auc_std"], 3),
            _with_deviation(row["auc_corrected"], row["auc_corrected_std"], 3),
            _with_deviation(row["similarity"], row["similarity_std"], 2),
            f"{row['dead_fraction']:.1%}",
        )
        for row in profile.layers.to_dict("records")
    ]


def notes(profile: Profile) -> list[str]:
    """Notes on how it was measured, and on what a reader must know."""
    kinds = profile.units["mechanism"].fillna("unknown").value_counts()
    counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    how = "Only what follows a layer was run again."
    if not profile.about["replayed"]:
        how = f"The whole network was run again for each ablation, because {profile.about['reason']}."
    given = profile.about["batches_as_given"]
    batches = [f"Batches were run as given, neither cut nor joined, because {given}."] if given else []
    return [*profile.warnings, *_left_out(profile), f"Units: {counts}.", *precision_notes(profile), *batches, how]


def precision_notes(profile: Profile) -> list[str]:
    """How precise each AUC is, where a precision was asked for."""
    asked = profile.about["settings"]["precision"]
    if asked is None:
        return []
    errors = profile.removability["precision"]
    if reason := profile.about.get("all_run"):
        return [f"Ablations were run for every example, whatever the precision, because {reason}."]
    missed = profile.removability[errors.isna() | (errors > asked)]
    found = f"Ablations stopped at a standard error of AUC of {asked:g}"
    if missed.empty:
        return [f"{found}, over examples and draws together; the column precision of removability holds each layer's."]
    names = ", ".join(sorted({str(name) or "all layers together" for name in missed["layer"]})[:3])
    most = "unknown" if errors.isna().any() else f"up to {errors.max():.3f}"
    return [
        f"{found}. For {counted(len(missed), 'curve')} of {len(errors)} ({names}) it is {most}: there are too few "
        "examples or, where whole channels are dropped, too few samplings."
    ]


def _left_out(profile: Profile) -> list[str]:
    """A sentence on the nonlinearities that are not measured, if there are any: which, and why."""
    missing = profile.about["left_out"]
    if not missing:
        return []
    named = [f"{each['name']} ({each['reason']})" for each in missing[:NAMED_LEFT_OUT]]
    further = len(missing) - len(named)
    which = "; ".join([*named, *([f"{further} more, in profile.about['left_out']"] if further else [])])
    are = "is" if len(missing) == 1 else "are"
    return [f"{counted(len(missing), 'nonlinearity', 'nonlinearities')} {are} not measured: {which}."]


def of_first_protocol(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the protocol that was measured first, whose numbers `layers` holds."""
    return table[table["protocol"] == table["protocol"].iloc[0]]


def as_text(profile: Profile, all_layers: str = "profile.layers, or the page of ww.report(profile, 'x.html')") -> str:
    """A table of at most 80 columns for the terminal; if there are many layers, the middle ones are left out.

    Args:
        all_layers: where to find those, too.
    """
    shown = rows(profile)
    names = short_names([row[0] for row in shown], _room(shown))
    shown = [(name, *row[1:]) for name, row in zip(names, shown, strict=True)]
    hidden = len(shown) - SHOWN_LAYERS
    remarks = notes(profile)
    if hidden > 0:
        half = SHOWN_LAYERS // 2
        shown = [*shown[:half], (f"… {hidden} more", *[""] * 5), *shown[-half:]]
        remarks.insert(0, f"All layers: {all_layers}.")
    table = [COLUMN_TITLES, *shown]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in table]
    wrapped = [line for note in remarks for line in textwrap.wrap(note, TERMINAL_WIDTH)]
    return "\n".join([heading(profile), "", *lines, "", *wrapped])


def _room(shown: list[tuple[str, ...]]) -> int:
    """The number of characters that the other columns leave for a layer's name."""
    columns = list(zip(COLUMN_TITLES, *shown, strict=True))
    return TERMINAL_WIDTH - sum(2 + max(map(len, column)) for column in columns[1:])


def as_html(profile: Profile) -> str:
    """A table for a notebook, in which many layers are scrolled."""
    head = "".join(f"<th>{escape(title)}</th>" for title in COLUMN_TITLES)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows(profile))
    remarks = "<br>".join(escape(note) for note in notes(profile))
    return (
        f"<b>{escape(heading(profile))}</b><div style='max-height: 36em; overflow: auto'>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div><small>{remarks}</small>"
    )


def _with_deviation(value: float, deviation: float, digits: int) -> str:
    shown = f"{value:.{digits}f}" if pd.isna(deviation) else f"{value:.{digits}f} ±{deviation:.{digits}f}"
    return with_minus(shown)

"""A profile as text for terminals and as a table for notebooks and pages."""

import textwrap
from html import escape

import pandas as pd

from widthwise.measurement.result import Profile
from widthwise.wording import counted

COLUMN_TITLES = ("Layer", "Units", "AUC", "Corrected", "Similarity", "Dead")
SHOWN_LAYERS = 24
TERMINAL_WIDTH = 80


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
    return [*profile.warnings, f"Units: {counts}.", *precision_notes(profile), how]


def precision_notes(profile: Profile) -> list[str]:
    """How precise each AUC is, where a precision was asked for."""
    asked = profile.about["settings"]["precision"]
    if asked is None:
        return []
    errors = profile.removability["precision"]
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


def as_text(profile: Profile) -> str:
    """A table of at most 80 columns for the terminal; if there are many layers, the middle ones are left out."""
    shown = rows(profile)
    hidden = max(0, len(shown) - SHOWN_LAYERS)
    if hidden:
        shown = [*shown[: SHOWN_LAYERS // 2], ("…", *[""] * 5), *shown[-(SHOWN_LAYERS // 2) :]]
    columns = list(zip(COLUMN_TITLES, *shown, strict=True))
    room = TERMINAL_WIDTH - sum(2 + max(map(len, column)) for column in columns[1:])
    table = [COLUMN_TITLES, *((shortened(row[0], room), *row[1:]) for row in shown)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in table]
    wrapped = [line for note in notes(profile) for line in textwrap.wrap(note, TERMINAL_WIDTH)]
    return "\n".join([heading(profile), "", *lines, "", *wrapped])


def as_html(profile: Profile) -> str:
    """A table for a notebook."""
    head = "".join(f"<th>{escape(title)}</th>" for title in COLUMN_TITLES)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows(profile))
    remarks = "<br>".join(escape(note) for note in notes(profile))
    return (
        f"<b>{escape(heading(profile))}</b><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"<small>{remarks}</small>"
    )


def shortened(name: str, room: int) -> str:
    """A layer's name in at most `room` characters.

    The first parts of its path become their first letters; numbers are kept, so that it still tells layers apart.
    """
    parts = name.split(".")
    for index, part in enumerate(parts[:-1]):
        if len(".".join(parts)) <= room:
            break
        if not part.isdigit():
            parts[index] = part[:1]
    name = ".".join(parts)
    return name if len(name) <= room else f"…{name[len(name) - max(room, 2) + 1 :]}"


def _with_deviation(value: float, deviation: float, digits: int) -> str:
    return f"{value:.{digits}f}" if pd.isna(deviation) else f"{value:.{digits}f} ±{deviation:.{digits}f}"

"""The page of one network's profile, in one HTML file that needs nothing else."""

import json
import os
from importlib.metadata import version

import pandas as pd

from widthwise.files import write_whole
from widthwise.measurement.profile_text import COLUMN_TITLES, heading, notes, rows
from widthwise.measurement.result import Profile
from widthwise.measurement.units import MECHANISMS
from widthwise.reporting.files import FileFormat, render
from widthwise.reporting.html import drawing_code, template
from widthwise.reporting.profile_charts import network_map
from widthwise.reporting.theme import PAGE_INK, styled

UNIT_TITLES = {
    "layer": "Layer",
    "unit": "Unit",
    "mechanism": "Mechanism",
    "active_share": "Active on",
    "mean": "Mean activity",
    "outgoing_norm": "Outgoing weights",
    "similar_units": "Similar units",
    "most_similar": "Most similar",
    "r": "r",
    "unchanged_alone": "Kept without it",
    "unchanged_with_most_similar": "… without both",
}
PAIR_TITLES = {
    "layer": "Layer",
    "unit": "Unit i",
    "other": "Unit j",
    "r": "r",
    "r_squared": "r²",
    "slope": "γ",
    "intercept": "c",
}
DIGITS = 4


def profile_page(profile: Profile) -> str:
    """The page as HTML: the network's layers by depth, their curves and correlations, its units and strongest pairs."""
    about = profile.about
    units = profile.units
    return template("profile.html.jinja").render(
        profile=profile,
        about=about,
        settings=about["settings"],
        heading=heading(profile),
        notes=notes(profile),
        column_titles=COLUMN_TITLES,
        rows=rows(profile),
        specification=styled(network_map(profile), PAGE_INK),
        tables={
            "units": _columns(units, _used(units, UNIT_TITLES)),
            "pairs": _columns(profile.pairs, PAIR_TITLES),
        },
        mechanisms=[kind for kind in MECHANISMS if (units["mechanism"] == kind).any()],
        counts=units["mechanism"].value_counts().to_dict(),
        untold=int(units["mechanism"].isna().sum()),
        drawing_code=drawing_code(),
        version=version("widthwise"),
    )


def draw_profile(profile: Profile, path: str | os.PathLike[str], file_format: FileFormat) -> None:
    """Write the page's figure as a file of its own."""
    write_whole(path, render(network_map(profile), file_format))


def _used(table: pd.DataFrame, titles: dict[str, str]) -> dict[str, str]:
    """The titles of the columns that are not empty."""
    return {name: title for name, title in titles.items() if table[name].notna().any()}


def _columns(table: pd.DataFrame, titles: dict[str, str]) -> dict[str, object]:
    """A table for the page's script: titles, whether each column is numeric, and the values row by row."""
    shown = table[list(titles)]
    values = json.loads(shown.round(DIGITS).to_json(orient="split", double_precision=DIGITS))["data"]
    numeric = [bool(pd.api.types.is_numeric_dtype(shown[name])) for name in titles]
    return {"titles": list(titles.values()), "numeric": numeric, "rows": values}

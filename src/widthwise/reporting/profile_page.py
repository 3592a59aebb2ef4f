"""The page of one network's profile, in one HTML file that needs nothing else."""

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
from widthwise.reporting.profile_rows import FEW_LAYERS
from widthwise.reporting.removable_parts import removable_parts
from widthwise.reporting.theme import PAGE_INK, styled
from widthwise.reporting.unit_tables import pair_table, unit_table

SORTED_BY = ("units", "auc", "auc_corrected", "similarity", "dead_fraction")
"""The columns of `layers` behind those that the page shows after a layer's name."""


def profile_page(profile: Profile, what_can_go: pd.DataFrame | str | None = None) -> str:
    """The page as HTML: the network's layers by depth, their curves and correlations, its units and strongest pairs.

    Its size does not grow with the number of units, and by less than 3 kB with each layer.

    Args:
        profile: the profile.
        what_can_go: the table of `widthwise.what_can_go`, or the reason why nothing can go; None: it is not known.

    Raises:
        RequestError: the table is another.
    """
    about = profile.about
    units = profile.units
    return template("profile.html.jinja").render(
        profile=profile,
        about=about,
        settings=about["settings"],
        heading=heading(profile),
        notes=notes(profile),
        column_titles=COLUMN_TITLES,
        layers=[
            {"cells": cells, "values": [depth, *values]}
            for depth, (cells, values) in enumerate(
                zip(rows(profile), profile.layers[list(SORTED_BY)].to_numpy().tolist(), strict=True), start=1
            )
        ],
        many=len(profile.layers) > FEW_LAYERS,
        specification=styled(network_map(profile, interactive=True), PAGE_INK),
        tables={"units": unit_table(profile), "pairs": pair_table(profile)},
        mechanisms=[kind for kind in MECHANISMS if (units["mechanism"] == kind).any()],
        counts=units["mechanism"].value_counts().to_dict(),
        untold=int(units["mechanism"].isna().sum()),
        removable=None if what_can_go is None else removable_parts(what_can_go),
        drawing_code=drawing_code(),
        version=version("widthwise"),
    )


def draw_profile(profile: Profile, path: str | os.PathLike[str], file_format: FileFormat) -> None:
    """Write the page's figure as a file of its own."""
    write_whole(path, render(network_map(profile), file_format))

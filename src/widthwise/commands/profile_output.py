"""The output of `widthwise profile`, on the terminal and in files."""

import json

import pandas as pd
from rich.table import Table
from rich.text import Text

from widthwise.commands.terminal import print_json, results
from widthwise.measurement.plan import Plan as ProfilePlan
from widthwise.measurement.profile_text import as_text
from widthwise.measurement.result import Profile
from widthwise.reporting.report import report


def print_layers(layers: pd.DataFrame, as_json: bool) -> None:
    """Print every value that may be a layer, and why some would not be measured."""
    if as_json:
        print_json(json.loads(layers.to_json(orient="records")))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Layer", "Units", "Shape", "Kind", "Follows", "Not measured"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "Units" else "left")
    for row in layers.to_dict("records"):
        shape = "×".join(map(str, row["shape"]))
        units = "" if pd.isna(row["units"]) else str(row["units"])
        note = "" if row["measured"] else row["note"]
        texts = map(Text, (row["layer"], units, shape, row["kind"], row["follows"], note))
        table.add_row(*texts, style="" if row["measured"] else "dim")
    results.print(table)


def print_plan(plan: ProfilePlan, as_json: bool) -> None:
    """Print what a measurement would take."""
    if as_json:
        print_json(plan.to_dict())
        return
    results.print(str(plan), markup=False, soft_wrap=True)


def write_profile(profile: Profile, page: str | None, save: str | None) -> None:
    """Write the tables and the page, where a path is given."""
    if save is not None:
        profile.save(save)
    if page is not None:
        report(profile, page)


def print_profile(profile: Profile, page: str | None, save: str | None, as_json: bool) -> None:
    """Print what was measured, and which files were written."""
    if as_json:
        layers = json.loads(profile.layers.to_json(orient="records", double_precision=15))
        kinds = profile.units.fillna({"mechanism": "unknown"}).groupby("layer")["mechanism"].value_counts()
        mechanisms = {row["layer"]: kinds[row["layer"]].to_dict() for row in layers}
        print_json({**profile.summary(), "layers": layers, "mechanisms": mechanisms})
        return
    text = as_text(profile, all_layers="--json, or the page that --page writes")
    results.print(text, markup=False, soft_wrap=True)
    for target, name in ((page, "page"), (save, "tables")):
        if target is not None:
            results.print(f"The {name}: {target}", soft_wrap=True, markup=False)

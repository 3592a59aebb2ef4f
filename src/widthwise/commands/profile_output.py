"""The output of `widthwise profile`, on the terminal and in files."""

import json
from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text

from widthwise.commands.terminal import print_json, results
from widthwise.measurement.plan import Plan as ProfilePlan
from widthwise.measurement.profile_text import as_text
from widthwise.measurement.result import Profile
from widthwise.reporting.paths import FORMATS
from widthwise.reporting.report import report
from widthwise.wording import listed, with_minus

SIZES = {"units": "units", "parameters": "parameters", "flops": "operations"}


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


def add_to_page(profile: Profile, page: str | None, removable: pd.DataFrame | str) -> None:
    """Write the page again with what can go; a figure stays as it is."""
    if page is not None and Path(page).suffix[1:].lower() not in FORMATS:
        report(profile, page, what_can_go=removable)


def print_profile(
    profile: Profile,
    page: str | None,
    save: str | None,
    as_json: bool,
    removable: pd.DataFrame | str | None = None,
) -> None:
    """Print what was measured, what can go or the reason why nothing can, and which files were written."""
    if as_json:
        layers = json.loads(profile.layers.to_json(orient="records", double_precision=15))
        kinds = profile.units.fillna({"mechanism": "unknown"}).groupby("layer")["mechanism"].value_counts()
        mechanisms = {row["layer"]: kinds[row["layer"]].to_dict() for row in layers}
        content = {**profile.summary(), "layers": layers, "mechanisms": mechanisms}
        if isinstance(removable, str):
            content["nothing_can_go"] = removable
        elif removable is not None:
            content["what_can_go"] = json.loads(removable.to_json(orient="records", double_precision=15))
        print_json(content)
        return
    text = as_text(profile, all_layers="--json, or the page that --page writes")
    results.print(text, markup=False, soft_wrap=True)
    if removable is not None:
        results.print(f"\n{_can_go(removable)}", markup=False)
    for target, name in ((page, "page"), (save, "tables")):
        if target is not None:
            results.print(f"The {name}: {target}", soft_wrap=True, markup=False)


def _can_go(removable: pd.DataFrame | str) -> str:
    """What can go of the whole network, a line for each share of labels."""
    if isinstance(removable, str):
        return f"What can go: {removable}."
    whole = removable[removable["layer"] == ""]
    lines = [f"What can go, of {whole['compared'].iloc[0]:,} labels that were compared:"]
    for row in whole.to_dict("records"):
        shares = [
            f"{1 - row[f'{size}_after'] / row[f'{size}_before']:.0%} of the {noun}" for size, noun in SIZES.items()
        ]
        lines.append(f"{100 * row['labels']:.4g}% kept: {listed(shares)}")
    return with_minus("\n".join(lines))

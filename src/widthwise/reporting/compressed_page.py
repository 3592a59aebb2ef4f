"""The page of a smaller network beside the one that it was made from, in one HTML file that needs nothing else."""

import os
from collections.abc import Sequence
from importlib.metadata import version

import pandas as pd

from widthwise.compression.comparison import TIMED_RUNS
from widthwise.compression.compressed import Compressed
from widthwise.errors import RequestError
from widthwise.files import write_whole
from widthwise.measurement.result import Profile
from widthwise.reporting.composing import Specification
from widthwise.reporting.compressed_charts import compressed_rows, curves_chart, frontier_chart, layers_chart
from widthwise.reporting.files import FileFormat, render
from widthwise.reporting.html import drawing_code, template
from widthwise.reporting.profile_rows import FEW_LAYERS
from widthwise.reporting.theme import PAGE_INK, styled
from widthwise.reporting.unit_tables import MOST_ROWS, Table, first_of_each_layer, table_of
from widthwise.wording import counted, listed

SIZES = (
    ("Parameters", "parameters", "{:,}"),
    ("Operations for one example", "flops", "{:,}"),
    ("Bytes", "bytes", "{:,}"),
    ("Time for one example", "seconds_one", "{:.3g} ms"),
    ("Time for {batch}", "seconds_batch", "{:.3g} ms"),
)
IN_FRONTIER = (
    *("keep", "labels_kept", "labels_kept_low", "labels_kept_high"),
    *("parameters", "flops", "seconds_one", "seconds_batch", "seconds_one_share", "seconds_batch_share"),
)
UNIT_TITLES = {
    "layer": "Layer",
    "unit": "Unit",
    "reason": "Why it could go",
    "repeats": "Repeats unit",
    "position": "Position in the order",
    "error": "Error from then on",
}
SIGNIFICANT, DECIMALS = 4, 15
"""Digits of errors, which can be tiny."""


def compressed_page(
    found: Compressed, frontier: pd.DataFrame | None = None, profiles: Sequence[Profile] | None = None
) -> str:
    """The page as HTML: what was kept, the frontier, the layers, ablation curves, the units that went.

    Args:
        found: the smaller network.
        frontier: the table of `widthwise.frontier`; None: there is none.
        profiles: profiles of both networks on the same examples; None: there are none.

    Raises:
        RequestError: the table is no frontier, or the profiles are not those of two such networks.
    """
    rows = compressed_rows(found)
    charts = _charts(found, frontier, profiles)
    return template("compressed.html.jinja").render(
        found=found,
        known=found.comparison,
        heading=f"{type(found.model).__name__}, made smaller",
        summary=_summary(found),
        sizes=_sizes(found.comparison),
        layers=rows,
        many=len(rows) > FEW_LAYERS,
        charts={name: styled(chart, PAGE_INK) for name, chart in charts.items()},
        profiles=profiles,
        frontier=frontier,
        units=_units_that_went(found),
        device=next((str(each.device) for each in found.model.parameters()), "cpu"),
        timed_runs=TIMED_RUNS,
        drawing_code=drawing_code(),
        version=version("widthwise"),
    )


def draw_compressed(
    found: Compressed,
    path: str | os.PathLike[str],
    file_format: FileFormat,
    frontier: pd.DataFrame | None = None,
) -> None:
    """Write the frontier, if there is one, and the layers as a figure of their own.

    Raises:
        RequestError: the table is no frontier.
    """
    charts = list(_charts(found, frontier, None).values())
    layers = charts[-1]
    together: Specification = {
        **layers,
        "vconcat": [
            *({"hconcat": each["hconcat"], "resolve": each["resolve"]} for each in charts[:-1]),
            *layers["vconcat"],
        ],
        "spacing": 28,
        "datasets": {name: rows for each in charts for name, rows in each["datasets"].items()},
    }
    write_whole(path, render(together, file_format))


def _charts(
    found: Compressed, frontier: pd.DataFrame | None, profiles: Sequence[Profile] | None
) -> dict[str, Specification]:
    """The charts by name, in the order of the page."""
    charts = {}
    if frontier is not None:
        _check_frontier(frontier)
        charts["frontier.chart"] = frontier_chart(frontier, found)
    charts["layers.chart"] = layers_chart(found)
    if profiles is not None:
        _check_profiles(profiles)
        before, after = profiles
        charts["curves.chart"] = curves_chart(before, after)
    return charts


def _check_frontier(frontier: pd.DataFrame) -> None:
    missing = [name for name in IN_FRONTIER if name not in frontier.columns]
    if missing:
        raise RequestError(
            f"must be the table that widthwise.frontier returns; it lacks {listed(missing)}", field="frontier"
        )
    if frontier.empty:
        raise RequestError("has no rows; give the table that widthwise.frontier returns", field="frontier")


def _check_profiles(profiles: Sequence[Profile]) -> None:
    if len(profiles) != 2:
        raise RequestError(f"must be two, of the network before and after, not {len(profiles)}", field="profiles")
    before, after = (list(each.layers["layer"]) for each in profiles)
    if before != after:
        raise RequestError("must be of two networks with the same layers", field="profiles")


def _summary(found: Compressed) -> str:
    """What was kept, in two sentences."""
    known = found.comparison
    same = round(known["labels_kept"] * known["labels"])
    units, kept = found.layers["units"].sum(), found.layers["kept"].sum()
    shares = [f"{known[f'{name}_after'] / known[f'{name}_before']:.1%}" for name in ("parameters", "flops")]
    return (
        f"{same:,} of {counted(known['labels'], 'label')} that were compared stay: {known['labels_kept']:.1%}, with a "
        f"95% interval from {known['labels_kept_low']:.1%} to {known['labels_kept_high']:.1%}. The smaller network has "
        f"{kept:,} of the {units:,} units that could go and {shares[0]} of the parameters, and it takes {shares[1]} of "
        "the operations."
    )


def _sizes(known: pd.Series) -> list[tuple[str, str, str, str]]:
    """Each size before and after, and the share."""
    rows = []
    for title, name, form in SIZES:
        before, after = known[f"{name}_before"], known[f"{name}_after"]
        scale = 1e3 if name.startswith("seconds") else 1
        texts = [form.format(scale * value) for value in (before, after)]
        rows.append((title.format(batch=counted(known["batch"], "example")), *texts, f"{after / before:.1%}"))
    return rows


def _units_that_went(found: Compressed, most: int = MOST_ROWS) -> Table | None:
    """The units that went, in their order within each layer; if there are more than `most`, those that went first.

    None if none went.
    """
    gone = found.units[~found.units["kept"].astype(bool)]
    if gone.empty:
        return None
    number = {name: index for index, name in enumerate(found.layers["layer"])}
    gone = gone.assign(_layer=gone["layer"].map(number)).sort_values(["_layer", "position"], kind="stable")
    gone = gone.reset_index(drop=True)
    gone["error"] = [float(f"{error:.{SIGNIFICANT}g}") for error in gone["error"]]
    titles = {name: title for name, title in UNIT_TITLES.items() if name in gone.columns and gone[name].notna().any()}
    shown = gone.loc[first_of_each_layer(gone, most)]
    return table_of(list(found.layers["layer"]), shown, titles, len(gone), DECIMALS)

"""The map of one network's profile: its layers by depth, their ablation curves and correlations."""

import altair as alt

from widthwise.measurement.result import Profile
from widthwise.measurement.units import MECHANISMS
from widthwise.reporting.composing import Specification
from widthwise.reporting.depth_axis import depth_axis, parameters
from widthwise.reporting.depth_charts import mechanisms, overview, removability, similarity
from widthwise.reporting.heat_maps import correlations_map, curves_map
from widthwise.reporting.layer_charts import curves, distributions, violins
from widthwise.reporting.profile_rows import FEW_LAYERS, Row, layer_rows

WIDTH = 860


def network_map(profile: Profile, interactive: bool = False) -> Specification:
    """Removability, similarity and mechanisms of every layer in order of depth, then curves and correlations.

    A network of many layers also has a heat map of each of the two by depth.

    Args:
        interactive: whether a page's script sets which layers are in view and which are chosen.
    """
    rows = layer_rows(profile)
    threshold = float(profile.about["settings"]["threshold"])  # type: ignore[arg-type]
    levels, bins = len(rows[0]["unchanged"]), max(len(row["pairs"]) for row in rows)
    many = len(rows) > FEW_LAYERS
    by_depth = _by_depth(rows, levels, bins, many)
    if many and interactive:
        by_depth.insert(0, overview(rows, WIDTH))
    single = [curves(rows, levels)]
    if bins:
        single.append((distributions if many else violins)(rows, bins, threshold))
    return {
        "$schema": alt.SCHEMA_URL,
        "params": parameters(len(rows), WIDTH),
        "vconcat": [*by_depth, {"hconcat": single}],
        "spacing": 18,
        "resolve": {"scale": {"color": "independent"}},
        "datasets": {"layers": rows},
    }


def _by_depth(rows: list[Row], levels: int, bins: int, many: bool) -> list[Specification]:
    """The charts whose axis is the depth; the last one names the layers."""
    names = [row["short"] for row in rows]
    measures = [removability, similarity]
    if any(kind in MECHANISMS for row in rows for kind in row["kinds"]):
        measures.append(mechanisms)
    charts = []
    for measure in measures:
        last = not many and measure is measures[-1]
        charts.append(measure(rows, depth_axis(names, labels=last)))
    if many:
        charts.append(curves_map(names, levels, labels=not bins))
        if bins:
            charts.append(correlations_map(names, bins, labels=True))
    return [{**chart, "width": WIDTH} for chart in charts]

"""The constructions of Section 2.3: what theory expects of each, beside what was measured.

With n units in the small network, s its similarity, d its share of dead units and R its AUC, the wide one has:

| | units to spare | similarity | dead | AUC |
| --- | --- | --- | --- | --- |
| both, [u, u] with [w, 0] | n more | 2s + 1 - d | d | R |
| removable, [u, v] with [w, 0] | n more | s / 2 | d / 2 | R |
| repeated, [u, u] with [w/2 + η, w/2 - η] | only dead ones | 2s + 1 - d | d | below R |
| dead, [u, 0] | n more | s / 2 | (1 + d) / 2 | R |

Units without effect do not raise the AUC: a random choice of a share p of all units contains, on average, the share p
of those that matter. It falls if no unit can be spared.
"""

import pandas as pd

OUTPUT_TOLERANCE = 1e-4
"""The largest relative change of an output by rounding."""
AUC_TOLERANCE = 0.03
"""The difference between a random choice among n units and one among 2n, half of which matter, and between
samplings."""
UNCORRELATED_TOLERANCE = 0.1
"""For similarity and the dead share: added units may resemble others, or stay silent, on new inputs."""
EXACT = 1e-9


def compare(networks: pd.DataFrame) -> pd.DataFrame:
    """`series, replicate, width_factor, quantity, expected, measured, relation, holds`: theory beside measurement.

    `relation` is the expected relation: `=`, `≈` or `<`. `removable units` are those that can be dropped, each
    alone, with every label unchanged.
    """
    rows = []
    for (width, replicate), group in networks.groupby(["width_factor", "replicate"], sort=False):
        of = dict(zip(group["construction"], group.to_dict("records"), strict=True))
        if "small" not in of:
            continue
        for construction, row in of.items():
            if construction == "small":
                continue
            for quantity, expected, measured, relation, tolerance in _expectations(construction, of["small"], row):
                holds = measured < expected if relation == "<" else abs(measured - expected) <= tolerance
                rows.append((row["series"], replicate, width, quantity, expected, measured, relation, bool(holds)))
    columns = ["series", "replicate", "width_factor", "quantity", "expected", "measured", "relation", "holds"]
    return pd.DataFrame(rows, columns=columns)


def _expectations(construction: str, small: dict, wide: dict) -> list[tuple[str, float, float, str, float]]:
    """`quantity, expected, measured, relation, tolerance` of one construction."""
    units = wide["units"] // 2
    similarity, dead, removable = small["similarity"], small["dead_fraction"], small["removable_units"]
    repeated = construction in ("both", "repeated")
    spare = construction != "repeated"
    close = ("≈", UNCORRELATED_TOLERANCE) if construction == "removable" else ("=", EXACT)
    added_dead = 1.0 if construction == "dead" else dead if repeated else 0.0
    expectations = [
        ("output difference", OUTPUT_TOLERANCE, "output_difference", "<", 0.0),
        ("labels unchanged without the added units", 1.0, "unchanged_without_added", "=" if spare else "<", EXACT),
        ("removable units", removable + units if spare else 2 * dead * units, "removable_units", "=", EXACT),
        ("similarity", 2 * similarity + 1 - dead if repeated else similarity / 2, "similarity", *close),
        ("dead fraction", (dead + added_dead) / 2, "dead_fraction", *close),
        ("AUC", small["auc"], "auc", "≈" if spare else "<", AUC_TOLERANCE),
    ]
    return [
        (quantity, float(expected), float(wide[column]), relation, tolerance)
        for quantity, expected, column, relation, tolerance in expectations
    ]

"""What is known of a smaller network's layers and units, as tables."""

import math
from collections.abc import Sequence

import pandas as pd

from widthwise.compression.groups import Group, Left
from widthwise.compression.reasons import REASONS
from widthwise.compression.refitting import Refitted
from widthwise.wording import counted


def layer_table(groups: Sequence[Group], found: Refitted) -> pd.DataFrame:
    rows = []
    for group in groups:
        why = [each.reason for each in found.reasons[group.name].values()]
        rows.append(
            (
                *(group.name, group.units, len(found.kept[group.name]), found.fits[group.name]),
                *(group.readers, group.coupled, *found.sizes[group.name]),
                *(why.count(reason) for reason in REASONS),
            )
        )
    columns = ["layer", "units", "kept", "error", "reader", "coupled", "rows", "features", *REASONS]
    return pd.DataFrame(rows, columns=columns)


def unit_table(groups: Sequence[Group], found: Refitted) -> pd.DataFrame:
    rows = []
    for group in groups:
        kept = set(found.kept[group.name])
        tried = zip(found.orders[group.name], found.errors[group.name], strict=True)
        places = {unit: (place, error) for place, (unit, error) in enumerate(tried) if unit not in kept}
        why = found.reasons[group.name]
        rows += [
            (group.name, unit, unit in kept, *places.get(unit, (pd.NA, math.nan)), *why.get(unit, (pd.NA, pd.NA)))
            for unit in range(group.units)
        ]
    table = pd.DataFrame(rows, columns=["layer", "unit", "kept", "position", "error", "reason", "repeats"])
    return table.astype({"position": "Int64", "reason": "string", "repeats": "Int64"})


def left_table(left: Sequence[Left]) -> pd.DataFrame:
    return pd.DataFrame([(each.name, each.units, each.reason) for each in left], columns=["layer", "units", "reason"])


def by_reason(left: pd.DataFrame) -> list[tuple[str, str]]:
    """The layers whose units all stay, those with the same reason together, and the reason."""
    groups = left.groupby("reason", sort=False)["layer"].agg(list)
    return [
        (names[0] if len(names) == 1 else f"{names[0]} and {counted(len(names) - 1, 'other')}", str(reason))
        for reason, names in groups.items()
    ]

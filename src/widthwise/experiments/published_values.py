"""The authors' published plots as numbers (`published/values.csv`) and what is doubtful about them (`doubts.yaml`).

`published/README.md` says where the values come from and how they were read.
"""

from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd

from widthwise.config import Config
from widthwise.experiments.figure import is_named
from widthwise.experiments.yaml_files import read_yaml

FOLDER = files("widthwise.experiments") / "published"
NAMES = {"share_at_0.8_unchanged": "prunability", "prunability": "prunability_of_widest"}
"""Measures whose names in the file are not this package's: its prunability is the share, whatever the width."""
LAYERS = {"last 35x35": "Mixed_5d", "last 17x17": "Mixed_6e", "last 8x8": "Mixed_7c"}
"""Layers of Inception-v3 by the names that the plots give them."""
BARS = {"similarity": "units", "unchanged": "samplings"}
"""What an error bar is the deviation between; of all other measures: between networks."""
FIRST_COMMIT = "c8a8da1"
POINT = ["figure", "measure", "experiment", "series", "layer", "width_factor", "share_dropped"]
COLUMNS = [
    *POINT,
    *("value", "error_bar", "error_bar_between", "uncertainty", "networks"),
    *("published_networks", "beside_ours", "doubt", "note", "notebook", "commit"),
]


class Doubt(Config):
    """What is doubtful about some values; a field that is left out selects all of them."""

    figures: tuple[str, ...]
    doubt: str
    commit: str = ""
    measures: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    widths: tuple[float, ...] = ()
    published_networks: bool = True
    """False where the notebook shows other networks than the published figure."""

    def selects(self, values: pd.DataFrame) -> pd.Series:
        """True for the rows of `values.csv` that it is about."""
        chosen = _panel(values["figure"]).isin(self.figures)
        if self.commit:
            chosen &= values["commit"] == self.commit
        for column, names in (
            *(("panel_measure", self.measures), ("series", self.series)),
            *(("layer", self.layers), ("width_factor", self.widths)),
        ):
            if names:
                chosen &= values[column].isin(names)
        return chosen


def published(experiment: str = "", figure: str = "") -> pd.DataFrame:
    """The values of the authors' plots, one row for each point of a plot in one of their notebooks.

    Args:
        experiment: an experiment of the catalogue; empty: all of them.
        figure: a figure of the paper, such as `6`, `6a` or `Fig. 6a`; empty: all of them, and curves that are in none.

    Returns: no row where there are no such values, and the columns
        - `figure`: such as `6a`; empty where the paper has no such figure.
        - `measure`: named as in the table `summary`; `unchanged` in ablation curves; `prunability_of_widest`, which is
          `prunability` times width/4; and the numbers of a violin: `abs_r_mean`, `abs_r_q25`, `abs_r_median`,
          `abs_r_q75` and `abs_r_share_at_least_0.5`.
        - `experiment, series, layer, width_factor, share_dropped`: as in an experiment's tables. `layer` is empty for
          a network's number, `share_dropped` missing but for ablation curves.
        - `value`, its `error_bar` (half the length; missing where none can be seen), the `uncertainty` of the reading.
        - `error_bar_between`: `networks`, `samplings` or `units`, whose deviation the bar is.
        - `networks`: the number of networks that the value is the mean of.
        - `published_networks`: False where the notebook shows other networks than the published figure.
        - `beside_ours`: of the rows of one point, the one to compare with; True for exactly one.
        - `doubt`: what is doubtful about it, or empty; `note`, `notebook`, `commit`: the source.
    """
    values = _values()
    chosen = pd.Series(True, values.index)
    if experiment:
        chosen &= values["experiment"] == experiment
    if figure:
        names = {name for name in values["figure"].unique() if name and is_named(name, figure)}
        chosen &= values["figure"].isin(names)
    return values[chosen].reset_index(drop=True)


@cache
def _values() -> pd.DataFrame:
    with (FOLDER / "values.csv").open(encoding="utf-8") as file:
        values = pd.read_csv(
            file,
            dtype={"width_factor": float, "value": float},
            keep_default_na=False,
            na_values={"share_dropped": [""], "error_bar": [""]},
        )
    values = values.assign(doubt="", published_networks=True, networks=_networks(values))
    for doubt in _doubts():
        chosen = doubt.selects(values)
        before = values.loc[chosen, "doubt"]
        values.loc[chosen, "doubt"] = before.where(before == "", before + "; ") + doubt.doubt
        values.loc[chosen, "published_networks"] &= doubt.published_networks
    values = values.assign(
        figure=_panel(values["figure"]),
        measure=values["panel_measure"].replace(NAMES),
        layer=values["layer"].replace(LAYERS),
        error_bar_between=values["panel_measure"].map(BARS).fillna("networks"),
    )
    preferred = values.assign(earlier=values["commit"] == FIRST_COMMIT).sort_values(
        ["published_networks", "earlier"], ascending=False, kind="stable"
    )
    values["beside_ours"] = ~preferred.duplicated(POINT)
    return values[COLUMNS]


def _doubts() -> list[Doubt]:
    content = read_yaml((FOLDER / "doubts.yaml").read_text(encoding="utf-8"))
    return [Doubt.model_validate(each) for each in content]  # pyright: ignore[reportGeneralTypeIssues]


def _panel(figures: pd.Series) -> pd.Series:
    """Figures of the paper: `1b` from `1b (training)`; empty where the paper has no such figure."""
    return figures.str.partition("(")[0].str.strip()


def _networks(values: pd.DataFrame) -> pd.Series:
    """The number of networks that each value is the mean of, as its note says: of violins one, of values that are
    derived from others those of the others."""
    found = values["note"].str.extract(r"mean of (\d) networks?", expand=False).astype(float)
    found = found.mask(values["panel_measure"].str.startswith("abs_r"), 1.0)
    keys = [values[name] for name in ("experiment", "figure", "series", "layer", "width_factor")]
    return found.fillna(found.groupby(keys).transform("max")).astype(np.int64)

"""The page: the tables and figures of a store's experiments, in one HTML file that needs nothing else."""

import json
import shlex
from collections.abc import Sequence
from concurrent.futures import Future
from importlib.metadata import version

import pandas as pd

from widthwise.analysis.claims import compare_with_paper, with_multiplicity
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.trainings import ENOUGH_ACCURACY, NEARLY_BEST
from widthwise.analysis.verdict import ACCURACY_MARGIN, SIGNIFICANCE
from widthwise.experiments.sweep import PAPER, catalogue
from widthwise.reporting import explorer
from widthwise.reporting.composing import Specification
from widthwise.reporting.figures import figures
from widthwise.reporting.html import template
from widthwise.reporting.overview import ANSWERS, matrix, overview
from widthwise.reporting.theme import PAGE_INK, styled

TABLES = {
    "summary": "Means by series and width, and the trainings behind each",
    "networks": "The networks that count, one row each",
    "runs": "Every training",
}
DIGITS = 6


def page(
    analyses: Sequence[Analysis],
    specifications: Sequence[dict[str, Specification]],
    store: str,
    code: Future[str],
) -> str:
    """The page's HTML: the analyses in order, each with its figures' Vega-Lite specifications by name.

    Args:
        store: its location, for the commands that the page names.
        code: a future of the script that draws the figures, whose result is needed last.
    """
    claims = compare_with_paper(analyses).sort_values("answer", key=lambda each: each == "not run", kind="stable")
    stated = [each.claims for each in analyses if len(each.claims) and not each.version]
    (claims, own), multiplicity = with_multiplicity([claims, pd.concat(stated) if stated else claims[:0]])
    experiments = [_experiment(*pair) for pair in zip(analyses, specifications, strict=True)]
    shown = [analysis.under(analysis.protocol) for analysis in analyses]
    layers = {analysis.name: explorer.content(analysis) for analysis in shown if len(analysis.layers)}
    return template("page.html.jinja").render(
        experiments=experiments,
        overview=overview(shown),
        matrix=matrix(shown),
        answers=ANSWERS,
        claims=claims.to_dict("records"),
        claim_counts=claims["answer"].value_counts().to_dict(),
        own_claims=own.to_dict("records"),
        multiplicity=multiplicity,
        own_counts=own["answer"].value_counts().to_dict(),
        layers=layers,
        titles={each["id"]: each["heading"] for each in experiments},
        explorer=styled(explorer.specification(), PAGE_INK),
        tables={each["id"]: each["tables"] for each in experiments},
        settings={analysis.name: _settings(analysis) for analysis in analyses},
        table_titles=TABLES,
        drawing_code=code.result(),
        version=version("widthwise"),
        significance=SIGNIFICANCE,
        margin=ACCURACY_MARGIN,
        enough=ENOUGH_ACCURACY,
        nearly=NEARLY_BEST,
        store=store,
    )


def _experiment(analysis: Analysis, specifications: dict[str, Specification]) -> dict[str, object]:
    drawn = figures(analysis)
    shown = analysis.under(analysis.protocol)
    return {
        "id": analysis.name,
        "analysis": shown,
        "heading": f"{analysis.label}, scale {analysis.scale}",
        "note": analysis.sweep.note(analysis.scale),
        "statuses": analysis.runs["status"].value_counts().to_dict(),
        "tuned": list(analysis.sweep.at(analysis.scale).tune),
        "degenerate": int(shown.networks["degenerate"].sum()) if "degenerate" in shown.networks else 0,
        "verdicts": shown.verdicts.to_dict("records"),
        "comparison": analysis.comparison.to_dict("records"),
        "held": int(analysis.comparison["holds"].sum()) if len(analysis.comparison) else 0,
        "figures": [
            {
                "name": figure.name,
                "heading": figure.heading,
                "panels": figure.panels,
                "caption": specifications[figure.name]["usermeta"]["caption"],
                "specification": _for_page(specifications[figure.name]),
            }
            for figure in drawn
            if figure.name in specifications
        ],
        "undrawn": [figure.heading for figure in drawn if figure.of_paper and figure.name not in specifications],
        "overrides": [f"{path}={value}" for path, value in analysis.sweep.overrides.items()],
        "command": command(analysis),
        "tables": {name: _columns(_shown(analysis, name)) for name in TABLES if len(getattr(analysis, name))},
    }


def _for_page(specification: Specification) -> Specification:
    """A figure's specification without its heading and caption, which the page itself shows."""
    return styled({key: value for key, value in specification.items() if key != "usermeta"}, PAGE_INK)


def _shown(analysis: Analysis, name: str) -> pd.DataFrame:
    """A table as the page shows it: means with the trials behind them."""
    table = getattr(analysis, name)
    if name != "summary" or "trial" not in analysis.networks:
        return table
    keys = [name for name in ("protocol", "series", "width_factor") if name in table]
    trials = analysis.networks.groupby(keys)["trial"].agg(list).rename("trials")
    return table.join(trials, on=keys) if "trials" not in table else table


def _columns(table: pd.DataFrame) -> dict[str, object]:
    """A table for the page's script: titles, whether each column is of numbers, and the rows."""
    numeric = [bool(pd.api.types.is_numeric_dtype(table[name])) for name in table]
    rows = json.loads(table.to_json(orient="values", double_precision=DIGITS))
    return {"titles": [str(name) for name in table], "numeric": numeric, "rows": rows}


def _settings(analysis: Analysis) -> dict[str, object]:
    """The settings that all trials share, and for each trial those in which they differ."""
    table = analysis.settings.set_index("trial")
    text = table.astype(object).where(table.notna(), "").map(str)
    shared = [name for name in text if text[name].nunique() == 1]
    return {
        "shared": {name: text[name].iloc[0] for name in shared if text[name].iloc[0]},
        "own": text.drop(columns=shared).to_dict("index"),
    }


def command(analysis: Analysis) -> str:
    """The command that runs an experiment again."""
    sweep = analysis.sweep
    name = sweep.experiment
    words = ["widthwise", "run", name if name in catalogue() else f"{name}.yaml", "--scale", analysis.scale]
    words += [] if sweep.recipe == PAPER else ["--recipe", sweep.recipe]
    for path, value in sweep.overrides.items():
        words += ["--set", f"{path}={json.dumps(value)}"]
    return shlex.join(words)

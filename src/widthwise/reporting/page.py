"""The page: the tables and figures of a store's experiments, in one HTML file that needs nothing else."""

import json
import shlex
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future
from importlib.metadata import version
from typing import Any

import pandas as pd

from widthwise.analysis.claims import compare_with_paper, with_multiplicity
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.trainings import ENOUGH_ACCURACY, NEARLY_BEST
from widthwise.analysis.verdict import ACCURACY_MARGIN, SIGNIFICANCE
from widthwise.experiments.sweep import PAPER, catalogue
from widthwise.measurement.settings import Protocol
from widthwise.reporting import explorer
from widthwise.reporting.embedding import Drawn, Pool, embedded, views
from widthwise.reporting.figure import time_in_words
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
PROTOCOLS: dict[Protocol, str] = {
    "figures": "as the paper's figures were measured: the same share of whole channels is dropped in every layer at "
    "once, and AUC is the mean of the curve's points",
    "text": "as the paper's text defines it: one layer at a time, each application of a unit dropped by itself, and "
    "AUC is the area under the curve, the mean of the layers",
}
"""How removability is measured, in the words that the page has beside its switch; in the switch's order."""
NOT_RUN = "not run"


def page(
    analyses: Sequence[Analysis],
    specifications: Sequence[Mapping[str, Drawn]],
    store: str,
    code: Future[str],
    protocol: Protocol | None = None,
) -> str:
    """The page's HTML: the analyses in order, each with its figures' Vega-Lite specifications by name and protocol.

    Args:
        store: its location, for the commands that the page names.
        code: a future of the script that draws the figures, whose result is needed last.
        protocol: the one that the page opens with; None: the paper's figures' if it shows any of its experiments.
    """
    tables: Pool = {}
    protocols: list[Protocol] = [each for each in PROTOCOLS if any(each in analysis.protocols for analysis in analyses)]
    experiments = [_experiment(*pair, tables) for pair in zip(analyses, specifications, strict=True)]
    (claims, own), multiplicity = _claims(analyses)
    run = claims["answer"] != NOT_RUN
    return template("page.html.jinja").render(
        experiments=experiments,
        protocols=protocols,
        chosen=protocol or _chosen(analyses, protocols),
        meanings=PROTOCOLS,
        overviews=_overviews(analyses, protocols),
        answers=ANSWERS,
        claims=_records(pd.concat([claims[run], claims[~run]])),
        claims_run=len(claims[run].drop_duplicates(["name", "statement"])),
        answers_run=int(run.sum()),
        own_claims=_records(own),
        counts=Counter(claims["answer"]),
        own_counts=Counter(own["answer"]),
        multiplicity=multiplicity,
        layers={analysis.name: explorer.content(analysis) for analysis in analyses if len(analysis.layers)},
        titles={each["id"]: each["heading"] for each in experiments},
        explorer=styled(explorer.specification(), PAGE_INK),
        data=tables,
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


def _chosen(analyses: Sequence[Analysis], protocols: Sequence[str]) -> str:
    """The protocol that the page opens with: the figures' if it shows an experiment of the paper under it."""
    of_paper = any(analysis.protocol == "figures" for analysis in analyses)
    return "figures" if of_paper else next(iter(protocols), "")


def _overviews(analyses: Sequence[Analysis], protocols: Sequence[Protocol]) -> list[tuple[str, dict[str, object]]]:
    """What was found under each protocol; an experiment that was not measured by it counts under its own."""
    found = []
    for protocol in protocols or [None]:
        seen = [
            analysis.under(protocol if protocol in analysis.protocols else analysis.protocol) for analysis in analyses
        ]
        found.append((protocol or "", overview(seen)))
    return found if len(found) > 1 else [("", found[0][1])]


def _claims(analyses: Sequence[Analysis]) -> tuple[list[pd.DataFrame], str]:
    """The paper's claims, none where nothing of the paper was run; those of users' sweeps; and a sentence on all."""
    paper = compare_with_paper(analyses)
    if not any(analysis.sweep.of_paper for analysis in analyses):
        paper = paper[:0]
    stated = [each.claims for each in analyses if len(each.claims) and not each.version]
    return with_multiplicity([paper, pd.concat(stated) if stated else paper[:0]])


def _records(claims: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """Claims as rows, with empty text for what is missing."""
    return claims.astype(object).where(claims.notna(), "").to_dict("records")


def _experiment(analysis: Analysis, specifications: Mapping[str, Drawn], tables: Pool) -> dict[str, Any]:
    of = views(analysis)
    shown = analysis.under(analysis.protocol)
    chosen = figures(analysis)
    return {
        "id": analysis.name,
        "analysis": analysis,
        "heading": f"{analysis.label}, scale {analysis.scale}",
        "note": analysis.sweep.note(analysis.scale),
        "recipe": "" if analysis.sweep.recipe == PAPER else analysis.sweep.recipe,
        "took": " ".join(time_in_words(analysis)),
        "statuses": analysis.runs["status"].value_counts().to_dict(),
        "tuned": list(analysis.sweep.at(analysis.scale).tune),
        "networks": len(shown.networks),
        "degenerate": int(shown.networks["degenerate"].sum()) if "degenerate" in shown.networks else 0,
        "protocols": [each for each in of if each],
        "verdicts": [
            (protocol or "" if len(of) > 1 else "", matrix(view.verdicts), view.verdicts.to_dict("records"))
            for protocol, view in of.items()
            if len(view.verdicts)
        ],
        "compressibility": analysis.compressibility.to_dict("records"),
        "comparison": analysis.comparison.to_dict("records"),
        "held": int(analysis.comparison["holds"].sum()) if len(analysis.comparison) else 0,
        "figures": [
            embedded(figure, specifications[figure.name], tables) for figure in chosen if figure.name in specifications
        ],
        "undrawn": [figure.heading for figure in chosen if figure.of_paper and figure.name not in specifications],
        "overrides": [f"{path}={value}" for path, value in analysis.sweep.overrides.items()],
        "command": command(analysis),
        "tables": {name: _columns(_shown(analysis, name)) for name in TABLES if len(getattr(analysis, name))},
    }


def _shown(analysis: Analysis, name: str) -> pd.DataFrame:
    """A table as the page shows it: means with the trials behind them."""
    table = getattr(analysis, name)
    if name != "summary" or "trial" not in analysis.networks:
        return table
    keys = [key for key in ("protocol", "series", "width_factor") if key in table]
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

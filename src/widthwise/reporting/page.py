"""The page: everything that a store's experiments say, in one HTML file that needs nothing else."""

import json
import shlex
from importlib.metadata import version
from typing import Any

from widthwise.analysis.experiment import Analysis
from widthwise.analysis.runs import FITTED_ACCURACY, NEARLY_BEST
from widthwise.analysis.verdict import ACCURACY_MARGIN, SIGNIFICANCE
from widthwise.experiments.sweep import catalogue
from widthwise.reporting.html import drawing_code, template
from widthwise.reporting.theme import PAGE_INK, styled

CAPTIONS = {
    "panels": (
        "Test accuracy, removability and similarity against the width factor. Large marks are means over replicates, "
        "faint ones single networks. Error bars: of accuracy and AUC one standard deviation between replicates, of "
        "similarity the mean deviation between samplings within a network."
    ),
    "ablation-curves": (
        "Ablation curves: the share of test inputs whose predicted label stays when a random share of the units is "
        "dropped. The area under such a curve is the AUC."
    ),
    "correlation-violins": (
        "How strongly units correlate: the distribution of |r| over all pairs of units of the last layer, replicates "
        "together. Pairs above the dashed line count as similar."
    ),
    "constructions": (
        "What theory expects of each construction, beside what was measured; one mark a replicate. "
        "Where theory gives only a bound, the triangle is what the measurement must lie below."
    ),
}
TABLE_TITLES = {
    "summary": "Means by series and width",
    "networks": "The networks that count, one row each",
    "runs": "Every training run",
}


def page(analyses: list[Analysis], specifications: list[dict[str, dict[str, Any]]]) -> str:
    """The page's HTML: the analyses in order, each with its figures' Vega-Lite specifications by name."""
    drawn = [
        {name: styled(specification, PAGE_INK) for name, specification in of_experiment.items()}
        for of_experiment in specifications
    ]
    return template("page.html.jinja").render(
        experiments=[_experiment(*pair) for pair in zip(analyses, drawn, strict=True)],
        drawing_code=drawing_code(),
        captions=CAPTIONS,
        table_titles=TABLE_TITLES,
        version=version("widthwise"),
        significance=SIGNIFICANCE,
        margin=ACCURACY_MARGIN,
        fitted=FITTED_ACCURACY,
        nearly=NEARLY_BEST,
    )


def _experiment(analysis: Analysis, figures: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": analysis.name,
        "sweep": analysis.sweep,
        "scale": analysis.scale,
        "note": analysis.sweep.note(analysis.scale),
        "trials": len(analysis.runs),
        "statuses": analysis.runs["status"].value_counts().to_dict(),
        "chosen": len(analysis.networks),
        "tuned": list(analysis.sweep.at(analysis.scale).tune),
        "degenerate": int(analysis.networks["degenerate"].sum()) if len(analysis.networks) else 0,
        "verdicts": analysis.verdicts.to_dict("records"),
        "comparison": analysis.comparison.to_dict("records"),
        "held": int(analysis.comparison["holds"].sum()) if len(analysis.comparison) else 0,
        "environment": analysis.environment,
        "figures": figures,
        "assignments": [f"{path}={value}" for path, value in analysis.sweep.overrides.items()],
        "command": command(analysis),
        "tables": {name: table for name, table in analysis.tables().items() if name in TABLE_TITLES},
    }


def command(analysis: Analysis) -> str:
    """What to type to make an experiment again."""
    sweep = analysis.sweep
    name = sweep.name.partition("+")[0]
    words = ["widthwise", "run", name if name in catalogue() else f"{name}.yaml", "--scale", analysis.scale]
    for path, value in sweep.overrides.items():
        words += ["--set", f"{path}={json.dumps(value)}"]
    return shlex.join(words)

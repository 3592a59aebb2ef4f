"""A store's report: one page that opens offline, and its tables and figures as files beside it."""

import hashlib
import io
import json
from importlib.metadata import version

import pandas as pd

from widthwise.analysis.experiment import Analysis
from widthwise.experiments.store import Store
from widthwise.reporting import paths
from widthwise.reporting.charts import figures
from widthwise.reporting.files import FORMATS, render
from widthwise.reporting.page import page


def write(store: Store, analyses: list[Analysis]) -> str:
    """Write the report of `analyses` into the store and return the page's path.

    Figures that would show just what their files already show are not drawn again.
    """
    before = _drawn_before(store)
    digests: dict[str, str] = {}
    specifications = []
    for analysis in analyses:
        for name, table in analysis.tables().items():
            store.write(paths.table(analysis.name, name), csv(table))
        drawn = {}
        if len(analysis.networks):
            drawn = {name: draw(analysis).to_dict() for name, draw in figures(analysis).items()}
        for name, specification in drawn.items():
            content = json.dumps([version("widthwise"), specification], sort_keys=True)
            digest = digests[f"{analysis.name}/{name}"] = hashlib.sha256(content.encode()).hexdigest()
            for file_format in FORMATS:
                path = paths.figure(analysis.name, name, file_format)
                if before.get(f"{analysis.name}/{name}") != digest or not store.has(path):
                    store.write(path, render(specification, file_format))
        specifications.append(drawn)
    store.write(paths.FIGURES, json.dumps(digests).encode())
    store.write(paths.PAGE, page(analyses, specifications).encode())
    return store.path(paths.PAGE)


def _drawn_before(store: Store) -> dict[str, str]:
    """What each figure's files were drawn from, as digests by experiment and name; empty where nothing is known."""
    try:
        found = json.loads(store.read(paths.FIGURES))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def csv(table: pd.DataFrame) -> bytes:
    """A table as CSV."""
    sink = io.StringIO()
    table.to_csv(sink, index=False, lineterminator="\n")
    return sink.getvalue().encode()

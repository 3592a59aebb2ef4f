"""A store's report: one page that opens offline, and its tables and figures as files beside it."""

import io

import pandas as pd

from widthwise.analysis.experiment import Analysis
from widthwise.experiments.store import Store
from widthwise.reporting import paths
from widthwise.reporting.charts import figures
from widthwise.reporting.files import FORMATS, render
from widthwise.reporting.page import page


def write(store: Store, analyses: list[Analysis]) -> str:
    """Write the report of `analyses` into the store and return the page's path."""
    specifications = []
    for analysis in analyses:
        for name, table in analysis.tables().items():
            store.write(paths.table(analysis.name, name), csv(table))
        drawn = {}
        if len(analysis.networks):
            drawn = {name: draw(analysis).to_dict() for name, draw in figures(analysis).items()}
        for name, specification in drawn.items():
            for file_format in FORMATS:
                store.write(paths.figure(analysis.name, name, file_format), render(specification, file_format))
        specifications.append(drawn)
    store.write(paths.PAGE, page(analyses, specifications).encode())
    return store.path(paths.PAGE)


def csv(table: pd.DataFrame) -> bytes:
    """A table as CSV."""
    sink = io.StringIO()
    table.to_csv(sink, index=False, lineterminator="\n")
    return sink.getvalue().encode()

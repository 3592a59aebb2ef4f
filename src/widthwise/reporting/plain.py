"""From an Altair chart to a Vega-Lite specification, without Altair's copies of every table for every part of a chart."""

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import altair as alt
import pandas as pd
from altair.utils.schemapi import debug_mode

DIGITS = 10
APART = "apart"


def plain(make: Callable[[], Any]) -> dict[str, Any]:
    """The specification of the chart that `make` makes, each of its tables once, under `datasets`.

    Altair checks charts against Vega-Lite's schema at every step, which takes longer than all else. The tests do.
    """
    datasets: dict[str, list[dict[str, Any]]] = {}

    def apart(data: Any) -> Any:
        if not isinstance(data, pd.DataFrame):
            return data
        content = data.to_json(orient="records", double_precision=DIGITS)
        name = f"data-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
        if name not in datasets:
            datasets[name] = json.loads(content)
        return {"name": name}

    alt.data_transformers.register(APART, apart)
    with ExitStack() as stack:
        stack.enter_context(alt.data_transformers.enable(APART))
        stack.enter_context(debug_mode(False))
        content = make().to_dict(validate=False)
    return {**content, "datasets": {**content.get("datasets", {}), **datasets}}

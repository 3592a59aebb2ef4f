"""A smaller network, and what is known of it."""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version

import pandas as pd
from torch import nn

from widthwise.compression.comparison import COLLAPSED
from widthwise.compression.elimination import ROWS_PER_FEATURE
from widthwise.compression.example import Example
from widthwise.compression.files import check_folder, write
from widthwise.compression.formats import in_formats
from widthwise.compression.reasons import REASONS
from widthwise.compression.shortcuts import Rearrangement
from widthwise.compression.tables import by_reason
from widthwise.wording import counted, listed

TABLES = ("layers", "units", "left", "classes")
CARD = """# {name}, made smaller by widthwise {version}

```
{compressed}
```

Labels were compared on examples that were not used to make it. To load it:

```python
import widthwise as ww

model = ww.load_compressed("this folder", {name})  # or any function that returns the network as it was
```
"""


@dataclass(frozen=True)
class Compressed:
    """What `compress` returns.

    model: the smaller network, of the user's own class.
    layers: a row for each layer whose units can go: `layer, units, kept, error, reader, coupled, rows, features, dead,
        constant, disconnected, repeated, dependent, cheapest`.
        `error` is the squared error of the sum that the reader is a part of, as a share of that sum's variance, on the
        examples of the fit, the largest of several readers; `coupled` names the layers whose units of the same index
        went, too; `rows` is the number of examples and positions that the fit is over, and `features` that of the
        entries that the reader reads. The last six count the units that went for that reason.
    units: a row for each unit of these layers: `layer, unit, kept, position, error, reason, repeats`: the position in
        the order in which units go, counted from 0, and the error once it is gone; then why it could go, the first
        of these that holds for all of its readers. `dead`: it is always 0. `constant`: it is always the same.
        `disconnected`: its weights in the readers are 0. `repeated`: its |r| with a unit that stays, which is in
        `repeats`, is at least 0.99. `dependent`: the units that stay give at least 98% of its variance. `cheapest`: it
        is needed, and the error grew least without it. All are missing for the units that stay.
    left: a row for each layer whose units all stay: `layer, units, reason`.
    comparison: both networks on examples that were held back: the share of labels that are the same, with its 95%
        interval (Wilson's), the accuracy of each if `check_labels` were given, differences of the outputs, parameters,
        floating-point operations, bytes and seconds.
    classes: a row for each label: `label, before, after, labels_kept, labels_kept_low, labels_kept_high`: how often
        each network gives it and, of the examples to which the intact one gives it, the share that keep it.
    attributes: numbers in the network's modules that change with the units, such as that of heads, by `path.name`.
    rearrangements: which channels shortcuts that pad take and give, by the modules' paths.
    """

    model: nn.Module
    layers: pd.DataFrame
    units: pd.DataFrame
    left: pd.DataFrame
    comparison: pd.Series
    classes: pd.DataFrame
    attributes: dict[str, int]
    rearrangements: dict[str, Rearrangement]
    _example: Example = field(repr=False, compare=False)

    @property
    def keep(self) -> float:
        """The share of the units of layers that could be made smaller that stays."""
        return float(self.layers["kept"].sum() / self.layers["units"].sum())

    def save(self, folder: str | os.PathLike[str], formats: str | Iterable[str] = ()) -> None:
        """Write the network's weights, these tables and a page about it into a folder, for `load_compressed`.

        Args:
            folder: a new or an empty folder.
            formats: formats in which the network is written as well, each loaded again and compared with it first:
                `pt2`, a program for `torch.export.load`; `onnx`, a program for ONNX Runtime and others, which needs
                the extra `onnx`; `transformers`, the files that `from_pretrained` loads, of a network of that package
                whose layers of one kind all have one width.

        Raises:
            RequestError: the folder holds something, or is a file; or a format cannot be used for this network.
            TrialError: the files cannot be written, as on a full disk, or there is not enough memory.
        """
        check_folder(folder)
        others = in_formats(self.model, self._example, formats)
        name = type(self.model).__name__
        tables = {name: json.loads(getattr(self, name).to_json(orient="records")) for name in TABLES}
        comparison = json.loads(self.comparison.to_json())
        about = {"class": name, "keep": self.keep, "comparison": comparison, "attributes": self.attributes, **tables}
        about["rearrangements"] = {path: asdict(each) for path, each in self.rearrangements.items()}
        card = CARD.format(name=name, version=version("widthwise"), compressed=self)
        if others.lines:
            card += "\n".join(
                ["", "The same network in other formats:", "", *(f"- {line}" for line in others.lines), ""]
            )
        write(folder, self.model, about | {"formats": others.about}, card, others.contents)

    def __str__(self) -> str:
        """The comparison, and the layers before and after, in a few lines."""
        known = self.comparison
        lines = [
            f"{known['labels_kept']:.1%} of {known['labels']:,} labels are kept "
            f"[{known['labels_kept_low']:.1%}, {known['labels_kept_high']:.1%}].",
            *self.of_labels(),
            *(
                f"{title:<12}{known[f'{name}_before']:>16,} → {known[f'{name}_after']:,} "
                f"({known[f'{name}_after'] / known[f'{name}_before']:.0%})"
                for title, name in (("parameters", "parameters"), ("operations", "flops"), ("bytes", "bytes"))
            ),
            f"{'one example':<12}{1e3 * known['seconds_one_before']:>13.2f} ms → "
            f"{1e3 * known['seconds_one_after']:.2f} ms",
            "",
            self.layers.iloc[:, :5].to_string(index=False, float_format=lambda value: f"{value:.2g}"),
            "",
            self.why_units_went(),
        ]
        lines += [line for note in self.notes() for line in ("", note)]
        if len(self.left):
            lines += ["", "Left as they are:", *(f"{names}: {reason}" for names, reason in self.left_by_reason())]
        return "\n".join(lines)

    def of_labels(self) -> list[str]:
        """The label that is kept least, by the upper end of its interval, and the accuracy, as far as it is known."""
        found = []
        known, given = self.comparison, self.classes[self.classes["before"] > 0]
        if known["labels_kept"] < 1 and len(given) > 1:
            worst = given.sort_values("labels_kept_high", kind="stable").iloc[0]
            label, share, count = worst["label"], worst["labels_kept"], worst["before"]
            found.append(f"Label {label:.0f} is kept least: {share:.1%} of {count:,.0f}.")
        if not math.isnan(known["accuracy_before"]):
            found.append(f"Accuracy: {known['accuracy_before']:.1%} before, {known['accuracy_after']:.1%} after.")
        return found

    def why_units_went(self) -> str:
        """How many units went for each reason, in a sentence."""
        counts = {reason: int(self.layers[reason].sum()) for reason in REASONS}
        parts = [f"{count:,} {reason}" for reason, count in counts.items() if count]
        return f"{counted(sum(counts.values()), 'unit')} went{': ' if parts else ''}{listed(parts)}."

    def notes(self) -> list[str]:
        """What must be known beside the numbers: a network that has collapsed, and too few examples for the fit."""
        found = []
        share = self.comparison["most_frequent_label_share_after"]
        if share > COLLAPSED:
            found.append(
                f"The smaller network gives one label to {share:.1%} of the examples, so that the share of labels that "
                "are kept means little."
            )
        short = ROWS_PER_FEATURE * self.layers["features"] / self.layers["rows"]
        if (short > 1).any():
            worst = self.layers.loc[short.idxmax()]
            found.append(
                f"The fit after {worst['layer']} is over {worst['rows']:,} rows for {worst['features']:,} features, so "
                "its weights are held near the old ones; "
                f"{math.ceil(short.max())} times as many examples would be enough."
            )
        return found

    def left_by_reason(self) -> list[tuple[str, str]]:
        """The layers whose units all stay, those with the same reason together, and the reason."""
        return by_reason(self.left)

"""Tables as CSV: what a spreadsheet shows, and what is read back."""

import pandas as pd
import pytest

from widthwise.reporting.csv_tables import from_csv, to_csv


@pytest.mark.parametrize("name", ["=1+1", "=", "+x", "-x", "@SUM(A1)", "\tx", "'tis"])
def test_text_is_no_formula_in_a_table(name: str):
    """A spreadsheet that opens the file shows the name, and reading it back gives the name again, in any column."""
    table = pd.DataFrame({"series": [name, "plain"], "value": [-1.5, 2.0], "relation": ["plain", name]})
    content = to_csv(table)
    cell = content.decode().split("\n")[1].partition(",")[0].strip('"')
    assert cell == f"'{name}"
    assert ",-1.5," in content.decode(), "numbers are numbers"
    pd.testing.assert_frame_equal(from_csv(content), table, check_dtype=False)

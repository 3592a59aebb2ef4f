"""The map of a deep network: heat maps, search and zoom, in a page that stays small."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page
from torch import nn

import widthwise
from widthwise.measurement.profile import profile
from widthwise.measurement.result import Profile
from widthwise.measurement.settings import Measurement
from widthwise.reporting.files import render
from widthwise.reporting.profile_charts import network_map
from widthwise.reporting.profile_rows import layer_rows
from widthwise.reporting.unit_tables import pair_table, unit_table

DEPTH = 104
LEVELS = 2


def measured(layers: int, units: int = 5, levels: int = LEVELS) -> Profile:
    """The profile of a network whose layers are `act0`, `act1` and so on."""
    torch.manual_seed(0)
    model = nn.Sequential()
    for number in range(layers):
        model.add_module(f"linear{number}", nn.Linear(units, units))
        model.add_module(f"act{number}", nn.Tanh())
        nn.init.orthogonal_(model[-2].weight, gain=2)
    model.add_module("head", nn.Linear(units, 3))
    settings = Measurement(levels=levels, samplings=1)
    return profile(model, [torch.randn(40, units)], settings=settings, replay=False)


@pytest.fixture(scope="module")
def deep() -> Profile:
    return measured(DEPTH)


@pytest.fixture(scope="module")
def opened(
    browser: Browser, deep: Profile, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Page, list[str]]]:
    """The page of the deep network, and its requests and what it wrote to the console."""
    file = tmp_path_factory.mktemp("deep") / "profile.html"
    widthwise.report(deep, file)
    page = browser.new_page()
    noticed: list[str] = []
    page.on("request", lambda request: noticed.append(request.url))
    page.on("console", lambda message: noticed.append(message.text))
    page.on("pageerror", lambda error: noticed.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn !== undefined")
    yield page, noticed
    page.close()


def in_view(page: Page) -> list[int]:
    return [int(page.locator(f"[data-{end}]").input_value()) for end in ("first", "last")]


def drawn_cells(page: Page) -> int:
    """The cells of the first heat map."""
    return page.locator("[data-specification] g.mark-rect.role-mark").nth(-2).locator("path").count()


@pytest.mark.browser
def test_more_than_a_hundred_layers_are_drawn_and_all_are_in_the_table(opened):
    page, noticed = opened
    assert len(noticed) == 1, "the page itself"
    assert drawn_cells(page) == DEPTH * LEVELS, "a cell for each layer and level"
    assert page.locator("#layer-table tbody tr").count() == DEPTH


@pytest.mark.browser
def test_layers_are_found_by_parts_of_their_names_and_looked_at_with_the_keyboard(opened):
    page, _ = opened
    find = page.locator("[data-find]")
    find.fill("ACT 12")
    shown = page.locator("#layer-table tbody tr:visible td:first-child").all_inner_texts()
    assert shown == ["act12"]
    assert page.locator("#view [data-count]").inner_text() == f"1 of {DEPTH} layers"
    find.fill("7 4")
    find.press("Enter")
    assert in_view(page) == [48 - 2, 75 + 2], "from two layers before act47, the first found, to two after act74"
    find.fill("nowhere")
    assert page.locator("#layer-table tbody tr:visible").count() == 0
    find.press("Escape")
    page.locator("[data-move=all]").press("Enter")
    assert in_view(page) == [1, DEPTH]


@pytest.mark.browser
def test_a_part_of_the_network_is_looked_at_closely(opened):
    page, _ = opened
    page.locator("[data-first]").fill("21")
    page.locator("[data-last]").fill("60")
    page.locator("[data-last]").press("Enter")
    page.wait_for_timeout(100)
    assert drawn_cells(page) == 40 * LEVELS
    page.locator("[data-move=in]").click()
    assert in_view(page) == [31, 50]
    page.locator("[data-move=later]").click()
    assert in_view(page) == [41, 60]
    page.locator("[data-move=out]").click()
    assert in_view(page) == [31, 70]
    page.locator("[data-move=earlier]").click()
    page.locator("[data-move=earlier]").click()
    page.locator("[data-move=earlier]").click()
    assert in_view(page) == [1, 40], "not beyond the first layer"
    page.locator("[data-move=all]").click()


@pytest.mark.browser
def test_dragging_over_the_strip_shows_that_part(opened):
    page, _ = opened
    strip = page.locator("[data-specification] g.mark-area.role-mark path").first.bounding_box()
    page.mouse.move(strip["x"] + strip["width"] / 2, strip["y"] + strip["height"] / 2)
    page.mouse.down()
    page.mouse.move(strip["x"] + strip["width"] * 0.75, strip["y"] + strip["height"] / 2, steps=4)
    page.mouse.up()
    page.wait_for_timeout(200)
    first, last = in_view(page)
    assert abs(first - DEPTH * 0.5) <= 2
    assert abs(last - DEPTH * 0.75) <= 2
    page.locator("[data-move=all]").click()


@pytest.mark.browser
def test_the_table_chooses_a_layer_and_is_sorted(opened, deep: Profile):
    page, _ = opened
    table = page.locator("#layer-table")
    table.get_by_role("button", name="act17", exact=True).press("Enter")
    assert page.locator("tr.chosen td:first-child").all_inner_texts() == ["act17"]
    opacities = (
        page.locator("[data-specification] g.mark-rect.role-mark")
        .nth(-2)
        .locator("path")
        .evaluate_all("cells => cells.map((cell) => cell.getAttribute('opacity'))")
    )
    assert sum(opacity == "1" for opacity in opacities) == LEVELS
    table.get_by_role("button", name="act17", exact=True).press("Enter")
    assert page.locator("tr.chosen").count() == 0
    header = table.get_by_role("button", name="Similarity")
    header.press("Enter")
    shown = [float(text) for text in table.locator("tbody td:nth-child(5)").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    table.get_by_role("button", name="Layer").press("Enter")
    assert table.locator("tbody td:first-child").all_inner_texts() == deep.layers["layer"].tolist()


@pytest.mark.browser
def test_it_fits_a_phone(browser: Browser, deep: Profile, tmp_path):
    widthwise.report(deep, tmp_path / "profile.html")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((tmp_path / "profile.html").as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn !== undefined")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("svg.marks").bounding_box()["width"] <= 390
    page.close()


def test_the_table_behind_the_charts_is_the_profile(deep: Profile):
    rows = layer_rows(deep)
    assert [row["layer"] for row in rows] == deep.layers["layer"].tolist()
    row = rows[40]
    table = deep.ablation[deep.ablation["layer"] == row["layer"]]
    np.testing.assert_allclose(row["unchanged"], table.sort_values("share_dropped")["unchanged"], atol=1e-4)
    pairs = deep.correlation[deep.correlation["layer"] == row["layer"]]
    low_half = pairs[pairs["low"] < 0.2]["pairs"].sum() / pairs["pairs"].sum()
    assert sum(row["pairs"][:5]) == pytest.approx(low_half, abs=1e-3), "5 of 25 bins reach to 0.2"
    units = deep.units[deep.units["layer"] == row["layer"]]["mechanism"].fillna("unknown")
    assert dict(zip(row["kinds"], row["counts"], strict=True)) == units.value_counts().to_dict()


@pytest.mark.parametrize(("layers", "units"), [(1, 3), (26, 1)])
def test_networks_of_other_shapes_are_drawn(layers: int, units: int):
    """One layer; many layers of one unit, which have no pairs."""
    drawn = render(network_map(measured(layers, units)), "svg")
    assert drawn.startswith(b"<svg")


def test_the_tables_of_a_page_are_bounded_and_fair_to_layers(deep: Profile):
    table = unit_table(deep, most=200)
    layers = [row[0] for row in table["rows"]]
    assert table["total"] == DEPTH * 5
    assert sorted(set(layers)) == list(range(DEPTH)), "one unit of each layer at least"
    assert len(layers) <= 200
    mechanism, unit = table["titles"].index("Mechanism"), table["titles"].index("Unit")
    for index, name in enumerate(deep.layers["layer"][:10]):
        units = deep.units[deep.units["layer"] == name].set_index("unit")
        shown = next(row for row in table["rows"] if row[0] == index)
        if (units["mechanism"] == "dead").any():
            assert shown[mechanism] == "dead"
        elif (units["mechanism"] == "repeated").any():
            assert abs(units.loc[shown[unit], "r"]) == units["r"].abs().max()
    pairs = pair_table(deep, most=300)
    assert len(pairs["rows"]) <= 300
    strongest = deep.pairs.groupby("layer", sort=False).head(1)
    first = {row[0]: row[1:3] for row in reversed(pairs["rows"])}
    names = deep.layers["layer"].tolist()
    assert all(first[names.index(row.layer)] == [row.unit, row.other] for row in strongest.itertuples())
    whole = unit_table(deep)
    assert len(whole["rows"]) == whole["total"]

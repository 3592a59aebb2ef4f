"""The page of a smaller network, as a browser shows it, and what can go on the page of a profile."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from playwright.sync_api import Browser, Page
from tests.reporting.test_accessibility import problems_on
from torch import nn

import widthwise as ww
from widthwise.compression.compressed import Compressed
from widthwise.reporting.compressed_page import compressed_page
from widthwise.reporting.removable_parts import removable_parts

HOSTILE = "<img src=x onerror=alert(1)>"
report: Any = ww.report


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 40), nn.ReLU())
    model.add_module(HOSTILE, nn.Linear(40, 30))
    model.add_module("relu", nn.Tanh())
    model.add_module("head", nn.Linear(30, 3))
    return model.eval()


BATCHES = [torch.randn(100, 6, generator=torch.Generator().manual_seed(number)) for number in range(2)]


@pytest.fixture(scope="module")
def found() -> Compressed:
    return ww.compress(network(), BATCHES, keep=0.25)


@pytest.fixture(scope="module")
def curve() -> pd.DataFrame:
    return ww.frontier(network(), BATCHES, keeps=[0.2, 0.5])


@pytest.fixture(scope="module")
def profiles(found: Compressed) -> tuple[ww.Profile, ww.Profile]:
    settings = ww.Measurement(levels=3, samplings=1)
    before, after = (ww.profile(each, BATCHES, settings=settings) for each in (network(), found.model))
    return before, after


@pytest.fixture(scope="module")
def file(
    found: Compressed,
    curve: pd.DataFrame,
    profiles: tuple[ww.Profile, ww.Profile],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The page with everything that it can show; a reason is known of each unit that went."""
    reasons = ["repeated" if unit % 2 else HOSTILE for unit in found.units["unit"]]
    units = found.units.assign(reason=pd.Series(reasons, dtype="string").where(~found.units["kept"]))
    file = tmp_path_factory.mktemp("smaller") / "smaller.html"
    written = report(dataclasses.replace(found, units=units), file, frontier=curve, profiles=profiles)
    assert written == str(file)
    return file


@pytest.fixture(scope="module")
def opened(browser: Browser, file: Path) -> Iterator[tuple[Page, list[str], list[str]]]:
    """The page, the requests that it made, and what it wrote to the console."""
    page = browser.new_page()
    requests, console = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: console.append(message.text))
    page.on("pageerror", lambda error: console.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn !== undefined")
    yield page, requests, console
    page.close()


@pytest.mark.browser
def test_it_is_drawn_without_a_request_or_an_error(opened, found: Compressed):
    page, requests, console = opened
    assert len(requests) == 1
    assert console == []
    assert problems_on(page) == []
    assert page.locator("[data-specification] svg.marks").count() == 3
    points = page.locator("[data-specification='frontier.chart'] g.mark-symbol.role-mark path")
    assert points.count() == 3 + 3 + 2 * 3 + 4, "three networks in each panel, in two ways in the last, and this one"
    assert page.locator("img").count() == 0, "names are text"
    assert HOSTILE in page.locator("#layer-table").inner_text()
    kept = round(found.comparison["labels_kept"] * 40)
    assert page.locator("header p").first.inner_text().startswith(f"{kept} of 40 labels that were compared stay: ")
    cells = page.locator("#layer-table tbody tr").first.locator("td").all_inner_texts()
    assert cells[:4] == ["0", "40", "10", "25.0%"]
    assert "its units are the network's outputs" in page.locator("#whole").inner_text()


@pytest.mark.browser
def test_the_units_that_went_are_listed_in_their_order_and_filtered(opened, found: Compressed):
    page, _, _ = opened
    rows = page.locator("[data-table=units] tbody tr")
    gone = found.units[~found.units["kept"]]
    assert rows.count() == len(gone) == 30 + 22
    first = gone[gone["layer"] == "0"].sort_values("position")["unit"].tolist()
    shown = [row.split("\t") for row in rows.all_inner_texts()]
    assert [int(row[1]) for row in shown[:30]] == first
    assert [int(row[3]) for row in shown[:30]] == list(range(30))
    filter_box = page.locator("[data-for=units] [data-filter]")
    filter_box.fill("repeated")
    assert rows.count() == int((gone["unit"] % 2).sum())
    filter_box.fill("")


@pytest.mark.browser
def test_a_layer_is_found_and_chosen(opened):
    page, _, _ = opened
    page.locator("[data-find]").fill("onerror")
    assert page.locator("#layer-table tbody tr:visible").count() == 1
    page.locator("[data-find]").press("Escape")
    page.locator("#layer-table").get_by_role("button", name="Units before").press("Enter")
    assert page.locator("#layer-table tbody td:nth-child(2)").all_inner_texts() == ["40", "30"]


@pytest.mark.browser
def test_it_can_be_read_on_a_phone_in_the_dark_and_on_paper(browser: Browser, file: Path):
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    page.goto(file.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn !== undefined")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 22)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert max(each.bounding_box()["width"] for each in page.locator("svg.marks").all()) <= 390
    assert page.pdf().startswith(b"%PDF")
    assert problems_on(page) == []
    page.close()


def test_without_what_was_not_computed_it_is_shorter(found: Compressed):
    text = compressed_page(found)
    assert 'id="curves"' not in text
    assert "What other sizes keep" not in text
    assert "Why it could go" in text.rpartition('id="units-table"')[2].partition("</script>")[0]
    whole = compressed_page(ww.compress(network(), BATCHES, keep=1.0))
    assert "<h2>Units that went</h2>\n<p>None.</p>" in whole


def test_its_figure_can_be_a_file(found: Compressed, curve: pd.DataFrame, tmp_path: Path):
    for name, start in {"figure.svg": b"<svg", "figure.PDF": b"%PDF"}.items():
        report(found, tmp_path / name, frontier=curve)
        assert (tmp_path / name).read_bytes().startswith(start)
    drawn = (tmp_path / "figure.svg").read_text()
    assert "Labels kept" in drawn
    assert "Error, share" in drawn


def test_what_it_cannot_show_is_refused(
    found: Compressed, curve: pd.DataFrame, profiles: tuple[ww.Profile, ww.Profile], tmp_path: Path
):
    file = tmp_path / "smaller.html"
    before, after = profiles
    other = ww.profile(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)), BATCHES)
    for source, path, options, sentence in (
        (found, None, {}, "^path: it says where the page is written"),
        (found, file, {"frontier": curve.drop(columns="flops")}, "^frontier: .* it lacks flops"),
        (found, file, {"frontier": curve.head(0)}, "^frontier: has no rows"),
        (found, file, {"profiles": (before,)}, "^profiles: must be two, .* not 1"),
        (found, file, {"profiles": (before, other)}, "^profiles: must be of two networks with the same layers"),
        (found, tmp_path / "smaller.png", {"profiles": (before, after)}, "^profiles: are shown on the page"),
        (found, file, {"what_can_go": "no"}, "^what_can_go: is shown on the page of a profile"),
        (before, file, {"frontier": curve}, "^frontier: is shown on the page of a smaller network"),
        (before, file, {"what_can_go": curve}, "^what_can_go: must be the table that widthwise.what_can_go returns"),
        (before, tmp_path / "p.svg", {"what_can_go": "no"}, "^what_can_go: is shown on the page, and not in its"),
        (tmp_path, None, {"profiles": (before, after)}, "^profiles: is shown on the page of a smaller network"),
        (found.model, file, {}, "^source: must be a profile, what compress returns, or a store, not Sequential"),
    ):
        with pytest.raises(ww.RequestError, match=sentence):
            report(source, path, **options)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        report(found, tmp_path / "no" / "smaller.html")
    assert not list(tmp_path.iterdir())


def removable() -> pd.DataFrame:
    """What can go of the network at two shares of labels, in a table as `what_can_go` returns it."""
    rows = []
    for labels, kept in ((0.99, 30), (0.9, 10)):
        for layer, units, after in (("", 43, 3 + kept), (HOSTILE, 40, kept), ("head", 3, 3)):
            sizes = {"units": (units, after), "parameters": (10 * units, 10 * after), "flops": (0, 0)}
            row: dict[str, object] = {"labels": labels, "layer": layer, "compared": None if layer else 200}
            row |= dict.fromkeys(("labels_kept", "labels_kept_low", "labels_kept_high"), None if layer else labels)
            for size, (one, other) in sizes.items():
                row |= {f"{size}_before": one, f"{size}_after": other}
            rows.append(row)
    return pd.DataFrame(rows)


def test_shares_that_can_go():
    parts = removable_parts(removable())
    assert parts.compared == 200
    assert parts.levels == ["99%", "90%"]
    assert [cells[2:] for cells in parts.whole] == [["23%", "23%", "–"], ["70%", "70%", "–"]]
    assert parts.layers[0] == [HOSTILE, "40", "25%", "75%", "400", "25%", "75%", "0", "–", "–"]
    assert parts.layers[1] == ["head", "3", "0%", "0%", "30", "0%", "0%", "0", "–", "–"]


@pytest.mark.browser
def test_the_page_of_a_profile_says_what_can_go(
    browser: Browser, profiles: tuple[ww.Profile, ww.Profile], tmp_path: Path
):
    file = tmp_path / "profile.html"
    report(profiles[0], file, what_can_go=f"all units stay of {HOSTILE}")
    assert "all units stay of &lt;img" in file.read_text()
    report(profiles[0], file, what_can_go=removable())
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(file.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn !== undefined")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    table = page.locator("#what-can-go .parts tbody tr")
    assert table.first.locator("td").all_inner_texts()[:4] == [HOSTILE, "40", "25%", "75%"]
    assert problems_on(page) == []
    page.close()

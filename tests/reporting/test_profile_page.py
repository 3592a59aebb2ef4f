"""The page of a profile, as a browser shows it."""

from collections.abc import Iterator

import pytest
import torch
from playwright.sync_api import Browser, Page
from torch import nn

import widthwise
from widthwise.measurement.profile import profile
from widthwise.measurement.settings import Measurement

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def opened(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, list[str], list[str]]]:
    """The page of a small network, the requests that it made, and what it wrote to the console."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 40), nn.ReLU())
    model.add_module("wide", nn.Linear(40, 250))
    model.add_module(HOSTILE, nn.ReLU())
    model.add_module("head", nn.Linear(250, 3))
    measured = profile(model, [torch.randn(80, 6)], settings=Measurement(single_units=True))
    file = tmp_path_factory.mktemp("profile") / "profile.html"
    assert widthwise.report(measured, file) == str(file)
    page = browser.new_page()
    requests, console = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: console.append(message.text))
    page.on("pageerror", lambda error: console.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn !== undefined")
    yield page, requests, console
    page.close()


def test_the_map_is_drawn_without_a_request_or_an_error(opened):
    page, requests, console = opened
    assert page.locator("[data-specification] svg.marks path").count() > 30
    assert len(requests) == 1
    assert console == []
    assert page.locator("img").count() == 0, "names are text"
    assert HOSTILE in page.locator("#layers table").inner_text()


def test_units_are_sorted_and_filtered(opened):
    page, _, _ = opened
    table = page.locator("[data-table=units]")
    controls = page.locator("[data-for=units]")
    assert controls.locator("[data-count]").inner_text() == "290 of 290"
    assert table.locator("tbody tr").count() == 200
    table.get_by_text("Show more").click()
    assert table.locator("tbody tr").count() == 290

    header = table.locator("th", has_text="Outgoing weights")
    header.locator("button").click()
    index = header.evaluate("cell => cell.cellIndex")
    norms = [float(text) for text in table.locator(f"tbody td:nth-child({index + 1})").all_inner_texts()]
    assert norms == sorted(norms, reverse=True)
    assert header.get_attribute("aria-sort") == "descending"
    header.locator("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"

    controls.locator("[data-filter]").fill("onerror 7")
    assert table.locator("tbody tr").count() == 1
    controls.locator("[data-filter]").fill("")
    controls.locator("[data-mechanism]").select_option(index=1)
    chosen = controls.locator("[data-mechanism]").input_value()
    kinds = {row.split("\t")[2] for row in table.locator("tbody tr").all_inner_texts()}
    assert kinds == {chosen}


def test_a_click_on_a_layer_shows_it_alone(opened):
    page, _, _ = opened
    chart = page.locator("[data-specification]")
    lines = chart.locator("g.mark-line path")
    before = [line.get_attribute("opacity") for line in lines.all()]
    chart.locator("g.mark-symbol path").first.click(force=True)
    page.wait_for_timeout(200)
    assert [line.get_attribute("opacity") for line in lines.all()] != before


def test_it_can_be_read_on_a_phone_and_in_the_dark(opened):
    page, _, _ = opened
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 22)"
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_its_figure_can_be_a_file(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    measured = profile(model, [torch.randn(30, 4)])
    starts = {"figure.png": b"\x89PNG", "figure.svg": b"<svg", "figure.pdf": b"%PDF"}
    for name, start in starts.items():
        widthwise.report(measured, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    with pytest.raises(widthwise.RequestError, match=r"^path: "):
        widthwise.report(measured)

"""The page, as a browser shows it: from a file, without a network, in light and dark and on paper."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from widthwise import workflow
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Sweep

pytestmark = pytest.mark.browser
DRAWN = "document.documentElement.dataset.drawn !== undefined"


@pytest.fixture
def opened(browser: Browser, smoke_store: Path) -> Iterator[tuple[Page, list[str], list[str]]]:
    """The page when its charts are drawn, the requests that it made, and what it said on the console."""
    page = browser.new_page()
    requests, said = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((smoke_store / "report" / "index.html").as_uri())
    page.wait_for_function(DRAWN)
    yield page, requests, said
    page.close()


def test_every_chart_is_drawn_without_a_request_or_an_error(opened, smoke_store: Path):
    page, requests, said = opened
    assert page.locator("[data-specification]").count() == 6
    assert page.locator("[data-specification] svg.marks").count() == 6
    for chart in page.locator("[data-specification] svg.marks").all():
        assert chart.locator("path").count() > 20
    assert requests == [(smoke_store / "report" / "index.html").as_uri()]
    assert said == []


def test_it_says_what_was_run_and_the_verdict(opened):
    page, _, _ = opened
    text = page.locator("body").inner_text()
    assert "12 training runs: 12 trained, 0 diverged, 0 not run." in text
    assert "Not at the paper's scale: 2 series, 3 widths" in text
    assert "24 of 24 expectations hold" in text
    assert page.locator("table.verdict tbody tr").count() == 2
    assert page.locator("table.comparison tbody tr").count() == 24


def opacities(page: Page) -> set[str]:
    lines = page.locator("[data-specification='mlp10-initialization.smoke.panels'] g.mark-line path").all()
    return {line.get_attribute("opacity") or "1" for line in lines}


def test_clicking_a_legend_entry_isolates_its_series_in_all_three_panels(opened):
    page, _, _ = opened
    assert opacities(page) == {"1"}
    page.locator("[data-specification$='.panels'] .role-legend-entry text").first.click()
    page.wait_for_timeout(300)
    lines = page.locator("[data-specification='mlp10-initialization.smoke.panels'] g.mark-line path").all()
    shown = [line.get_attribute("stroke") for line in lines if (line.get_attribute("opacity") or "1") == "1"]
    assert len(lines) == 6
    assert len(shown) == 3
    assert len(set(shown)) == 1


def test_hovering_shows_values(opened):
    page, _, _ = opened
    page.locator("[data-specification$='.panels'] g.mark-symbol.role-mark path").last.hover(force=True)
    tooltip = page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    assert "Similarity" in tooltip.inner_text()
    assert "Replicates" in tooltip.inner_text()


def contrast(page: Page, element: str) -> float:
    """The WCAG contrast between an element's ink and the page."""
    return page.evaluate(
        """(selector) => {
            const luminance = (colour) => {
                const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
                    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const node = document.querySelector(selector);
            const style = getComputedStyle(node);
            const ink = luminance(node.closest("svg") ? style.fill : style.color);
            const paper = luminance(getComputedStyle(document.body).backgroundColor);
            return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        }""",
        element,
    )


@pytest.mark.parametrize(("scheme", "media"), [("light", "screen"), ("dark", "screen"), ("dark", "print")])
def test_text_is_legible_in_light_in_dark_and_on_paper(opened, scheme, media):
    page, _, _ = opened
    page.emulate_media(color_scheme=scheme, media=media)
    for element in ("h1", "p.soft", ".answer", ".role-axis-label text"):
        assert contrast(page, element) >= 4.5, (scheme, media, element)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light" or media == "print")


def test_it_fits_a_phone_and_prints(opened):
    page, _, _ = opened
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.pdf().startswith(b"%PDF")


def test_names_with_markup_are_shown_as_text(browser: Browser, tmp_path: Path):
    name = "<img src=x onerror=alert(1)>&amp;{{ 7 * 7 }}"
    sweep = tmp_path / "own.yaml"
    sweep.write_text(
        f"title: '{name}'\ndescription: '</script><b>{name}'\nlabel: '{name.replace('{', '{{').replace('}', '}}')}'\n"
        "widths: [0.25, 0.5, 1]\nreplicates: 2\n"
        "trial: {data: {train_examples: 40, validation_examples: 20, test_examples: 20}, training: {epochs: 1}}\n"
    )
    _, report = workflow.run(str(sweep), "paper", tmp_path / "store", workers=0)
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(Path(report.page).as_uri())
    page.wait_for_function(DRAWN)
    assert page.locator("h2").inner_text() == name
    assert page.locator("table.verdict tbody td").first.inner_text() == name
    assert page.locator("section img").count() == 0
    assert said == []


def test_a_store_of_missing_trials_has_a_page_too(empty_store: Store):
    empty_store.add_sweep(Sweep.load("mlp10-initialization"), "smoke")
    text = Path(workflow.report(empty_store).page).read_text(encoding="utf-8")
    assert "no trained network yet" in text
    assert "0 trained, 0 diverged, 12 not run" in text

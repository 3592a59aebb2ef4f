"""The page, as a browser shows it: from a file, without a network, in light and dark and on paper."""

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from widthwise.analysis.analyze import analyze
from widthwise.experiments.figure import NUMBER
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Sweep, catalogue
from widthwise.reporting import report
from widthwise.reporting.embedding import drawn, views
from widthwise.reporting.figure import details
from widthwise.reporting.figures import figures
from widthwise.reporting.html import drawing_code, number
from widthwise.reporting.overview import matrix
from widthwise.reporting.page import page
from widthwise.reporting.theme import SERIES_COLOURS
from widthwise.wording import with_minus

pytestmark = pytest.mark.browser
DRAWN = "document.documentElement.dataset.drawn !== undefined"
READY = "document.documentElement.dataset.ready !== undefined"
PANELS = "[data-specification='mlp10-initialization.smoke.B5.figures.chart']"
SHOWN = "document.getElementById('explorer-chart').dataset.shows"


@pytest.fixture
def listened(browser: Browser) -> Iterator[tuple[Page, list[str], list[str]]]:
    """An empty page, the requests that it makes, and what it says on the console."""
    page = browser.new_page()
    requests, said = [], []
    page.on("request", lambda request: requests.append(request.url.partition("#")[0]))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    yield page, requests, said
    page.close()


def address(store: Path) -> str:
    return (store / "report" / "index.html").as_uri()


@pytest.fixture
def opened(listened, smoke_store: Path) -> tuple[Page, list[str], list[str]]:
    """The page when its charts are drawn, the requests that it made, and what it said on the console."""
    listened[0].goto(address(smoke_store))
    listened[0].wait_for_function(DRAWN)
    return listened


def test_every_chart_is_drawn_without_a_request_or_an_error(opened, smoke_store: Path):
    page, requests, said = opened
    assert page.locator("[data-specification]").count() == 3, "one figure is drawn under either protocol"
    assert page.locator("[data-specification] svg.marks").count() == 3
    assert page.locator("[data-specification]:visible").count() == 2
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
    assert page.locator("table.verdict tbody tr:visible").count() == 2
    assert page.locator("table.comparison tbody tr").count() == 24


def lines(page: Page) -> list[tuple[str | None, str]]:
    """Colour and opacity of the lines of our own networks; the authors' are grey."""
    drawn = [(line.get_attribute("stroke"), line) for line in page.locator(f"{PANELS} g.mark-line path").all()]
    return [(colour, line.get_attribute("opacity") or "1") for colour, line in drawn if colour in SERIES_COLOURS[:2]]


def test_clicking_a_legend_entry_isolates_its_series_in_all_three_panels(opened):
    page, _, _ = opened
    assert [opacity for _, opacity in lines(page)] == ["1"] * 6
    page.locator(f"{PANELS} .role-legend-entry text").first.click()
    page.wait_for_timeout(300)
    assert [colour for colour, opacity in lines(page) if opacity == "1"] == [SERIES_COLOURS[0]] * 3


def test_hovering_shows_values(opened):
    page, _, _ = opened
    page.locator(f"{PANELS} g.mark-symbol.role-mark path").last.hover(force=True)
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


def test_it_fits_a_phone(opened):
    """Nothing is wider than the screen but tables, each in a box of its own that scrolls."""
    page, _, _ = opened
    page.set_viewport_size({"width": 390, "height": 800})
    page.reload()
    page.wait_for_function(DRAWN)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for chart in page.locator("[data-specification]:visible svg.marks").all():
        box = chart.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390
        assert box["width"] > 240, "panels are below each other, not small"
    boxes = page.locator(".scroll:visible")
    assert boxes.evaluate_all("all => all.some((box) => box.scrollWidth > box.clientWidth)")
    assert boxes.evaluate_all("all => all.every((box) => box.tabIndex === 0 && box.ariaLabel)")


def test_the_first_figure_is_on_the_first_screen(browser: Browser, smoke_store: Path):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(address(smoke_store))
    page.wait_for_function(DRAWN)
    box = page.locator("[data-specification]:visible svg.marks").first.bounding_box()
    matrix = page.locator("table.matrix").first.bounding_box()
    assert box is not None
    assert matrix is not None
    assert matrix["y"] < box["y"] < 560
    page.close()


def test_it_prints_whole(opened):
    """At the width of a sheet of A4 nothing scrolls or is cut; controls are gone; the chosen protocol is said."""
    page, _, _ = opened
    runs = page.locator("[id='how'] details[data-table=runs]").first
    runs.locator("summary").click()
    runs.locator("tbody tr").first.wait_for()
    page.set_viewport_size({"width": 718, "height": 1000})
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    for box in page.locator(".scroll:visible, .sortable:visible").all():
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight")
    assert page.locator("#explorer-chart svg.marks").is_visible()
    assert page.locator("#explorer-said").inner_text().startswith("constructions, scale smoke: small, 1/4×")
    assert page.locator("input:visible, select:visible, nav:visible, .vega-actions:visible").count() == 0
    assert page.locator("#protocol label:visible").all_inner_texts()[0].startswith("figures: as the paper's figures")
    assert page.locator("#protocol label:visible").count() == 1
    tests = page.locator("table.claims tr:visible details")
    assert tests.count() > 0
    assert tests.evaluate_all("all => all.every((each) => each.open)")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("table.claims details[open]").count() == 0
    assert page.pdf().startswith(b"%PDF")


def test_it_opens_with_what_was_found(opened):
    page, _, _ = opened
    found = page.locator("header p.found:visible").inner_text()
    assert found.startswith("17 trainings in 2 experiments. Of 2 families, 0 gave valid evidence.")
    assert "About 2 nothing can be said" in found
    titles = page.locator("table.matrix caption a").all_inner_texts()
    assert titles == [
        "The constructions of Section 2.3",
        "MLPs on 10-dimensional data, by the σ of their initial weights",
    ]
    rows = page.locator("table.matrix tr:visible").all_inner_texts()
    assert rows[0].split("\t") == ["Expectations of theory", "✓ 24 of 24 hold"]
    assert rows[1].split("\t") == ["Series", "Removability", "Similarity", "Accuracy", "Claim"]
    untested = ["– not tested"] * 3
    assert [row.split("\t") for row in rows[2:]] == [
        ["σ = 0.01", *untested, "– no valid evidence"],
        ["σ = 1", *untested, "– no valid evidence"],
    ]


def test_the_matrix_says_what_grows():
    rows = {
        "series": ["wide", "narrow", "short"],
        "verdict": ["supported", "not supported", "no valid evidence"],
        "obstacle": ["", "", "a trend needs 3 widths"],
        **{"removability_grows": [True, False, None], "removability_slope": [0.02, -0.0004, 0.5]},
        **{"similarity_grows": [False, False, None], "similarity_slope": [1.25, -3.0, 0.5]},
        **{"accuracy_kept": [True, False, None], "accuracy_change": [0.001, -0.1, 0.0]},
    }
    written = [[f"{cell['text']} {cell['effect']}".strip() for cell in row.cells] for row in matrix(pd.DataFrame(rows))]
    assert written == [
        ["▲ grows +0.020", "▬ no growth +1.2", "✓ kept +0.001"],
        ["▬ no growth 0.000", "▬ no growth −3.0", "✗ falls −0.100"],
        ["– not tested"] * 3,
    ]


def test_claims_that_were_not_run_are_shown_only_if_asked_for(opened):
    page, _, _ = opened
    rows = page.locator("table.claims tbody tr")
    run = rows.locator("visible=true")
    answers = run.locator("td.answer").all_inner_texts()
    assert 5 < len(answers) < rows.count()
    assert not any("not run" in answer for answer in answers)
    assert all("protocol figures" in text for text in run.all_inner_texts() if "mlp10" in text)
    page.locator("#not-run").focus()
    page.keyboard.press("Space")
    assert run.count() == rows.count()
    page.reload()
    assert run.count() == len(answers), "it is not remembered"


def test_claims_can_be_chosen_by_their_answer(opened):
    page, _, _ = opened
    rows = page.locator("table.claims tbody tr:visible")
    everything = rows.count()
    page.select_option("#answer", "agrees")
    assert 0 < rows.count() < everything
    assert all("✓ agrees" in text for text in rows.locator("td.answer").all_inner_texts())
    page.select_option("#answer", "")
    assert rows.count() == everything


def test_the_keyboard_switches_between_the_protocols(opened, smoke_store: Path):
    """Figures, verdicts, tables and the explorer of the chosen one are shown, and of the other nothing is."""
    page, _, said = opened
    of_text = PANELS.replace("figures", "text")
    means = page.locator("[data-experiment='mlp10-initialization.smoke'][data-table=summary]")
    means.locator("summary").click()
    means.locator("tbody tr").first.wait_for()
    protocols = means.locator("tbody td:first-child")
    assert set(protocols.all_inner_texts()) == {"figures"}
    assert page.locator(PANELS).is_visible()
    assert page.locator(of_text).is_hidden()
    explorer = page.locator("#explorer-chart svg.marks").inner_html()
    page.locator("#protocol input:checked").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#protocol input:checked").input_value() == "text"
    assert page.locator(PANELS).is_hidden()
    assert page.locator(f"{of_text} svg.marks").is_visible()
    assert set(protocols.all_inner_texts()) == {"text"}
    page.wait_for_function(
        "html => document.querySelector('#explorer-chart svg.marks').innerHTML !== html", arg=explorer
    )
    labels = page.locator(f"{of_text} [aria-label*='Deviation']").all()
    marks = " ".join(label.get_attribute("aria-label") or "" for label in labels)
    found = [float(value) for value in re.findall(r"Removability \(AUC\)[^:]*: ([\d.]+)", marks)]
    summary = analyze(Store(smoke_store), Sweep.load("mlp10-initialization"), "smoke").under("text").summary
    assert sorted(found) == pytest.approx(sorted(summary["auc"]), abs=0.0051)
    assert said == []


def test_numbers_are_written_alike_by_the_page_and_its_script(opened, smoke_store: Path):
    page, _, _ = opened
    means = page.locator("[data-experiment='mlp10-initialization.smoke'][data-table=summary]")
    means.locator("summary").click()
    means.locator("tbody tr").first.wait_for()
    cells = [row.locator("td").all_inner_texts() for row in means.locator("tbody tr").all()]
    analysis = analyze(Store(smoke_store), Sweep.load("mlp10-initialization"), "smoke").under("figures")
    rows = analysis.summary.round(6).to_dict("records")
    expected = [
        [number(round(value, 6) if isinstance(value, float) else value) for value in row.values()] for row in rows
    ]
    assert [row[:-1] for row in cells] == expected, "the last column is that of the trials"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (-0.5, "−0.5"),
        (12345, "12,345"),
        (1234.5, "1,235"),
        (-0.00001234, "−1.234e−5"),
        (None, ""),
    ],
)
def test_one_number_format(value: float, text: str):
    assert number(value) == text


def test_a_hyphen_stays_where_it_is_no_minus():
    assert with_minus("ResNet-18, 2-3 of -0.5 [-.1, 1e-05], p = -1, 2019-12-10") == (
        "ResNet-18, 2-3 of −0.5 [−.1, 1e−5], p = −1, 2019-12-10"
    )


def test_every_number_leads_to_its_trials(opened, smoke_store: Path):
    page, _, said = opened
    means = page.locator("[data-experiment='mlp10-initialization.smoke'][data-table=summary]")
    means.locator("summary").click()
    means.locator("tbody tr").first.wait_for()
    link = means.locator("a").first
    identity = link.inner_text()
    link.click()
    page.locator("#trial").wait_for(state="visible")
    text = page.locator("#trial").inner_text()
    trial = Store(smoke_store).trial(identity)
    assert f"Trial {identity}" in text
    assert "It counts" in text
    assert f"widthwise profile {smoke_store}/trials/{identity}" in text
    assert f"network.width_factor\n{trial.network.width_factor:g}" in text
    page.keyboard.press("Escape")
    assert page.locator("#trial").is_hidden()
    assert said == []


def test_a_trial_has_an_address(listened, smoke_store: Path):
    page, _, _ = listened
    identity = Sweep.load("mlp10-initialization").trials("smoke")[0].id
    page.goto(f"{address(smoke_store)}#trial={identity}")
    page.locator("#trial").wait_for(state="visible")
    assert page.locator("#trial-title").inner_text() == f"Trial {identity}"
    page.goto(f"{address(smoke_store)}#trial=<b>none</b>")
    page.wait_for_function("document.getElementById('trial-title').textContent.startsWith('There is no trial')")
    assert page.locator("#trial-title b").count() == 0


def test_tables_are_sorted_and_filtered(opened):
    page, _, _ = opened
    runs = page.locator("[data-experiment='mlp10-initialization.smoke'][data-table=runs]")
    runs.locator("summary").click()
    runs.locator("tbody tr").first.wait_for()
    assert runs.locator("[data-count]").inner_text() == "12 of 12"
    runs.locator("[data-filter]").fill("σ 0.01 0.5")
    assert runs.locator("[data-count]").inner_text().endswith(" of 12")
    runs.locator("[data-filter]").fill("")
    runs.locator("th button", has_text="test_accuracy").click()
    titles = runs.locator("th button").all_inner_texts()
    place = titles.index("test_accuracy")
    values = [float(row.locator("td").nth(place).inner_text()) for row in runs.locator("tbody tr").all()]
    assert values == sorted(values, reverse=True)


def test_the_explorer_shows_what_is_chosen(listened, whole_store: Path):
    """Every layer of a series at the chosen widths, in order of depth; the address keeps the choice."""
    page, requests, said = listened
    page.goto(f"{address(whole_store)}#explorer")
    page.wait_for_function(f"{SHOWN} !== undefined")
    page.select_option("#choice-experiment", "mlp10-initialization.smoke")
    page.wait_for_function(f"{SHOWN} === 'mlp10-initialization.smoke/σ = 0.01/0.25,0.5,1'")
    first = page.locator("#explorer-chart svg.marks").inner_html()
    page.select_option("#choice-experiment", "alexnet-initialization.smoke")
    page.wait_for_function(f"{SHOWN} === 'alexnet-initialization.smoke/Glorot normal/0.0625,0.125'")
    second = page.locator("#explorer-chart svg.marks").inner_html()
    assert second != first
    page.select_option("#choice-series", "He normal")
    page.wait_for_function(f"{SHOWN}.includes('He normal')")
    third = page.locator("#explorer-chart svg.marks").inner_html()
    assert third != second
    page.locator("#choice-widths input").first.focus()
    page.keyboard.press("Space")
    page.wait_for_function(f"{SHOWN}.endsWith('/0.125')")
    fourth = page.locator("#explorer-chart svg.marks").inner_html()
    assert fourth != third
    assert page.url.endswith("#explorer?experiment=alexnet-initialization.smoke&series=He+normal&widths=0.125")
    page.locator("#explorer-numbers summary").click()
    layers = page.locator("#explorer-numbers tbody tr td:first-child").all_inner_texts()
    assert layers == ["conv1", "conv2", "dense1", "dense2"]
    assert requests == [address(whole_store)]
    assert said == []


def test_the_explorers_charts_hold_the_numbers_of_the_layers(listened, whole_store: Path):
    page, _, _ = listened
    page.goto(f"{address(whole_store)}#explorer?experiment=imagenet-width.smoke&series=ResNet-18&widths=0.125")
    page.wait_for_function(f"{SHOWN} === 'imagenet-width.smoke/ResNet-18/0.125'")
    marks = page.locator("#explorer-chart svg .mark-symbol path[aria-label]")
    labels = " ".join(mark.get_attribute("aria-label") or "" for mark in marks.all())
    analysis = analyze(Store(whole_store), Sweep.load("imagenet-width"), "smoke").under("figures")
    rows = analysis.layers.query("series == 'ResNet-18' and width_factor == 0.125")
    assert rows["layer"].tolist() == ["stem", "layer1", "layer2", "layer3", "layer4"]
    for row in rows.to_dict("records"):
        assert f"{row['layer']}" in labels
        assert f"{row['auc']:.4f}".rstrip("0").rstrip(".") in labels


def test_the_page_of_every_experiment_is_whole(listened, whole_store: Path):
    page, requests, said = listened
    figures_of_all = [each for name in catalogue() for each in Sweep.load(name).figures.items()]
    page.goto(address(whole_store))
    page.wait_for_function(DRAWN, timeout=120_000)
    charts = page.locator("[data-specification]").count()
    assert page.locator("[data-specification] svg.marks").count() == charts
    assert page.locator("[data-specification]:visible").count() == len(figures_of_all) + 1
    headings = " ".join(page.locator("figcaption b").all_inner_texts())
    for name, figure in figures_of_all:
        assert (f"Figure {name}. {figure.title}" if NUMBER.fullmatch(name) else figure.title) in headings
    assert requests == [address(whole_store)]
    assert said == []
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


NAME = "=<img src=x onerror=alert(1)>&amp;{{ 7 * 7 }}$x$"


def test_names_with_markup_or_formulas_are_shown_as_text(listened, typed, tmp_path: Path):
    page, _, said = listened
    sweep = tmp_path / "own.yaml"
    sweep.write_text(
        f"title: '{NAME}'\ndescription: '</script><b>{NAME}'\nseries: {{kind: {{'{NAME}': {{}}, '[bold]plain': "
        "{training: {momentum: 0}}}}\nwidths: [0.25, 0.5, 1]\nreplicates: 2\n"
        "trial: {data: {train_examples: 40, validation_examples: 20, test_examples: 20}, training: {epochs: 1}}\n"
    )
    code, shown, _ = typed("run", sweep, "--store", tmp_path / "store", "--workers", "0")
    assert code == 0
    assert "[bold]plain" in shown
    assert "=<img src=x" in shown
    page.goto(address(tmp_path / "store"))
    page.wait_for_function(DRAWN)
    assert page.locator("section.experiment h2").inner_text() == NAME
    assert page.locator("table.verdict tbody th:visible").first.inner_text() == NAME
    assert page.locator("table.matrix tbody th:visible").first.inner_text() == NAME
    legend = page.locator("[data-specification] .role-legend text").all_text_contents()
    assert any(text.startswith("=<img src=x onerror") for text in legend), "as text, and cut where there is no room"
    page.locator("#explorer").scroll_into_view_if_needed()
    page.wait_for_function(f"{SHOWN} !== undefined")
    assert page.locator("#choice-series option").all_inner_texts() == [NAME, "[bold]plain"]
    for table in page.locator("details[data-table] summary").all():
        table.click()
    page.locator("details[data-table=summary] td").first.wait_for()
    assert NAME in page.locator("details[data-table=summary] td").all_inner_texts()
    assert page.locator("main img").count() == 0
    assert said == []
    rows = (tmp_path / "store/report/own.paper/tables/summary.csv").read_text(encoding="utf-8").splitlines()
    assert rows[1].startswith("text,'=<img")


def test_layers_with_markup_or_formulas_are_shown_as_text(listened, smoke_store: Path, tmp_path: Path):
    opened, _, said = listened
    analysis = analyze(Store(smoke_store), Sweep.load("mlp10-initialization"), "smoke")
    renamed = {
        name: getattr(analysis, name).replace({"layer": {"hidden": NAME}})
        for name in ("layers", "ablation", "correlation")
    }
    hostile = replace(analysis, **renamed)
    of_page = drawn(figures(hostile), views(hostile))
    file = tmp_path / "index.html"
    code: Future[str] = Future()
    code.set_result(drawing_code())
    file.write_text(page([hostile], [of_page], "runs", code), encoding="utf-8")
    opened.goto(f"{file.as_uri()}#explorer")
    opened.wait_for_function(f"{SHOWN} !== undefined")
    opened.locator("#explorer-numbers summary").click()
    assert set(opened.locator("#explorer-numbers td:first-child").all_inner_texts()) == {NAME}
    assert NAME in opened.locator("#explorer-chart svg text").all_text_contents()
    assert opened.locator("main img").count() == 0
    assert said == []


def test_a_store_of_missing_trials_has_a_page_too(empty_store: Store):
    empty_store.add_sweep(Sweep.load("mlp10-initialization"), "smoke")
    text = Path(report.report(empty_store).page).read_text(encoding="utf-8")
    assert "There is no trained network yet." in text
    assert "0 trained, 0 diverged, 12 not run" in text
    assert "Figure B5. Perceptrons on 10 dimensions by their initial σ." in text


def test_a_store_of_failed_trials_has_a_page_too(listened, typed, tmp_path: Path):
    """At such a learning rate every network diverges."""
    page, _, said = listened
    sweep = tmp_path / "failing.yaml"
    sweep.write_text(
        "widths: [0.25, 0.5, 1]\nreplicates: 1\ntrial: {data: {train_examples: 40, validation_examples: 20, "
        "test_examples: 20}, training: {epochs: 3, learning_rate: 1e30}}\n"
    )
    code, shown, _ = typed("run", sweep, "--store", tmp_path / "store", "--workers", "0")
    assert code == 0
    assert "no trained network" in shown
    page.goto(address(tmp_path / "store"))
    page.wait_for_function(DRAWN)
    text = page.locator("main").inner_text()
    assert "3 training runs: 0 trained, 3 diverged, 0 not run." in text
    assert "Every training that was run diverged, so there is nothing to draw." in text
    assert said == []


def test_two_versions_of_an_experiment_are_kept_apart(listened, typed, tmp_path: Path):
    page, _, said = listened
    sweep, store = tmp_path / "own.yaml", tmp_path / "store"
    text = (
        "widths: [0.25, 0.5, 1]\nreplicates: 1\ntrial: {data: {train_examples: 40, validation_examples: 20, "
        "test_examples: 20}, training: {epochs: %d}}\n"
    )
    for epochs in (1, 2):
        sweep.write_text(text % epochs)
        assert typed("run", sweep, "--store", store, "--workers", "0")[0] == 0
    page.goto(address(store))
    page.wait_for_function(DRAWN)
    sections = page.locator("section.experiment")
    assert sections.count() == 2
    said_so = [section for section in sections.all() if "Another version of this experiment" in section.inner_text()]
    assert len(said_so) == 1
    assert page.locator("#paper").count() == 0, "nothing of the paper was run, so its claims are not listed"
    networks = [pd.read_csv(file) for file in store.glob("report/own*/tables/networks.csv")]
    assert [len(table[table["protocol"] == "text"]) for table in networks] == [3, 3]
    sweep.write_text(text % 1)
    assert typed("run", sweep, "--store", store, "--workers", "0")[0] == 0
    names = sorted(file.name for file in (store / "sweeps").iterdir())
    assert len(names) == 2, "the first version is the later one again, and what it was kept as is gone"
    assert said == []


def test_unequal_widths_are_said(smoke_store: Path, tmp_path: Path):
    """One series lacks its widest networks: it has no complete replicate, and its figures say n at each width."""
    store = Store(shutil.copytree(smoke_store, tmp_path / "store"))
    sweep = Sweep.load("mlp10-initialization")
    for run in sweep.runs("smoke"):
        if run.series == "σ = 1" and run.width_factor == 1 and run.replicate == 1:
            store.discard(run.trial.id)
    analysis = analyze(store, sweep, "smoke").under("figures")
    reasons = dict(zip(analysis.verdicts["series"], analysis.verdicts["reason"], strict=True))
    assert "at least 2 complete replicates, and there are 1 (1 left out" in reasons["σ = 1"]
    assert "n = 1 to 2 replicates at each width." in " ".join(details(figures(analysis)[0], analysis))
    assert Path(report.report(store).page).is_file()

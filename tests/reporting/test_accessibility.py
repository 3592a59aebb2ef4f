"""Automatic checks of accessibility by axe: the page, the page of a profile, and the documentation."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from tests.conftest import made_once
from torch import nn

import widthwise

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def problems(browser: Browser, file: Path, scheme: Scheme, drawn: bool = False) -> list[str]:
    """What axe finds serious or critical on a page."""
    page = browser.new_page(color_scheme=scheme)
    page.goto(file.as_uri())
    if drawn:
        page.wait_for_function("document.documentElement.dataset.drawn !== undefined")
    found = problems_on(page)
    page.close()
    return found


def problems_on(page: Page) -> list[str]:
    """The same of a page that is open."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page(browser: Browser, smoke_store: Path, scheme: Scheme):
    assert problems(browser, smoke_store / "report" / "index.html", scheme, drawn=True) == []


@pytest.fixture(scope="module")
def profile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 2))
    file = tmp_path_factory.mktemp("profile") / "profile.html"
    widthwise.report(widthwise.profile(model, [torch.randn(30, 4)]), file)
    return file


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_of_a_profile(browser: Browser, profile_page: Path, scheme: Scheme):
    assert problems(browser, profile_page, scheme, drawn=True) == []


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The documentation, built once for all test processes."""

    def build(folder: Path) -> None:
        words = ["-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
        environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
        done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return made_once("site", build, worker_id, tmp_path_factory)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_documentation(browser: Browser, site: Path, scheme: Scheme):
    pages = (".", "page", "api", "measuring")
    assert [each for name in pages for each in problems(browser, site / name / "index.html", scheme)] == []


def test_a_problem_is_found(browser: Browser, tmp_path: Path):
    file = tmp_path / "bad.html"
    file.write_text("<html lang=en><title>Bad</title><main><h1>Bad</h1><img src=x.png><button></button></main></html>")
    assert {each.partition(":")[0] for each in problems(browser, file, "light")} == {"image-alt", "button-name"}

"""The command line, as somebody types it: what it prints, where, and with which exit code."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from tests.experiments.test_catalogue import ARTEFACTS
from tests.typed import widthwise

from widthwise.commands import run as run_command
from widthwise.experiments.sweep import SCALES

COMMAND = [sys.executable, "-m", "widthwise"]
SMALL = ["run", "mlp10-initialization", "--scale", "smoke", "--workers", "0"]


CLEAN = {"COLUMNS": "80", "PATH": "", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}


def as_program(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, env={**CLEAN, **environment})


def test_help_says_what_there_is():
    shown = widthwise("--help")
    assert shown.returncode == 0
    for command in ("list", "run", "report"):
        assert f"│ {command} " in shown.stdout
    for command in ("run", "report", "list"):
        assert widthwise(command, "--help").returncode == 0


def test_version_is_that_of_the_package(typed):
    assert typed("--version") == (0, f"widthwise {version('widthwise')}\n", "")


def completed(words: str) -> list[str]:
    """What bash offers after `words`."""
    program = "import sys; sys.argv = ['widthwise']; from widthwise.commands.main import main; main()"
    asked = {"_WIDTHWISE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**CLEAN, **asked}, check=True
    )
    return answer.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("widthwise r", ["run", "report"]),
        ("widthwise run x --sc", ["--scale"]),
        ("widthwise run x --scale q", ["quick"]),
        ("widthwise report --format p", ["png", "pdf"]),
        ("widthwise run mlp10k-", ["mlp10k-initialization", "mlp10k-optimizer"]),
    ],
)
def test_a_shell_completes_commands_options_and_values(words: str, offered: list[str]):
    assert completed(words) == offered


def test_the_completion_of_a_shell_is_shown():
    shown = as_program("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert shown.returncode == 0
    assert "_COMPLETE=complete_bash" in shown.stdout


def test_the_completion_of_a_shell_is_installed_for_its_user(tmp_path: Path):
    done = as_program(
        "--install-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1", HOME=str(tmp_path)
    )
    assert done.returncode == 0
    (script,) = (tmp_path / ".bash_completions").iterdir()
    assert "_COMPLETE=complete_bash" in script.read_text()
    assert str(script) in (tmp_path / ".bashrc").read_text()


def test_scales_are_those_of_a_sweep():
    """The option has a list of its own, so that help needs no pydantic."""
    option = get_type_hints(run_command.run)["scale"]
    assert set(get_args(option)) == set(SCALES)


def test_it_runs_as_a_program(tmp_path: Path):
    done, refused = (
        subprocess.run([*COMMAND, *words], capture_output=True, text=True, cwd=tmp_path)
        for words in (["list", "--figure", "B5"], ["ran"])
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "mlp10-initialization" in done.stdout
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("widthwise: No such command 'ran'")


def test_list_names_every_experiment_and_its_figure():
    listed = widthwise("list")
    assert listed.returncode == 0
    assert max(map(len, listed.stdout.splitlines())) <= 80
    for name, figures in ARTEFACTS.items():
        (line,) = (line for line in listed.stdout.splitlines() if line.startswith(name))
        assert line.endswith(", ".join(figures))
    assert "375 runs" in listed.stdout
    assert "normal σ 0.0001 … normal σ" in listed.stdout
    assert "10000 (5) ★" in listed.stdout, "in the cell's next line"
    assert "data CIFAR-10, random labels ★" in " ".join(listed.stdout.split())
    assert "2 replicates and 2 learning rates in place of 3 and 5" in " ".join(listed.stdout.split())


def test_list_finds_what_makes_a_figure():
    (row,) = json.loads(widthwise("list", "--figure", "B5", "--json").stdout)
    assert row["name"] == "mlp10-initialization"
    assert row["trials"] == {"smoke": 12, "quick": 100, "paper": 375}
    assert row["training_flops"] > 1e9
    assert row["networks"][0]["initialization"]["starred"] is True
    refused = widthwise("list", "--figure", "9")
    assert refused.returncode == 2
    assert "the paper has no figure '9'" in refused.stderr


def test_report_draws_figures_by_their_number(own_smoke_store: Path):
    drawn = widthwise("report", own_smoke_store, "--figure", "B5", "--format", "pdf", "--format", "svg")
    assert drawn.returncode == 0
    assert [Path(line).name for line in drawn.stdout.splitlines()] == ["B5.svg", "B5.pdf"]
    assert all(Path(line).is_file() for line in drawn.stdout.splitlines())
    for words, said in (
        (["--figure", "6"], "figure 6 is made by alexnet-initialization, and nothing of it was run"),
        (["--figure", "C1"], "the paper has no figure 'C1'"),
        (["--format", "gif"], "--format: there is no format 'gif'; there are png, svg and pdf"),
        (["--caption", "above"], "--caption: there is no caption 'above'; there are none and below"),
        (["--theme", "blue"], "--theme: there is no theme 'blue'; there are light and dark"),
        (["--width", "20"], "--width: a figure is 100 to 10,000 pixels wide, and not 20"),
    ):
        refused = widthwise("report", own_smoke_store, *words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr


def test_parameters_are_counted_without_training_or_files(tmp_path: Path):
    counted = widthwise("run", "parameters", "--store", tmp_path / "store")
    assert counted.returncode == 0
    (line,) = (line for line in counted.stdout.splitlines() if line.startswith("ResNet-18"))
    assert line.split()[1:] == ["831", "k", "3.06", "M", "11.7", "M", "45.7", "M", "181", "M"]
    figures = tmp_path / "store/report/parameters.paper/figures"
    assert {file.name for file in figures.iterdir()} == {"B1a.svg", "B1b.svg", "B1c.svg"}


def test_a_run_prints_the_verdict_and_the_page_and_a_second_trains_nothing(own_smoke_store: Path):
    first = widthwise(*SMALL, "--store", own_smoke_store)
    assert first.returncode == 0
    assert "0 trained" in first.stderr
    assert "12 found finished" in first.stderr
    assert "mlp10-initialization.smoke" in first.stdout
    assert "σ = 0.01" in first.stdout
    page = Path(first.stdout.rsplit("The page: ", 1)[1].strip())
    assert page.is_file()
    written = page.stat().st_mtime_ns
    second = widthwise(*SMALL, "--store", own_smoke_store)
    assert second.stdout == first.stdout
    assert page.stat().st_mtime_ns == written, "what is up to date is not written again"


def test_json_is_for_programs(own_smoke_store: Path):
    done = widthwise(*SMALL, "--store", own_smoke_store, "--json")
    assert done.returncode == 0
    content = json.loads(done.stdout)
    experiment = content["experiments"]["mlp10-initialization.smoke"]
    assert [row["protocol"] for row in experiment["summary"]] == ["text"] * 6 + ["figures"] * 6
    assert {row["verdict"] for row in experiment["verdicts"]} == {"no valid evidence"}
    assert Path(content["page"]).is_file()


def test_report_draws_again_what_was_changed(own_smoke_store: Path):
    page = own_smoke_store / "report" / "index.html"
    figure = own_smoke_store / "report/mlp10-initialization.smoke/figures/B5.svg"
    for file in (page, figure):
        file.unlink()
        shown = widthwise("report", own_smoke_store)
        assert shown.returncode == 0
        assert file.is_file()
    other, own = figure.with_name("panels.svg"), figure.with_name("by-hand.svg")
    for file in (other, own):
        file.write_text("")
    drawn = own_smoke_store / "report" / "figures.json"
    noted = json.loads(drawn.read_text())
    noted["figures"]["mlp10-initialization.smoke/panels"] = "drawn by an earlier report"
    drawn.write_text(json.dumps(noted))
    page.unlink()
    shown = widthwise("report", own_smoke_store)
    assert not other.exists()
    assert own.is_file(), "no report made it"
    assert figure.is_file()
    assert "constructions.smoke" in shown.stdout


def test_a_dry_run_counts_and_estimates_and_writes_nothing(tmp_path: Path):
    planned = widthwise(*SMALL, "--store", tmp_path / "store", "--dry-run")
    assert planned.returncode == 0
    assert "12 training runs, 0 of them finished" in planned.stdout
    assert "Parameters of a network  418 to 1,666\n" in planned.stdout
    assert "FLOPs to predict one     768 to 3,072\n" in planned.stdout
    assert "on this machine" in planned.stdout
    assert not (tmp_path / "store").exists()
    numbers = json.loads(widthwise(*SMALL, "--store", tmp_path / "store", "--dry-run", "--json").stdout)
    assert (numbers["trials"], numbers["missing"]) == (12, 12)
    assert numbers["seconds"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "mlp10-initialisation"], "did you mean mlp10-initialization"),
        (["run", "nowhere.yaml"], "there is no sweep file nowhere.yaml"),
        (["run", "constructions", "--scale", "huge"], "'--scale': 'huge' is not one of 'smoke', 'quick', 'paper'"),
        (["run", "constructions", "--set", "training.epoch=1"], "did you mean epochs?"),
        (["run", "constructions", "--workers", "-1"], "'--workers'"),
        (["run"], "name an experiment, or give --all for every one"),
        (["run", "constructions", "--all"], "name an experiment, or give --all for every one"),
        (["ran"], "No such command 'ran'"),
        (["report", "nowhere"], "the store nowhere holds no experiment"),
    ],
)
def test_a_wrong_request_is_answered_in_a_sentence(
    tmp_path: Path, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    answer = widthwise(*words)
    assert answer.returncode == 2
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stderr.startswith("widthwise: ")
    assert answer.stdout == ""
    assert list(tmp_path.iterdir()) == [], "a refused request leaves nothing behind"


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("mine")
    answer = widthwise(*SMALL, "--store", tmp_path)
    assert answer.returncode == 2
    assert "holds files that are no store's" in answer.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]

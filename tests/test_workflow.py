"""The main job in Python: what `run` takes, tells and returns."""

from pathlib import Path

import pytest

import widthwise as ww


def damaged_layers(store: Path) -> str:
    """The id of a trial whose table of layers has lost its end."""
    table = min((store / "trials").glob("*/layers.parquet"))
    table.write_bytes(table.read_bytes()[:20])
    return table.parent.name


def test_a_run_says_what_it_did_and_what_the_store_already_held(own_smoke_store: Path):
    done = ww.run("mlp10-initialization", "smoke", own_smoke_store, workers=0)
    assert (done.trained, done.found, done.damaged) == (0, 12, {})
    assert done.experiments == ("mlp10-initialization.smoke",)
    assert set(done.report.tables) == {"mlp10-initialization.smoke", "constructions.smoke"}
    assert Path(done.report.page).is_file()


def test_settings_are_a_mapping_and_give_a_sweep_of_its_own(tmp_path: Path):
    settings = {"widths": [1.0], "replicates": 1, "training.epochs": 2, "initialization.standard_deviation": 0.01}
    done = ww.run("mlp10-initialization", "smoke", tmp_path / "store", settings=settings, workers=0)
    assert (done.trained, done.found) == (1, 0)
    (name,) = done.experiments
    assert name.startswith("mlp10-initialization+")
    assert list(done.report.tables) == [name]
    (stored,) = ww.Store(tmp_path / "store").sweeps()
    (trial,) = stored.sweep.trials("smoke")
    assert (trial.training.epochs, trial.network.width_factor) == (2, 1.0)


def test_several_sweeps_are_run_together(own_smoke_store: Path):
    sweeps = ["constructions", ww.Sweep.load("mlp10-initialization")]
    done = ww.run(sweeps, "smoke", own_smoke_store, workers=0)
    assert done.experiments == ("constructions.smoke", "mlp10-initialization.smoke")
    assert done.trained == 0


def test_progress_counts_trials_and_names_damage(own_smoke_store: Path):
    identity = damaged_layers(own_smoke_store)
    seen: list[ww.Progress] = []
    done = ww.run(
        ["mlp10-initialization", "constructions"], "smoke", own_smoke_store, workers=0, on_progress=seen.append
    )
    assert done.trained == 1
    assert list(done.damaged) == [identity]
    (damage,) = (each for each in seen if each.activity == "damage")
    assert damage.subject.startswith(f"trial {identity} is damaged (layers.parquet has 20 bytes")
    trials = [each for each in seen if each.activity == "trials"]
    assert {each.unit for each in trials} == {"trials"}
    assert [each.done for each in trials] == sorted(each.done for each in trials)
    assert trials[-1].done == trials[-1].total == done.trained + done.found
    assert any("mlp" in each.subject for each in trials), "what is being trained"


def test_the_command_line_says_what_was_damaged(own_smoke_store: Path, typed):
    identity = damaged_layers(own_smoke_store)
    for name in ("mlp10-initialization", "constructions"):
        code, _, shown = typed("run", name, "--scale", "smoke", "--workers", "0", "--store", own_smoke_store)
        assert code == 0
        if f"trial {identity} is damaged (layers.parquet has 20 bytes" in shown:
            assert "it is run again" in shown
            assert "1 trained" in shown
            return
    pytest.fail("neither command spoke of the damaged trial")


def test_a_wrong_setting_is_named_by_its_path(tmp_path: Path):
    with pytest.raises(ww.RequestError, match=r"training\.epoch.*did you mean epochs\?"):
        ww.run("constructions", "smoke", tmp_path / "store", settings={"training.epoch": 1})
    assert list(tmp_path.iterdir()) == []

"""The text of a user's functions in sweeps and trials: what counts in an id, and that reading runs nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from widthwise.commands.options import parsed_settings
from widthwise.errors import RequestError
from widthwise.experiments.single_trial import single_trial
from widthwise.experiments.sweep import Sweep
from widthwise.experiments.trial import Trial
from widthwise.experiments.user_code import with_code

RUN = "raise AssertionError('it was run')\n"
FILES = {
    "mynet.py": f"import helpers\nimport numpy\nfrom package import part\n\n\ndef build(width_factor):\n    {RUN}",
    "helpers.py": "from package.deep import thing\n\n\ndef late():\n    import imported_late\n",
    "imported_late.py": RUN,
    "package/__init__.py": RUN,
    "package/part.py": "from . import sibling\n",
    "package/sibling.py": "from .deep.thing import x\n",
    "package/deep/__init__.py": "",
    "package/deep/thing.py": "x = 1\n",
    "unrelated.py": "x = 1\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_text(text)
    return tmp_path / "own"


def network(folder: Path) -> dict[str, Any]:
    return with_code({"network": {"factory": "mynet.py:build"}}, folder)["network"]


def test_the_text_is_that_of_the_file_and_of_all_that_it_imports_beside_it(folder: Path):
    found = network(folder)
    assert found["code"] == {name: text for name, text in FILES.items() if name != "unrelated.py"}
    assert (found["factory"], found["folder"]) == ("mynet.py:build", str(folder))
    assert with_code({"network": {"factory": "own/mynet.py:build"}}, folder.parent)["network"] == found
    assert with_code({"network": found}, Path("/nowhere")) == {"network": found}, "what is there is not read again"


@pytest.mark.parametrize("name", [name for name in FILES if name != "unrelated.py"])
def test_a_changed_file_is_another_trial(folder: Path, name: str):
    before = Trial.model_validate({"network": network(folder)})
    (folder / name).write_text(FILES[name] + "# changed\n")
    assert Trial.model_validate({"network": network(folder)}).id != before.id
    (folder / name).write_text(FILES[name])
    (folder / "unrelated.py").write_text("x = 2\n")
    assert Trial.model_validate({"network": network(folder)}).id == before.id


def test_a_sweep_file_names_functions_beside_it(folder: Path):
    (folder / "own.yaml").write_text("trial: {network: {factory: 'mynet.py:build'}}\nwidths: [1, 2]\nreplicates: 1")
    sweep = Sweep.load(str(folder / "own.yaml"))
    trials = sweep.trials("paper")
    assert [trial.network.width_factor for trial in trials] == [1, 2]
    assert {trial.initialization.scheme for trial in trials} == {"as_built"}
    plain = json.loads(json.dumps(sweep.model_dump(mode="json", exclude_unset=True)))
    for file in folder.iterdir():
        file.rename(file.with_name(f"{file.name}.moved"))
    assert [trial.id for trial in Sweep.model_validate(plain).trials("paper")] == [trial.id for trial in trials]


def test_networks_that_vary_have_names(folder: Path):
    (folder / "other.py").write_text(FILES["mynet.py"])
    (folder / "own.yaml").write_text(
        "series: {variant: {one: {network: {factory: 'mynet.py:build'}},"
        " two: {network: {factory: 'other.py:build'}}}}\n"
        "trial: {network: {name: alexnet, dropout: 0.5}}\nreplicates: 1\nwidths: [1]"
    )
    one, two = Sweep.load(str(folder / "own.yaml")).trials("paper")
    assert (one.network.called, two.network.called) == ("mynet.py:build", "other.py:build")
    (folder / "own.yaml").write_text("series: {network.factory: ['mynet.py:build', 'other.py:build']}")
    with pytest.raises(RequestError, match=r"network\.factory: functions that vary need names"):
        Sweep.load(str(folder / "own.yaml"))


def test_it_is_set_from_outside_relative_to_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    sweep = Sweep.load("constructions").with_values(
        parsed_settings(["network.factory=mynet.py:build", "construction=null"])
    )
    names = {sweep.name}
    monkeypatch.chdir(folder.parent)
    with_path = ["network.factory=own/mynet.py:build", "construction=null"]
    names.add(Sweep.load("constructions").with_values(parsed_settings(with_path)).name)
    assert len(names) == 1, "where the file lies is no part of the name"


def test_one_network_of_ones_own_on_ones_own_data(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "mydata.py").write_text("def load(seed): ...\n")
    monkeypatch.chdir(folder)
    trial = single_trial("mynet.py:build", 0.5, seed=7, data="mydata.py:load")
    assert (trial.network.called, trial.network.width_factor) == ("mynet.py:build", 0.5)
    assert (trial.data.name, trial.data.seed, trial.seed) == ("own", 7, 7)
    assert (trial.training.batch_size, trial.training.learning_rate, trial.training.epochs) == (128, 0.01, 50)
    assert not trial.stackable
    again = Trial.from_record(trial.record(), "trial.json")
    assert again.id == trial.id


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"network": {"factory": "missing.py:build"}}, r"network\.factory: there is no file .*missing\.py"),
        ({"network": {"factory": "mynet.py"}}, r"factory: it must be FILE\.py:FUNCTION, .* not 'mynet\.py'"),
        ({"data": {"factory": "package.mod:load"}}, r"factory: it must be FILE\.py:FUNCTION"),
        ({"network": {"factory": "broken.py:build"}}, r"broken\.py is not valid Python: .* in line 2"),
        ({"network": {"factory": "binary.py:build"}}, r"binary\.py is not a text file in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(folder: Path, settings: dict[str, Any], said: str):
    (folder / "broken.py").write_text("x = 1\ndef build(:\n")
    (folder / "binary.py").write_bytes(b"\xff\xfe")
    with pytest.raises(RequestError, match=said) as raised:
        with_code(settings, folder)
    assert "\n" not in str(raised.value)


def test_arguments_that_are_called_factory_name_no_file(folder: Path):
    arguments = {"factory": "nothing.py:there", 1: 2}
    found = with_code({"network": {"factory": "mynet.py:build", "arguments": arguments}}, folder)
    assert found["network"]["arguments"] == arguments

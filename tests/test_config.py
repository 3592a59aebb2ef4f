"""Ids of trials: written down, and what a field that is added later does to them."""

from typing import Annotated, Any

import pytest

from widthwise import config
from widthwise.config import Config, Since
from widthwise.errors import RequestError
from widthwise.experiments.trial import Trial

TEXT = "def build(width_factor): ...\n"
CODE = {"mynet.py": TEXT}

IDS: list[tuple[str, dict[str, Any]]] = [
    ("81fcbecf18908371", {}),
    ("ce9f70855fb14bc5", {"network": {"width_factor": 0.25, "hidden_layers": 2, "activation": "gelu"}, "seed": 3}),
    (
        "927c63414bf62527",
        {
            "initialization": {"scheme": "he_normal"},
            "data": {"dimensions": 100, "random_label_share": 0.5, "seed": 7},
            "training": {"optimizer": "adam", "epochs": 5},
        },
    ),
    ("1d292747ba858d87", {"network": {"name": "alexnet", "dropout": 0.5}}),
    (
        "d9248d0e5b410896",
        {"network": {"name": "alexnet"}, "data": {"synthetic": True, "train_examples": 100, "damaged": "skip"}},
    ),
    (
        "ccb0595a195907f8",
        {"network": {"name": "resnet56", "blocks": 3, "shortcut": "zero_padding"}, "training": {"scale": 2.0}},
    ),
    (
        "1e348d66f191eafc",
        {
            "network": {"name": "resnet18"},
            "training": {"keep_epochs": [1, -1]},
            "measurement": {"granularity": "channel"},
        },
    ),
    ("45e8561f7e888d4c", {"network": {"name": "inception-v3", "scaled": "mixed_5d"}}),
    ("e95f92965fb83471", {"network": {"name": "resnet18"}, "data": {"name": "images", "image_size": 64, "classes": 3}}),
    (
        "0067b25a359c625b",
        {"network": {"factory": "mynet.py:build", "code": {"mynet.py": "def build(width_factor): ...\n"}}},
    ),
    (
        "7071665bf0466200",
        {
            "network": {
                "factory": "mynet.py:build",
                "code": {"mynet.py": "def build(width_factor): ...\n"},
                "layers": ["one"],
                "arguments": {"depth": 2},
            },
            "data": {"factory": "mydata.py:load", "code": {"mydata.py": "def load(): ...\n"}, "test_examples": 50},
        },
    ),
]
"""Trials and the ids that stores know them by. An id changes only where RESULTS_VERSION or TRIAL_FORMAT says so."""


@pytest.mark.parametrize(("identity", "content"), IDS, ids=[identity for identity, _ in IDS])
def test_a_trial_has_the_id_that_is_written_down(identity: str, content: dict[str, Any]):
    assert Trial.model_validate(content).id == identity


def test_the_written_ids_are_of_every_network_and_of_all_data():
    trials = [Trial.model_validate(content) for _, content in IDS]
    assert {trial.network.called for trial in trials} >= {"mlp", "alexnet", "resnet56", "resnet18", "inception-v3"}
    assert {trial.data.name for trial in trials} == {"teacher", "cifar10", "imagenet", "images", "own"}
    assert len({identity for identity, _ in IDS}) == len(IDS)


def test_an_added_field_changes_the_content_unless_it_is_marked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(config, "TRIAL_FORMAT", 3)

    class Before(Config):
        units: int = 1

    class Unmarked(Config):
        units: int = 1
        depth: int = 2

    class Marked(Config):
        units: int = 1
        depth: Annotated[int, Since(3)] = 2
        widths: Annotated[tuple[int, ...], Since(3)] = ()

    assert Unmarked().content() != Before().content()
    assert Marked().content() == Before().content()
    assert Marked(depth=2, widths=()).content() == Before().content()
    assert Marked(depth=3).content() == {"units": 1, "depth": 3}
    assert Marked(widths=(4,)).content() == {"units": 1, "widths": [4]}


def test_a_marker_of_a_format_that_is_not_there_is_refused():
    later = config.TRIAL_FORMAT + 1
    with pytest.raises(TypeError, match=rf"Early\.depth is marked Since\({later}\)"):

        class Early(Config):
            depth: Annotated[int, Since(later)] = 2

    with pytest.raises(TypeError, match=r"First\.depth is marked Since\(2\)"):

        class First(Config):
            depth: Annotated[int, Since(2)] = 2


def test_a_marked_field_needs_a_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(config, "TRIAL_FORMAT", 3)
    with pytest.raises(TypeError, match=r"Required\.depth .* needs a default"):

        class Required(Config):
            depth: Annotated[int, Since(3)]


def test_a_field_may_be_neither_hashed_nor_written():
    content = {"network": {"factory": "mynet.py:build", "code": CODE}}
    here, there = (
        Trial.model_validate({"network": {**content["network"], "folder": folder}}) for folder in ("/here", "/there")
    )
    assert here.id == there.id
    assert here == there
    assert "here" not in str(here.record())


def test_a_record_is_read_back():
    for _, content in IDS:
        trial = Trial.model_validate(content)
        again = Trial.from_record(trial.record(), "trial.json")
        assert again == trial
        assert again.id == trial.id


def test_a_newer_record_is_refused_in_a_sentence():
    newer = config.TRIAL_FORMAT + 1
    record = {**Trial().record(), "trial_format": newer}
    with pytest.raises(RequestError, match=rf"runs/trial\.json has fields of format {newer} and this version"):
        Trial.from_record(record, "runs/trial.json")
    with pytest.raises(RequestError, match=r"runs/trial\.json is no trial"):
        Trial.from_record({"trial_format": config.TRIAL_FORMAT}, "runs/trial.json")


def test_a_network_brings_its_recipe_in_python_as_in_yaml():
    from widthwise.experiments.settings import resolved

    for name in ("mlp", "alexnet", "resnet56", "resnet18", "inception-v3"):
        assert Trial(network={"name": name}) == resolved({"network": {"name": name}}, "here")  # pyright: ignore
    alexnet = Trial.model_validate({"network": {"name": "alexnet"}, "training": {"epochs": 3}})
    assert (alexnet.training.epochs, alexnet.training.patience, alexnet.data.name) == (3, 50, "cifar10")
    described = Trial(network=alexnet.network, training=alexnet.training)
    assert described == alexnet


def test_a_trial_stays_what_it_is_when_it_is_copied_or_validated_again():
    trial = Trial.model_validate({"network": {"name": "alexnet"}, "training": {"patience": None, "epochs": 3}})
    assert Trial.model_validate(trial) is trial
    assert Trial.model_validate(trial.model_dump()) == trial
    copy = trial.model_copy(update={"seed": 4})
    assert copy.training == trial.training
    assert copy.training.patience is None

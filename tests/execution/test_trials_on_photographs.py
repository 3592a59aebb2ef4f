"""The paper's networks for photographs as trials: in one process, in two, and with images that cannot be decoded."""

import shutil
from pathlib import Path

import pytest
from tests.data import generated

from widthwise.commands.options import parsed_settings
from widthwise.errors import RequestError
from widthwise.execution import train
from widthwise.execution.machine import Machine
from widthwise.experiments.store import Store
from widthwise.progress import OnProgress, Progress, unseen

SETTINGS = (
    *("data.classes=3", "data.validation_examples=5", "training.batch_size=5", "training.epochs=1"),
    *("measurement.levels=2", "measurement.samplings=1", "measurement.activations=500"),
    "training.learning_rate=1e-9",  # deep networks make much of rounding errors
)
SIZES = {"resnet18": ["data.image_size=64"], "inception-v3": []}  # the latter's auxiliary head needs all of 299
LAYERS = {"resnet18": 5, "inception-v3": 16}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten to train on, five to validate and three to test."""
    return generated.write_photograph_folders(tmp_path_factory.mktemp("photographs"), train=5, validation=1)


def trained(
    network: str,
    data: Path,
    store: Path,
    processes: int = 1,
    settings: tuple[str, ...] = (),
    on_progress: OnProgress = unseen,
) -> train.Trained:
    machine = Machine(processes=processes, decoders=0, threads=1)
    every = parsed_settings([*SETTINGS, *SIZES[network], *settings])
    return train.train(network, 0.125, data, store, settings=every, machine=machine, on_progress=on_progress)


@pytest.mark.parametrize("network", SIZES)
def test_two_processes_give_what_one_gives(network: str, photographs: Path, tmp_path: Path):
    for processes in (1, 2):
        events: list[Progress] = []
        trained(network, photographs, tmp_path / str(processes), processes, on_progress=events.append)
        shown = [f"{each.activity} {each.done:g}/{each.total:g}" for each in events]
        expected = ["trials 0/1", "trials 0/1", "training 1/1", "trials 1/1"]
        assert shown == expected, "it reaches the process that asked, and each once"
    alone, together = (trained(network, photographs, tmp_path / folder) for folder in ("1", "2"))
    for each in (alone, together):
        assert (each.status, each.found) == ("trained", True)
        assert each.history["epoch"].tolist() == [1]
        assert len(each.layers) == LAYERS[network]
        assert each.layers["auc"].between(0, 1).all()
        assert not list(Path(each.folder).glob("checkpoint*"))
    assert together.history["train_loss"].tolist() == pytest.approx(alone.history["train_loss"].tolist(), rel=1e-3)
    assert together.results["parameters"] == alone.results["parameters"]
    assert together.layers["units"].tolist() == alone.layers["units"].tolist()


def test_what_one_of_two_processes_finds_wrong_is_said_in_a_sentence(photographs: Path, tmp_path: Path):
    data = Path(shutil.copytree(photographs, tmp_path / "data"))
    for photograph in (data / "train").rglob("*.JPEG"):
        photograph.write_bytes(b"no image")
    with pytest.raises(
        RequestError, match=rf"^the image {data}/train/\S*.JPEG cannot be decoded .*data.damaged=skip"
    ) as raised:
        trained("resnet18", data, tmp_path / "store", processes=2)
    assert raised.value.settings == {"data.damaged": "skip"}, "whole, so that the command line finds its options"


def test_an_error_in_what_shows_the_progress_of_two_processes_is_raised(photographs: Path, tmp_path: Path):
    def fail(progress: Progress) -> None:
        if progress.activity == "training":
            raise LookupError("nothing to show it on")

    with pytest.raises(LookupError, match="nothing to show it on"):
        trained("resnet18", photographs, tmp_path / "store", processes=2, on_progress=fail)


def test_damaged_photographs_are_left_out_and_counted(photographs: Path, tmp_path: Path):
    data = Path(shutil.copytree(photographs, tmp_path / "data"))
    for split, class_folder in (("train", "n00000001"), ("train", "n00000003"), ("val", "n00000002")):
        victim = min((data / split / class_folder).iterdir())
        victim.write_bytes(victim.read_bytes()[:100])
    with pytest.raises(RequestError, match=r"the image \S*.JPEG cannot be decoded .*data.damaged=skip"):
        trained("resnet18", data, tmp_path / "store")
    skipped = trained("resnet18", data, tmp_path / "store", settings=("data.damaged=skip",))
    assert (skipped.status, skipped.results["damaged_images"]) == ("trained", 3)
    named = Store(tmp_path / "store").table(skipped.id, "damaged")
    assert sorted(Path(name).parent.name for name in named["image"]) == ["n00000001", "n00000002", "n00000003"]
    environment = Store(tmp_path / "store").environment(skipped.id)
    assert environment["data"] == "15 photographs of 3 classes (images in folders)"

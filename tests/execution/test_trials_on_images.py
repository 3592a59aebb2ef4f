"""A trial on images, from files to tables: found, continued, refused, recorded."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
from tests.data import generated

from widthwise.commands.options import parsed_settings
from widthwise.errors import RequestError
from widthwise.execution import train
from widthwise.execution.machine import Machine
from widthwise.execution.runner import run_trials
from widthwise.experiments.store import Store
from widthwise.experiments.sweep import Sweep
from widthwise.progress import Progress
from widthwise.training.checkpoint import packed, unpacked

WIDTH = 0.05
SETTINGS = (
    *("training.epochs=3", "training.batch_size=16", "data.validation_examples=20"),
    *("measurement.levels=3", "measurement.samplings=2", "measurement.activations=2000"),
)
TRIAL = train.single_trial("alexnet", WIDTH, parsed_settings(SETTINGS))
TABLES = ("history", "layers", "ablation", "correlation")
SPLITS = generated.cifar10_examples(train=100, test=40)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated.write_cifar10_binary(tmp_path_factory.mktemp("cifar10"), SPLITS)


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> train.Trained:
    """The trial, trained without an interruption. Its store is not to be changed."""
    return train.train(TRIAL, data=data, store=tmp_path_factory.mktemp("unbroken") / "store")


def store_of(trained: train.Trained) -> Store:
    return Store(Path(trained.folder).parent.parent)


def assert_same_tables(one: train.Trained, other: train.Trained) -> None:
    """To the bit, but for the time that training took."""
    assert one.trial == other.trial
    for name in TABLES:
        tables = (store_of(each).table(each.id, name) for each in (one, other))
        first, second = (table.drop(columns="seconds", errors="ignore") for table in tables)
        pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert without_time(one) == without_time(other)
    for name, value in store_of(one).network(one.id).items():
        assert np.array_equal(value, store_of(other).network(other.id)[name])


def without_time(trained: train.Trained) -> dict[str, Any]:
    return {name: value for name, value in trained.results.items() if not name.endswith("_seconds")}


class Interrupted(Exception):
    pass


def interrupted(data: Path, store: Path, epoch: int = 2, trial=TRIAL) -> Path:
    """Train up to the end of an epoch, before its checkpoint; the checkpoint of the epoch before it."""

    def interrupt(progress: Progress) -> None:
        if progress.activity == "training" and progress.done == epoch:
            raise Interrupted

    with pytest.raises(Interrupted):
        train.train(trial, data=data, store=store, on_progress=interrupt)
    return store / "trials" / trial.id / "checkpoint.safetensors"


def epochs_in(events: list[Progress]) -> list[float]:
    """The epochs that were trained."""
    return [event.done for event in events if event.activity == "training"]


def test_a_network_is_trained_and_measured(unbroken: train.Trained):
    assert (unbroken.status, unbroken.found) == ("trained", False)
    assert unbroken.history["epoch"].tolist() == [1, 2, 3]
    assert unbroken.history["learning_rate"].tolist() == pytest.approx([0.01, 0.0095, 0.009025])
    assert unbroken.layers[["layer", "units"]].to_dict("list") == {
        "layer": ["conv1", "conv2", "dense1", "dense2"],
        "units": [5, 13, 19, 10],
    }
    assert unbroken.layers["auc"].between(0, 1).all()
    results = unbroken.results
    assert (results["epochs"], results["damaged_images"]) == (3, 0)
    best = unbroken.history.loc[unbroken.history["validation_accuracy"].idxmax()]  # the first of the best
    assert results["kept_epoch"] == best["epoch"]
    assert results["validation_accuracy"] == pytest.approx(best["validation_accuracy"])
    assert results["validation_loss"] == pytest.approx(best["validation_loss"], rel=1e-5)
    assert results["training_seconds"] == unbroken.history["seconds"].iloc[-1] > 0
    assert results["measuring_seconds"] > 0


def test_the_kept_network_predicts_as_the_results_say(unbroken: train.Trained):
    network = TRIAL.network.build((3, 32, 32), 10).eval()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in stored(unbroken).items()})
    images = SPLITS["test"].images.astype(np.float64)
    values = (images - images.mean((1, 2, 3), keepdims=True)) / images.std((1, 2, 3), keepdims=True)
    with torch.no_grad():
        logits = network(torch.from_numpy(values.transpose(0, 3, 1, 2)).float()).double().numpy()
    labels = SPLITS["test"].labels
    assert unbroken.results["test_accuracy"] == pytest.approx((logits.argmax(1) == labels).mean())
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert unbroken.results["test_loss"] == pytest.approx(-np.log(chances[np.arange(40), labels]).mean(), rel=1e-4)


def stored(trained: train.Trained) -> dict[str, np.ndarray]:
    return store_of(trained).network(trained.id)


def test_what_is_finished_is_not_trained_again(data: Path, unbroken: train.Trained):
    before = {path: path.stat().st_mtime_ns for path in Path(unbroken.folder).iterdir()}
    assert not any(path.name.startswith("checkpoint") for path in before)

    def fail(progress: Progress) -> None:
        raise AssertionError("it is trained again")

    location = Path(unbroken.folder).parent.parent
    again = train.train("alexnet", WIDTH, data, location, settings=parsed_settings(SETTINGS), on_progress=fail)
    assert again.found
    assert_same_tables(again, unbroken)
    assert {path: path.stat().st_mtime_ns for path in Path(unbroken.folder).iterdir()} == before


def test_finished_trials_are_found_without_their_images(unbroken: train.Trained):
    location = Path(unbroken.folder).parent.parent
    assert train.train(TRIAL, store=location).found
    assert train.train(TRIAL, data="nowhere", store=location).found


def test_an_interrupted_training_continues(data: Path, tmp_path: Path, unbroken: train.Trained):
    checkpoint = interrupted(data, tmp_path / "store", epoch=3)
    assert unpacked(checkpoint.read_bytes(), TRIAL.id, "").position.epoch == 2
    events: list[Progress] = []
    continued = train.train(TRIAL, data=data, store=tmp_path / "store", on_progress=events.append)
    assert epochs_in(events) == [3]
    assert not continued.found
    assert_same_tables(continued, unbroken)
    assert not checkpoint.exists()


def test_a_killed_training_continues(data: Path, tmp_path: Path):
    """With dropout, augmentation and momentum, which all must go on where they were."""
    settings = [*SETTINGS, "training.epochs=20", "training.augmentation=true", "network.dropout=0.5"]
    store = tmp_path / "store"
    command = ["train", "alexnet", "--width-factor", str(WIDTH), "--data", str(data), "--store", str(store)]
    command += [word for assignment in settings for word in ("--set", assignment)]
    process = subprocess.Popen(
        [sys.executable, "-m", "widthwise", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    trial = train.single_trial("alexnet", WIDTH, parsed_settings(settings))
    checkpoint, give_up = store / "trials" / trial.id / "checkpoint.safetensors", time.monotonic() + 90
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL

    done = unpacked(checkpoint.read_bytes(), trial.id, "").position.epoch
    assert 1 <= done < 20
    events: list[Progress] = []
    continued = train.train(trial, data=data, store=store, on_progress=events.append)
    assert epochs_in(events) == list(range(done + 1, 21))
    assert_same_tables(continued, train.train(trial, data=data, store=tmp_path / "unbroken"))
    assert not checkpoint.exists()
    assert not list(store.rglob("*.partial"))


def test_epochs_are_kept_and_measured_besides(data: Path, tmp_path: Path, unbroken: train.Trained):
    kept = train.train(
        "alexnet",
        WIDTH,
        data,
        tmp_path,
        settings=parsed_settings([*SETTINGS, "training.keep_epochs=[1, -1]", "training.epochs=3"]),
    )
    store = store_of(kept)
    epochs = store.table(kept.id, "epochs")
    assert epochs["epoch"].unique().tolist() == [1, 3]
    assert epochs.groupby("epoch")["layer"].apply(list).tolist() == [list(kept.layers["layer"])] * 2
    networks = {
        epoch: safetensors.numpy.load(store.read(f"trials/{kept.id}/network-epoch-{epoch}.safetensors"))
        for epoch in (1, 3)
    }
    assert any((networks[1][name] != networks[3][name]).any() for name in networks[1])
    pd.testing.assert_frame_equal(kept.layers, unbroken.layers)  # the trial is measured as without them

    one_epoch = [*SETTINGS, "training.epochs=1"]
    short = train.train("alexnet", WIDTH, data, tmp_path, settings=parsed_settings(one_epoch))
    first = epochs[epochs["epoch"] == 1].drop(columns=["epoch", "test_accuracy"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(first, short.layers)
    for name, value in stored(short).items():
        assert np.array_equal(value, networks[1][name])


def test_a_store_is_of_one_set_of_files(data: Path, tmp_path: Path, unbroken: train.Trained):
    location = Path(unbroken.folder).parent.parent
    other_images = generated.write_cifar10_binary(tmp_path / "other", generated.cifar10_examples(100, 40, seed=1))
    other_format = generated.write_cifar10_parquet(tmp_path / "parquet", SPLITS)
    for files in (other_images, other_format):
        said = rf"the store {location} has trials on other files of CIFAR-10 than those at {files}; name those files"
        with pytest.raises(RequestError, match=said):
            train.train("alexnet", WIDTH, files, location, settings=parsed_settings(SETTINGS), seed=1)
    moved = generated.write_cifar10_binary(tmp_path / "moved", SPLITS)
    short = [*SETTINGS, "training.epochs=1"]
    assert train.train("alexnet", WIDTH, moved, location, settings=parsed_settings(short)).status == "trained"


MADE = ("data.synthetic=true", *SETTINGS, "training.epochs=1")


def test_images_that_the_program_makes_need_no_files_and_leave_room_for_real_ones(data: Path, tmp_path: Path, typed):
    store = Store(tmp_path / "store")
    made = train.train("alexnet", WIDTH, store=store.location, settings=parsed_settings(MADE))
    assert made.status == "trained"
    assert store.environment(made.id)["data"] == "images of CIFAR-10's shape, made by widthwise"
    assert [entry.name for entry in (tmp_path / "store" / "synthetic").iterdir()] == ["cifar10"]
    on_files = train.train(
        "alexnet", WIDTH, data, store.location, settings=parsed_settings([*SETTINGS, "training.epochs=1"])
    )
    assert on_files.status == "trained"
    assert store.environment(on_files.id)["data"] == "CIFAR-10 (official binary files)"
    noted = {name: store.data_files(name) for name in ("cifar10", "cifar10-synthetic")}
    assert None not in noted.values()
    assert noted["cifar10"] != noted["cifar10-synthetic"]

    settings = ["--levels", 3, "--samplings", 2, "--activations", 2000, "--precision", "exact", "--device", "cpu"]
    code, out, said = typed("profile", made.folder, *settings, "--json")
    assert code == 0, said
    assert [row["auc"] for row in json.loads(out)["layers"]] == pytest.approx(made.layers["auc"].tolist(), rel=1e-14)


def test_made_images_that_were_altered_are_refused(tmp_path: Path):
    train.train("alexnet", WIDTH, store=tmp_path / "store", settings=parsed_settings(MADE))
    copy = Path(shutil.copytree(tmp_path / "store", tmp_path / "copy"))
    altered = copy / "synthetic" / "cifar10" / "cifar-10-batches-bin" / "test_batch.bin"
    altered.write_bytes(bytes(len(altered.read_bytes())))
    folder = copy / "synthetic" / "cifar10"
    said = rf"has trials on other images of CIFAR-10's shape, made by widthwise, than those at {folder}; delete"
    with pytest.raises(RequestError, match=said):
        train.train("alexnet", WIDTH, store=copy, settings=parsed_settings(MADE), seed=1)


IN_A_TEMPORARY_FOLDER = """
import sys
from pathlib import Path
from widthwise.data.source import CIFAR10Data
from widthwise.execution.datasets import load_dataset
from widthwise.execution.machine import Machine
from widthwise.experiments.store import Store

for store in (None, Store("memory://store")):
    dataset = load_dataset(CIFAR10Data(synthetic=True, validation_examples=20), Machine(), store)
    print(len(dataset.train), store is None or store.has("synthetic"))
print(*(folder.relative_to(sys.argv[1]).parts[1:] for folder in Path(sys.argv[1]).rglob("cifar10")))
"""


def test_without_a_store_that_is_a_folder_images_are_made_in_one_that_goes_with_the_process(tmp_path: Path):
    program = [sys.executable, "-c", IN_A_TEMPORARY_FOLDER, str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["280 True", "280 False", "('synthetic', 'cifar10')"]
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_is_named_alone_or_with_another(tmp_path: Path):
    def places(*words: str) -> list[str | None]:
        return [Machine(words).location_of(name) for name in ("cifar10", "imagenet")]

    assert places() == [None, None]
    assert places("anywhere") == ["anywhere", "anywhere"]
    assert places("hub:owner/name") == ["hub:owner/name", "hub:owner/name"]
    assert places("imagenet=large", "cifar10=hub:owner/name") == ["hub:owner/name", "large"]
    assert places("imagenet=large") == [None, "large"]
    assert places("imagenet=large", "rest") == places("rest", "imagenet=large") == ["rest", "large"]
    unusual = tmp_path / "name=value"
    unusual.mkdir()
    assert places(str(unusual)) == [str(unusual)] * 2
    assert places(f"cifar10={unusual}") == [str(unusual), None]


def test_of_several_data_sets_a_trial_takes_its_own(data: Path, unbroken: train.Trained, tmp_path: Path):
    words = ("imagenet=nowhere", f"cifar10={data}")
    taken = train.train("alexnet", WIDTH, words, tmp_path, settings=parsed_settings(SETTINGS))
    assert_same_tables(taken, unbroken)


def test_a_learning_rate_that_diverges_is_recorded_and_the_sweep_goes_on(data: Path, tmp_path: Path):
    file = tmp_path / "rates.yaml"
    file.write_text(
        """
        trial:
          network: {name: alexnet}
          data: {validation_examples: 20}
          training: {batch_size: 16, epochs: 2}
          measurement: {levels: 3, samplings: 1, activations: 1000}
        series: {training.learning_rate: [1e30, 0.01]}
        widths: [0.05]
        replicates: 1
        """,
        encoding="utf-8",
    )
    trials = Sweep.load(str(file)).trials("paper")
    assert [trial.training.decay.kind for trial in trials] == ["exponential"] * 2, "the paper's recipe is below it"
    store = Store(tmp_path / "store")
    store.prepare()
    result = run_trials(trials, store, workers=1, machine=Machine((str(data),), threads=1))
    assert (result.trained, result.found) == (2, 0)
    outcomes = store.inspect(trials).finished
    diverged, trained = (outcomes[trial.id] for trial in trials)
    assert (diverged["status"], trained["status"]) == ("diverged", "trained")
    history = store.table(trials[0].id, "history")
    assert len(history) == diverged["results"]["epochs"] == diverged["results"]["kept_epoch"]
    assert not np.isfinite(history["train_loss"].iloc[-1])
    assert "test_accuracy" not in diverged["results"]
    assert set(diverged["files"]) == {"trial.json", "history.parquet"}
    assert not list((tmp_path / "store").rglob("checkpoint*"))
    again = run_trials(trials, store, workers=0, machine=Machine((str(data),)))
    assert (again.trained, again.found) == (0, 2)


def test_a_trained_network_is_measured_again_with_the_same_numbers(data: Path, unbroken: train.Trained, typed):
    settings = ["--levels", 3, "--samplings", 2, "--activations", 2000, "--precision", "exact", "--device", "cpu"]
    code, out, said = typed("profile", unbroken.folder, "--data", data, *settings, "--json")
    assert code == 0, said
    measured = pd.DataFrame(json.loads(out)["layers"])
    assert measured["layer"].tolist() == unbroken.layers["layer"].tolist()
    for name in ("units", "auc", "auc_std", "similarity", "similarity_std", "dead_fraction"):
        assert measured[name].tolist() == pytest.approx(unbroken.layers[name].tolist(), rel=1e-14)


def test_measuring_again_needs_the_same_images(data: Path, tmp_path: Path, unbroken: train.Trained, typed):
    code, _, said = typed("profile", unbroken.folder)
    assert (code, said.count("\n")) == (2, 1)
    assert "data: CIFAR-10 is needed: name its folder" in said
    other = generated.write_cifar10_binary(tmp_path, generated.cifar10_examples(100, 40, seed=1))
    code, _, said = typed("profile", unbroken.folder, "--data", other)
    assert code == 2
    assert "has trials on other files of CIFAR-10" in said


def test_a_model_of_ones_own_is_measured_on_one_set_of_inputs(typed):
    code, _, said = typed("profile", "net.py:network", "--data", "a.parquet", "--data", "b.parquet")
    assert (code, said) == (2, "widthwise: --data: given 2 times, but a model is measured on one set of inputs\n")


def test_images_that_cannot_be_decoded_are_refused_or_left_out(tmp_path: Path):
    generated.write_cifar10_parquet(tmp_path / "data", SPLITS)
    images = [generated.encoded(image) for image in SPLITS["train"].images]
    images[7] = b"no image"
    file = tmp_path / "data" / "train-00000-of-00001.parquet"
    generated.write_parquet(file, images, SPLITS["train"].labels.tolist())
    with pytest.raises(RequestError, match=rf"the image in row 7 of {file} cannot be decoded .*data.damaged=skip"):
        train.train(TRIAL, data=tmp_path / "data", store=tmp_path / "store")
    skipping = [*SETTINGS, "training.epochs=1", "data.damaged=skip"]
    trained = train.train("alexnet", WIDTH, tmp_path / "data", tmp_path / "store", settings=parsed_settings(skipping))
    assert (trained.status, trained.results["damaged_images"]) == ("trained", 1)


COMMAND = ["train", "alexnet", "--width-factor", WIDTH, *(word for each in SETTINGS for word in ("--set", each))]


def test_a_checkpoint_that_does_not_fit_is_refused(data: Path, tmp_path: Path, typed, monkeypatch: pytest.MonkeyPatch):
    store = tmp_path / "store"
    checkpoint = interrupted(data, store)
    content = checkpoint.read_bytes()
    held = unpacked(content, TRIAL.id, "")
    with monkeypatch.context() as patched:
        patched.setattr("widthwise.training.checkpoint.torch.__version__", "1.0")
        of_another_version = packed(held, TRIAL.id)
    wrong = {
        "is damaged": [b"", content[:1000], content[:-1], b"not a checkpoint at all"],
        "is that of the training another, not of": [packed(held, "another")],
        "was written with torch 1.0 and this is": [of_another_version],
    }
    for said, contents in wrong.items():
        for each in contents:
            checkpoint.write_bytes(each)
            code, out, message = typed(*COMMAND, "--data", data, "--store", store, "--device", "cpu")
            assert (code, out) == (2, "")
            assert f"the checkpoint {checkpoint} {said}" in message
            assert f"delete {checkpoint} to train from the beginning" in message
            assert message.count("\n") == 1
            assert checkpoint.read_bytes() == each, "it is the user's to delete"
    checkpoint.unlink()
    code, _, _ = typed(*COMMAND, "--data", data, "--store", store, "--device", "cpu")
    assert code == 0

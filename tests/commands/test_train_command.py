"""`widthwise train`: what it prints, what it costs beforehand, and how it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.data import generated

from widthwise.commands.options import parsed_settings
from widthwise.errors import RequestError
from widthwise.experiments.single_trial import single_trial
from widthwise.training.recipe import ConstantRate, ExponentialDecay, StepDecay

SETTINGS = [
    *("training.epochs=2", "training.batch_size=16", "data.validation_examples=20"),
    *("measurement.levels=3", "measurement.samplings=1", "measurement.activations=1000"),
]
ALEXNET = ["train", "alexnet", "--width-factor", "0.05", "--device", "cpu"]


def assigned(settings: list[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated.write_cifar10_binary(tmp_path_factory.mktemp("cifar10"), generated.cifar10_examples(100, 40))


def test_it_prints_epochs_accuracies_and_layers_and_a_second_trains_nothing(data: Path, tmp_path: Path, typed):
    command = [*ALEXNET, "--data", data, "--store", tmp_path / "store", *assigned(SETTINGS)]
    code, out, said = typed(*command)
    assert code == 0, said
    assert [line.split()[0] for line in said.splitlines()] == ["epoch", "1/2", "2/2"]
    lines = out.splitlines()
    trial = single_trial("alexnet", 0.05, parsed_settings(SETTINGS))
    assert lines[0] == "alexnet at 0.05x on cifar10"
    assert lines[1].startswith("18,155 parameters, 2 epochs in ")
    results = json.loads((tmp_path / "store" / "trials" / trial.id / "outcome.json").read_text())["results"]
    accuracies = ", ".join(f"{name} {results[f'{name}_accuracy']:.4f}" for name in ("train", "validation", "test"))
    assert lines[2] == f"Accuracy: {accuracies}"
    (heading,) = (number for number, line in enumerate(lines) if line.startswith("Layer "))
    assert [line.split()[:2] for line in lines[heading + 1 : heading + 5]] == [
        *(["conv1", "5"], ["conv2", "13"], ["dense1", "19"], ["dense2", "10"])
    ]
    assert lines[-1] == f"Kept in {tmp_path}/store/trials/{trial.id}"

    again = typed(*command)
    assert again == (0, out, f"found finished in {tmp_path}/store\n")
    code, out, _ = typed(*command, "--json")
    content = json.loads(out)
    assert code == 0
    assert (content["id"], content["status"], content["results"]) == (trial.id, "trained", results)
    assert Path(content["folder"]) == tmp_path / "store" / "trials" / trial.id
    assert [row["layer"] for row in content["layers"]] == ["conv1", "conv2", "dense1", "dense2"]


def test_a_network_that_diverges_is_a_result(data: Path, tmp_path: Path, typed):
    diverging = assigned([*SETTINGS, "training.learning_rate=1e30"])
    command = [*ALEXNET, "--data", data, "--store", tmp_path / "store", *diverging]
    code, out, _ = typed(*command)
    assert code == 0
    assert "Diverged in epoch 1, after 0 seconds: its loss is no longer a number.\n" in out
    assert "Accuracy" not in out
    content = json.loads(typed(*command, "--json")[1])
    assert (content["status"], content["layers"]) == ("diverged", [])


def test_a_perceptron_needs_no_data(tmp_path: Path, typed):
    small = assigned(["training.epochs=2", "training.learning_rate=0.1", "data.train_examples=200"])
    code, out, said = typed("train", "mlp", "--width-factor", 0.25, "--store", tmp_path / "store", "--seed", 3, *small)
    assert code == 0, said
    assert out.startswith("mlp at 0.25x on teacher\n418 parameters, 2 epochs in ")
    trial = single_trial("mlp", 0.25, parsed_settings([]), seed=3)
    assert (trial.seed, trial.data.seed) == (3, 3)


def test_a_dry_run_needs_no_data_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed):
    monkeypatch.chdir(tmp_path)
    code, out, said = typed(*ALEXNET, "--dry-run", "--set", "training.epochs=2")
    assert code == 0, said
    lines = out.splitlines()
    assert lines[:3] == [
        "alexnet at 0.05x on cifar10",
        "1 training run, 0 of them finished in runs; 1 to run.",
        "Parameters of a network  18,155",
    ]
    multiplied = 5 * 75 * 1024 + 13 * 125 * 256 + 832 * 19 + 19 * 10 + 10 * 10
    assert lines[3] == f"FLOPs to predict one     {2 * multiplied / 1e6:.3g} M"
    time = " ".join(" ".join(lines[6:]).split())
    assert time.startswith("At most ")
    assert "on this machine, in one process (training stops early when it no longer gets better)." in time
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_is_for_programs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed):
    monkeypatch.chdir(tmp_path)
    words = ["--width-factor", 0.125, "--device", "cpu", "--dry-run", "--json", "--set", "data.image_size=32"]
    code, out, said = typed("train", "resnet18", *words)
    assert code == 0, said
    planned = json.loads(out)
    assert (planned["trials"], planned["missing"], planned["finished"]) == (1, 1, 0)
    assert planned["parameters"] == [241_712, 241_712]
    assert planned["forward_flops"][0] < planned["training_flops"][0]
    assert planned["seconds"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "vgg"], "'alexnet', 'resnet56', 'resnet18', 'inception-v3', got 'vgg'"),
        (["train", "alexnet"], "--data: CIFAR-10 is needed: name its folder"),
        (["train", "resnet18"], "--data: ImageNet is needed: name its folder"),
        (
            ["train", "alexnet", "--data", "nowhere"],
            "--data: there is no data at nowhere: name the folder of CIFAR-10",
        ),
        (["train", "alexnet", "--data", "."], "the folder . holds no CIFAR-10"),
        (["train", "alexnet", "--data", "imagenet=."], "--data: CIFAR-10 is needed: name its folder"),
        (
            ["train", "alexnet", "--data", "cifar=here"],
            "--data: cifar=here is neither a path that exists nor a data set and its location; write cifar10=DIR",
        ),
        (["train", "alexnet", "--data", "cifar10="], "--data: cifar10= is neither a path that exists nor a data set"),
        (
            ["train", "alexnet", "--data", "cifar10=here", "--data", "cifar10=there"],
            "--data: CIFAR-10 is named twice, here and there; name it once",
        ),
        (
            ["train", "alexnet", "--data", "here", "--data", "there"],
            "--data: here and there are given without the data set that each is; write cifar10=DIR",
        ),
        (
            ["train", "alexnet", "--set", "data.synthetic=true"],
            "/runs/synthetic/cifar10 has only 299 images for it; set it to less",
        ),
        (
            ["train", "alexnet", "--set", "training.epoch=1"],
            "--set: there is no field training.epoch; did you mean epochs",
        ),
        (["train", "alexnet", "--set", "training.epochs"], "--set training.epochs must be PATH=VALUE"),
        (
            ["train", "alexnet", "--set", "training.decay.kind=cosine"],
            "training.decay.kind: input should be 'constant'",
        ),
        (
            ["train", "alexnet", "--set", "training.keep_epochs=[600]"],
            "keep_epochs names epoch 600; there are 1 to 500",
        ),
        (["train", "alexnet", "--width-factor", "0.001"], "leaves a layer of 96 units at 1x without units"),
        (["train", "mlp", "--set", "training.augmentation=true"], "training.augmentation is for networks that learn"),
        (["train", "alexnet", "--set", "data.name=imagenet"], "takes inputs of shape (3, 32, 32), not (3, 224, 224)"),
        (["train", "alexnet", "--device", "tpu"], "the device 'tpu' cannot be used"),
        (["train", "alexnet", "--processes", "0"], "'--processes'"),
        (["train", "alexnet", "--seed", "-1"], "'--seed'"),
        (["train"], "Missing argument"),
    ],
)
def test_a_wrong_request_is_answered_in_a_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed
):
    monkeypatch.chdir(tmp_path)
    code, out, message = typed(*words)
    assert (code, out) == (2, "")
    assert message.startswith("widthwise: ")
    assert said in message
    assert message.count("\n") == 1
    assert not list(tmp_path.rglob("trials"))


def test_a_batch_larger_than_the_training_set_is_refused(data: Path, tmp_path: Path, typed):
    command = [*ALEXNET, "--data", data, "--store", tmp_path / "store", "--set", "data.validation_examples=20"]
    code, _, message = typed(*command)
    assert code == 2
    assert "a batch has 128 examples and the training set only 80; " in message
    assert message.endswith("training.batch_size=80\n")


def test_it_runs_as_a_program(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "widthwise", "train", "alexnet", "--data", "nowhere"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.rstrip().endswith("data: there is no data at nowhere: name the folder of CIFAR-10")
    assert "Traceback" not in done.stderr


EXPONENTIAL, STEP = "exponential", "step"
RECIPES = {
    "mlp": {
        **{"optimizer": "momentum", "momentum": 0.9, "learning_rate": 0.01, "decay": ConstantRate()},
        **{"batch_size": 128, "epochs": 50, "patience": None, "weight_decay": 0.0, "augmentation": False},
    },
    "alexnet": {
        **{"optimizer": "momentum", "momentum": 0.9, "learning_rate": 0.01},
        "decay": ExponentialDecay(kind=EXPONENTIAL, rate=0.95, every=1),
        **{"batch_size": 128, "epochs": 500, "patience": 50, "weight_decay": 0.0, "augmentation": False},
    },
    "resnet56": {
        **{"optimizer": "momentum", "momentum": 0.9, "learning_rate": 0.1},
        "decay": StepDecay(kind=STEP, rate=0.1, at=(91, 136)),
        **{"batch_size": 128, "epochs": 182, "patience": None, "weight_decay": 2e-4, "augmentation": True},
    },
    "resnet18": {
        **{"optimizer": "momentum", "momentum": 0.9, "learning_rate": 0.1},
        "decay": StepDecay(kind=STEP, rate=0.1, at=(30, 60, 80)),
        **{"batch_size": 256, "epochs": 90, "patience": None, "weight_decay": 1e-4, "augmentation": True},
    },
    "inception-v3": {
        **{"optimizer": "rmsprop", "momentum": 0.9, "epsilon": 1.0, "learning_rate": 0.045},
        "decay": ExponentialDecay(kind=EXPONENTIAL, rate=0.96, every=8),
        **{"batch_size": 256, "epochs": 90, "patience": None, "weight_decay": 4e-5, "augmentation": True},
    },
}
INITIALIZATIONS = {
    **{"mlp": ("normal", 0.01), "alexnet": ("glorot_normal", None), "resnet56": ("glorot_normal", None)},
    **{"resnet18": ("glorot_normal", None), "inception-v3": ("truncated_normal", 0.1)},
}
SHAPES = {
    **{"mlp": (10,), "alexnet": (3, 32, 32), "resnet56": (3, 32, 32)},
    **{"resnet18": (3, 224, 224), "inception-v3": (3, 299, 299)},
}


@pytest.mark.parametrize("network", RECIPES)
def test_each_network_has_the_papers_recipe(network: str):
    """The table "Training" of Appendix A.1; of the three learning rates that it gives as 1, those of the authors' code
    and of the published recipes."""
    trial = single_trial(network)
    assert {name: getattr(trial.training, name) for name in RECIPES[network]} == RECIPES[network]
    assert trial.training.scale == 1.0
    assert trial.training.precision == "32-true"
    assert not trial.training.compile
    initialization = trial.initialization
    assert (initialization.scheme, initialization.standard_deviation) == INITIALIZATIONS[network]
    assert (trial.network.name, trial.network.width_factor) == (network, 1.0)
    assert trial.data.shape == SHAPES[network]
    assert (trial.measurement.levels, trial.measurement.samplings) == (7, 3)


def test_the_rate_of_each_epoch_is_the_papers():
    rates = {name: [single_trial(name).training.rate(epoch) for epoch in range(182)] for name in RECIPES}
    assert rates["mlp"][49] == 0.01
    assert rates["alexnet"][:3] == pytest.approx([0.01, 0.0095, 0.009025])
    assert [rates["resnet56"][epoch] for epoch in (0, 90, 91, 135, 136, 181)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )
    assert [rates["resnet18"][epoch] for epoch in (29, 30, 59, 60, 79, 80)] == pytest.approx(
        [0.1, 0.01, 0.01, 0.001, 0.001, 0.0001]
    )
    assert [rates["inception-v3"][epoch] for epoch in (7, 8, 16)] == pytest.approx([0.045, 0.0432, 0.041472])


def test_another_kind_of_decay_takes_the_place_of_the_papers():
    constant = single_trial("alexnet", settings=parsed_settings(["training.decay.kind=constant"]))
    assert constant.training.decay == ConstantRate()
    steps = ["training.decay.kind=step", "training.decay.at=[3, 5]"]
    for order in (steps, steps[::-1]):
        stepwise = single_trial("alexnet", settings=parsed_settings(order))
        assert stepwise.training.decay == StepDecay(kind="step", rate=0.1, at=(3, 5))
    slower = single_trial("alexnet", settings=parsed_settings(["training.decay.rate=0.99"]))
    assert slower.training.decay == ExponentialDecay(kind="exponential", rate=0.99, every=1)
    with pytest.raises(RequestError, match=r"settings: training.decay.at: field required"):
        single_trial("alexnet", settings=parsed_settings(["training.decay.kind=step"]))
    assert stepwise.training.learning_rate == slower.training.learning_rate == 0.01

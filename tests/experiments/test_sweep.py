"""Sweeps: from YAML to trials, and what is said about YAML that is wrong."""

from pathlib import Path

import pytest

from widthwise.commands.options import parsed_settings
from widthwise.errors import RequestError
from widthwise.experiments.sweep import SCALES, Sweep, catalogue
from widthwise.experiments.trial import Trial


def load(folder: Path, text: str) -> Sweep:
    file = folder / "own.yaml"
    file.write_text(text, encoding="utf-8")
    return Sweep.load(str(file))


def test_the_paper_scale_of_the_mlp_experiments_is_the_papers():
    for name, sigmas, dimensions in (("mlp10-initialization", 5, 10), ("mlp10k-initialization", 5, 10_000)):
        runs = list(Sweep.load(name).runs("paper"))
        assert len(runs) == sigmas * 5 * 3 * 5
        assert {run.trial.initialization.standard_deviation for run in runs} == {1e-4, 1e-2, 1.0, 1e2, 1e4}
        assert {run.trial.training.learning_rate for run in runs} == {1.0, 0.1, 0.01, 0.001, 0.0001}
        assert {run.width_factor for run in runs} == {0.25, 0.5, 1.0, 2.0, 4.0}
        for trial in (run.trial for run in runs):
            assert (trial.training.optimizer, trial.training.epochs, trial.training.batch_size) == ("momentum", 50, 128)
            assert trial.data.dimensions == dimensions
            assert (trial.data.train_examples, trial.data.validation_examples, trial.data.test_examples) == (1000,) * 3
            assert (trial.measurement.levels, trial.measurement.samplings) == (7, 3)
            assert trial.measurement.granularity == "application"
    optimizers = list(Sweep.load("mlp10k-optimizer").runs("paper"))
    assert {run.trial.training.optimizer for run in optimizers} == {"momentum", "sgd", "adam"}
    assert {run.trial.initialization.standard_deviation for run in optimizers} == {0.01}


@pytest.mark.parametrize("name", catalogue())
def test_every_experiment_has_every_scale_and_says_what_it_reduces(name: str):
    sweep = Sweep.load(name)
    assert sweep.title
    assert sweep.description
    assert sweep.shows
    sizes = [len(sweep.trials(scale)) for scale in SCALES]
    assert sizes == sorted(sizes)
    if sweep.analysis == "parameters":
        assert sizes[0] == sizes[-1], "nothing is trained, so that nothing needs to be less"
    else:
        assert sweep.note("smoke")
        assert sweep.note("quick")
    assert not sweep.note("paper")


def test_a_replicate_has_its_own_seed_and_data():
    runs = list(Sweep.load("mlp10-initialization").runs("paper"))
    assert all(run.trial.seed == run.trial.data.seed == run.replicate for run in runs)


def test_axes_multiply_and_name_their_series(tmp_path: Path):
    sweep = load(
        tmp_path,
        """
        series: {training.optimizer: [sgd, adam], data.train_examples: [50, 100]}
        tune: {training.learning_rate: [1e-1, 1e-2]}
        widths: [1, 2, 4]
        replicates: 2
        label: "{training.optimizer} on {data.train_examples}"
        """,
    )
    runs = list(sweep.runs("paper"))
    assert len(runs) == 4 * 2 * 3 * 2
    assert sweep.name == "own"
    assert list(dict.fromkeys(run.series for run in runs)) == ["sgd on 50", "sgd on 100", "adam on 50", "adam on 100"]
    assert {run.tuned["training.learning_rate"] for run in runs} == {0.1, 0.01}
    assert len({run.trial.id for run in runs}) == len(runs)


def test_without_a_label_a_series_is_named_by_its_values(tmp_path: Path):
    sweep = load(tmp_path, "series: {training.momentum: [0.5, 0.9]}")
    assert {run.series for run in sweep.runs("paper")} == {"momentum = 0.5", "momentum = 0.9"}


def test_a_scale_lays_its_changes_over_the_base(tmp_path: Path):
    sweep = load(
        tmp_path,
        """
        trial: {training: {epochs: 9, batch_size: 10}}
        replicates: 3
        scales: {quick: {note: fewer, replicates: 1, trial: {training: {epochs: 2}}}}
        """,
    )
    (quick,) = {(trial.training.epochs, trial.training.batch_size) for trial in sweep.trials("quick")}
    (paper,) = {(trial.training.epochs, trial.training.batch_size) for trial in sweep.trials("paper")}
    assert (quick, paper) == ((2, 10), (9, 10))
    assert len(sweep.trials("quick")) * 3 == len(sweep.trials("paper"))


NAMED = """
series:
  regularizer:
    none: {}
    decay: {training: {weight_decay: 1e-3, epochs: 7}}
  training.momentum: [0, 0.9]
label: "{regularizer}, {training.momentum:g}"
trial: {training: {epochs: 5}}
scales: {quick: {note: shorter, series: {regularizer: [decay]}, trial: {training: {epochs: 2}}}}
"""


def test_series_may_be_parts_of_a_trial_with_names_of_their_own(tmp_path: Path):
    sweep = load(tmp_path, NAMED)
    by_name = {run.series: run.trial.training for run in sweep.runs("paper")}
    assert list(by_name) == ["none, 0", "none, 0.9", "decay, 0", "decay, 0.9"]
    assert [training.weight_decay for training in by_name.values()] == [0, 0, 1e-3, 1e-3]
    assert [training.epochs for training in by_name.values()] == [5, 5, 7, 7]


def test_a_scale_chooses_among_named_parts_and_is_laid_over_them(tmp_path: Path):
    quick = list(load(tmp_path, NAMED).runs("quick"))
    assert {run.trial.training.epochs for run in quick} == {2}
    assert {run.trial.training.weight_decay for run in quick} == {1e-3}
    assert len({run.series for run in quick}) == 1, "a scale's series are all that it has"


def test_named_parts_are_chosen_from_outside_too(tmp_path: Path):
    sweep = load(tmp_path, NAMED).with_values(parsed_settings(["regularizer=none", "training.epochs=1"]))
    assert {run.series for run in sweep.runs("paper")} == {"none, 0", "none, 0.9"}
    assert {trial.training.epochs for trial in sweep.trials("paper")} == {1}
    with pytest.raises(RequestError, match="regularizer has no 'dropout'; there are none, decay"):
        load(tmp_path, NAMED).with_values(parsed_settings(["regularizer=[dropout]"])).trials("paper")


def test_a_file_may_extend_an_experiment(tmp_path: Path):
    sweep = load(tmp_path, "extends: mlp10-initialization\nreplicates: 1\ntrial: {training: {epochs: 4}}")
    base = Sweep.load("mlp10-initialization")
    assert sweep.title == base.title
    assert len(sweep.trials("paper")) * 3 == len(base.trials("paper"))
    assert {trial.training.epochs for trial in sweep.trials("paper")} == {4}
    assert sweep.note("quick") == f"{base.note('quick')}; of these replicates as this sweep has them"
    assert (sweep.shows, sweep.figures, sweep.claims) == ([], {}, []), "they are of the paper's experiment"
    some = load(tmp_path, "extends: alexnet-initialization\nseries: {scheme: [LeCun normal]}\nwidths: [0.25, 1]")
    assert {run.series for scale in SCALES for run in some.runs(scale)} == {"LeCun normal"}
    whole = {trial.id for trial in Sweep.load("alexnet-initialization").trials("paper")}
    assert len(whole & {trial.id for trial in some.trials("paper")}) == 6, "a store trains them once"
    with pytest.raises(RequestError, match=r"own\.yaml: scheme has no 'He'; there are Glorot normal, He normal"):
        load(tmp_path, "extends: alexnet-initialization\nseries: {scheme: [He]}")
    wide = load(tmp_path, "extends: mlp10k-initialization\nwidths: [1, 2, 4]\nreplicates: 5")
    for scale in SCALES:
        axes = wide.at(scale)
        assert (axes.widths, axes.replicates) == ([1, 2, 4], 5), "in place of the base's, at every scale"
    with pytest.raises(RequestError, match=r"own\.yaml: extends: there is no experiment 'mlp'"):
        load(tmp_path, "extends: mlp")


def test_the_same_training_in_two_experiments_is_one_trial():
    """A store trains it once: regularized AlexNets, k = 1, and the ResNet-18 whose epochs are kept."""
    for one, other, shared in (
        ("alexnet-initialization", "alexnet-regularization", 15),
        ("alexnet-regularization", "cifar10-labels", 15),
        ("cifar10-labels", "cifar10-batch-size", 15),
        ("imagenet-width", "resnet18-convergence", 5),
    ):
        ids = [{trial.id for trial in Sweep.load(name).trials("paper")} for name in (one, other)]
        assert len(ids[0] & ids[1]) == shared, (one, other)


def test_values_are_set_at_every_scale():
    sweep = Sweep.load("mlp10-initialization").with_values(
        parsed_settings(["training.epochs=3", "replicates=1", "widths=[1, 2]", "training.learning_rate=0.5"])
    )
    for scale in SCALES:
        runs = list(sweep.runs(scale))
        assert {run.trial.training.epochs for run in runs} == {3}
        assert {run.trial.training.learning_rate for run in runs} == {0.5}
        assert {(run.replicate, run.width_factor) for run in runs} == {(0, 1.0), (0, 2.0)}


def test_a_sweep_with_other_values_has_a_name_of_its_own():
    sweep = Sweep.load("constructions")
    names = {sweep.with_values(parsed_settings([assignment])).name for assignment in ("replicates=1", "replicates=2")}
    assert len(names) == 2
    assert all(name.startswith("constructions+") for name in names)
    assert sweep.with_values(parsed_settings([])).name == "constructions"


def test_a_file_cannot_take_the_name_of_an_experiment(tmp_path: Path):
    file = tmp_path / "constructions.yaml"
    file.write_text("replicates: 2")
    with pytest.raises(RequestError, match="has the name of an experiment"):
        Sweep.load(str(file))


def test_a_file_of_another_encoding_is_refused(tmp_path: Path):
    file = tmp_path / "own.yaml"
    file.write_bytes("title: σ".encode("utf-16"))
    with pytest.raises(RequestError, match="is not a text file in UTF-8"):
        Sweep.load(str(file))


def test_a_sweep_survives_being_written_down():
    sweep = Sweep.load("mlp10-initialization").with_values(parsed_settings(["training.epochs=3"]))
    again = Sweep.model_validate_json(sweep.model_dump_json(exclude_unset=True))
    assert [trial.id for trial in again.trials("paper")] == [trial.id for trial in sweep.trials("paper")]


def test_equal_trials_have_equal_ids_and_any_difference_another():
    assert Trial().id == Trial.model_validate(Trial().model_dump()).id
    sigma = Trial.model_validate({"initialization": {"scheme": "normal", "standard_deviation": 1}})
    assert len({Trial().id, Trial(seed=1).id, sigma.id}) == 3
    assert Trial().cohort == Trial(seed=1).cohort == sigma.cohort
    slower = Trial.model_validate({"training": {"learning_rate": 0.5}})
    assert slower.cohort != Trial().cohort


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("widts: [1]", "own.yaml: there is no field widts; did you mean widths?"),
        ("widths: [wide]", "own.yaml: widths.0: input should be a valid number"),
        ("widths: [-1]", "widths.0: input should be greater than 0, got -1"),
        ("widths: []", "widths: list should have at least 1 item"),
        ("widths: [0.001]", "network: width factor 0.001 leaves a layer of 128 units at 1x without units"),
        ("replicates: 0", "replicates: input should be greater than 0, got 0"),
        ("trial: {training: {epocs: 3}}", "there is no field training.epocs; did you mean epochs?"),
        ("trial: {training: {epochs: many}}", "training.epochs: input should be a valid integer"),
        ("trial: {training: {decay: {kind: exponential, rat: 1}}}", "training.decay.rat; did you mean rate?"),
        ("trial: {training: {learning_rate: .inf}}", "training.learning_rate: input should be a finite number"),
        ("trial: {measurement: {level: 3}}", "there is no field measurement.level; did you mean levels?"),
        ("trial: {measurement: {granularity: kernel}}", "input should be 'application' or 'channel', got 'kernel'"),
        ("trial: {measurement: {levels: 1}}", "measurement.levels: must be a whole number from 2 to 256, got 1"),
        (
            "trial: {network: {name: vgg}}",
            "network.name: input should be 'mlp', 'alexnet',",
        ),
        (
            "trial: {initialization: {scheme: truncated_normal}}",
            "initialization: scheme truncated_normal needs standard_deviation",
        ),
        ("series: {training.optimiser: [sgd]}", "there is no field training.optimiser; did you mean optimizer?"),
        ("series: {training.optimizer: [lion]}", "training.optimizer: input should be 'momentum', 'nesterov', 'sgd'"),
        ("series: {training.optimizer: [sgd, adam]}\nlabel: '{network.name}'", "gives several series one name"),
        ("label: '{training.patience:g}'", "label: '{training.patience:g}' cannot be filled in"),
        ("series: {network: {wide: {}}}", "series: network with named values needs a name of its own"),
        ("series: {kind: {}}", "series.kind: dictionary should have at least 1 item"),
        ("series: {kind: {one: 3}}", "series.kind.one: input should be a valid dictionary"),
        ("series: {kind: {one: {training: {epocs: 3}}}}", "no field training.epocs; did you mean epochs?"),
        ("series: {kind: {one: {seed: 3}}}", "seed is decided by the sweep's replicates"),
        ("series: {seed: [1, 2]}", "seed is decided by the sweep's replicates; set replicates instead"),
        ("tune: {network.width_factor: [1]}", "network.width_factor is decided by the sweep's widths"),
        ("trial: {data: {seed: 3}}", "data.seed is decided by the sweep's replicates"),
        ("series: {training.momentum: []}", "series.training.momentum: list should have at least 1 item"),
        ("name: ../../elsewhere", "name: string should match pattern"),
        ("label: '{initialization.sigma}'", "label: '{initialization.sigma}' cannot be filled in"),
        ("scales: {huge: {replicates: 9}}", "scales.huge.[key]: input should be 'smoke', 'quick' or 'paper'"),
        ("scales: {smoke: {replicate: 2}}", "there is no field scales.smoke.replicate; did you mean replicates?"),
        ("title: [", "is not valid YAML"),
        ("title: one\ntitle: two", "the field title occurs twice"),
        ("- 1", "must be a mapping with the fields"),
        ("x: !!python/object/apply:os.system [exit]", "is not valid YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_sentence(tmp_path: Path, text: str, said: str):
    with pytest.raises(RequestError) as raised:
        load(tmp_path, text)
    message = str(raised.value)
    assert said in message
    assert "\n" not in message
    assert "own.yaml" in message


def test_an_unknown_experiment_is_answered_with_the_nearest():
    with pytest.raises(RequestError, match="did you mean mlp10-initialization"):
        Sweep.load("mlp10-initialisation")
    with pytest.raises(RequestError, match="there are 2021-alexnet-activation, 2021-alexnet-optimizer"):
        Sweep.load("zzz")
    with pytest.raises(RequestError, match=r"there is no sweep file nowhere\.yaml"):
        Sweep.load("nowhere.yaml")


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("training.epochs=[", "'[' is not a value in YAML"),
        ("training=3", "training: input should be a valid dictionary"),
        ("seed=7", "seed is decided by the sweep's replicates; set replicates instead"),
        ("training.epochs", "must be PATH=VALUE"),
        ("training.epoch=3", "there is no field training.epoch; did you mean epochs?"),
        ("training.epochs=few", "training.epochs: input should be a valid integer"),
        ("replicates=none", "replicates: input should be a valid integer"),
    ],
)
def test_a_wrong_assignment_is_said_in_a_sentence(assignment: str, said: str):
    with pytest.raises(RequestError) as raised:
        Sweep.load("mlp10-initialization").with_values(parsed_settings([assignment])).trials("smoke")
    assert said in str(raised.value)


def test_a_scale_that_a_sweep_lacks_is_refused(tmp_path: Path):
    with pytest.raises(RequestError, match="own has no scale 'quick': it has paper"):
        load(tmp_path, "replicates: 2").trials("quick")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: alexnet-initialization\nscales: {quick: }", "each scale must be a mapping"),
        ("extends: alexnet-initialization\ntrial:", "trial must be a mapping"),
        ("extends: alexnet-initialization\nseries: {scheme: He normal}", "scheme must be a list of names, of Glorot"),
        ("extends: alexnet-initialization\nseries: {scheme: [{X: 1}]}", "scheme must be a list of names, of Glorot"),
        ("name: parameters", "has the name of an experiment of the catalogue"),
        ("name: mine+yours", r"a sweep's name has no \+, which marks those with settings of their own"),
        ("analysis: parameters", "trains nothing; training.epochs must be 0"),
        ("analysis: convergence", "makes a series of each of training.keep_epochs"),
    ],
)
def test_what_a_file_of_ones_own_cannot_say(tmp_path: Path, text: str, said: str):
    with pytest.raises(RequestError, match=said):
        load(tmp_path, text)


RECIPES = """
title: Two recipes
trial: {training: {epochs: 50, learning_rate: 0.1}}
series: {initialization.standard_deviation: [0.01, 1]}
tune: {training.learning_rate: [1, 0.1]}
recipes:
  authors-code:
    note: fewer epochs and one rate
    trial: {training: {epochs: 7, learning_rate: 0.3}}
    tune: {}
    replicates: 2
scales:
  quick: {widths: [0.5], replicates: 1, tune: {training.learning_rate: [0.01]}, trial: {training: {batch_size: 16}}}
"""


def test_a_recipe_lies_between_the_experiment_and_the_scale(tmp_path: Path):
    (tmp_path / "two.yaml").write_text(RECIPES)
    paper = Sweep.load(str(tmp_path / "two.yaml"))
    authors = paper.with_recipe("authors-code")
    assert (paper.recipe, authors.recipe, authors.name) == ("paper", "authors-code", "two+authors-code")
    assert authors.experiment == "two"
    assert {trial.training.epochs for trial in authors.trials("paper")} == {7}
    assert {trial.training.learning_rate for trial in authors.trials("quick")} == {0.3}, "the recipe's tuning stays"
    assert {trial.training.batch_size for trial in authors.trials("quick")} == {16}
    assert (authors.at("paper").replicates, authors.at("quick").replicates) == (2, 1)
    assert {trial.training.epochs for trial in paper.trials("paper")} == {50}
    assert authors.with_recipe("paper") == paper


def test_a_recipe_and_settings_of_a_run_have_one_name(tmp_path: Path):
    (tmp_path / "two.yaml").write_text(RECIPES)
    sweep = Sweep.load(str(tmp_path / "two.yaml"))
    one = sweep.with_recipe("authors-code").with_values({"training.epochs": 3})
    assert one == sweep.with_values({"training.epochs": 3}).with_recipe("authors-code")
    assert one.name.startswith("two+authors-code+")
    assert {trial.training.epochs for trial in one.trials("paper")} == {3}


def test_a_recipe_is_inherited_and_its_fields_explained(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("extends: mlp10k-initialization\ntrial: {data: {dimensions: 50}}\n")
    authors = Sweep.load(str(tmp_path / "mine.yaml")).with_recipe("authors-code")
    [found] = authors.explain("training.batches_per_epoch")
    assert found.values == (6,)
    assert found.layer == "recipe authors-code of the base teacher"
    assert {trial.data.dimensions for trial in authors.trials("paper")} == {50}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ("recipe: authors-code\n", "a recipe is chosen when the sweep is run"),
        ("recipe: other\n", "a recipe is chosen when the sweep is run"),
    ],
)
def test_a_file_chooses_no_recipe(tmp_path: Path, added: str, says: str):
    (tmp_path / "two.yaml").write_text(RECIPES + added)
    with pytest.raises(RequestError, match=says):
        Sweep.load(str(tmp_path / "two.yaml"))


def test_no_recipe_is_called_paper(tmp_path: Path):
    (tmp_path / "two.yaml").write_text(RECIPES.replace("authors-code:", "paper:"))
    with pytest.raises(RequestError, match="paper is the sweep as it is; give the recipe another name"):
        Sweep.load(str(tmp_path / "two.yaml"))


def test_fields_of_a_width_are_explained_for_that_width():
    found = Sweep.load("resnet18-batch-size").with_recipe("authors-code").explain("training.scale")
    of_largest = {name: each.values for each in found for name in each.series if name.startswith("largest")}
    assert of_largest["largest batch at 0.25×"] == (32.0,)
    assert of_largest["largest batch at 4×"] == (2.0,)


def test_there_is_no_other_recipe():
    with pytest.raises(RequestError, match=r"constructions has no recipe 'authors-code': it has paper$"):
        Sweep.load("constructions").with_recipe("authors-code")


AT_WIDTHS = """
title: Two series, one with two widths of its own
series:
  variant:
    every: {}
    some: {at_width: {0.25: {training: {batch_size: 8}}, 2: {}}}
widths: [0.25, 1, 2]
replicates: 1
scales: {quick: {widths: [0.5, 1]}}
"""


def test_a_named_part_may_have_fields_by_width(tmp_path: Path):
    (tmp_path / "widths.yaml").write_text(AT_WIDTHS)
    sweep = Sweep.load(str(tmp_path / "widths.yaml"))
    runs = [(run.series, run.width_factor, run.trial.training.batch_size) for run in sweep.runs("paper")]
    assert runs == [("every", 0.25, 128), ("every", 1, 128), ("every", 2, 128), ("some", 0.25, 8), ("some", 2, 128)]
    others = [(run.series, run.width_factor) for run in sweep.runs("quick")]
    assert others == [("every", 0.5), ("every", 1), ("some", 0.5)], "0.5 is a width of the scale alone"


@pytest.mark.parametrize("wrong", ["{wide: {}}", "[0.25]", "{0.25: 8}", "{0.25: {training: {batch: 8}}}"])
def test_widths_of_a_named_part_are_checked(tmp_path: Path, wrong: str):
    (tmp_path / "widths.yaml").write_text(AT_WIDTHS.replace("{0.25: {training: {batch_size: 8}}, 2: {}}", wrong))
    with pytest.raises(RequestError, match=r"at_width|batch"):
        Sweep.load(str(tmp_path / "widths.yaml")).trials("paper")

"""The paper's claims beside ours: each kind of test says yes, no or too little of networks made to be so."""

import re
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from widthwise.analysis.claims import CheckedClaim, compare_with_paper, paper_claims
from widthwise.analysis.claims.between_series import alike, greater, same_trend
from widthwise.analysis.claims.claim import Check, Finding, together
from widthwise.analysis.claims.exact import as_theory, curves_fall, fits_training_set, multiplies, samplings_agree
from widthwise.analysis.claims.layers import (
    every_layer_grows,
    in_order,
    layer_grows,
    layers_flat,
    lead,
    no_order_of_depth,
)
from widthwise.analysis.claims.proliferation import proliferate
from widthwise.analysis.claims.trends import (
    accuracy_kept,
    either_grows,
    falls,
    flat,
    grows,
    more_than_doubles,
    supported,
)
from widthwise.analysis.experiment import Analysis
from widthwise.analysis.summary import MEAN_OF_LAYERS
from widthwise.analysis.verdict import verdicts
from widthwise.commands.options import parsed_settings
from widthwise.experiments.figure import order_in_paper
from widthwise.experiments.sweep import SCALES, Scale, Sweep, catalogue
from widthwise.networks.alexnet import AlexNetDescription
from widthwise.networks.inception_v3 import InceptionV3Description
from widthwise.networks.resnet18 import ResNet18Description
from widthwise.networks.resnet56 import ResNet56Description
from widthwise.wording import listed

GLOROT, HE = "Glorot normal", "He normal"
WIDTHS = [0.25, 0.5, 1.0, 2.0, 4.0]
EPOCHS = ["at the end", *(f"{count} epochs before the end" for count in (5, 10, 20))]
Of = Callable[[float], float]


def networks(series: str, replicates: int = 3, widths=WIDTHS, noise=0.002, seed=0, **measures: Of) -> pd.DataFrame:
    """A series of networks whose measures are functions of the width factor, with a little noise around them."""
    stream = np.random.default_rng(seed)
    levels: dict[str, Of] = {
        "auc": lambda width: 0.6,
        "similarity": lambda width: 10.0,
        "test_accuracy": lambda width: 0.8,
        "prunability": lambda width: 0.4,
        "redundancy_pca": lambda width: 0.4,
    }
    rows = [
        {
            "series": series,
            "width_factor": width,
            "replicate": replicate,
            **{name: of(width) * (1 + stream.normal(0, noise)) for name, of in {**levels, **measures}.items()},
            "train_accuracy": 1.0,
            "auc_std": 0.001,
            "similarity_std": 0.01,
            "degenerate": False,
        }
        for replicate in range(replicates)
        for width in widths
    ]
    return pd.DataFrame(rows)


NO_LAYERS = pd.DataFrame(columns=["series", "width_factor", "layer", "depth", "n", "auc", "similarity"])


def analysis_of(
    table: pd.DataFrame, experiment: str = "alexnet-initialization", scale: Scale = "paper", **tables: pd.DataFrame
) -> Analysis:
    """An analysis of networks, with their verdicts as `analyze` makes them."""
    sweep = load(experiment)
    axes = sweep.at(scale)
    series = list(table["series"].unique()) if len(table) else planned(experiment, scale)
    if len(table) and sweep.analysis in ("trend", "convergence"):
        tables = {"verdicts": verdicts(table, series, axes.widths, axes.replicates), **tables}
    runs = pd.DataFrame({"series": series, "status": "missing"})
    return Analysis(
        **{"sweep": sweep, "scale": scale, "networks": table, "series": series, "settings": pd.DataFrame()},
        **{"runs": runs, "layers": NO_LAYERS, "ablation": NO_LAYERS.assign(share_dropped=[], unchanged=[]), **tables},
    )


@cache
def load(experiment: str) -> Sweep:
    return Sweep.load(experiment)


@cache
def planned(experiment: str, scale: Scale) -> list[str]:
    if load(experiment).analysis == "convergence":
        return EPOCHS
    return list(dict.fromkeys(run.series for run in load(experiment).runs(scale)))


def growing(per_doubling: float, level: float) -> Of:
    return lambda width: level + per_doubling * float(np.log2(width))


def answer(check: Check, *tables: pd.DataFrame, **settings) -> str:
    return check(analysis_of(pd.concat(tables), **settings)).answer


FLAT = networks("A")
MORE_REMOVABLE = networks("A", auc=growing(0.03, 0.6))
MORE_SIMILAR = networks("A", similarity=growing(3, 12))
LESS_SIMILAR = networks("A", similarity=growing(-3, 12))
SINGLE = networks("A", replicates=1, auc=growing(0.03, 0.6))
NOISY = networks("A", noise=0.2)


@pytest.mark.parametrize(
    ("check", "agrees", "disagrees", "too_little"),
    [
        (grows("auc", ("A",)), MORE_REMOVABLE, FLAT, SINGLE),
        (grows("similarity"), MORE_SIMILAR, LESS_SIMILAR, SINGLE),
        (either_grows(("A",)), MORE_SIMILAR, LESS_SIMILAR, SINGLE),
        (falls("similarity", ("A",)), LESS_SIMILAR, MORE_SIMILAR, SINGLE),
        (flat("auc", ("A",)), FLAT, MORE_REMOVABLE, NOISY),
        (flat("auc", ("A",)), FLAT, networks("A", auc=growing(-0.03, 0.6)), SINGLE),
        (flat("similarity", ("A",)), FLAT, MORE_SIMILAR, NOISY),
        (flat("test_accuracy", ("A",)), FLAT, networks("A", test_accuracy=growing(0.03, 0.8)), NOISY),
        (accuracy_kept(("A",)), FLAT, networks("A", test_accuracy=growing(-0.03, 0.8)), NOISY),
        (
            accuracy_kept(("A",)),
            networks("A", test_accuracy=growing(0.03, 0.8)),
            networks("A", test_accuracy=growing(-0.01, 0.8)),
            SINGLE,
        ),
        (supported(), MORE_SIMILAR, FLAT, networks("A", test_accuracy=growing(-0.03, 0.8))),
        (more_than_doubles(("A",)), networks("A", similarity=lambda width: 3**width), MORE_SIMILAR, SINGLE),
        (fits_training_set(("A",)), FLAT, FLAT.assign(train_accuracy=0.9), FLAT[FLAT["width_factor"] < 4]),
        (samplings_agree(), FLAT, FLAT.assign(auc_std=0.02), FLAT.assign(degenerate=True)),
        (samplings_agree(), FLAT, FLAT.assign(similarity_std=1.0), FLAT.assign(degenerate=True)),
        (samplings_agree(), FLAT, FLAT.assign(auc_std=0.02), FLAT.assign(auc_std=np.nan, similarity_std=np.nan)),
        (grows("auc", ("A",)), MORE_REMOVABLE, FLAT, networks("A", noise=0.05, auc=growing(0.01, 0.6), seed=3)),
    ],
)
def test_of_one_series(check: Check, agrees: pd.DataFrame, disagrees: pd.DataFrame, too_little: pd.DataFrame):
    assert answer(check, agrees) == "agrees"
    assert answer(check, disagrees) == "disagrees"
    assert answer(check, too_little) == "cannot be told"


CONTROL = networks("B", seed=1)
ABOVE, BELOW = (
    networks("A", auc=lambda width, level=level: level, similarity=lambda width, level=level: 20 * level)
    for level in (0.7, 0.4)
)


@pytest.mark.parametrize(
    ("check", "agrees", "disagrees", "too_little"),
    [
        (greater("auc", (("A", "B"),)), ABOVE, BELOW, networks("A", noise=0.05)),
        (greater("auc", (("A", "B"),), widest=2), ABOVE, BELOW, ABOVE[ABOVE["width_factor"] < 4]),
        (greater("auc", (("A", "B"),)), ABOVE, BELOW, ABOVE[ABOVE["width_factor"] == 4]),
        (alike("auc", (("A", "B"),)), FLAT, ABOVE, NOISY),
        (alike("auc", control="B"), FLAT, BELOW, ABOVE[ABOVE["width_factor"] == 4]),
        (alike("similarity", (("A", "B"),)), FLAT, ABOVE, networks("A", noise=0.5)),
        (same_trend((("A", "B"),)), FLAT, MORE_SIMILAR, SINGLE),
        (same_trend((("A", "B"),)), FLAT, LESS_SIMILAR, NOISY),
        (same_trend(control="B"), FLAT, MORE_REMOVABLE, SINGLE),
    ],
)
def test_of_one_series_against_another(
    check: Check, agrees: pd.DataFrame, disagrees: pd.DataFrame, too_little: pd.DataFrame
):
    assert answer(check, agrees, CONTROL) == "agrees"
    assert answer(check, disagrees, CONTROL) == "disagrees"
    assert answer(check, too_little, CONTROL) == "cannot be told"


def test_a_trend_that_just_fails_does_not_differ_from_one_that_just_passes():
    steps = {0.25: 0.60, 0.5: 0.61, 1.0: 0.62, 2.0: 0.63, 4.0: 0.64}
    scattered = networks("B", noise=0.04, seed=0, auc=steps.__getitem__)
    analysis = analysis_of(pd.concat([networks("A", auc=steps.__getitem__), scattered]))
    assert analysis.verdicts["removability_grows"].tolist() == [True, False]
    assert same_trend((("A", "B"),))(analysis).answer == "cannot be told"


def test_pairs_are_networks_of_one_width_and_replicate():
    one, other = networks("A", noise=0.01, seed=4), networks("B", noise=0.01, seed=5)
    shuffled = other.sample(frac=1, random_state=0)
    analysis = analysis_of(pd.concat([one, shuffled[1:]]))
    both = pd.merge(one, shuffled[1:], on=["width_factor", "replicate"])
    differences = (both["auc_x"] - both["auc_y"]).to_numpy()
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.9)
    said = alike("auc", (("A", "B"),))(analysis).evidence
    effect = f"{differences.mean():+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]".replace("-", "−")
    assert said == f"A against B: {effect}, 14 pairs; margin ±0.05, p < 0.0001."
    by_ranks = stats.wilcoxon(both["auc_x"], both["auc_y"], alternative="greater").pvalue
    by_means = stats.ttest_1samp(differences, 0, alternative="greater").pvalue
    found = greater("auc", (("A", "B"),))(analysis)
    assert found.p == pytest.approx(max(by_ranks, by_means))
    assert f"p = {found.p:.2g}, 14 pairs" in found.evidence


def test_a_p_value_is_that_of_the_answer_and_what_is_no_test_has_none():
    """A claim that is tested agrees if its p-value, that of all its parts, is below 0.05, and only then."""
    tables = [FLAT, MORE_REMOVABLE, MORE_SIMILAR, LESS_SIMILAR, NOISY, ABOVE, BELOW]
    tested = [
        *(grows("auc", ("A",)), grows("similarity", ("A",)), either_grows(("A",)), falls("similarity", ("A",))),
        *(flat("auc", ("A",)), flat("similarity", ("A",)), accuracy_kept(("A",)), supported(("B",))),
        *(greater("auc", (("A", "B"),)), alike("similarity", (("A", "B"),)), same_trend((("A", "B"),))),
    ]
    answers = []
    for table in tables:
        analysis = analysis_of(pd.concat([table, CONTROL]))
        for check in tested:
            found = check(analysis)
            assert found.p is not None
            assert (found.answer == "agrees") == (found.p < 0.05), (check.criterion, found)
            assert re.search(r"[+−][\d.e+]+ \[.*\].*(\bp [=<] |reaches below)", found.evidence), found.evidence
            answers.append(found.answer)
    few = analysis_of(pd.concat([each[each["width_factor"] == 1] for each in (SINGLE, CONTROL)]))
    assert all(check(few).p is None for check in tested)
    assert set(answers) == {"agrees", "disagrees", "cannot be told"}
    for check in (
        fits_training_set(("A",)),
        samplings_agree(),
        more_than_doubles(("A",)),
        lead("auc", "A", ("third",)),
    ):
        assert check(analysis_of(MORE_SIMILAR, layers=layers())).p is None
        assert check.criterion.endswith("This is no test of significance.")


def test_a_change_that_differs_much_between_replicates_is_not_flat():
    """One line with a level for each replicate has a narrow interval here, and the replicates contradict it."""
    changes = (-0.03, 0.0, 0.03)
    table = pd.concat(
        networks("A", replicates=1, noise=0.0, auc=growing(change / 2, 0.6)).assign(replicate=replicate)
        for replicate, change in enumerate(changes)
    )
    assert answer(flat("auc", ("A",)), table) == "cannot be told"


def test_networks_without_a_difference_show_none():
    analysis = analysis_of(pd.concat([FLAT, FLAT.assign(series="B")]))
    assert greater("similarity", (("A", "B"),))(analysis).answer == "cannot be told"
    assert alike("similarity", (("A", "B"),))(analysis).answer == "agrees"


def test_a_difference_of_similarity_is_a_share_but_of_next_to_nothing():
    few = [networks(name, similarity=lambda width, level=level: level) for name, level in (("A", 0.02), ("B", 0.01))]
    assert answer(alike("similarity", (("A", "B"),)), *few) == "agrees"
    many = [networks(name, similarity=lambda width, level=level: level) for name, level in (("A", 20.0), ("B", 10.0))]
    assert answer(alike("similarity", (("A", "B"),)), *many) == "disagrees"


def test_a_claim_of_several_series_agrees_where_each_does_and_disagrees_where_any_does():
    table = pd.concat([MORE_REMOVABLE, networks("B", auc=growing(0.03, 0.6), seed=1), networks("C", seed=2)])
    assert answer(grows("auc", ("A", "B")), table) == "agrees"
    found = grows("auc", ("A", "C"))(analysis_of(table))
    assert found.answer == "disagrees"
    assert found.evidence.startswith("A: removability +0.03 [")
    assert together([Finding("agrees", "a."), Finding("cannot be told", "b")]) == Finding("cannot be told", "a; b.")
    assert together([Finding("agrees", "a", 0.01), Finding("agrees", "b", 0.04)]).p == 0.04
    assert together([Finding("agrees", "a", 0.01), Finding("agrees", "b")]).p is None
    assert supported(("C",))(analysis_of(table)).answer == "agrees"
    assert supported()(analysis_of(table)).answer == "disagrees"


def test_collapsed_networks_never_count():
    table = MORE_REMOVABLE.copy()
    collapsed = (table["width_factor"] == 4) & (table["replicate"] == 0)
    table.loc[collapsed, ["auc", "train_accuracy", "degenerate"]] = [0.0, 0.1, True]
    assert answer(grows("auc", ("A",)), table) == "agrees"
    assert answer(greater("auc", (("A", "B"),)), table.assign(auc=0.7), CONTROL) == "agrees"
    found = fits_training_set(("A",))(analysis_of(table))
    assert (found.answer, found.evidence) == (
        "cannot be told",
        "A: 8 of 9 networks have fitted, 1 do not count, the least at 1.000.",
    )
    everywhere = analysis_of(table.assign(degenerate=True))
    for check in (
        grows("auc", ("A",)),
        flat("auc", ("A",)),
        falls("auc", ("A",)),
        accuracy_kept(("A",)),
        fits_training_set(("A",)),
        more_than_doubles(("A",)),
    ):
        assert check(everywhere).answer == "cannot be told"


LAYERS = ("first", "second", "third")


def layers(n: int = 3, widths=WIDTHS, names=LAYERS, series="A", **auc: Of) -> pd.DataFrame:
    """Means of three layers by width; similarity is ten times the AUC."""
    rows = [
        {
            "series": series,
            "width_factor": width,
            "layer": name,
            "depth": depth,
            "n": n,
            "auc": value,
            "similarity": 10 * value,
        }
        for width in widths
        for depth, name in enumerate(names, 1)
        for value in [auc.get(name, lambda width, depth=depth: depth / 10)(width)]
    ]
    return pd.DataFrame(rows)


RISING = {name: growing(0.03, 0.5) for name in LAYERS}
REVERSED = {"first": lambda width: 0.9, "second": lambda width: 0.8, "third": lambda width: 0.7}
MIXED = {"third": lambda width: 0.0 if width < 1 else 0.5}


@pytest.mark.parametrize(
    ("check", "agrees", "disagrees", "too_little"),
    [
        (lead("auc", "A", ("third",)), layers(), layers(**REVERSED), layers(**MIXED)),
        (lead("auc", "A", ("second", "third")), layers(n=1), layers(**REVERSED), layers(widths=[1.0, 2.0])),
        (
            lead("similarity", "A", ("second",), among=("first", "second")),
            layers(),
            layers(**REVERSED),
            layers(widths=[1.0]),
        ),
        (in_order("auc", "A", ("first", "third")), layers(), layers(**REVERSED), layers(**MIXED)),
        (layer_grows("auc", "A", "first"), layers(**RISING), layers(first=growing(-0.03, 0.5)), layers(n=1, **RISING)),
        (layer_grows("auc", "A", "third"), layers(**RISING), layers(), layers(widths=[1.0, 2.0, 4.0], **RISING)),
        (layers_flat("auc", "A", ("first", "second")), layers(), layers(**RISING), layers(n=1)),
        (
            layers_flat("similarity", "A", ("first",)),
            layers(),
            layers(first=growing(0.03, 0.2)),
            layers(widths=[1.0, 2.0]),
        ),
        (
            every_layer_grows("A"),
            layers(**RISING),
            layers(**{**RISING, "third": growing(-0.1, 0.5)}),
            layers(n=1, **RISING),
        ),
        (no_order_of_depth(("A",)), layers(second=lambda width: 0.9), layers(), layers(widths=[1.0, 2.0])),
        (no_order_of_depth(("A",)), layers(first=lambda width: 0.25), layers(**REVERSED), layers(widths=[1.0])),
        (every_layer_grows("A"), layers(**RISING), layers(first=growing(-0.1, 0.5)), layers(**{**RISING, **MIXED})),
    ],
)
def test_of_layers(check: Check, agrees: pd.DataFrame, disagrees: pd.DataFrame, too_little: pd.DataFrame):
    assert answer(check, FLAT, layers=agrees) == "agrees"
    assert answer(check, FLAT, layers=disagrees) == "disagrees"
    assert answer(check, FLAT, layers=too_little) == "cannot be told"


def test_a_width_with_a_collapsed_network_is_none_for_its_layers():
    collapsed = FLAT.assign(degenerate=FLAT["width_factor"] > 0.5)
    check = lead("auc", "A", ("third",))
    assert answer(check, FLAT, layers=layers()) == "agrees"
    assert answer(check, collapsed, layers=layers()) == "cannot be told"


def counted(*parameters: int, widths=(1.0, 2.0, 4.0)) -> pd.DataFrame:
    return pd.DataFrame({"series": "A", "width_factor": widths, "parameters": parameters})


def test_of_parameters():
    check = multiplies(3.0, ("A",))
    for table, expected in (
        (counted(10, 40, 150), "agrees"),
        (counted(10, 40, 80), "disagrees"),
        (counted(10, widths=(1.0,)), "cannot be told"),
    ):
        assert answer(check, table, experiment="parameters", summary=table) == expected


def test_of_constructions():
    table = networks("both").assign(series="small")
    both = networks("both")
    rows = pd.DataFrame({"series": "both", "replicate": [0, 1], "quantity": "AUC", "holds": [True, True]})
    settings = {"experiment": "constructions"}
    assert answer(as_theory("both"), table, both, comparison=rows, **settings) == "agrees"
    assert (
        answer(as_theory("both"), table, both, comparison=rows.assign(holds=[True, False]), **settings) == "disagrees"
    )
    assert answer(as_theory("both"), table, both, comparison=rows[:0], **settings) == "cannot be told"
    assert answer(as_theory("both"), both, comparison=rows, **settings) == "not run"


def test_of_ablation_curves():
    curve = pd.DataFrame({"series": "A", "width_factor": 1.0, "layer": MEAN_OF_LAYERS, "share_dropped": [0, 0.5, 1]})
    check = curves_fall(("A",))
    assert answer(check, FLAT, ablation=curve.assign(unchanged=[1, 0.6, 0.3])) == "agrees"
    assert answer(check, FLAT, ablation=curve.assign(unchanged=[1, 0.3, 0.6])) == "disagrees"
    collapsed = FLAT.assign(degenerate=True)
    assert answer(check, collapsed, ablation=curve.assign(unchanged=[1, 0.3, 0.6])) == "cannot be told"


# what was run


def everything(experiment: str, scale: Scale) -> Analysis:
    """An analysis in which every series that is planned at a scale was run."""
    sweep = load(experiment)
    axes = sweep.at(scale)
    names = planned(experiment, scale)
    table = pd.concat([networks(name, axes.replicates, axes.widths, seed=seed) for seed, name in enumerate(names)])
    of_layers = {
        "ResNet-56": ResNet56Description,
        "ResNet-18": ResNet18Description,
        "Inception": InceptionV3Description,
    }
    kinds = {name: next((kind for key, kind in of_layers.items() if key in name), AlexNetDescription) for name in names}
    tables = {
        "summary": table.assign(parameters=lambda rows: (1000 * rows["width_factor"] ** 2).astype(int)),
        "layers": pd.concat(
            layers(axes.replicates, axes.widths, kind().measured_layers, name) for name, kind in kinds.items()
        ),
        "ablation": pd.concat(
            table.assign(layer=MEAN_OF_LAYERS, share_dropped=share, unchanged=1 - share)[table["replicate"] == 0]
            for share in (0, 0.5, 1)
        ),
        "comparison": table.assign(quantity="AUC", holds=True),
    }
    return analysis_of(table, experiment, scale, **tables)


@pytest.mark.parametrize("scale", SCALES)
def test_every_claim_is_answered_where_all_was_run(scale: Scale):
    analyses = [everything(name, scale) for name in catalogue()]
    table = compare_with_paper(analyses)
    assert table["name"].tolist() == [claim.name for claim in paper_claims()]
    unplanned = {
        claim.name for claim in paper_claims() if not {*claim.check.series} <= {*planned(claim.experiment, scale)}
    }
    assert set(table[table["answer"] == "not run"]["name"]) == unplanned
    assert scale != "paper" or not unplanned
    assert set(table["scale"]) <= {scale, ""}
    assert table["evidence"].str.fullmatch(r"[^.\n](.|\n)*[^.]\.").all()


def test_nothing_is_answered_where_nothing_was_run():
    table = compare_with_paper([])
    assert (table["answer"] == "not run").all()
    assert (table["scale"] == "").all()
    unrun = [analysis_of(pd.DataFrame(), name) for name in catalogue()]
    pd.testing.assert_frame_equal(compare_with_paper(unrun), table)
    for claim in paper_claims():
        analysis = next(each for each in unrun if each.sweep.name == claim.experiment)
        assert claim.check(analysis).answer == "not run"


def test_a_claim_of_which_a_part_was_run_names_the_other():
    analysis = analysis_of(networks(HE))
    row = row_of("he-more-similar-than-glorot", analysis)
    assert (row["answer"], row["scale"], row["evidence"]) == ("not run", "paper", "Nothing was run of Glorot normal.")
    assert row_of("he-removability-flat", analysis)["answer"] == "agrees"


def test_the_largest_scale_with_anything_of_the_claim_counts():
    quick = analysis_of(networks(HE, 2, [0.125, 0.25, 0.5]), scale="quick")
    paper = analysis_of(networks(GLOROT, auc=growing(0.03, 0.6)))
    assert row_of("he-removability-flat", paper, quick)["scale"] == "quick"
    assert row_of("glorot-removability-grows", quick, paper)["scale"] == "paper"
    assert row_of("he-more-similar-than-glorot", quick, paper)["evidence"] == "Nothing was run of He normal."


def test_what_is_said_of_all_series_takes_all():
    """The quick scale has two of six initializations: they can speak against a claim about all, not for it."""
    for scale, expected in (("paper", "agrees"), ("quick", "cannot be told")):
        widths, names = load("alexnet-initialization").at(scale).widths, planned("alexnet-initialization", scale)
        rising = pd.concat([networks(name, 3, widths, auc=growing(0.03, 0.6)) for name in names])
        row = row_of("alexnet-initialization-hypothesis", analysis_of(rising, scale=scale))
        assert row["answer"] == expected, row["evidence"]
    assert "this scale leaves out series" in row["evidence"]


def test_changed_sweeps_and_earlier_versions_do_not_count():
    he = analysis_of(networks(HE))
    changed = Analysis(**{**vars(he), "sweep": he.sweep.with_values(parsed_settings(["training.epochs=2"]))})
    earlier = Analysis(**{**vars(he), "version": "abc"})
    assert row_of("he-removability-flat", changed, earlier)["answer"] == "not run"
    assert row_of("he-removability-flat", changed, earlier, he)["answer"] == "agrees"
    more = Analysis(**{**vars(he), "sweep": he.sweep.with_values(parsed_settings(["replicates=5"]))})
    row = row_of("he-removability-flat", he, more)
    assert row["experiment"] == more.sweep.name, "where the paper has one replicate, more can tell"


def test_training_that_diverged_was_run():
    he = analysis_of(pd.DataFrame())
    runs = pd.DataFrame({"series": [HE], "status": ["diverged"]})
    row = row_of("he-removability-flat", Analysis(**{**vars(he), "runs": runs}))
    assert (row["answer"], row["evidence"]) == ("cannot be told", "No network counts: every training diverged.")
    beside = analysis_of(networks(GLOROT))
    beside = Analysis(
        **{
            **vars(beside),
            "runs": runs,
            "verdicts": verdicts(beside.networks, planned("alexnet-initialization", "paper"), WIDTHS, 3),
        }
    )
    for check in (
        flat("auc", (HE,)),
        grows("similarity", (HE,)),
        greater("similarity", ((HE, GLOROT),)),
        accuracy_kept((HE,)),
    ):
        assert check(beside).answer == "cannot be told"


def row_of(name: str, *analyses: Analysis) -> pd.Series:
    return compare_with_paper(analyses).set_index("name").loc[name]


# the claims themselves


def test_names_are_unique_and_fit_to_be_ids():
    names = [claim.name for claim in paper_claims()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", name) for name in names)


def test_they_are_in_the_order_of_the_papers_figures():
    experiments = list(dict.fromkeys(claim.experiment for claim in paper_claims()))
    first = [min(map(order_in_paper, figures)) for name in experiments if (figures := load(name).figures)]
    assert first == sorted(first)
    assert (experiments[0], experiments[-1]) == ("imagenet-width", "constructions"), "which has no figure"
    for name in experiments:
        own = [claim.name for claim in paper_claims() if claim.experiment == name]
        assert own == [claim.identity for claim in load(name).claims]


@pytest.mark.parametrize("claim", paper_claims(), ids=lambda claim: claim.name)
def test_a_claim_is_of_an_experiment_its_series_and_its_figures(claim: CheckedClaim):
    assert claim.experiment in catalogue()
    sweep = load(claim.experiment)
    assert {*claim.check.named_series} <= set(planned(claim.experiment, "paper"))
    shown = {figure.strip("§") for figure in sweep.shows}
    assert {name for name in figures_of(claim) if not ({name, name.rstrip("abc")} & shown)} == set()
    assert all(text.endswith((".", ")")) for text in (claim.statement, claim.criterion))


def figures_of(claim: CheckedClaim) -> list[str]:
    """The figures that a claim's source names: `Figs. 1b and 5` → 1b, 5."""
    return re.findall(r"B?\d+[abc]?", claim.source.partition("Fig")[2])


OUTCOMES = ["1a", "1b", "1c", "2", "3", "4", "5", "6", *(f"B{number}" for number in range(1, 14))]
"""The figures whose captions state an outcome, or, as Figure 4's, the text that shows them."""


@pytest.mark.parametrize("figure", OUTCOMES)
def test_every_figure_that_states_an_outcome_is_covered(figure: str):
    named = {name for claim in paper_claims() for name in figures_of(claim)}
    assert named & {figure, *(f"{figure}{part}" for part in "abc")}


def test_names_are_listed_as_one_reads_them():
    assert [listed(names) for names in ([], ["A"], ["A", "B"], ["A", "B", "C"])] == ["", "A", "A and B", "A, B and C"]


@pytest.mark.parametrize(
    ("share", "answer"),
    [
        (lambda width: 0.4, "agrees"),
        (lambda width: 0.4 / width, "cannot be told"),
        (lambda width: 0.4 / width**1.5, "disagrees"),
    ],
    ids=["a share that stays", "a number that stays", "a number that falls"],
)
def test_units_proliferate_where_their_number_grows(share: Of, answer: str):
    made = networks(GLOROT, prunability=share, noise=0.02)
    finding = proliferate("prunability", (GLOROT,))(analysis_of(made))
    assert finding.answer == answer, finding
    assert "per doubling" in finding.evidence
    assert finding.p is not None


def test_one_replicate_tells_nothing_of_proliferation():
    made = networks(GLOROT, replicates=1, prunability=lambda width: 0.4)
    assert proliferate("prunability", (GLOROT,))(analysis_of(made)).answer == "cannot be told"

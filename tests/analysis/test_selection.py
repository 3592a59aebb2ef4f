"""Which run counts: the best by validation accuracy among those that fit their training set."""

import pandas as pd

from widthwise.analysis.trainings import choose


def runs(*rows: tuple[str, float, float], series: str = "a") -> pd.DataFrame:
    """`status, train_accuracy, validation_accuracy` of runs that differ in their learning rate."""
    table = pd.DataFrame(rows, columns=["status", "train_accuracy", "validation_accuracy"])
    return table.assign(
        series=series, width_factor=1.0, replicate=0, trial=[f"{series}{place}" for place in range(len(rows))]
    )


def test_a_network_that_did_not_fit_does_not_count_however_well_it_validates():
    assert choose(runs(("trained", 0.6, 0.99), ("trained", 0.95, 0.7), ("trained", 1.0, 0.8)))["trial"].item() == "a2"


def test_where_none_fits_those_near_the_best_count():
    chosen = choose(runs(("trained", 0.70, 0.9), ("trained", 0.80, 0.5), ("trained", 0.785, 0.6)))
    assert chosen["trial"].item() == "a2"


def test_diverged_runs_never_count():
    table = runs(("diverged", 1.0, 1.0), ("trained", 0.5, 0.5))
    assert choose(table)["trial"].item() == "a1"
    assert choose(table.iloc[:1]).empty


def test_where_a_run_is_missing_none_counts_yet():
    table = pd.concat([runs(("missing", 0, 0), ("trained", 1.0, 1.0)), runs(("trained", 1.0, 0.4), series="b")])
    assert choose(table)["trial"].tolist() == ["b0"]


def test_the_bound_near_the_best_is_inclusive():
    for best in range(50, 950):  # thousandths, as accuracies over 1,000 examples are
        table = runs(("trained", best / 1000, 0.5), ("trained", (best - 20) / 1000, 0.6))
        assert choose(table)["trial"].item() == "a1"


def test_ties_go_to_the_better_training_accuracy_then_to_the_first():
    assert choose(runs(("trained", 0.96, 0.8), ("trained", 0.99, 0.8), ("trained", 0.99, 0.8)))["trial"].item() == "a1"


def test_each_series_width_and_replicate_has_its_own_choice():
    table = pd.concat([runs(("trained", 1.0, 0.5)), runs(("trained", 1.0, 0.4), ("trained", 1.0, 0.6), series="b")])
    assert choose(table)["trial"].tolist() == ["a0", "b1"]

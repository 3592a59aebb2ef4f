"""How often an interval of a slope contains the truth, and how often growth is found where there is none.

`python -m benchmarks.coverage` makes experiments whose truth is known, with noise at four levels: replicates with a
slope of their own, the training of each network, its samplings, and its units, of which those of one kind are similar
to each other. It prints the coverage of four intervals of the mean slope per doubling:

- `report`: that of the report, Student's t over replicates, with the variance of samplings and units as a floor;
- `drawn`: a percentile bootstrap over replicates, as earlier versions of the report had it;
- `hierarchical`: a percentile bootstrap over replicates, the samplings of each and its units;
- `one slope`: a line with a level for each replicate and one slope, whose residuals are the noise.

The second table has the share of experiments without any effect in which growth is found: by Page's test alone, and by
the test and the interval, as the verdict asks for.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from widthwise.analysis.measurement_error import units_error
from widthwise.analysis.trend import page_p_value, slope_per_doubling

REPLICATES, WIDTHS = (2, 3, 5, 10), (3, 5)
SAMPLINGS = 3
NARROWEST = 32
KINDS = np.array([0.3, 0.2, *[0.05] * 10])
"""The shares of the kinds of units."""
CONFIDENCES = (0.95, 0.9)
DRAWS = 300

Values = Float[np.ndarray, "experiments replicates widths"]


@dataclass(frozen=True)
class Noise:
    """Standard deviations: of the replicates' slopes, of networks, and of samplings; and whether units are drawn."""

    replicates: float = 0.0
    networks: float = 0.0
    samplings: float = 0.0
    units: bool = False


EVERY = Noise(replicates=2.0, networks=2.0, samplings=1.0, units=True)
ONE = {
    "replicates": Noise(replicates=1.0),
    "networks": Noise(networks=2.0),
    "samplings": Noise(samplings=2.0),
    "units": Noise(units=True),
    "all four": EVERY,
}


@dataclass(frozen=True)
class Experiments:
    """Drawn experiments: what was measured, the measurement's variance, what is needed to draw again, and the truth."""

    values: Values
    samplings: Float[np.ndarray, "experiments replicates widths samplings"]
    variances: Values
    kinds: Float[np.ndarray, "experiments replicates widths kinds"] | None
    widths: Float[np.ndarray, " widths"]
    truth: float


def simulate(count: int, replicates: int, widths: int, noise: Noise, seed: int = 0, slope: float = 1.0) -> Experiments:
    """Experiments in which a measure grows by `slope` per doubling, and where units are drawn with their number too."""
    stream = np.random.default_rng(seed)
    shape = (count, replicates, widths)
    factors = 2.0 ** np.arange(widths)
    centred = np.log2(factors) - np.log2(factors).mean()
    own = slope + stream.normal(0, noise.replicates, (count, replicates, 1))
    levels = stream.normal(0, 5, (count, replicates, 1))
    values = 20 + levels + own * centred + stream.normal(0, noise.networks, shape)
    truth = slope
    drawn = values[..., None] + stream.normal(0, noise.samplings, (*shape, SAMPLINGS))
    values = drawn.mean(axis=-1)
    variances = drawn.var(axis=-1, ddof=1) / SAMPLINGS
    kinds = None
    if noise.units:
        units = (NARROWEST * factors).astype(int)
        kinds = np.stack([stream.multinomial(n, KINDS, shape[:2]) for n in units], axis=2).astype(float)
        similarity, deviation = similar_units(kinds)
        values = values + similarity
        variances = variances + units_error(np.broadcast_to(units.astype(float), shape), similarity, deviation) ** 2
        truth += float(((units - 1) * (KINDS**2).sum()) @ centred / (centred**2).sum())
    return Experiments(values, drawn, variances, kinds, factors, truth)


def similar_units(kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation, over units, of the number of others of the same kind."""
    units = kinds.sum(axis=-1)
    mean = (kinds * (kinds - 1)).sum(axis=-1) / units
    return mean, np.sqrt(np.maximum((kinds * (kinds - 1) ** 2).sum(axis=-1) / units - mean**2, 0))


def covered(experiments: Experiments, confidence: float, floor: bool = True) -> float:
    """The share of experiments whose truth lies in the report's interval."""
    hits = 0
    for table, variances in zip(experiments.values, experiments.variances, strict=True):
        estimate = slope_per_doubling(table, experiments.widths, variances if floor else None)
        low, high = estimate.interval(confidence)
        hits += low <= experiments.truth <= high
    return hits / len(experiments.values)


def covered_by_percentiles(experiments: Experiments, confidence: float, below: bool, seed: int = 1) -> float:
    """The share whose truth lies between percentiles of drawn slopes; `below`: samplings and units are drawn, too."""
    stream = np.random.default_rng(seed)
    values, weights = experiments.values, _weights(experiments.widths)
    count, replicates, _ = values.shape
    every = np.arange(count)[:, None]
    slopes = np.empty((count, DRAWS))
    for draw in range(DRAWS):
        chosen = stream.integers(0, replicates, (count, replicates))
        again = values[every, chosen]
        if below:
            own = experiments.samplings[every, chosen]
            resampled = stream.integers(0, SAMPLINGS, own.shape)
            again = again + np.take_along_axis(own, resampled, axis=-1).mean(axis=-1) - own.mean(axis=-1)
            if experiments.kinds is not None:
                kinds = experiments.kinds[every, chosen]
                units = kinds.sum(axis=-1)
                drawn = stream.multinomial(units.astype(int), kinds / units[..., None])
                counts = (drawn * (kinds - 1)).sum(axis=-1) / units
                again = again + counts - similar_units(kinds)[0]
        slopes[:, draw] = (again @ weights).mean(axis=1)
    low, high = np.quantile(slopes, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    return float(((low <= experiments.truth) & (experiments.truth <= high)).mean())


def covered_by_one_slope(experiments: Experiments, confidence: float) -> float:
    """The share whose truth lies in the interval of a line with one slope, and a level for each replicate."""
    values, widths = experiments.values, experiments.widths
    _, replicates, count = values.shape
    centred = np.log2(widths) - np.log2(widths).mean()
    slopes = (values @ _weights(widths)).mean(axis=1)
    residuals = values - values.mean(axis=2, keepdims=True) - slopes[:, None, None] * centred
    freedom = replicates * (count - 1) - 1
    error = np.sqrt((residuals**2).sum(axis=(1, 2)) / freedom / replicates / (centred**2).sum())
    reach = stats.t.ppf((1 + confidence) / 2, freedom) * error
    return float((np.abs(slopes - experiments.truth) <= reach).mean())


def false_growth(experiments: Experiments, level: float = 0.05) -> tuple[float, float]:
    """The shares of experiments in which growth is found: by Page's test, and by the test and the interval."""
    by_ranks = np.array([page_p_value(table) < level for table in experiments.values])
    above = [
        slope_per_doubling(table, experiments.widths, variances).interval()[0] > 0
        for table, variances in zip(experiments.values, experiments.variances, strict=True)
    ]
    return float(by_ranks.mean()), float((by_ranks & above).mean())


def _weights(widths: np.ndarray) -> np.ndarray:
    centred = np.log2(widths) - np.log2(widths).mean()
    return centred / (centred**2).sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=2000)
    count = parser.parse_args().experiments
    started = time.perf_counter()
    print(f"Coverage, {count:,} experiments with noise at every level")
    heading = "".join(f"{name:>14}" for name in ("report", "drawn", "hierarchical", "one slope"))
    print(f"nominal  replicates  widths{heading}")
    for confidence in CONFIDENCES:
        for replicates in REPLICATES:
            for widths in WIDTHS:
                shares = _row(count, replicates, widths, EVERY, confidence)
                print(f"{confidence:7.0%}  {replicates:10}  {widths:6}{shares}")
    print("\nThe same at 90%, 3 replicates and 5 widths, by the level of the noise")
    print(f"{'noise':24}{heading}")
    for name, noise in ONE.items():
        print(f"{name:24}{_row(count, 3, 5, noise, 0.9)}")
    print("\nGrowth found where there is none, at a level of 5%, 5 widths")
    print(f"{'noise':13}  replicates{'Page alone':>14}{'with interval':>15}")
    for name in ("networks", "replicates"):
        for replicates in REPLICATES:
            alone, both = false_growth(simulate(count, replicates, 5, ONE[name], seed=2, slope=0.0))
            print(f"{name:13}  {replicates:10}{alone:14.1%}{both:15.1%}")
    print(f"\n{time.perf_counter() - started:.0f} s")


def _row(count: int, replicates: int, widths: int, noise: Noise, confidence: float) -> str:
    experiments = simulate(count, replicates, widths, noise)
    fewer = simulate(min(count, 500), replicates, widths, noise, seed=1)
    shares = (
        covered(experiments, confidence),
        covered_by_percentiles(fewer, confidence, below=False),
        covered_by_percentiles(fewer, confidence, below=True),
        covered_by_one_slope(experiments, confidence),
    )
    return "".join(f"{share:14.1%}" for share in shares)


if __name__ == "__main__":
    main()

"""The kinds of checks by the names that claims give them, and claims with their checks."""

from collections.abc import Callable
from functools import cache

from widthwise.analysis.claims.between_series import alike, greater, same_trend
from widthwise.analysis.claims.claim import Check, CheckedClaim
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
from widthwise.analysis.experiment import check_series
from widthwise.experiments.figure import AFTER_ALL, order_in_paper
from widthwise.experiments.sweep import Sweep, catalogue
from widthwise.experiments.validation import of_kind

CHECKS: dict[str, Callable[..., Check]] = {
    "grows": grows,
    "falls": falls,
    "flat": flat,
    "either_grows": either_grows,
    "supported": supported,
    "accuracy_kept": accuracy_kept,
    "more_than_doubles": more_than_doubles,
    "greater": greater,
    "alike": alike,
    "same_trend": same_trend,
    "lead": lead,
    "in_order": in_order,
    "layer_grows": layer_grows,
    "layers_flat": layers_flat,
    "every_layer_grows": every_layer_grows,
    "no_order_of_depth": no_order_of_depth,
    "fits_training_set": fits_training_set,
    "samplings_agree": samplings_agree,
    "curves_fall": curves_fall,
    "multiplies": multiplies,
    "as_theory": as_theory,
    "proliferate": proliferate,
}
"""New kinds are added here; their signatures say which arguments a claim gives them."""
OF_ANALYSIS = {"parameters": ("multiplies",), "constructions": ("as_theory",)}
"""The kinds that an analysis without trends has the tables for."""
OF_TREND = tuple(kind for kind in CHECKS if kind != "as_theory")


def checked(sweep: Sweep) -> tuple[CheckedClaim, ...]:
    """The claims of a sweep, each with its check.

    Raises:
        RequestError: a claim's kind of check, argument, measure or series does not exist; it names file and field.
    """
    source = f"{sweep.experiment}.yaml"
    claims = []
    for index, claim in enumerate(sweep.claims):
        within = f"claims.{index}.check"
        possible = OF_ANALYSIS.get(sweep.analysis, OF_TREND)
        reason = f"the analysis of {sweep.analysis}"
        check = of_kind(CHECKS, claim.check, source, within, possible=possible, reason=reason)
        check_series(sweep, check.named_series, source, within)
        identity, experiment = claim.identity, sweep.experiment
        claims.append(CheckedClaim(identity, claim.statement, claim.source, experiment, check, claim.protocol))
    return tuple(claims)


@cache
def paper_claims() -> tuple[CheckedClaim, ...]:
    """Every outcome that the paper states in words and an experiment of the catalogue can show.

    Experiments come in the order of their first figures in the paper, those without figures last; the claims of each
    as in its file.
    """
    sweeps = map(Sweep.load, catalogue())
    in_order = sorted(sweeps, key=lambda sweep: min(map(order_in_paper, sweep.figures), default=AFTER_ALL))
    return tuple(claim for sweep in in_order for claim in checked(sweep))

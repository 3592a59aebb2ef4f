"""The kinds of checks of claims, and the claims' answers. Reads tables only."""

from widthwise.analysis.claims.answers import compare_with_paper, with_claims
from widthwise.analysis.claims.checks import CHECKS, checked, paper_claims
from widthwise.analysis.claims.claim import Answer, Check, CheckedClaim, Finding
from widthwise.analysis.claims.multiplicity import with_multiplicity

__all__ = [
    "CHECKS",
    "Answer",
    "Check",
    "CheckedClaim",
    "Finding",
    "checked",
    "compare_with_paper",
    "paper_claims",
    "with_claims",
    "with_multiplicity",
]

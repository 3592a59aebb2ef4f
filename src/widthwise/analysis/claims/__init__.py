"""What the paper states in words, each beside a test of it on our networks. Reads tables only."""

from widthwise.analysis.claims.claim import Answer, Claim, Finding
from widthwise.analysis.claims.paper import CLAIMS, compare_with_paper

__all__ = ["CLAIMS", "Answer", "Claim", "Finding", "compare_with_paper"]

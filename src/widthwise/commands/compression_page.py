"""The page of `widthwise compress`."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from widthwise.commands.loading import Subject
from widthwise.commands.progress import shown_progress
from widthwise.commands.targets import check_target
from widthwise.commands.terminal import messages
from widthwise.compression.compressed import Compressed
from widthwise.compression.examples import as_batches, parted
from widthwise.errors import RequestError
from widthwise.measurement.profile import profile
from widthwise.measurement.result import Profile
from widthwise.reporting.paths import FORMATS


def check_page(page: str | None, curves: bool) -> None:
    """Refuse a page that cannot be written, and curves without a page, before anything is computed."""
    check_target("page", page)
    if not curves:
        return
    if page is None:
        raise RequestError("they are shown on the page of --page, which is missing", field="curves")
    if Path(page).suffix[1:].lower() in FORMATS:
        raise RequestError(f"they are shown on a page, and not in a figure such as {page}", field="curves")


def with_held_back(subject: Subject) -> tuple[Subject, list[object]]:
    """The network with the examples to fit on, and those that are held back, a fifth of all."""
    fit, held_back = parted(subject.network, subject.batches, subject.predict)
    return replace(subject, batches=as_batches(fit)), as_batches(held_back)


def both_profiles(
    subject: Subject, found: Compressed, examples: Iterable[object], seed: int, out: str | None
) -> tuple[Profile, Profile]:
    """Profiles of the network and of the smaller one, on the same examples.

    Args:
        subject: the network.
        found: the smaller one.
        examples: what to measure them on.
        seed: the seed of the draws.
        out: the folder into which the smaller network was written before, for when the user interrupts.
    """
    remains = "nothing was written" if out is None else f"the smaller network is in {out}"
    with shown_progress(messages, interrupted=remains) as on_progress:
        before, after = (
            profile(network, examples, predict=subject.predict, seed=seed, on_progress=on_progress)
            for network in (subject.network, found.model)
        )
    return before, after

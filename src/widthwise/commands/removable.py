"""What can go of a network that `widthwise profile` has measured."""

from pandas import DataFrame

from widthwise.commands.loading import Subject
from widthwise.commands.progress import shown_progress
from widthwise.commands.terminal import messages
from widthwise.compression.what_can_go import what_can_go
from widthwise.errors import RequestError
from widthwise.wording import listed


def find_what_can_go(subject: Subject, seed: int, page: str | None, save: str | None) -> DataFrame | str:
    """The table of what can go; of a network that cannot be made smaller the reason.

    Args:
        subject: the network and its inputs.
        seed: the seed of the draws of rows that the fits are over.
        page: the page that was written before, for when the user interrupts.
        save: the file of the tables that was written before.

    Raises:
        TrialError: the user interrupted it, or there is not enough memory.
    """
    written = listed([each for each in (page, save) if each is not None])
    remains = f"{written} has the profile alone" if written else "nothing was written"
    try:
        with shown_progress(messages, interrupted=remains) as on_progress:
            return what_can_go(
                subject.network, subject.batches, predict=subject.predict, seed=seed, on_progress=on_progress
            )
    except RequestError as error:
        return error.problem

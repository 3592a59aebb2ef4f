"""`widthwise copy`: what was run, from one store to another."""

from typing import Annotated

import typer

from widthwise.commands.options import AsJson
from widthwise.commands.terminal import messages, print_json, results
from widthwise.wording import counted


def copy(
    source: Annotated[str, typer.Argument(metavar="STORE", help="A store that `widthwise run` filled.")],
    destination: Annotated[
        str, typer.Argument(metavar="DESTINATION", help="Another store, or a new folder or fsspec URL.")
    ],
    networks: Annotated[
        bool,
        typer.Option(
            help="Copy the trained networks, too. Without them a run takes tens of kilobytes, so that a store can be "
            "committed; reports are drawn from it, and runs are added to it."
        ),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Copy the finished runs of a store to another one; what that holds already stays as it is."""
    from widthwise.experiments.store_copy import copy_store

    done = copy_store(source, destination, networks=networks)
    if as_json:
        print_json(vars(done))
        return
    for identity, damage in done.damaged.items():
        messages.print(f"Left out, since it is damaged: {identity}, {damage}.", markup=False)
    held = f"; it held {len(done.found)} already" if done.found else ""
    results.print(f"Copied {counted(len(done.copied), 'run')} to {destination}{held}.", soft_wrap=True, markup=False)

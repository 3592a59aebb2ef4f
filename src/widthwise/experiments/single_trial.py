"""The trial that trains one network, from a person's arguments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from widthwise.errors import RequestError
from widthwise.experiments.overlay import nested
from widthwise.experiments.settings import SET, Layer, combined, resolved
from widthwise.experiments.trial import Trial
from widthwise.experiments.user_code import with_code
from widthwise.experiments.validation import SETTINGS
from widthwise.networks.user_function import names_function

GIVEN_OTHERWISE = {"network.name": "network", "network.width_factor": "width_factor", "seed": "seed"}
"""Fields that have an argument of their own, by path."""


def own_data(words: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The user's data function among words that name data, if there is one, and the other words.

    Raises:
        RequestError: there are several.
    """
    functions = [word for word in words if names_function(word)]
    if len(functions) > 1:
        raise RequestError(
            f"{functions[0]} and {functions[1]} are both functions for the data; name only one", field="data"
        )
    return functions[0] if functions else None, tuple(word for word in words if not names_function(word))


def single_trial(
    network: str,
    width_factor: float = 1.0,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
    *,
    data: str | None = None,
    folder: Path | None = None,
) -> Trial:
    """The trial that trains one network as the paper does, except for what is set.

    Args:
        network: a name of the catalogue, or a user's own `FILE.py:FUNCTION`.
        width_factor: the width factor of the network.
        settings: fields of the trial by path and their values, such as `{"training.epochs": 20}`.
        seed: the seed of the trial and of its data.
        data: a user's own `FILE.py:FUNCTION`; None: the network's data, or those of `settings`.
        folder: the folder that relative paths start from; None: the current one.

    Raises:
        RequestError: there is no such network or file, or a setting names no field or has a wrong value.
    """
    layers = single_layers(network, width_factor, settings, seed, data=data, folder=folder)
    return resolved(combined(layers), SETTINGS if settings else f"the network {network!r}")


def single_layers(
    network: str,
    width_factor: float = 1.0,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
    *,
    data: str | None = None,
    folder: Path | None = None,
) -> list[Layer]:
    """The layers of settings of `single_trial`, the lowest first; below them are the recipe and the defaults.

    Raises:
        RequestError: there is no such file, or a setting is an argument of its own.
    """
    named = {"factory": network} if names_function(network) else {"name": network}
    content: dict[str, Any] = {"network": {**named, "width_factor": width_factor}, "seed": seed}
    if data is not None:
        content["data"] = {"factory": data}
    for path in settings or {}:
        if path in GIVEN_OTHERWISE:
            raise RequestError(f"it is given as {GIVEN_OTHERWISE[path]}", field=path)
    values = [Layer(SET, nested(path, value)) for path, value in (settings or {}).items()]
    layers = [Layer("the seed", {"data": {"seed": seed}}), Layer("the arguments", content), *values]
    return [Layer(name, with_code(content, folder or Path.cwd())) for name, content in layers]

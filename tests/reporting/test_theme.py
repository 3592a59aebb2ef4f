"""Colours: legible on white and on dark ground, in their order also for colour-blind readers; and numbers as text."""

import json
from itertools import pairwise

import numpy as np
import pytest

from widthwise.reporting.numbers import format_of, labels, ticks, width_text
from widthwise.reporting.theme import DARK_INK, DARK_PAPER, INK, PAPER, SERIES_COLOURS, ordered_colours, styled

# Ottosson's OKLab, and Machado, Oliveira and Fernandes (2009) for readers without one kind of cone.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
READERS = {
    "all cones": np.eye(3),
    "no red": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def light(colour: str) -> np.ndarray:
    """A colour's red, green and blue light, in [0, 1]."""
    coded = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """The WCAG's contrast of two colours."""
    low, high = sorted(float(light(each) @ [0.2126, 0.7152, 0.0722]) + 0.05 for each in (one, other))
    return high / low


def lab(colour: str, reader: str) -> np.ndarray:
    seen = np.clip(READERS[reader] @ light(colour), 0, 1)
    return TO_LAB @ np.cbrt(TO_CONES @ seen)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("count", [2, 5, 7])
def test_widths_are_ever_lighter_and_can_be_told_apart(reader: str, count: int):
    seen = [lab(colour, reader) for colour in ordered_colours(count)]
    for one, other in pairwise(seen):
        assert other[0] > one[0], "lightness"
        assert np.linalg.norm(other - one) > 0.03, "a just noticeable difference is 0.02"


def test_steps_between_widths_look_alike():
    steps = [np.linalg.norm(lab(b, "all cones") - lab(a, "all cones")) for a, b in pairwise(ordered_colours(7))]
    assert max(steps) < 1.3 * min(steps)


@pytest.mark.parametrize("ground", [PAPER, DARK_PAPER])
def test_widths_are_legible_on_white_and_on_dark_ground(ground: str):
    assert all(contrast(colour, ground) >= 3 for colour in ordered_colours(9))


def test_widths_have_no_colour_of_a_series_and_as_many_as_there_are():
    assert not set(ordered_colours(9)) & set(SERIES_COLOURS)
    assert len(set(ordered_colours(30))) == 30
    assert ordered_colours(1) == ordered_colours(5)[:1]
    assert ordered_colours(5)[2] == ordered_colours(9)[4]


def texts_of(config: object) -> list[str]:
    """The colours of all texts of a chart."""
    if not isinstance(config, dict):
        return []
    own = [value for key, value in config.items() if key in ("labelColor", "titleColor")]
    return own + [colour for value in config.values() for colour in texts_of(value)]


@pytest.mark.parametrize(("ink", "paper"), [(INK, PAPER), (DARK_INK, DARK_PAPER)])
def test_all_texts_are_in_the_ink_of_the_ground_also_those_over_facets(ink: str, paper: str):
    config = styled({}, ink, paper)["config"]
    assert config["header"]["labelColor"] == config["title"]["color"] == ink
    assert set(texts_of(config)) == {ink}
    assert contrast(ink, paper) > 7


@pytest.mark.parametrize(
    ("width", "text"),
    [(4.0, "4×"), (1.0, "1×"), (1.5, "1.5×"), (0.25, "1/4×"), (0.28125, "9/32×"), (0.1, "1/10×"), (0.37, "0.37×")],
)
def test_widths_are_written_as_fractions_where_these_are_simple(width: float, text: str):
    assert width_text(width) == text


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.46, 0.69, [0.5, 0.55, 0.6, 0.65]),
        (-9.0, 31.0, [0, 10, 20, 30]),
        (0.92, 1.0, [0.92, 0.94, 0.96, 0.98, 1.0]),
    ],
)
def test_ticks_are_few_round_numbers_within_their_axis(low: float, high: float, expected: list[float]):
    assert ticks(low, high) == expected


def test_numbers_of_an_axis_have_equally_many_decimals():
    assert format_of([0.5, 0.55, 0.6]) == ",.2f"
    assert format_of([0.0, 20.0, 40.0]) == ",.0f"


def test_labels_are_looked_up_by_their_value():
    expression = labels([0.25, 1.0], ["1/4×", ["1×", "n = 3"]])
    listed, _, index = expression.partition("[indexof(")
    assert json.loads(listed) == ["1/4×", ["1×", "n = 3"]]
    assert index == "[0.25, 1.0], datum.value)]"

"""Options of a measurement: what is refused, and what is equal."""

from dataclasses import fields

import pytest
from pydantic import TypeAdapter, ValidationError

from widthwise.errors import RequestError
from widthwise.measurement.settings import Measurement


def unchecked(**options: object) -> Measurement:
    """Settings as a user makes them, without the type checks of the tests."""
    settings = object.__new__(Measurement)
    for each in fields(Measurement):
        object.__setattr__(settings, each.name, options.get(each.name, each.default))
    getattr(Measurement.__post_init__, "__wrapped__", Measurement.__post_init__)(settings)
    return settings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"levels": 1}, "levels: must be a whole number from 2 to 256, got 1"),
        ({"levels": 257}, "levels: must be a whole number from 2 to 256, got 257"),
        ({"levels": "7"}, "levels: must be a whole number from 2 to 256, got '7'"),
        ({"samplings": 0}, "samplings: must be a whole number of at least 1, got 0"),
        ({"granularity": "kernel"}, "granularity: must be 'application' or 'channel', got 'kernel'"),
        ({"threshold": 0.0}, "threshold: must be in (0, 1], got 0.0"),
        ({"threshold": float("nan")}, "threshold: must be in (0, 1], got nan"),
        ({"activations": 1}, "activations: must be a whole number of at least 2, or None for all, got 1"),
        ({"replacement": "median"}, "replacement: must be 'zero' or 'mean', got 'median'"),
        ({"thresholds": 0.5}, "thresholds: must be several numbers, such as (0.5, 0.9), got 0.5"),
        ({"thresholds": (0.5, 2.0)}, "thresholds: must be in (0, 1], got (0.5, 2.0)"),
        ({"single_units": "yes"}, "single_units: must be true or false, got 'yes'"),
        ({"protocols": ("pictures",)}, "protocols: must be 'text', 'figures' or both, got ('pictures',)"),
        ({"protocols": 3}, "protocols: must be 'text', 'figures' or both, got 3"),
        ({"sample": 0}, "sample: must be a whole number of at least 1, or None for all, got 0"),
        ({"precision": 0}, "precision: must be in (0, 1], or None for all, got 0"),
        ({"precision": True}, "precision: must be in (0, 1], or None for all, got True"),
        ({"prunability_threshold": 1.5}, "prunability_threshold: must be in (0, 1], got 1.5"),
        ({"tolerance": 1.0}, "tolerance: must be in [0, 1), got 1.0"),
        ({"tolerance": "none"}, "tolerance: must be in [0, 1), got 'none'"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_a_sentence(wrong: dict, message: str):
    with pytest.raises(RequestError) as refused:
        unchecked(**wrong)
    assert str(refused.value) == message


def test_every_field_is_checked():
    with pytest.raises(RequestError) as refused:
        unchecked(**{each.name: object() for each in fields(Measurement)})
    assert "thresholds" in str(refused.value)
    for each in fields(Measurement):
        with pytest.raises(RequestError, match=f"^{each.name}: must be"):
            unchecked(**{each.name: object()})


def test_the_order_of_thresholds_makes_no_difference():
    one, other = Measurement(thresholds=(0.9, 0.5, 0.9)), Measurement(thresholds=(0.5, 0.9))
    assert one == other
    assert hash(one) == hash(other)
    assert Measurement(threshold=0.6, thresholds=(0.9, 0.5)).reported_thresholds == (0.5, 0.6, 0.9)


def test_settings_are_read_from_plain_data():
    read = TypeAdapter(Measurement).validate_python
    given = {"replacement": "mean", "thresholds": [0.9, 0.5], "single_units": True}
    assert read(given) == Measurement(replacement="mean", thresholds=(0.5, 0.9), single_units=True)
    with pytest.raises(ValidationError, match="levels: must be a whole number from 2 to 256, got 1"):
        read({"levels": 1})

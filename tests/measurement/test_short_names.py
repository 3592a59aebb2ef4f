"""Names in a table: each fits, and all differ."""

from hypothesis import given
from hypothesis import strategies as st

from widthwise.measurement.short_names import short_names

PART = st.sampled_from(["a", "act", "attention", "attend", "block", "block_10", "feed_forward", "0", "1", "12"])
NAMES = st.lists(st.lists(PART, min_size=1, max_size=6).map(".".join), min_size=1, max_size=30, unique=True)


@given(NAMES, st.integers(14, 40))
def test_names_fit_and_differ(names: list[str], room: int):
    short = short_names(names, room)
    assert len(set(short)) == len(names) == len(short)
    assert max(map(len, short)) <= room
    if max(map(len, names)) <= room:
        assert short == names


def test_modules_that_differ_only_in_numbers_are_abbreviated_alike():
    names = [f"stages.{block}.{part}.act" for block in (9, 10) for part in ("feed_forward", "mixer")]
    assert short_names(names, 22) == [
        "s.9.feed_forward.act",
        "s.9.mixer.act",
        "s.10.feed_forward.act",
        "s.10.mixer.act",
    ]
    assert short_names(names, 12) == ["s.9.f.act", "s.9.m.act", "s.10.f.act", "s.10.m.act"]


def test_neighbours_keep_as_many_letters_as_tell_them_apart():
    assert short_names(["encoder.0.activation", "embedder.0.activation"], 16) == ["en.0.activation", "em.0.activation"]


def test_long_names_of_one_part_are_cut_and_numbered():
    names = [letter + "x" * 40 for letter in "ab"]
    assert short_names(names, 10) == ["…xxxxx (1)", "…xxxxx (2)"]

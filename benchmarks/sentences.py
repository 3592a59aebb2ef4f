"""Sentences for a sentence encoder, put together from lists of words."""

import random
import re
from collections.abc import Sequence

TIMES = (
    "yesterday",
    "last summer",
    "early in the morning",
    "after the meeting",
    "during the storm",
    "on Sunday evening",
    "ten years ago",
    "before the war",
    "at midnight",
    "in the spring of 1998",
    "shortly before noon",
    "on the king's birthday",
    "once a month",
    "while it was raining",
    "at the end of the season",
    "when the lights went out",
)
QUALITIES = """
young old tired famous careful clumsy angry quiet rich poor curious stubborn cheerful lonely brave elegant
nervous retired foreign local experienced talented forgetful patient
"""
PEOPLE = """
teacher nurse farmer pilot lawyer baker chemist soldier journalist carpenter violinist gardener fisherman
programmer surgeon waiter painter mechanic librarian goalkeeper student engineer economist detective priest dancer
photographer tailor biologist politician plumber novelist grandmother neighbour child tourist
"""
KINDS = """
broken expensive wooden ancient heavy small green rusty borrowed beautiful empty new golden useless rare
dangerous forgotten electric handmade dirty modern colourful valuable cheap
"""
THINGS = """
bicycle telescope violin letter recipe laptop painting tractor umbrella microscope suitcase camera map
sandwich contract sculpture engine novel vaccine carpet boat medal lamp piano apple manuscript satellite wallet
puppy garden bridge horse battery helmet cake rocket spreadsheet guitar passport cheese
"""
ACTIONS = """
repaired sold painted lost bought photographed inspected described hid stole borrowed destroyed delivered
designed admired cleaned measured weighed advertised insured inherited returned tested invented
"""
PLACES = (
    "in a small village near the coast",
    "at the railway station",
    "in the laboratory",
    "behind the church",
    "on the roof of the hotel",
    "in the middle of the desert",
    "at the university of Vienna",
    "in a crowded supermarket",
    "on a cargo ship",
    "in the kitchen",
    "at the football stadium",
    "in the national museum",
    "near the river",
    "in a courtroom in Chicago",
    "at the hospital",
    "in the mountains of Nepal",
    "at the airport",
    "in the school library",
    "on a farm in Brazil",
    "in an abandoned factory",
)
REASONS = (
    "because the price of oil had doubled",
    "although nobody had asked for it",
    "in order to pay the rent",
    "so that the children could sleep",
    "because the insurance had expired",
    "although the doctor advised against it",
    "to win the competition",
    "because of a mistake in the software",
    "in spite of the heavy snow",
    "to impress the visitors",
    "because the bank refused a loan",
    "although the police were watching",
    "to celebrate the wedding",
    "because the electricity had failed",
    "to protect the harvest",
    "although it was against the law",
    "because the virus spread quickly",
    "to raise money for charity",
    "since the concert had been cancelled",
    "without telling anyone",
)
PATTERNS = (
    "{time} the {quality} {person} {action} a {kind} {thing} {place}.",
    "The {person} {action} the {thing} {place} {reason}.",
    "{time} a {person} {action} the {quality} {other}'s {thing}.",
    "Was it the {quality} {person} who {action} the {kind} {thing} {place}?",
    "The {thing} that the {person} {action} {time} was {kind}.",
    "Why is there a {kind} {thing} {place}?",
    "The {other} says that a {quality} {person} {action} her {thing} {reason}.",
    "{person} wanted: who can mend a {kind} {thing} {place}?",
    "A {person} and a {other} talked about the {kind} {thing} {place}.",
    "{reason}, the {person} {action} everything except the {thing}.",
    "My {quality} {other} has never seen a {kind} {thing}.",
    "It was a {person} who {action} the {kind} {thing} {reason}.",
)
A_BEFORE_VOWEL = re.compile(r"\b([Aa]) (?=[aeio])")
WORDS: dict[str, Sequence[str]] = {
    "time": TIMES,
    "quality": QUALITIES.split(),
    "person": PEOPLE.split(),
    "other": PEOPLE.split(),
    "kind": KINDS.split(),
    "thing": THINGS.split(),
    "action": ACTIONS.split(),
    "place": PLACES,
    "reason": REASONS,
}


def sentences(count: int, seed: int) -> list[str]:
    """English sentences, each of them once."""
    draws = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        words = {name: draws.choice(some) for name, some in WORDS.items()}
        sentence = A_BEFORE_VOWEL.sub(r"\1n ", draws.choice(PATTERNS).format(**words))
        found[sentence[0].upper() + sentence[1:]] = None
    return list(found)

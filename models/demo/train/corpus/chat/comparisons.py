"""Comparisons of two or three whole numbers, and of the sizes and speeds of common things."""

from random import Random

from corpus.chat.comparison_phrasings import (
    CHOICES,
    CHOICES_OF_THREE,
    COMPARE,
    FOLLOW_UPS,
    LESS_WORDS,
    MORE_WORDS,
    ORDERS,
    PLURALS,
    SYMBOL_CHECKS,
    THING_CHECKS,
    THING_CHOICES,
    THING_PAIRS,
    YES_NO,
)  # fmt: skip
from corpus.chat.framing import capitalised, conversation
from corpus.chat.number_words import written
from corpus.conversation import Conversation
from corpus.phrasing import pick


def _two_numbers(rng: Random) -> tuple[int, int]:
    largest = pick(rng, [10, 20, 100, 100])
    first, second = rng.randint(0, largest), rng.randint(0, largest)
    if rng.random() < 0.15:
        second = min(100, max(0, first + pick(rng, [-1, 1, 10, -10])))
    return first, second


def _equal(number: int) -> str:
    return f"{number} and {number} are equal."


def _relation(first: int, second: int, larger: bool) -> str:
    """The true statement about the two, from the larger or from the smaller one."""
    if first == second:
        return _equal(first)
    low, high = sorted((first, second))
    return f"{high} is larger than {low}." if larger else f"{low} is smaller than {high}."


def _choice(rng: Random, first: int, second: int) -> tuple[str, str]:
    larger = rng.random() < 0.6
    a, b = written(rng, first, second)
    comparative, superlative = pick(rng, MORE_WORDS if larger else LESS_WORDS)
    return pick(rng, CHOICES).format(a=a, b=b, er=comparative, est=superlative), _relation(first, second, larger)


def _compare(rng: Random, first: int, second: int) -> tuple[str, str]:
    a, b = written(rng, first, second)
    return pick(rng, COMPARE).format(a=a, b=b), _relation(first, second, larger=True)


def _yes_no(rng: Random, first: int, second: int) -> tuple[str, str]:
    """A check of "greater than", "smaller than" or "equal to"; a no comes with what is true of the first number."""
    relation = pick(rng, ["greater", "greater", "smaller", "equal"])
    if relation == "equal" and rng.random() < 0.4:
        second = first
    holds = {"greater": first > second, "smaller": first < second, "equal": first == second}[relation]
    if first == second:
        fact = f"{first} is equal to {second}."
    else:
        fact = f"{first} is {'greater' if first > second else 'smaller'} than {second}."
    if rng.random() < 0.2:
        question = pick(rng, SYMBOL_CHECKS[relation]).format(a=first, b=second)
    else:
        a, b = written(rng, first, second)
        question = pick(rng, YES_NO[relation]).format(a=a, b=b)
    return question, f"{'Yes' if holds else 'No'}, {fact}"


def _of_three(rng: Random) -> tuple[str, str]:
    numbers = rng.sample(range(pick(rng, [11, 21, 101])), 3)
    a, b, c = written(rng, *numbers)
    listed = f"{numbers[0]}, {numbers[1]} and {numbers[2]}"
    if rng.random() < 0.15:
        low, middle, high = sorted(numbers)
        return pick(rng, ORDERS).format(a=a, b=b, c=c), f"From smallest to largest: {low}, {middle}, {high}."
    larger = rng.random() < 0.6
    comparative, superlative = pick(rng, MORE_WORDS if larger else LESS_WORDS)
    question = pick(rng, CHOICES_OF_THREE).format(a=a, b=b, c=c, er=comparative, est=superlative)
    return question, f"The {'largest' if larger else 'smallest'} of {listed} is {max(numbers) if larger else min(numbers)}."


def _plural(thing: str) -> str:
    return PLURALS.get(thing) or thing.split(" ", 1)[1] + "s"


def _things(rng: Random) -> tuple[str, str]:
    more_thing, less_thing, more, less = pick(rng, THING_PAIRS)
    reverse = rng.random() < 0.3
    comparative = less if reverse else more
    winner, loser = (less_thing, more_thing) if reverse else (more_thing, less_thing)
    fact = f"{winner} is {comparative} than {loser}."
    first, second = rng.sample([winner, loser], 2)
    asked, verbs = [first, second], {"be": "is", "Be": "Is"}
    if all(thing.startswith(("a ", "an ")) for thing in asked) and rng.random() < 0.25:
        asked, verbs = [_plural(thing) for thing in asked], {"be": "are", "Be": "Are"}
    a, b = asked
    if rng.random() < 0.6:
        return capitalised(pick(rng, THING_CHOICES).format(a=a, b=b, er=comparative)), capitalised(fact)
    question = pick(rng, THING_CHECKS).format(a=a, b=b, er=comparative, **verbs)
    return capitalised(question), f"{'Yes' if first == winner else 'No'}, {fact}"


def _of_two(rng: Random) -> list[tuple[str, str]]:
    """A choice between two numbers and up to two follow-ups asking for the same end."""
    larger = rng.random() < 0.6
    comparative, superlative = pick(rng, MORE_WORDS if larger else LESS_WORDS)
    exchanges = []
    for frames in [CHOICES] + [FOLLOW_UPS] * rng.randint(1, 2):
        first, second = _two_numbers(rng)
        a, b = written(rng, first, second)
        exchanges.append((pick(rng, frames).format(a=a, b=b, er=comparative, est=superlative), _relation(first, second, larger)))
    return exchanges


def sample(rng: Random) -> Conversation:
    """A conversation of one comparison, or of a few of one kind in a row."""
    style = rng.random()
    if style < 0.1:
        return conversation(rng, _of_two(rng))
    if style < 0.3:
        return conversation(rng, [_things(rng) for _ in range(pick(rng, [1, 1, 1, 2]))])
    if style < 0.45:
        return conversation(rng, [_of_three(rng)])
    kind = rng.choices([_choice, _compare, _yes_no], [50, 15, 35])[0]
    return conversation(rng, [kind(rng, *_two_numbers(rng))])

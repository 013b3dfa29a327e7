"""Sums with whole numbers: asked in digits, words, symbols and small stories; answered always as "7 plus 5 is 12."."""

from random import Random

from corpus.chat.framing import ask_thing, capitalised, conversation
from corpus.chat.number_words import written
from corpus.chat.sum_phrasings import (
    CHECKS,
    DOUBLE_QUESTIONS,
    DOUBLE_THINGS,
    FOLLOW_UPS,
    HALF_QUESTIONS,
    HALF_THINGS,
    OBJECTS,
    ON_THE_RESULT,
    QUESTIONS,
    SAME_OPERATION,
    SYMBOL_FRAMES,
    SYMBOLS,
    THING_FRAMES,
    THINGS,
    WORD_PROBLEMS,
)  # fmt: skip
from corpus.conversation import Conversation
from corpus.phrasing import pick

_OPERATIONS = ["plus"] * 9 + ["minus"] * 6 + ["times"] * 4 + ["divided by"] * 3
_APPLY = {"plus": lambda a, b: a + b, "minus": lambda a, b: a - b, "times": lambda a, b: a * b, "divided by": lambda a, b: a // b}


def _operands(rng: Random, operation: str) -> tuple[int, int]:
    """Two operands: small ones half the time, up to 99 otherwise; a difference is seldom negative, a quotient always whole."""
    if operation == "times":
        return rng.randint(0, 12), rng.randint(0, 12)
    if operation == "divided by":
        divisor = rng.randint(1, 12)
        return divisor * rng.randint(0, 12), divisor
    largest = pick(rng, [10, 20, 99, 99])
    a, b = rng.randint(0, largest), rng.randint(0, largest)
    if operation == "minus" and a < b and rng.random() < 0.9:
        a, b = b, a
    return a, b


def _answer(operation: str, a: int, b: int) -> str:
    return f"{a} {operation} {b} is {_APPLY[operation](a, b)}."


def _symbols(rng: Random, operation: str, a: str, b: str) -> str:
    gap = pick(rng, ["", " "])
    return f"{a}{gap}{pick(rng, SYMBOLS[operation])}{gap}{b}"


def _question(rng: Random, operation: str, a: int, b: int) -> str:
    style = rng.random()
    if style < 0.25:
        return pick(rng, SYMBOL_FRAMES).format(_symbols(rng, operation, str(a), str(b)))
    left, right = written(rng, a, b)
    if style < 0.37 and a > 1 and b > 1:
        return pick(rng, WORD_PROBLEMS[operation]).format(a=left, b=right, o=pick(rng, OBJECTS))
    if style < 0.62:
        return pick(rng, QUESTIONS[operation]).format(a=left, b=right)
    thing = pick(rng, THINGS[operation]).format(a=left, b=right)
    return pick(rng, THING_FRAMES).format(thing) if style < 0.8 else ask_thing(rng, thing)


def _plain(rng: Random) -> tuple[str, str]:
    operation = pick(rng, _OPERATIONS)
    a, b = _operands(rng, operation)
    return capitalised(_question(rng, operation, a, b)), _answer(operation, a, b)


def _half_or_double(rng: Random) -> tuple[str, str]:
    number, halved = rng.randint(0, 50), rng.random() < 0.5
    (shown,) = written(rng, 2 * number if halved else number)
    answer = f"Half of {2 * number} is {number}." if halved else f"Double {number} is {2 * number}."
    if rng.random() < 0.25:
        return pick(rng, HALF_QUESTIONS if halved else DOUBLE_QUESTIONS).format(shown), answer
    thing = pick(rng, HALF_THINGS if halved else DOUBLE_THINGS).format(shown)
    return capitalised(pick(rng, THING_FRAMES).format(thing) if rng.random() < 0.5 else ask_thing(rng, thing)), answer


def _check(rng: Random) -> tuple[str, str]:
    operation = pick(rng, _OPERATIONS)
    a, b = _operands(rng, operation)
    result = _APPLY[operation](a, b)
    claimed = result if rng.random() < 0.5 else result + pick(rng, [-10, -3, -2, -1, 1, 2, 3, 10])
    left = _symbols(rng, operation, str(a), str(b)) if rng.random() < 0.5 else f"{a} {operation} {b}"
    return pick(rng, CHECKS).format(l=left, v=claimed), f"{'Yes' if claimed == result else 'No'}, {_answer(operation, a, b)}"


def _three(rng: Random) -> tuple[str, str]:
    numbers = [rng.randint(0, 20) for _ in range(3)]
    shown = written(rng, *numbers)
    thing = pick(
        rng, ["{} plus {} plus {}", "{} + {} + {}", "the sum of {}, {} and {}", "{}+{}+{}", "{}, {} and {} added together"]
    ).format(*shown)
    a, b, c = numbers
    return capitalised(pick(rng, THING_FRAMES).format(thing)), f"{a} plus {b} plus {c} is {sum(numbers)}."


def _table_or_square(rng: Random) -> tuple[str, str]:
    number = rng.randint(0, 12)
    (shown,) = written(rng, number)
    thing, factor = pick(
        rng, [("{} squared", number), ("the square of {}", number), ("{} times itself", number), ("triple {}", 3), ("three times {}", 3)]
    )
    a, b = (number, number) if factor == number else (3, number)
    return ask_thing(rng, thing.format(shown)), _answer("times", a, b)


def _by_zero(rng: Random) -> tuple[str, str]:
    a = rng.randint(0, 20)
    question = pick(rng, QUESTIONS["divided by"][:8]) if rng.random() < 0.5 else "What is {a} divided by {b}?"
    return question.format(a=a, b=0), f"{a} cannot be divided by 0."


def _chain(rng: Random) -> list[tuple[str, str]]:
    """A sum, then follow-ups: another sum, the same operation on other numbers, or one more step from the result."""
    operation = pick(rng, _OPERATIONS)
    a, b = _operands(rng, operation)
    exchanges = [(capitalised(_question(rng, operation, a, b)), _answer(operation, a, b))]
    for _ in range(rng.randint(1, 3)):
        result, style = _APPLY[operation](a, b), rng.random()
        if style < 0.35 and 0 <= result <= 90:
            operation = pick(rng, ["plus", "minus", "times"] if result <= 12 else ["plus", "minus"])
            a, b = result, rng.randint(0, min(result, 9))
            question = pick(rng, ON_THE_RESULT[operation]).format(b=written(rng, b)[0])
        else:
            frames = SAME_OPERATION
            if style >= 0.6:
                operation, frames = pick(rng, _OPERATIONS), FOLLOW_UPS
            a, b = _operands(rng, operation)
            left, right = written(rng, a, b)
            thing = pick(rng, [f"{left} {operation} {right}", _symbols(rng, operation, str(a), str(b))])
            question = pick(rng, frames).format(thing, a=left, b=right)
        exchanges.append((capitalised(question), _answer(operation, a, b)))
    return exchanges


def sample(rng: Random) -> Conversation:
    """A conversation of one sum, or of a few in a row."""
    style = rng.random()
    if style < 0.12:
        return conversation(rng, _chain(rng))
    special = [(0.18, _half_or_double), (0.24, _check), (0.27, _three), (0.29, _table_or_square), (0.295, _by_zero)]
    draw = next((draw for limit, draw in special if style < limit), _plain)
    return conversation(rng, [draw(rng)])

"""Small English: plurals, articles, numbers in words, and lists."""

from random import Random

_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_WORD_RATE = 0.4


def plural(label: str) -> str:
    """The plural of a label: "country" gives "countries"."""
    if label.startswith("number of") or label.endswith(("stock", "pay")):
        return label
    if label.endswith("y"):
        return label[:-1] + "ies"
    return label + ("es" if label.endswith("s") else "s")


def with_article(label: str) -> str:
    """The label after "a" or "an"."""
    return ("an " if label[0] in "aeio" else "a ") + label


def count_word(rng: Random, number: int) -> str:
    """The number in digits, or sometimes in words up to ten."""
    return _NUMBERS[number] if number <= 10 and rng.random() < _WORD_RATE else str(number)


def listed(items: list[str], last: str = "and") -> str:
    """Items as "a, b and c"."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + f" {last} {items[-1]}"


def sentence(text: str) -> str:
    """The text with a capital at its start."""
    return text[0].upper() + text[1:]

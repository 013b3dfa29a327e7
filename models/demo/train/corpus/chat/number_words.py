"""Whole numbers as people write them."""

from random import Random

_UP_TO_NINETEEN = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen",
    "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]

_IN_WORDS_RATE = 0.25


def in_words(number: int) -> str:
    """`number`, from 0 to 100, in English words."""
    if number < 20:
        return _UP_TO_NINETEEN[number]
    if number == 100:
        return "one hundred"
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_UP_TO_NINETEEN[ones]}" if ones else "")


def written(rng: Random, *numbers: int) -> list[str]:
    """`numbers` in digits, or at times all in words where each is twenty at most (rarely above that)."""
    rate = _IN_WORDS_RATE if max(numbers) <= 20 else _IN_WORDS_RATE / 4
    if min(numbers) >= 0 and max(numbers) <= 100 and rng.random() < rate:
        return [in_words(number) for number in numbers]
    return [str(number) for number in numbers]

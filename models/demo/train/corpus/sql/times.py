"""Spans of time: how people say them and the condition that each one is."""

from random import Random

from ..phrasing import pick
from .words import count_word

_MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
_LAST = [
    "in the last {}",
    "in the past {}",
    "within the last {}",
    "during the last {}",
    "over the last {}",
    "during the past {}",
    "over the past {}",
]
_FIXED = [("today", "{c} >= CURRENT_DATE"), ("yesterday", "{c} >= CURRENT_DATE - INTERVAL '1' DAY AND {c} < CURRENT_DATE")]
_ROLLING = {"week": "'7' DAY", "month": "'1' MONTH", "year": "'1' YEAR"}


def _recent(rng: Random, column: str) -> tuple[str, str]:
    unit = pick(rng, ["day", "day", "day", "week", "month", "month", "year"])
    if unit != "day" and rng.random() < 0.3:
        return pick(
            rng, [f"last {unit}", f"in the last {unit}", f"in the past {unit}", f"within the last {unit}"]
        ), f"{column} >= CURRENT_DATE - INTERVAL {_ROLLING[unit]}"
    count = {
        "day": pick(rng, [7, 10, 14, 30, 60, 90, rng.randrange(2, 100)]),
        "week": rng.randrange(2, 9),
        "month": rng.randrange(2, 13),
        "year": rng.randrange(2, 11),
    }[unit]
    amount = f"{count_word(rng, count)} {unit}s"
    interval = f"INTERVAL '{count * 7}' DAY" if unit == "week" else f"INTERVAL '{count}' {unit.upper()}"
    if rng.random() < 0.1:
        return f"more than {amount} ago", f"{column} < CURRENT_DATE - {interval}"
    return pick(rng, _LAST).format(amount), f"{column} >= CURRENT_DATE - {interval}"


def _calendar(rng: Random, column: str) -> tuple[str, str]:
    year = rng.randrange(2010, 2027)
    kind = rng.randrange(8)
    if kind < 3:
        return pick(rng, ["in {}", "in {}", "in the year {}", "during {}"]).format(
            year
        ), f"{column} >= '{year}-01-01' AND {column} < '{year + 1}-01-01'"
    if kind == 3:
        return f"since {year}", f"{column} >= '{year}-01-01'"
    if kind == 4:
        return pick(rng, ["before {}", "earlier than {}"]).format(year), f"{column} < '{year}-01-01'"
    if kind == 5:
        return f"after {year}", f"{column} >= '{year + 1}-01-01'"
    if kind == 6:
        later = year + rng.randrange(1, 5)
        return pick(rng, ["between {} and {}", "from {} to {}"]).format(
            year, later
        ), f"{column} >= '{year}-01-01' AND {column} < '{later + 1}-01-01'"
    month = rng.randrange(12)
    following = f"{year + 1}-01-01" if month == 11 else f"{year}-{month + 2:02}-01"
    return pick(rng, ["in {} {}", "during {} {}"]).format(
        _MONTHS[month], year
    ), f"{column} >= '{year}-{month + 1:02}-01' AND {column} < '{following}'"


def _dated(rng: Random, column: str) -> tuple[str, str]:
    date = f"{rng.randrange(2015, 2027)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    word, sign = pick(rng, [("after", ">"), ("since", ">="), ("before", "<"), ("from {} on", ">=")])
    return (word.format(date) if "{}" in word else f"{word} {date}"), f"{column} {sign} '{date}'"


def _current(rng: Random, column: str) -> tuple[str, str]:
    if rng.random() < 0.35:
        phrase, condition = pick(rng, _FIXED)
        return phrase, condition.format(c=column)
    unit = pick(rng, ["week", "month", "year"])
    phrase = pick(rng, ["this {}", "this {}", "since the start of this {}", "in the current {}"])
    return phrase.format(unit), f"{column} >= DATE_TRUNC('{unit}', CURRENT_DATE)"


def span(rng: Random, column: str) -> tuple[str, str]:
    """An adverb of time such as "in the last 30 days", and its condition on the date column."""
    return pick(rng, [_recent, _recent, _recent, _calendar, _calendar, _current, _dated])(rng, column)


def coming(rng: Random, column: str) -> tuple[str, str]:
    """As `span`, in the future."""
    count = pick(rng, [7, 14, 30, rng.randrange(2, 60)])
    return pick(rng, ["in the next {} days", "within the next {} days"]).format(
        count_word(rng, count)
    ), f"{column} >= CURRENT_DATE AND {column} < CURRENT_DATE + INTERVAL '{count}' DAY"

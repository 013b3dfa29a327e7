"""Text-to-SQL: a question about data, answered with one SELECT statement and nothing else."""

from random import Random

from ..conversation import Conversation, Turn
from ..phrasing import as_typed, pick
from . import questions_groups as groups
from . import questions_joins as joins
from . import questions_numbers as numbers
from . import questions_rows as rows
from .followups import another_value, follow_ups
from .statement import Asked

_SYSTEMS = [
    "You translate questions to SQL.", "You are a text-to-SQL assistant. Answer with one SQL query.", "You are a helpful assistant.", "You are a SQL assistant.", "Answer with SQL only.",
    "Translate the question into a SQL query.", "You write SQL queries.", "You are an expert in SQL. Reply with one query and nothing else.", "Convert natural language to SQL.", "Text to SQL. Output only the statement.",
]  # fmt: skip
_KINDS = {
    rows.listing: 26, rows.projection: 11, rows.ranked: 12, rows.ordered: 6,
    numbers.count: 13, numbers.aggregate: 11, numbers.revenue: 3, numbers.distinct: 5,
    groups.count_per: 6, groups.measure_per: 5, groups.having: 3, groups.largest_group: 3, groups.per_period: 2,
    joins.count_each: 4, joins.most_children: 3, joins.many_children: 3, joins.measure_each: 4, joins.revenue_each: 6,
    joins.with_parent: 3, joins.by_parent: 7, joins.childless: 3, joins.active_parents: 2,
}  # fmt: skip
_SYSTEM_RATE = 0.15
_FOLLOWED_RATE = 0.08
_ANOTHER_RATE = 0.03
_PAIR_RATE = 0.04


def _question(rng: Random) -> Asked:
    return rng.choices(list(_KINDS), list(_KINDS.values()))[0](rng)


def _asked(rng: Random) -> list[Asked]:
    drawn = rng.random()
    if drawn < _FOLLOWED_RATE:
        return follow_ups(rng)
    if drawn < _FOLLOWED_RATE + _ANOTHER_RATE:
        return another_value(rng)
    return [_question(rng) for _ in range(2 if drawn < _FOLLOWED_RATE + _ANOTHER_RATE + _PAIR_RATE else 1)]


def _typed(rng: Random, asked: Asked) -> str:
    """The question as typed, with every value that the statement needs still readable in it."""
    for _ in range(20):
        text = as_typed(rng, asked.text)
        if all(value.lower() in text.lower() if proper else value in text for value, proper in asked.literals):
            return text
    return asked.text


def sample(rng: Random) -> Conversation:
    """One conversation of one to four questions."""
    turns = [Turn("system", pick(rng, _SYSTEMS))] if rng.random() < _SYSTEM_RATE else []
    for asked in _asked(rng):
        turns += [Turn("user", _typed(rng, asked)), Turn("assistant", asked.statement.sql())]
    return turns

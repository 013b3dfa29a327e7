"""Conditions on the rows of one table, each with the English that says it."""

from dataclasses import dataclass
from random import Random

from ..phrasing import pick
from . import times
from .schema import Column, Table
from .values import is_proper, values_of
from .words import count_word, with_article

_COMPARED = {
    ">": ["above {}", "over {}", "greater than {}", "higher than {}", "of more than {}", "larger than {}"],
    "<": ["below {}", "under {}", "less than {}", "lower than {}", "of less than {}", "smaller than {}"],
    ">=": ["of at least {}", "of {} or more", "greater than or equal to {}"],
    "<=": ["of at most {}", "of {} or less", "less than or equal to {}"],
}


@dataclass(frozen=True)
class Filter:
    """`text` is a plural predicate ("are from Italy"), an adjective, or a clause that only follows a noun ("whose ...")."""

    place: str
    text: str
    condition: str
    literals: tuple[tuple[str, bool], ...] = ()


def _value(rng: Random, kind: str) -> tuple[str, bool]:
    value = pick(rng, values_of(kind))
    proper = is_proper(kind)
    return (value.capitalize() if not proper and rng.random() < 0.12 else value), proper


def _said(rng: Random, value: str) -> str:
    return pick(rng, [f"'{value}'", f'"{value}"']) if rng.random() < 0.06 else value


def _text(rng: Random, column: Column, prefix: str) -> Filter:
    literal = _value(rng, column.values)
    name, value = prefix + column.name, literal[0]
    label = pick(rng, column.labels)
    phrase = pick(rng, column.is_phrases)
    phrase = phrase.replace("{}", "the {}") if value.startswith("United ") and rng.random() < 0.7 else phrase
    kind = rng.randrange(12)
    if kind == 0:
        other = _value(rng, column.values)
        if other[0].lower() != value.lower():
            return Filter("predicate", phrase.format(f"{value} or {other[0]}"), f"{name} IN ('{value}', '{other[0]}')", (literal, other))
    if kind == 1 and phrase.startswith("are "):
        return Filter("predicate", phrase.replace("are ", "are not ", 1).format(value), f"{name} <> '{value}'", (literal,))
    equals = f"{name} = '{value}'"
    if kind < 5:
        return Filter(
            "clause",
            pick(
                rng,
                [
                    "whose {} is {}",
                    "where {} is {}",
                    "where the {} is {}",
                    "with {} {}",
                    "where {} = {}",
                    "with the {} {}",
                    "where {} equals {}",
                ],
            ).format(label, _said(rng, value)),
            equals,
            (literal,),
        )
    if column.adjective and kind < 10:
        return Filter("adjective", value, equals, (literal,))
    return Filter("predicate", phrase.format(_said(rng, value)), equals, (literal,))


def _like(rng: Random, column: Column, prefix: str) -> Filter:
    email = column.kind == "email"
    label, kind = pick(rng, column.labels), rng.randrange(4)
    if email:
        text = pick(rng, ["gmail.com", "yahoo.com", "example.com", "outlook.com", ".org", ".de", "hotmail.com", ".edu", "test", "info"])
    elif kind == 0:
        text = pick(rng, ["an", "son", "berg", "er", "man", "pro", "art", "in"])
    else:
        text = pick(rng, "ABCDEFGHIJKLMNOPRSTVWZ" if kind < 3 else "aeioynrstlm")
    if email and text[0] != "." and kind > 1:
        shape, verbs = "%{}%", ["contains", "includes", "has"]
    elif email:
        shape, verbs = "%{}", ["ends with", "ends in"]
    else:
        shape, verbs = [
            ("%{}%", ["contains", "includes"]),
            ("{}%", ["starts with", "begins with"]),
            ("{}%", ["starts with", "begins with", "starts with the letter"]),
            ("%{}", ["ends with", "ends in"]),
        ][kind]
    clause = pick(rng, ["whose {} {} {}", "where the {} {} {}", "where {} {} {}"]).format(label, pick(rng, verbs), text)
    return Filter("clause", clause, f"{prefix}{column.name} LIKE '{shape.format(text)}'", ((text, True),))


def _number(rng: Random, column: Column, prefix: str) -> Filter:
    number = rng.randrange(column.low, column.high + 1, column.step)
    if column.high > 100 and column.name != "year" and rng.random() < 0.5:
        number = pick(rng, [50, 100, 200, 500, 1000] if column.high < 10000 else [2000, 3000, 5000, 40000, 50000, 60000, 100000])
    name, label, said = prefix + column.name, pick(rng, column.labels), count_word(rng, number)
    kind = rng.randrange(10)
    if kind == 0 and column.is_phrases:
        return Filter("predicate", pick(rng, column.is_phrases).format(said), f"{name} = {number}")
    if kind == 1:
        upper = number + column.step * rng.randrange(1, 20)
        return Filter(
            "clause",
            pick(rng, ["with {} between {} and {}", "whose {} is between {} and {}", "where {} is between {} and {}"]).format(
                label, number, upper
            ),
            f"{name} BETWEEN {number} AND {upper}",
        )
    sign = pick(rng, [">", ">", ">", "<", "<", "<", ">=", "<="])
    own = {">": column.more, "<": column.less}.get(sign, ())
    if own and rng.random() < 0.7:
        return Filter("predicate", pick(rng, own).format(said), f"{name} {sign} {number}")
    if column.name == "year":
        word = {">": "after", "<": "before", ">=": "since", "<=": "up to"}[sign]
        return Filter("predicate", f"were published {word} {number}", f"{name} {sign} {number}")
    compared = pick(rng, _COMPARED[sign]).format(said)
    if rng.random() < 0.35:
        return Filter(
            "clause",
            pick(rng, ["where {} is {}", "whose {} is {}", "where the {} is {}"]).format(label, compared.removeprefix("of ")),
            f"{name} {sign} {number}",
        )
    return Filter("predicate", f"have {with_article(label)} {compared}", f"{name} {sign} {number}")


def _date(rng: Random, column: Column, prefix: str, main: bool) -> Filter:
    if column.missing and rng.random() < 0.4:
        return Filter("predicate", pick(rng, column.missing), f"{prefix}{column.name} IS NULL")
    future = column.name == "due_at" and rng.random() < 0.5
    phrase, condition = (times.coming if future else times.span)(rng, prefix + column.name)
    if main and rng.random() < 0.25:
        return Filter("clause", phrase, condition)
    verb = column.is_phrases[0] if future else pick(rng, column.is_phrases)
    return Filter("predicate", f"{verb} {phrase}", condition)


def some_filter(rng: Random, table: Table, column: Column | None = None, qualified: bool = False) -> Filter:
    """A condition on the table's rows, on `column` where given; `qualified` writes the table before its columns."""
    prefix = f"{table.name}." if qualified else ""
    if column is None:
        if table.special and not qualified and rng.random() < 0.3:
            text, condition = pick(rng, table.special)
            return Filter("adjective" if text.endswith("~") else "predicate", text.removesuffix("~"), condition)
        column = pick(rng, table.columns)
    if column.missing and column.kind != "date" and rng.random() < 0.25:
        return Filter("predicate", pick(rng, column.missing), f"{prefix}{column.name} IS NULL")
    if column.kind == "number":
        return _number(rng, column, prefix)
    if column.kind == "date":
        return _date(rng, column, prefix, column.name == table.main_date)
    if column.kind == "email" or (column.kind == "name" and rng.random() < 0.6):
        return _like(rng, column, prefix)
    return _text(rng, column, prefix)


def some_filters(rng: Random, table: Table, count: int) -> list[Filter]:
    """Up to `count` filters on different columns, adjectives first, as `modified` says them."""
    drawn: dict[str, Filter] = {}
    for _ in range(count):
        drawn.setdefault((part := some_filter(rng, table)).condition.split()[0], part)
    return sorted(drawn.values(), key=lambda part: part.place != "adjective")


def conditions(filters: list[Filter]) -> tuple[str, ...]:
    """The SQL of the filters, in their order."""
    return tuple(part.condition for part in filters)


def literals(filters: list[Filter]) -> tuple[tuple[str, bool], ...]:
    """What the filters need kept as typed."""
    return tuple(literal for part in filters for literal in part.literals)


def modified(rng: Random, table: Table, noun: str, filters: list[Filter]) -> str:
    """The plural noun with its filters said around it, in the order of their conditions."""
    before = [part.text for part in filters if part.place == "adjective"]
    person = table.person and noun != "accounts"
    after = [_following(rng, person, part) for part in filters if part.place != "adjective"]
    return " ".join([*before, noun, pick(rng, [" ", " and "]).join(after)]).strip()


def _following(rng: Random, person: bool, part: Filter) -> str:
    if part.place == "clause":
        return part.text if person or rng.random() < 0.6 else part.text.replace("whose ", "where the ", 1)
    shorter = {"are": "", "were": "", "have": "with "}
    verb, rest = part.text.split(" ", 1)
    bare = {"have no", "have a", "have an", "have more", "have less", "have fewer", "have the", "have over", "have under", "have grade"}
    lone_adjective = verb == "are" and (" " not in rest or rest.split()[1] == "or")
    reducible = verb in shorter and not lone_adjective and (verb != "have" or " ".join(part.text.split(" ")[:2]) in bare)
    if reducible and rng.random() < 0.65:
        return shorter[verb] + rest
    return ("who " if person else "that ") + part.text

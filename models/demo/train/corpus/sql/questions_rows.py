"""Questions answered by rows of one table: all of them, some columns, filtered, sorted, the first few."""

from random import Random

from ..phrasing import pick
from .filters import conditions, literals, modified, some_filters
from .frames import asked_for, wrapped_question
from .schema import TABLES, Column, Table
from .statement import Asked, Statement
from .words import count_word, listed, plural

_ROW_WORDS = [
    "rows of the {} table",
    "rows from {}",
    "everything from {}",
    "all columns of the {} table",
    "the whole {} table",
    "the contents of the {} table",
    "all data from {}",
    "the full list of {}",
    "all records in {}",
    "* from {}",
]
_WHO = {"users", "employees"}
_SINGULAR = {
    "signed": "signed",
    "registered": "registered",
    "created": "created",
    "logged": "logged",
    "last": "last",
    "earn": "earns",
    "make": "makes",
    "never": "never",
    "started": "started",
}


def _a_table(rng: Random) -> Table:
    return pick(rng, TABLES if rng.random() < 0.6 else TABLES[:6])


def _noun(rng: Random, table: Table) -> tuple[str, str]:
    return table.nouns[0] if rng.random() < 0.65 else pick(rng, table.nouns)


def listing(rng: Random) -> Asked:
    """Every row, or every row that passes one to three filters."""
    table = _a_table(rng)
    nouns = _noun(rng, table)[1]
    parts = some_filters(rng, table, pick(rng, [0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3]))
    statement = Statement(table.name, where=conditions(parts))
    if not parts and rng.random() < 0.35:
        return Asked(asked_for(rng, pick(rng, _ROW_WORDS).format(table.name)), statement)
    if parts and rng.random() < 0.3:
        return Asked(_which(rng, table, nouns, parts), statement, literals(parts))
    article = pick(rng, ["all ", "all the ", "the "] + (["", ""] if parts else []))
    return Asked(asked_for(rng, article + modified(rng, table, nouns, parts)), statement, literals(parts))


def _which(rng: Random, table: Table, nouns: str, parts: list) -> str:
    predicate = next((part for part in parts if part.place == "predicate"), None)
    if predicate is None or len(parts) > 1 and parts[-1] is not predicate:
        return wrapped_question(
            rng, f"{pick(rng, ['what are the', 'do we have any', 'are there any'])} {modified(rng, table, nouns, parts)}?"
        )
    verb, _, said = predicate.text.partition(" ")
    if len(parts) == 1 and table.name in _WHO and verb in _SINGULAR and rng.random() < 0.5:
        return wrapped_question(rng, f"who {_SINGULAR[verb]} {said}?")
    rest = modified(rng, table, nouns, [part for part in parts if part is not predicate])
    opening = pick(rng, ["which", "which", "what", "which of the"] + (["who are the {} who"] if table.person else []))
    opened = opening.format(rest) if "{}" in opening else f"{opening} {rest}"
    return wrapped_question(rng, f"{opened} {predicate.text}?")


def projection(rng: Random) -> Asked:
    """One to three columns of the rows."""
    table = _a_table(rng)
    nouns = _noun(rng, table)[1]
    count = pick(rng, [1, 1, 2, 2, 3])
    columns = rng.sample(table.columns, min(count, len(table.columns)))
    if table.of_kind("name") and rng.random() < 0.5 and table.label not in columns:
        columns[0] = table.label
    parts = some_filters(rng, table, pick(rng, [0, 0, 1, 1, 1]))
    labels = [pick(rng, column.labels) for column in columns]
    said = listed([plural(label) for label in labels] if rng.random() < 0.6 else labels)
    rows = modified(rng, table, nouns, parts)
    shape = pick(
        rng,
        [
            "the {0} of all {1}",
            "the {0} of {1}",
            "the {0} of the {1}",
            "{0} of {1}",
            "the {0} for {1}",
            "only the {0} of {1}",
            "{1} with only their {0}",
            "just the {0} of all {1}",
            "the {0} from {1}",
            "{0} of all {1}",
        ],
    )
    if not parts and rng.random() < 0.35:
        shape = (
            pick(rng, ["all {1} with their {0}", "the {1}' {0}", "{0} from the {2} table", "{0} from {2}"])
            if nouns != "staff"
            else "{0} from the {2} table"
        )
    if not parts and len(columns) == 1 and rng.random() < 0.3:
        shape, said = pick(rng, ["all {3} {0}", "{3} {0}", "the {3} {0}", "every {3}'s {4}"]), plural(labels[0])
    phrase = shape.format(said, rows, table.name, table.nouns[0][0], labels[0])
    return Asked(
        asked_for(rng, phrase), Statement(table.name, ", ".join(column.name for column in columns), conditions(parts)), literals(parts)
    )


def _orderable(table: Table) -> list[Column]:
    return table.of_kind("number", "date")


def ranked(rng: Random) -> Asked:
    """The first or last few rows by a number or a date."""
    table = pick(rng, [table for table in TABLES if _orderable(table)])
    one, many = _noun(rng, table)
    column = pick(rng, _orderable(table))
    parts = some_filters(rng, table, pick(rng, [0, 0, 0, 0, 1]))
    descending = rng.random() < 0.65
    limit = pick(rng, [1, 1, 3, 5, 5, 10, 10, 20, rng.randrange(2, 101)])
    words = column.most if descending else column.least
    noun = modified(rng, table, one if limit == 1 else many, [part for part in parts if part.place == "adjective"])
    tail = modified(rng, table, "", [part for part in parts if part.place != "adjective"]) if limit > 1 else ""
    kept = parts if limit > 1 else [part for part in parts if part.place == "adjective"]
    said = count_word(rng, limit)
    phrase = _superlative(rng, column, words, descending, noun, said if limit > 1 else "") + (f" {tail}" if tail else "")
    statement = Statement(table.name, where=conditions(kept), order=column.name + (" DESC" if descending else ""), limit=limit)
    if rng.random() < 0.25:
        verb = "is" if limit == 1 else "are"
        opening = "who" if table.person else "what" if limit > 1 or not words else "which"
        return Asked(wrapped_question(rng, f"{opening} {verb} the {phrase}?"), statement, literals(kept))
    if words and limit == 1 and not kept and rng.random() < 0.25:
        return Asked(wrapped_question(rng, f"which {noun} is the {pick(rng, words)}?"), statement)
    return Asked(asked_for(rng, f"the {phrase}", limit > 1), statement, literals(kept))


def _superlative(rng: Random, column: Column, words: tuple[str, ...], descending: bool, noun: str, said: str) -> str:
    label = pick(rng, column.labels)
    number = said + " " if said else ""
    if words and rng.random() < 0.65:
        word = pick(rng, words)
        return pick(rng, [f"{number}{word} {noun}", f"{word} {number}{noun}"])
    if column.kind == "date":
        extreme = pick(rng, ["latest", "most recent"] if descending else ["earliest", "first"])
    else:
        extreme = pick(rng, ["highest", "largest", "greatest"] if descending else ["lowest", "smallest"])
    if said and column.kind == "number" and rng.random() < 0.4:
        return f"{'top' if descending else 'bottom'} {number}{noun} by {label}"
    return f"{number}{noun} with the {extreme} {label}"


def ordered(rng: Random) -> Asked:
    """All rows, sorted by a column; ascending where nothing is said."""
    table = _a_table(rng)
    nouns = _noun(rng, table)[1]
    column = pick(rng, table.columns)
    parts = some_filters(rng, table, pick(rng, [0, 0, 0, 1]))
    tail, descending = order_phrase(rng, column)
    phrase = pick(rng, ["all ", "the ", "", "all the "]) + modified(rng, table, nouns, parts) + " " + tail
    statement = Statement(table.name, where=conditions(parts), order=column.name + (" DESC" if descending else ""))
    if not parts and rng.random() < 0.15:
        return Asked(
            f"{'Sort' if table.name == 'orders' else pick(rng, ['Sort', 'Order', 'Rank'])} {pick(rng, ['the ', 'all ', ''])}{nouns} {tail[tail.index('by ') :] if 'by ' in tail else tail.replace('in order of', 'by')}.",
            statement,
        )
    return Asked(asked_for(rng, phrase), statement, literals(parts))


def order_phrase(rng: Random, column: Column) -> tuple[str, bool]:
    """How to say a sort order, and whether it is descending."""
    label = pick(rng, column.labels)
    by = pick(rng, ["sorted by", "ordered by", "sorted by", "in order of", "by"]) + " " + label
    kind = rng.randrange(6)
    if kind < 2:
        return by, False
    if column.kind == "number":
        up, down = (
            ["from low to high", "lowest first", "ascending", "in ascending order"],
            ["from high to low", "highest first", "descending", "in descending order"],
        )
    elif column.kind == "date":
        up, down = ["oldest first", "ascending", "earliest first"], ["newest first", "descending", "latest first", "most recent first"]
    else:
        up, down = (
            ["alphabetically", "from A to Z", "ascending", "in alphabetical order"],
            ["from Z to A", "descending", "in descending order", "in reverse alphabetical order"],
        )
    descending = kind > 3
    return f"{by}{pick(rng, [' ', ' ', ', '])}{pick(rng, down if descending else up)}", descending

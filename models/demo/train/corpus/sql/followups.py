"""Follow-ups: short second and third questions that change the statement before."""

from random import Random

from ..phrasing import pick
from .filters import Filter, conditions, literals, modified, some_filter, some_filters
from .frames import asked_for
from .questions_rows import order_phrase
from .schema import TABLES, Table
from .statement import Asked, Statement
from .words import count_word, listed, plural, sentence


def _narrowed(rng: Random, table: Table, statement: Statement) -> Asked:
    part: Filter = some_filter(rng, table)
    if part.place == "adjective":
        text = pick(rng, ["only the {} ones", "just the {} ones", "keep only {} ones", "now only the {} ones"]).format(part.text)
    else:
        said = modified(rng, table, "", [part]).strip()
        text = pick(
            rng,
            [
                "only those {}",
                "just the ones {}",
                "only the ones {}",
                "now only those {}",
                "keep those {}",
                "and which of them are {}?" if part.text == "are " + said else "of those, the ones {}",
                "limit that to those {}",
            ],
        ).format(said)
    return Asked(sentence(text), statement.but(where=(*statement.where, part.condition)), literals([part]))


def _sorted(rng: Random, table: Table, statement: Statement) -> Asked:
    column = pick(rng, table.columns)
    tail, descending = order_phrase(rng, column)
    tail = tail[tail.index("by ") :] if "by " in tail else tail.replace("in order of", "by")
    text = pick(rng, ["sort them {}", "order them {}", "now sorted {}", "sort that {}", "can you sort them {}?", "sorted {}"]).format(tail)
    return Asked(sentence(text), statement.but(order=column.name + (" DESC" if descending else "")))


def _counted(rng: Random, table: Table, statement: Statement) -> Asked:
    text = pick(
        rng,
        [
            "how many are there?",
            "how many are they?",
            "count them",
            "how many of them are there?",
            "how many is that?",
            "just the count",
            "and how many?",
            "only the number of them",
        ],
    )
    return Asked(sentence(text), statement.but(columns="COUNT(*)", order="", limit=0))


def _projected(rng: Random, table: Table, statement: Statement) -> Asked:
    columns = rng.sample(table.columns, min(pick(rng, [1, 1, 2]), len(table.columns)))
    said = listed([plural(pick(rng, column.labels)) for column in columns])
    text = pick(
        rng, ["just the {}", "only the {}", "only their {}", "show only the {}", "I only need the {}", "just their {}, please"]
    ).format(said)
    return Asked(sentence(text), statement.but(columns=", ".join(column.name for column in columns)))


def _limited(rng: Random, table: Table, statement: Statement) -> Asked:
    limit = pick(rng, [3, 5, 10, 20, rng.randrange(2, 50)])
    text = pick(
        rng, ["only the first {}", "just the first {}", "limit it to {}", "only {} of them", "the first {} only", "show just {}"]
    ).format(count_word(rng, limit))
    return Asked(sentence(text), statement.but(limit=limit))


def follow_ups(rng: Random) -> list[Asked]:
    """A listing and one to three questions that each change it."""
    table = pick(rng, TABLES)
    parts = some_filters(rng, table, pick(rng, [0, 0, 1]))
    statement = Statement(table.name, where=conditions(parts))
    asked = [
        Asked(
            asked_for(rng, pick(rng, ["all ", "the ", "all the "]) + modified(rng, table, table.nouns[0][1], parts)),
            statement,
            literals(parts),
        )
    ]
    for change in rng.sample([_narrowed, _sorted, _projected, _limited, _counted], pick(rng, [1, 1, 2, 3])):
        asked.append(change(rng, table, asked[-1].statement))
        if change is _counted:
            break
    return asked


def another_value(rng: Random) -> list[Asked]:
    """A question with a value, then the same with another: "and from Italy?"."""
    table = pick(rng, TABLES)
    column = pick(rng, [column for column in table.columns if column.kind != "email"])
    drawn = []
    while len(drawn) < 2:
        part = some_filter(rng, table, column)
        if (
            part.place == "predicate"
            and not any(part.condition == other.condition for other in drawn)
            or part.place == "adjective"
            or column.kind == "name"
        ):
            drawn.append(part)
    nouns, counted = table.nouns[0][1], rng.random() < 0.5
    first, second = (modified(rng, table, nouns, [part]) for part in drawn)
    opening = f"How many {first} are there?" if counted else asked_for(rng, f"all {first}")
    following = pick(rng, ["and {}?", "what about {}?", "and what about {}?", "now {}", "same for {}", "how about {}?"]).format(
        pick(rng, [second, second.replace(nouns, "those", 1)] if drawn[1].place != "adjective" else [second])
    )
    statement = Statement(table.name, "COUNT(*)" if counted else "*")
    return [
        Asked(sentence(text), statement.but(where=(part.condition,)), literals([part]))
        for text, part in zip((opening, following), drawn, strict=False)
    ]

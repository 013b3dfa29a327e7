"""Questions answered by one number or by distinct values: counts, averages, totals, extremes, distinct."""

from random import Random

from ..phrasing import pick
from .filters import conditions, literals, modified, some_filter, some_filters
from .frames import asked_for, wrapped_question
from .schema import TABLES, Table
from .statement import Asked, Statement
from .times import span
from .words import plural

_NAMES = {
    "AVG": ["average", "average", "mean", "avg"],
    "SUM": ["total", "sum of the", "overall", "combined"],
    "MAX": ["highest", "maximum", "max", "largest", "greatest"],
    "MIN": ["lowest", "minimum", "min", "smallest"],
}


def _noun(rng: Random, table: Table) -> str:
    return (table.nouns[0] if rng.random() < 0.65 else pick(rng, table.nouns))[1]


def count(rng: Random) -> Asked:
    """How many rows there are, with up to two filters."""
    table = pick(rng, TABLES)
    nouns = _noun(rng, table)
    parts = some_filters(rng, table, pick(rng, [0, 1, 1, 1, 1, 2]))
    statement = Statement(table.name, "COUNT(*)", conditions(parts))
    last = parts[-1] if parts else None
    if last and last.place == "predicate" and rng.random() < 0.5:
        rest = modified(rng, table, nouns, parts[:-1])
        question = f"{pick(rng, ['how many', 'how many', 'how many of the', 'what number of'])} {rest} {last.text}?"
        return Asked(wrapped_question(rng, question), statement, literals(parts))
    rows = modified(rng, table, nouns, parts)
    if rng.random() < 0.55:
        question = pick(
            rng,
            [
                "how many {} are there?",
                "how many {} do we have?",
                "how many {}?",
                "how many {} exist?",
                "count the {}.",
                "count all {}.",
                "count {}.",
                "can you count the {}?",
                "how many {} are in the database?",
                "I want to know how many {} there are.",
            ],
        )
        return Asked(wrapped_question(rng, question.format(rows)), statement, literals(parts))
    phrase = pick(rng, ["the number of {}", "the total number of {}", "the count of {}"]).format(rows)
    return Asked(asked_for(rng, phrase, False), statement, literals(parts))


def aggregate(rng: Random) -> Asked:
    """An average, total, maximum or minimum of a column, with up to one filter."""
    table = pick(rng, [table for table in TABLES if table.of_kind("number")])
    column = pick(rng, table.of_kind("number"))
    nouns, one = _noun(rng, table), table.nouns[0][0]
    function = pick(rng, ["AVG", "AVG", "MAX", "MIN"] + (["SUM", "SUM"] if column.summed or column.name == "quantity" else []))
    parts = (
        []
        if rng.random() < 0.5
        else [some_filter(rng, table, pick(rng, [other for other in table.columns if other is not column] or [column]))]
    )
    statement = Statement(table.name, f"{function}({column.name})", conditions(parts))
    rows, label, name = modified(rng, table, nouns, parts), pick(rng, column.labels), pick(rng, _NAMES[function])
    if function == "AVG" and column.average and rng.random() < 0.25:
        question = pick(rng, column.average)
        if "{one}" not in question:
            return Asked(wrapped_question(rng, question.format(rows)), statement, literals(parts))
    if not parts and rng.random() < 0.25 and name != "sum of the":
        return Asked(asked_for(rng, f"the {name} {one} {label}", False), statement)
    phrase = pick(
        rng, ["the {0} {1} of {2}", "the {0} {1} of all {2}", "the {0} {1} of the {2}", "the {0} {1} for {2}", "the {0} {1} among {2}"]
    ).format(name, label, rows)
    return Asked(asked_for(rng, phrase, False), statement, literals(parts))


def revenue(rng: Random) -> Asked:
    """The total of the orders or payments, overall or in a span of time."""
    table, names, date = pick(rng, [
        ("orders", ["total revenue", "revenue", "total sales", "turnover", "overall revenue", "total order amount"], "ordered_at"),
        ("payments", ["total payments", "sum of all payments", "total amount paid", "total amount of payments"], "paid_at"),
    ])  # fmt: skip
    name = pick(rng, names)
    if rng.random() < 0.4:
        statement = Statement(table, "SUM(amount)")
        return Asked(asked_for(rng, f"the {name}", False), statement)
    phrase, condition = span(rng, date)
    statement = Statement(table, "SUM(amount)", (condition,))
    if table == "orders" and rng.random() < 0.3:
        question = pick(
            rng,
            [
                "how much revenue did we make {}?",
                "how much did we sell {}?",
                "what was our revenue {}?",
                "how much money did we make {}?",
                "what were our total sales {}?",
            ],
        )
        return Asked(wrapped_question(rng, question.format(phrase)), statement)
    return Asked(asked_for(rng, f"the {name} {phrase}", False), statement)


def distinct(rng: Random) -> Asked:
    """The different values of a column, or how many there are."""
    table = pick(rng, [table for table in TABLES if any(column.grouped for column in table.columns)])
    column = pick(rng, [column for column in table.columns if column.grouped])
    nouns, label = _noun(rng, table), pick(rng, column.labels)
    values, single = plural(label), table.nouns[0][0]
    if rng.random() < 0.3:
        question = pick(
            rng,
            [
                "how many different {0} are there among the {1}?",
                "how many distinct {0} do {1} have?",
                "how many unique {2} {0} are there?",
                "count the distinct {0} of {1}.",
                "number of distinct {2} {0}",
                "in how many different {0} are there {1}?" if column.values in ("country", "city") else "count the different {2} {0}.",
            ],
        )
        return Asked(wrapped_question(rng, question.format(values, nouns, single)), Statement(table.name, f"COUNT(DISTINCT {column.name})"))
    statement = Statement(table.name, f"DISTINCT {column.name}")
    if rng.random() < 0.3:
        shapes = [
            "which {0} do the {1} have?",
            "what {0} are there in {3}?",
            "what different {0} do we have for {1}?",
            "which distinct {0} exist in the {3} table?",
        ]
        if column.values in ("country", "city"):
            shapes += ["which {0} do our {1} come from?", "which {0} are the {1} from?", "what {0} are our {1} in?"]
        return Asked(wrapped_question(rng, pick(rng, shapes).format(values, nouns, single, table.name)), statement)
    phrase = pick(
        rng,
        [
            "the distinct {0} of {1}",
            "all distinct {0} of the {1}",
            "the different {0} of the {1}",
            "the unique {0} of {1}",
            "all unique {2} {0}",
            "the different {2} {0}",
            "the distinct {2} {0}",
            "all the different {0} in {3}",
            "the {0} of {1} without duplicates",
            "unique {0} from the {3} table",
        ],
    )
    return Asked(asked_for(rng, phrase.format(values, nouns, single, table.name)), statement)

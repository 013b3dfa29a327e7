"""Questions answered by one row per group of one table: counts, averages and totals per value, having, the largest group."""

from random import Random

from ..phrasing import pick
from .filters import conditions, literals, modified, some_filter
from .frames import asked_for, wrapped_question
from .schema import TABLES, Column, Table
from .statement import Asked, Statement
from .words import count_word, plural

PER = ["per {}", "by {}", "for each {}", "in each {}", "grouped by {}", "per {}", "for every {}", "by {}", "broken down by {}"]
MEASURES = {"AVG": ["average", "mean"], "SUM": ["total", "sum of the"], "MAX": ["highest", "maximum"], "MIN": ["lowest", "minimum"]}


def _grouping(rng: Random) -> tuple[Table, Column, str]:
    table = pick(rng, [table for table in TABLES if any(column.grouped for column in table.columns)])
    column = pick(rng, [column for column in table.columns if column.grouped])
    return table, column, (table.nouns[0] if rng.random() < 0.65 else pick(rng, table.nouns))[1]


def count_per(rng: Random) -> Asked:
    """How many rows each value of a column has."""
    table, column, nouns = _grouping(rng)
    others = [other for other in table.columns if other is not column]
    parts = [some_filter(rng, table, pick(rng, others))] if rng.random() < 0.2 else []
    rows = modified(rng, table, nouns, parts)
    per = pick(rng, PER).format(pick(rng, column.labels))
    statement = Statement(table.name, f"{column.name}, COUNT(*)", conditions(parts), group=column.name)
    if rng.random() < 0.5:
        shape = pick(
            rng,
            [
                "how many {} are there {}?",
                "how many {} do we have {}?",
                "how many {} {}?",
                "count {} {}.",
                "count the {} {}.",
                "count of {} {}",
            ],
        )
        return Asked(wrapped_question(rng, shape.format(rows, per)), statement, literals(parts))
    if rng.random() < 0.15 and not parts:
        return Asked(
            f"{pick(rng, ['Group the', 'Group', 'Break down the'])} {nouns} by {pick(rng, column.labels)} and count them.", statement
        )
    phrase = pick(
        rng,
        [
            "the number of {} {}",
            "the count of {} {}",
            "{} count {}" if not parts else "number of {} {}",
            "the total number of {} {}",
            "number of {} {}",
        ],
    )
    return Asked(
        asked_for(rng, phrase.format(table.nouns[0][0] if phrase.startswith("{}") else rows, per), False), statement, literals(parts)
    )


def measure_per(rng: Random) -> Asked:
    """An average, total or extreme of a number for each value of a column."""
    table, column, nouns = _grouping(rng)
    numbers = [number for number in table.of_kind("number") if number is not column and number.name != "year"]
    if not numbers:
        return count_per(rng)
    number = pick(rng, numbers)
    function = pick(rng, ["AVG", "AVG", "AVG", "MAX", "MIN"] + (["SUM", "SUM"] if number.summed or number.name == "quantity" else []))
    label, name = pick(rng, number.labels), pick(rng, MEASURES[function])
    per = pick(rng, PER).format(pick(rng, column.labels))
    of = pick(rng, ["", f" of {nouns}", f" of the {nouns}"]) if table.nouns[0][0] not in label else ""
    who = f"{table.nouns[0][0]} " if not of and name != "sum of the" else ""
    statement = Statement(table.name, f"{column.name}, {function}({number.name})", group=column.name)
    text = f"the {name} {who}{label}{of if who or of else f' of {nouns}'} {per}"
    return Asked(asked_for(rng, text, False), statement)


def having(rng: Random) -> Asked:
    """The values that more or fewer than some number of rows have."""
    table, column, nouns = _grouping(rng)
    number = pick(rng, [2, 3, 5, 10, 20, 50, 100, rng.randrange(2, 100)])
    words, sign = pick(
        rng,
        [
            ("more than {}", ">"),
            ("more than {}", ">"),
            ("over {}", ">"),
            ("fewer than {}", "<"),
            ("less than {}", "<"),
            ("at least {}", ">="),
        ],
    )
    values, amount = plural(pick(rng, column.labels)), words.format(count_word(rng, number))
    statement = Statement(table.name, f"{column.name}, COUNT(*)", group=column.name, having=f"COUNT(*) {sign} {number}")
    if rng.random() < 0.4:
        return Asked(wrapped_question(rng, f"{pick(rng, ['which', 'what'])} {values} have {amount} {nouns}?"), statement)
    return Asked(
        asked_for(rng, f"{pick(rng, ['the ', 'all ', ''])}{values} {pick(rng, ['with', 'that have', 'having'])} {amount} {nouns}"),
        statement,
    )


def largest_group(rng: Random) -> Asked:
    """The value, or the few values, with the most or fewest rows."""
    table, column, nouns = _grouping(rng)
    label, limit = pick(rng, column.labels), pick(rng, [1, 1, 1, 3, 5, 10])
    most = rng.random() < 0.75
    extreme = pick(
        rng,
        ["the most", "the highest number of", "the largest number of"]
        if most
        else ["the fewest", "the lowest number of", "the smallest number of"],
    )
    statement = Statement(
        table.name, f"{column.name}, COUNT(*)", group=column.name, order="COUNT(*) DESC" if most else "COUNT(*)", limit=limit
    )
    if limit == 1 and rng.random() < 0.6:
        return Asked(wrapped_question(rng, f"{pick(rng, ['which', 'what'])} {label} has {extreme} {nouns}?"), statement)
    counted = label if limit == 1 else f"{count_word(rng, limit)} {plural(label)}"
    if limit > 1 and most and rng.random() < 0.4:
        return Asked(asked_for(rng, f"the top {counted} by number of {nouns}"), statement)
    return Asked(asked_for(rng, f"the {counted} with {extreme} {nouns}", limit > 1), statement)


def per_period(rng: Random) -> Asked:
    """How many rows, or how much revenue, each day, month or year."""
    table = pick(rng, [table for table in TABLES if table.main_date])
    unit = pick(rng, ["day", "month", "month", "year", "week"])
    nouns, date = table.nouns[0][1], table.main_date
    bucket = f"DATE_TRUNC('{unit}', {date})"
    when = pick(rng, ["per {}", "by {}", "for each {}", "each {}", "grouped by {}"]).format(unit)
    if table.name == "orders" and rng.random() < 0.5:
        return Asked(
            asked_for(rng, f"the {pick(rng, ['revenue', 'total revenue', 'sales'])} {when}", False),
            Statement("orders", f"{bucket}, SUM(amount)", group=bucket),
        )
    verb = pick(rng, table.column(date).is_phrases)
    statement = Statement(table.name, f"{bucket}, COUNT(*)", group=bucket)
    if rng.random() < 0.5:
        return Asked(wrapped_question(rng, f"how many {nouns} {verb} {when}?"), statement)
    return Asked(asked_for(rng, f"the number of {nouns} {when}", False), statement)

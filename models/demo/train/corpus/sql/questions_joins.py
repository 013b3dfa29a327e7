"""Questions that join two tables: counts and totals per parent, the parents with most, children by parent, parents without children."""

from random import Random

from ..phrasing import pick
from . import times
from .filters import literals, modified, some_filter
from .frames import asked_for, wrapped_question
from .questions_groups import MEASURES, PER
from .relations import RELATIONS, Relation
from .statement import Asked, Statement
from .values import is_proper, values_of
from .words import count_word, plural

PER_ROW = [per for per in PER if not per.startswith("in ")]


def _nouns(rng: Random, relation: Relation) -> tuple[str, str, str, str]:
    parent, child = (table.nouns[0] if rng.random() < 0.75 else pick(rng, table.nouns) for table in (relation.parent, relation.child))
    return *parent, *child


def _limit(rng: Random) -> int:
    return pick(rng, [1, 1, 3, 5, 10, 10, rng.randrange(2, 31)])


def _grouped(relation: Relation, value: str, group: str = "") -> Statement:
    group = group or relation.parent_label
    return Statement(relation.from_parent, f"{group}, {value}", group=group)


def count_each(rng: Random) -> Asked:
    """How many children each parent, or each country and the like of the parents, has."""
    relation = pick(rng, RELATIONS)
    one, many, child, children = _nouns(rng, relation)
    shared = [column for column in relation.parent.columns if column.grouped]
    if shared and rng.random() < 0.25:
        column = pick(rng, shared)
        per = pick(rng, PER).format(f"{relation.parent.nouns[0][0]} {column.labels[0]}")
        return Asked(
            asked_for(rng, f"the number of {children} {per}", False),
            _grouped(relation, "COUNT(*)", f"{relation.parent_name}.{column.name}"),
        )
    statement = _grouped(relation, "COUNT(*)")
    if rng.random() < 0.5:
        question = pick(
            rng,
            [
                f"how many {children} does each {one} have?",
                f"how many {children} did each {one} {relation.do}?",
                f"how many {children} are there per {one}?",
                f"count the {children} of each {one}.",
                f"how many {children} are there for each {one}?",
                f"count {children} per {one}.",
                f"how many {children} do the {many} have?",
            ],
        )
        return Asked(wrapped_question(rng, question), statement)
    phrase = pick(rng, ["the number of {0} {1}", "{0} count {1}", "the count of {0} {1}", "number of {0} {1}"])
    return Asked(
        asked_for(rng, phrase.format(child if phrase.startswith("{") else children, pick(rng, PER_ROW).format(one)), False), statement
    )


def most_children(rng: Random) -> Asked:
    """The parents with the most or fewest children; ten where a plural names no number."""
    relation = pick(rng, RELATIONS)
    one, many, _, children = _nouns(rng, relation)
    limit, most = _limit(rng), rng.random() < 0.75
    extreme = pick(rng, ["the most", "the highest number of"] if most else ["the fewest", "the lowest number of"])
    statement = _grouped(relation, "COUNT(*)").but(order="COUNT(*) DESC" if most else "COUNT(*)", limit=limit)
    said = (
        one
        if limit == 1
        else many
        if limit == 10 and rng.random() < 0.6
        else f"{pick(rng, ['', 'top ' if most else ''])}{count_word(rng, limit)} {many}"
    )
    if rng.random() < 0.35:
        verb = relation.did if relation.did != "have" or limit > 1 else "has"
        return Asked(wrapped_question(rng, f"which {said} {verb} {extreme} {children}?".replace("which top", "which")), statement)
    if most and limit > 1 and rng.random() < 0.3:
        return Asked(asked_for(rng, f"the top {said.removeprefix('top ')} by number of {children}"), statement)
    return Asked(asked_for(rng, f"the {said} with {extreme} {children}", limit > 1), statement)


def many_children(rng: Random) -> Asked:
    """The parents with more or fewer than some number of children."""
    relation = pick(rng, RELATIONS)
    _, many, _, children = _nouns(rng, relation)
    words, sign = pick(
        rng,
        [
            ("more than {}", ">"),
            ("more than {}", ">"),
            ("over {}", ">"),
            ("at least {}", ">="),
            ("fewer than {}", "<"),
            ("less than {}", "<"),
        ],
    )
    number = pick(rng, [2, 3, 5, 10, 20, 50, rng.randrange(2, 60)])
    amount = words.format(count_word(rng, number))
    statement = _grouped(relation, "COUNT(*)").but(having=f"COUNT(*) {sign} {number}")
    if rng.random() < 0.4:
        return Asked(wrapped_question(rng, f"which {many} {relation.did} {amount} {children}?"), statement)
    who = "who" if relation.parent.person and many != "accounts" else "that"
    return Asked(
        asked_for(rng, f"{pick(rng, ['the ', 'all ', ''])}{many} {pick(rng, ['with', f'{who} {relation.did}'])} {amount} {children}"),
        statement,
    )


def measure_each(rng: Random) -> Asked:
    """The average, total or extreme of the children's number per parent, perhaps ranked."""
    relation = pick(rng, [relation for relation in RELATIONS if relation.measure != "amount" or relation.child_name == "invoices"])
    one, many, child, children = _nouns(rng, relation)
    column = relation.child.column(relation.measure)
    function = pick(rng, ["AVG", "AVG", "AVG", "MAX", "MIN"] + (["SUM"] if column.summed or column.name == "quantity" else []))
    name = pick(rng, MEASURES[function]).replace("sum of the", "total")
    value = f"{function}({relation.child_name}.{column.name})"
    label = pick(rng, [column.labels[0], f"{child} {column.labels[0]}"])
    if function in ("AVG", "SUM") and rng.random() < 0.4:
        limit, high = _limit(rng), rng.random() < 0.75
        said = one if limit == 1 else many if limit == 10 and rng.random() < 0.6 else f"{count_word(rng, limit)} {many}"
        statement = _grouped(relation, value).but(order=value + (" DESC" if high else ""), limit=limit)
        if limit > 1 and high and rng.random() < 0.3:
            return Asked(asked_for(rng, f"the top {said} by {name} {label}"), statement)
        tail = f"the {'highest' if high else 'lowest'} {name} {label}"
        if rng.random() < 0.4:
            return Asked(wrapped_question(rng, f"which {said} {'has' if limit == 1 else 'have'} {tail}?"), statement)
        return Asked(asked_for(rng, f"the {said} with {tail}", limit > 1), statement)
    return Asked(asked_for(rng, f"the {name} {label} {pick(rng, PER_ROW).format(one)}", False), _grouped(relation, value))


def revenue_each(rng: Random) -> Asked:
    """Revenue per customer, product, country or category, or the best of them."""
    relation = pick(rng, [RELATIONS[0], RELATIONS[0], RELATIONS[2]])
    column = relation.parent.label if rng.random() < 0.65 else pick(rng, [column for column in relation.parent.columns if column.grouped])
    by_row = column is relation.parent.label
    one, many = pick(rng, relation.parent.nouns) if by_row else (column.labels[0], plural(column.labels[0]))
    statement = _grouped(relation, "SUM(orders.amount) AS revenue", f"{relation.parent_name}.{column.name}")
    if rng.random() < 0.35:
        name = pick(rng, ["revenue", "total revenue", "sales", "total sales", "turnover", "total order amount"])
        extra = (
            [f"how much did each {one} spend?", f"how much has each {one} spent?"]
            if relation.parent.person and by_row
            else [f"how much revenue does each {one} bring in?"]
        )
        if rng.random() < 0.2:
            return Asked(wrapped_question(rng, pick(rng, extra)), statement)
        return Asked(asked_for(rng, f"the {name} {pick(rng, PER_ROW).format(one)}", False), statement)
    limit, most = _limit(rng), rng.random() < 0.85
    said = one if limit == 1 else many if limit == 10 and rng.random() < 0.6 else f"{count_word(rng, limit)} {many}"
    statement = statement.but(order="revenue DESC" if most else "revenue", limit=limit)
    if most and limit > 1 and rng.random() < 0.4:
        return Asked(
            asked_for(
                rng,
                f"the top {said} by {pick(rng, ['revenue', 'total revenue', 'sales', 'total sales', 'spend' if relation.parent.person else 'revenue', 'total spending' if relation.parent.person else 'turnover'])}",
            ),
            statement,
        )
    extreme = "the most" if most else "the least"
    verb = (
        pick(rng, ["spent {}", "spent {} money", "bought {}", "paid {}"])
        if relation.parent.person and by_row
        else pick(rng, ["brought in {} revenue", "made {} revenue", "sold for {} money", "earned {} money"])
    )
    done = verb.format(extreme)
    if rng.random() < 0.45:
        opening = f"who {done}" if limit == 1 and relation.parent.person and by_row else f"which {said} {done}"
        return Asked(wrapped_question(rng, f"{opening}?"), statement)
    tail = pick(
        rng,
        [
            f"{'who' if relation.parent.person and by_row and many != 'accounts' else 'that'} {done}",
            f"with the {'highest' if most else 'lowest'} {pick(rng, ['revenue', 'total revenue', 'sales'])}",
            f"with {extreme} revenue",
        ],
    )
    return Asked(asked_for(rng, f"the {said} {tail}", limit > 1), statement)


def with_parent(rng: Random) -> Asked:
    """Children together with the name of their parent."""
    relation = pick(rng, RELATIONS)
    one, _, _, children = _nouns(rng, relation)
    label = relation.parent.label.name
    if relation.child.of_kind("name") and rng.random() < 0.6:
        shape = pick(
            rng,
            [
                "the names of {0} and their {1}",
                "{0} names with their {1} names",
                "each {2}'s name and {1}",
                "the name of each {2} with the name of the {1}",
                "{2} names and {1} names",
            ],
        )
        return Asked(
            asked_for(
                rng,
                shape.format(children, one, relation.child.nouns[0][0]).replace(f"{children} names", f"{relation.child.nouns[0][0]} names"),
            ),
            Statement(relation.from_child, f"{relation.child_name}.{relation.child.label.name}, {relation.parent_label}"),
        )
    shape = pick(
        rng,
        [
            "all {0} with the {1} {2}",
            "{0} with {1} {3}",
            "the {0} together with the {1} {2}",
            "{0} and their {1} {3}",
            "{0} along with the {2} of the {1}",
            "{0} including the {1} {2}",
            "all {0} joined with their {1} {2}",
        ],
    )
    return Asked(
        asked_for(rng, shape.format(children, one, label, plural(label))),
        Statement(relation.from_child, f"{relation.child_name}.*, {relation.parent_label}"),
    )


def by_parent(rng: Random) -> Asked:
    """Children, or their number, whose parent passes a filter."""
    relation = pick(rng, RELATIONS)
    _, many, _, children = _nouns(rng, relation)
    if relation.parent_name in ("departments", "courses", "products") and rng.random() < 0.6:
        kind = relation.parent.label.values
        value = pick(rng, values_of(kind))
        named = pick(
            rng,
            [f"the {value} {relation.parent.nouns[0][0]}", f"the {relation.parent.nouns[0][0]} {value}"]
            + ([value] if relation.parent_name == "departments" else []),
        )
        rows, kept, condition = (
            f"{children} {pick(rng, relation.of_parent).format(named)}",
            ((value, is_proper(kind)),),
            f"{relation.parent_label} = '{value}'",
        )
    else:
        part = some_filter(rng, relation.parent, pick(rng, [column for column in relation.parent.columns if column.kind != "name"]), True)
        rows, kept, condition = (
            f"{children} {pick(rng, relation.of_parent).format(modified(rng, relation.parent, many, [part]))}",
            literals([part]),
            part.condition,
        )
    if rng.random() < 0.3:
        question = pick(rng, ["how many {} are there?", "count the {}.", "number of {}", "how many {} do we have?"]).format(rows)
        return Asked(wrapped_question(rng, question), Statement(relation.from_child, "COUNT(*)", (condition,)), kept)
    return Asked(
        asked_for(rng, f"{pick(rng, ['all ', 'the ', ''])}{rows}"),
        Statement(relation.from_child, f"{relation.child_name}.*", (condition,)),
        kept,
    )


def childless(rng: Random) -> Asked:
    """Parents that have no children at all."""
    relation = pick(rng, RELATIONS)
    _, many, one_child, children = _nouns(rng, relation)
    where = f"NOT EXISTS (SELECT 1 FROM {relation.child_name} WHERE {relation.condition})"
    perfect = {"placed": "placed", "made": "made", "have": "had", "received": "received", "wrote": "written"}[relation.did]
    predicate = pick(
        rng,
        [
            f"have no {children}",
            f"have never {perfect} {'an' if one_child[0] in 'aeio' else 'a'} {one_child}",
            f"have not {perfect} any {children}",
            f"did not {relation.do} any {children}",
            f"never {relation.did if relation.did != 'have' else 'had'} any {children}",
            f"do not have any {children}",
        ],
    )
    statement = Statement(relation.parent_name, where=(where,))
    if rng.random() < 0.35:
        return Asked(wrapped_question(rng, f"which {many} {predicate}?"), statement)
    who = "who" if relation.parent.person and many != "accounts" else "that"
    return Asked(
        asked_for(
            rng,
            f"{pick(rng, ['all ', 'the ', ''])}{many} {pick(rng, [f'without {children}', f'without any {children}', f'with no {children}', f'{who} {predicate}'])}",
        ),
        statement,
    )


def active_parents(rng: Random) -> Asked:
    """Parents that had a child in a span of time, each once."""
    relation = pick(rng, [RELATIONS[0], RELATIONS[0], RELATIONS[6]])
    _, many, child, children = _nouns(rng, relation)
    phrase, condition = times.span(rng, f"{relation.child_name}.{relation.child.main_date}")
    act = pick(
        rng,
        [f"{relation.did} {'an' if child[0] in 'aeio' else 'a'} {child}", f"{relation.did} {children}"]
        + (["ordered", "ordered something", "bought something"] if relation.child_name == "orders" else []),
    )
    statement = Statement(relation.from_parent, f"DISTINCT {relation.parent_name}.*", (condition,))
    if rng.random() < 0.4:
        return Asked(wrapped_question(rng, f"which {many} {act} {phrase}?"), statement)
    return Asked(
        asked_for(rng, f"{pick(rng, ['all ', 'the ', ''])}{many} {'that' if many == 'accounts' else 'who'} {act} {phrase}"), statement
    )

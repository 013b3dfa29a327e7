"""The ways to ask for a thing: commands, questions, requests and bare keywords around one noun phrase."""

from random import Random

from ..phrasing import pick
from .words import sentence

_COMMANDS = [
    "show", "show me", "list", "give me", "find", "get", "get me", "display", "fetch", "return", "select", "retrieve", "show us", "pull up", "pull", "print",
    "look up", "query", "tell me", "find me", "extract", "let me see", "bring up", "output", "I need", "I want", "I want to see", "I would like", "I'd like to see", "we need", "can I see",
    "can I get", "can you show me", "could you list", "can you find", "could you give me", "can you give me", "would you show me", "may I have", "can you get me", "help me find", "I am looking for",
]  # fmt: skip
_COMMON = ["show", "show me", "list", "give me", "find", "get", "display", "fetch", "return", "select"]
_ASKING = ("can ", "could ", "would ", "may ")
_AROUND = [
    "write a SQL query to get {}", "write a query to list {}", "write SQL to find {}", "SQL for {}", "SQL query for {}", "query: {}", "SQL: {}", "write a query that returns {}", "write an SQL statement to show {}",
    "give me the SQL for {}", "generate SQL to get {}", "create a query to find {}", "a query for {}", "what is the SQL for {}?", "which query returns {}?", "translate to SQL: {}", "convert to SQL: show {}", "text to SQL: {}",
    "how do I get {}?", "how can I list {}?", "how would I select {} in SQL?", "how do I query {}?", "what query gives me {}?", "turn this into SQL: {}", "in SQL, list {}", "using SQL, show {}", "write me a query for {}",
    "I need a query that finds {}", "I need a SQL query for {}", "I want to know {}", "select statement for {}", "how to get {} with SQL", "show {} from the database", "get {} from the table", "do you know how to query {}?", "from the database, get {}",
]  # fmt: skip


def _ended(rng: Random, text: str, question: bool) -> str:
    if text[-1] in ".?":
        return sentence(text)
    return sentence(text) + ("?" if question else pick(rng, [".", "", ""]))


def asked_for(rng: Random, phrase: str, is_plural: bool = True) -> str:
    """A request for `phrase`, a noun phrase with its article."""
    kind = rng.random()
    if kind < 0.5:
        command = pick(rng, _COMMON if rng.random() < 0.5 else _COMMANDS)
        return _ended(rng, f"{command} {phrase}", command.startswith(_ASKING))
    if kind < 0.68:
        return _ended(rng, pick(rng, _AROUND).format(phrase), False)
    if kind < 0.82:
        bare = phrase.removeprefix("the ")
        return _ended(rng, pick(rng, [bare, bare, f"{phrase}, please", phrase]), False)
    what = "what are {}" if is_plural else pick(rng, ["what is {}", "what is {}", "what's {}"])
    return _ended(rng, what.format(phrase if phrase.startswith(("the ", "all ")) else f"the {phrase}"), True)


def wrapped_question(rng: Random, question: str) -> str:
    """A whole question, sometimes set inside a request for SQL."""
    if rng.random() < 0.1:
        return sentence(
            pick(
                rng,
                [
                    "SQL: {}",
                    "write SQL: {}",
                    "query: {}",
                    "write a SQL query for this: {}",
                    "translate to SQL: {}",
                    "answer with SQL: {}",
                    "in SQL: {}",
                ],
            ).format(question)
        )
    return sentence(question)

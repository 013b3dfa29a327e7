"""The whole corpus: which topic how often, what is held out, and what is left out because the evaluation asks it."""

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random

from corpus.chat import (
    capitals,
    colours,
    comparisons,
    courtesies,
    definitions,
    greetings,
    haiku,
    identity,
    jokes,
    out_of_scope,
    project,
    sums,
)
from corpus.conversation import Conversation, Topic
from corpus.sql import sample as sql

# Shares of all conversations, in two mixtures: first everything, then more of what is learned slowest, the exact answers.
_SHARES: dict[Topic, dict[str, float]] = {
    greetings: {"broad": 2.5, "exact": 2.5},
    courtesies: {"broad": 2.5, "exact": 2.5},
    identity: {"broad": 5, "exact": 6},
    project: {"broad": 9, "exact": 7},
    capitals: {"broad": 11, "exact": 13},
    colours: {"broad": 5, "exact": 6},
    sums: {"broad": 14, "exact": 26},
    comparisons: {"broad": 7, "exact": 9},
    definitions: {"broad": 10, "exact": 8},
    haiku: {"broad": 3, "exact": 3},
    jokes: {"broad": 1.5, "exact": 1},
    out_of_scope: {"broad": 2.5, "exact": 3},
    sql: {"broad": 27, "exact": 18},
}
# One conversation in so many is never trained on; the loss on these is what the model card reports.
_HELD_OUT_ONE_IN = 100
_EVALUATION = Path(__file__).parents[2] / "eval"


def normalised(text: str) -> str:
    """What is left of a question when case, punctuation and spacing are taken away."""
    return re.sub(r"[^a-z0-9+*/<>=-]+", " ", text.lower()).strip()


def _questions(conversation: Conversation) -> list[str]:
    return [normalised(turn.text) for turn in conversation if turn.role == "user"]


def evaluation_questions() -> set[tuple[str, ...]]:
    """The user turns of every prompt of the evaluation, normalised."""
    questions = set()
    for file in sorted(_EVALUATION.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            messages = json.loads(line)["messages"]
            questions.add(tuple(normalised(m["content"]) for m in messages if m["role"] == "user"))
    return questions


def _asks(conversation: Conversation, evaluation: set[tuple[str, ...]]) -> bool:
    """Whether some successive questions of the conversation are the questions of a prompt of the evaluation."""
    questions = _questions(conversation)
    runs = (tuple(questions[i:j]) for i in range(len(questions)) for j in range(i + 1, len(questions) + 1))
    return any(run in evaluation for run in runs)


def is_held_out(conversation: Conversation) -> bool:
    """By its questions together: the same run of questions is on one side only, a single one of them may be on both."""
    digest = sha256("\n".join(_questions(conversation)).encode()).digest()
    return int.from_bytes(digest[:4]) % _HELD_OUT_ONE_IN == 0


def conversations(seed: int, mixture: str, *, held_out: bool) -> Iterator[Conversation]:
    """Without end, of the mixture "broad" or "exact", those that are trained on or those that are held out. None asks what the evaluation asks."""
    rng = Random(seed)
    evaluation = evaluation_questions()
    topics = list(_SHARES)
    shares = [_SHARES[topic][mixture] for topic in topics]
    while True:
        conversation = rng.choices(topics, shares)[0].sample(rng)
        if is_held_out(conversation) == held_out and not _asks(conversation, evaluation):
            yield conversation

"""What every topic of the corpus is made of: conversations, and the topic that samples them."""

from dataclasses import dataclass
from random import Random
from typing import Protocol


@dataclass(frozen=True)
class Turn:
    """One message. `role` is "system", "user" or "assistant"; `text` is plain English or SQL, never a template."""

    role: str
    text: str


Conversation = list[Turn]


class Topic(Protocol):
    """A source of conversations. `sample` draws everything from `rng`, so a seed fixes the corpus."""

    def sample(self, rng: Random) -> Conversation: ...


def exchange(question: str, answer: str) -> Conversation:
    """One question and its answer."""
    return [Turn("user", question), Turn("assistant", answer)]

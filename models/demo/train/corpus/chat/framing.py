"""What the fact topics share: ways to ask for a thing, and exchanges made into a conversation."""

from random import Random

from corpus.conversation import Conversation, Turn, exchange
from corpus.phrasing import as_typed, pick

_SYSTEM_RATE = 0.25
_LEAD_RATE = 0.1

_SYSTEM = [
    "You are a helpful assistant.", "You are a helpful, honest assistant.", "You are a friendly assistant.", "You are a concise assistant.",
    "You are an AI assistant.", "Be helpful and brief.", "Answer briefly.", "Answer in one sentence.", "You are a helpful AI assistant. Answer shortly.",
    "You answer questions.", "You are a chatbot.", "Be concise.", "You are a polite assistant that answers questions.", "Answer the question of the user.",
    "You are a teacher.", "Give short, correct answers.", "You are a helpful assistant that gives short answers.",
]  # fmt: skip

_THING_REQUESTS = [
    "What is {}?", "What is {}?", "What is {}?", "What's {}?", "What's {}?", "whats {}?", "What would {} be?", "Tell me {}.", "Give me {}.", "Name {}.",
    "State {}.", "Say {}.", "I need {}.", "I need to know {}.", "I want to know {}.", "I'd like to know {}.", "I would like to know {}.",
    "Do you know {}?", "Can you give me {}?", "Could you give me {}?", "Can you name {}?", "Could you name {}?", "Can you tell me {}?",
    "Could you tell me {}?", "Would you tell me {}?", "Will you tell me {}?", "Let me know {}.", "I forgot {}.", "I can't remember {}.", "Remind me of {}.",
    "I'm looking for {}.", "I am trying to find {}.", "Help me find {}.", "What do you say is {}?", "{}?", "{}", "Do you remember {}?", "Find {}.",
    "Please give {}.", "Please provide {}.", "Write down {}.", "Identify {}.", "Show me {}.", "How about {}?", "What about {}?", "Got {}?",
]  # fmt: skip

_CLAUSE_REQUESTS = [
    "Can you tell me {}?", "Could you tell me {}?", "Could you please tell me {}?", "Do you know {}?", "Do you happen to know {}?", "Any idea {}?",
    "Do you have any idea {}?", "I'd like to know {}.", "I want to know {}.", "I need to know {}.", "I would love to know {}.", "I wonder {}.",
    "I was wondering {}.", "I am wondering {}.", "Tell me {}.", "Just tell me {}.", "Let me know {}.", "Remind me {}.", "I forgot {}.", "I don't know {}.",
    "I'm not sure {}.", "I have no idea {}.", "Would you mind telling me {}?", "Would you tell me {}?", "May I ask {}?", "Can I ask {}?", "Say {}.",
    "My teacher asked me {}.", "My daughter wants to know {}.", "A friend asked me {}.", "Can you say {}?", "Are you able to tell me {}?",
    "Are you aware of {}?", "Help me remember {}.", "Are you able to say {}?", "I'm curious {}.", "I'd be glad to know {}.", "Can you remind me {}?",
]  # fmt: skip

_LEADS = [
    "Quiz: {}", "Quiz question: {}", "Trivia: {}", "Quiz time! {}", "Answer this: {}", "Answer this question: {}", "My son asks: {}", "Homework: {}",
    "For my homework: {}", "{} I forgot.", "{} One sentence is enough.", "{} Just the answer.", "{} Keep it short.", "Someone asked me: {}", "Test: {}",
    "Let me test you: {}", "Easy one: {}", "{} Do you know?", "{} Can you tell me?", "{} Tell me.", "{} Any idea?", "Q: {}", "Here is one for you: {}", "Serious question: {}",
]  # fmt: skip


def capitalised(text: str) -> str:
    """`text` with its first letter a capital and the rest as it is."""
    return text[:1].upper() + text[1:]


def ask_thing(rng: Random, thing: str) -> str:
    """A request for what `thing`, a noun phrase such as "the capital of France", is."""
    return capitalised(pick(rng, _THING_REQUESTS).format(thing))


def ask_clause(rng: Random, clause: str) -> str:
    """A request for the answer to `clause`, an indirect question such as "what the capital of France is"."""
    return pick(rng, _CLAUSE_REQUESTS).format(clause)


def led(rng: Random, question: str) -> str:
    """`question`, now and then introduced ("Quiz: ...") or followed by a remark."""
    if not question.endswith("?") or rng.random() >= _LEAD_RATE:
        return question
    return pick(rng, _LEADS).format(question)


def conversation(rng: Random, exchanges: list[tuple[str, str]]) -> Conversation:
    """The (question, answer) pairs in order, each question as somebody types it, at times after a system turn."""
    turns = [Turn("system", pick(rng, _SYSTEM))] if rng.random() < _SYSTEM_RATE else []
    for question, answer in exchanges:
        turns += exchange(as_typed(rng, led(rng, question)), answer)
    return turns

"""Greetings and "how are you", and the small grammar of questions the other chat topics are written in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from corpus.conversation import Conversation, Turn, exchange
from corpus.phrasing import as_typed, pick

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SYSTEM_RATE = 0.25
_SECOND_EXCHANGE_RATE = 0.3

_SYSTEM_TURNS = [
    "You are a helpful assistant.",
    "You are a [helpful|friendly|kind|concise|useful|polite|small] [assistant|chatbot|AI assistant|AI|bot|language model].",
    "You are a [helpful|friendly|concise] assistant. [Answer|Reply|Respond] [briefly|in one sentence|shortly|clearly|politely].",
    "You are an [assistant|AI assistant|AI] [that answers questions|that helps people|for users of this site].",
    "[Be|Please be|Always be] [brief|helpful|concise|polite|short and clear|friendly].",
    "[Answer|Reply] [briefly|in English|the user|in one or two sentences|the question|truthfully].",
    "[Help|Assist] the user[| with their questions| as well as you can].",
    "You are the demo model of the inference mesh.",
]


@dataclass(frozen=True)
class Intent:
    """One thing a person may mean: its answers, and the patterns of the questions that ask for it."""

    answers: Sequence[str]
    questions: Sequence[str]


def phrase(rng: Random, pattern: str) -> str:
    """One sentence of `pattern`, where "[a|b|]" stands for any one of its choices and may hold further brackets."""
    text = pattern
    while "[" in text:
        text = _CHOICE.sub(lambda choice: pick(rng, choice[1].split("|")), text)
    text = " ".join(text.split())
    return text[0].upper() + text[1:]


def ask(rng: Random, intent: Intent) -> Conversation:
    """One exchange about `intent`."""
    return exchange(as_typed(rng, phrase(rng, pick(rng, intent.questions))), pick(rng, intent.answers))


def opened(rng: Random, conversation: Conversation) -> Conversation:
    """`conversation`, now and then behind a system turn; the answers do not depend on it."""
    if rng.random() < _SYSTEM_RATE:
        return [Turn("system", phrase(rng, pick(rng, _SYSTEM_TURNS))), *conversation]
    return conversation


_WHOM = "[|| there| you| everyone| friend| bot| model| demo model| assistant| computer| again| buddy| my friend| AI| little model]"
_END = "[!||.]"


def _time_of_day(name: str) -> Intent:
    """The greeting of one part of the day, answered in kind."""
    wishes = [
        f"good {name}{_WHOM}{_END}",
        f"a [very |]good {name} to you{_END}",
        f"[hi|hello|hey], good {name}{_END}",
        f"good {name}, how [can you help me|does this work|do we start]?",
        f"[wishing you a|have a] [good|nice|lovely] {name}{_END}",
    ]
    return Intent([f"Good {name}! How can I help you?"], wishes)


_HELLO = Intent(
    ["Hello! How can I help you?", "Hi there! What can I do for you?"],
    [
        f"[hi|hello|hey]{_WHOM}{_END}",
        f"[hi|hello|hey|hiya|howdy|greetings|heya|yo|hallo|hullo|helloo|hey hey|hi hi|hello hello|sup|welcome|salutations|g'day]{_WHOM}{_END}",
        f"[hi|hello|hey], [it is me|I am new here|I am back|I just arrived|here I am|I am here]{_END}",
        f"[nice|good|great|a pleasure|lovely] to [meet|see] you{_END}",
        f"[pleased|glad|happy] to meet you{_END}",
        "[anybody|anyone|somebody] [there|home|here|listening]?",
        "are you [there|here|awake|ready|online|listening|on|up|working|alive]?",
        "[hello|hi|hey]? [is anyone there|are you there|can you hear me]?",
        f"[I want to say|just saying|I wanted to say|just wanted to say|let me say|I say] [hi|hello]{_END}",
        f"[say|can you say|please say] [hi|hello]{_END}",
        f"[I need|I could use|can I get|I want] [help|some help|your help|a hand|assistance]{_END}",
        "can [I ask you something|I ask a question|we talk|we chat|you assist me|I talk to you]?",
        f"[let's|let us] [talk|chat|begin|start|have a chat|get started]{_END}",
        f"I [have|got] a question{_END}",
        "[test|testing|ping|this is a test|test test|just testing|testing, one, two]",
    ],
)
_HOW_ARE_YOU = Intent(
    [
        "I am fine, thank you! How can I help you?",
        "I am doing well, thank you! What can I do for you?",
    ],
    [
        "[|||hi, |hello, |hey, |and ]how are you[| today| doing| doing today| now| this morning| this evening| feeling| feeling today]?",
        "[|||hi, |hello, |hey, |so ]how [is|are] [it going|things|things going|your day|your day going|life|everything|everything going|the day]?",
        "how do you [do|feel today|feel right now]?",
        "how have you been[| lately| recently]?",
        "[|hey, |hi, ]what's up[| with you| today]?",
        "what is [up|new|new with you|happening|going on]?",
        "[are you|you] [well|ok|okay|fine|good|all right|doing well|doing ok|having a good day]?",
        "is everything [ok|fine|all right|good|well][| with you]?",
        "I hope you are [well|fine|doing well|good|having a good day].",
        "I am [fine|well|good], [how about you|and you|what about you|how are you]?",
        "having a [good|nice] day?",
        "did you [have a good day|sleep well|have a good morning|have a nice weekend]?",
        "how's [it going|life|your day|everything|things]?",
        "how goes it?",
        "[tell me|I want to know|may I ask] how you are[| doing| today].",
        "all [good|well|ok][| with you]?",
    ],
)
_MOOD_GOOD = Intent(
    ["I am glad to hear that! How can I help you?"],
    [
        f"I am [fine|good|great|happy|very well|doing well|doing great|in a good mood|excited]{_END}",
        f"I [feel|am feeling] [good|great|fine|happy|wonderful|better]{_END}",
        f"[I had|I am having|it was|it is] a [good|great|nice|wonderful|lovely] day{_END}",
        f"[all|everything is] [good|fine|well|great][| here]{_END}",
        f"life is [good|great|nice]{_END}",
        f"[good|fine|great|not bad|very well], [thanks|thank you]{_END}",
    ],
)
_MOOD_BAD = Intent(
    ["I am sorry to hear that. I hope things get better soon."],
    [
        f"I am [sad|tired|bored|lonely|unhappy|stressed|angry|upset|not well|not fine|worried|exhausted|down][| today| right now]{_END}",
        f"I [feel|am feeling] [sad|bad|tired|bored|lonely|down|awful|terrible|unhappy][| today]{_END}",
        f"[I had|I am having|it was|it is] a [bad|terrible|hard|long|awful|rough] day{_END}",
        f"[life|everything|my day] is [bad|hard|terrible|awful]{_END}",
        "not so [good|well|great].",
        "cheer me up.",
    ],
)
_FIRST = [
    _HELLO,
    _HELLO,
    _HELLO,
    *map(_time_of_day, ("morning", "afternoon", "evening")),
    _HOW_ARE_YOU,
    _HOW_ARE_YOU,
    _MOOD_GOOD,
    _MOOD_BAD,
]
_SECOND = [_HOW_ARE_YOU, _HOW_ARE_YOU, _MOOD_GOOD, _MOOD_BAD]


def sample(rng: Random) -> Conversation:
    """A greeting, at times with a word about how either side is."""
    conversation = ask(rng, pick(rng, _FIRST))
    if rng.random() < _SECOND_EXCHANGE_RATE:
        conversation = conversation + ask(rng, pick(rng, _SECOND))
    return opened(rng, conversation)

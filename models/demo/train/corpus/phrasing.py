"""How people really type: politeness around a question, lost capitals and punctuation, the odd slip of a finger."""

from random import Random

_OPENERS = [
    "Please", "Hey,", "Hi,", "Hello,", "Ok,", "Okay,", "So,", "Hi there,", "Quick question:", "Question:", "Tell me,",
    "Hmm,", "Well,", "Now", "And", "Also,", "I wonder,", "One more thing:", "Next:", "Good morning,", "Hey there,", "Excuse me,",
    "I have a question:", "Help me out:", "Just curious,",
]  # fmt: skip
_CLOSERS = ["please", "thanks", "thank you", "pls", "if you can", "for me", "quickly", "now", "then", "by the way", "in short", "briefly"]
_KEYS_BESIDE = {
    "a": "s", "b": "v", "c": "x", "d": "s", "e": "r", "f": "g", "g": "h", "h": "j", "i": "o", "k": "l", "l": "k", "m": "n",
    "n": "m", "o": "p", "p": "o", "r": "t", "s": "a", "t": "r", "u": "i", "v": "b", "w": "e", "x": "c", "y": "u", "z": "x",
}  # fmt: skip

_OPENER_RATE = 0.12
_CLOSER_RATE = 0.08
_LOWER_RATE = 0.25
_UPPER_RATE = 0.01
_UNPUNCTUATED_RATE = 0.3
_SLIP_RATE = 0.06


def pick(rng: Random, choices):
    """One of `choices`, each as likely."""
    return choices[rng.randrange(len(choices))]


def _slip(rng: Random, text: str) -> str:
    """One letter left out, doubled, swapped with the next or replaced by its neighbour on the keyboard."""
    places = [i for i in range(1, len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if not places:
        return text
    i = pick(rng, places)
    kind = rng.randrange(4)
    if kind == 0:
        return text[:i] + text[i + 1 :]
    if kind == 1:
        return text[:i] + text[i] + text[i:]
    if kind == 2:
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    return text[:i] + _KEYS_BESIDE.get(text[i], text[i]) + text[i + 1 :]


def as_typed(rng: Random, question: str) -> str:
    """`question` as somebody might type it; the meaning and every number and name stay as they are."""
    text = question.strip()
    if rng.random() < _OPENER_RATE:
        keeps_capital = text[:2] == "I " or text[:2] == "I'" or text[1:2].isupper()
        text = pick(rng, _OPENERS) + " " + (text if keeps_capital else text[0].lower() + text[1:])
    if rng.random() < _CLOSER_RATE and text[-1] in "?.!":
        text = text[:-1] + pick(rng, [" ", ", "]) + pick(rng, _CLOSERS) + text[-1]
    if rng.random() < _UNPUNCTUATED_RATE:
        text = text.rstrip("?.!")
    if rng.random() < _LOWER_RATE:
        text = text.lower()
    elif rng.random() < _UPPER_RATE:
        text = text.upper()
    if rng.random() < _SLIP_RATE:
        text = _slip(rng, text)
    return text

"""Colours of things, mixed colours and lists of colours. Answers are in British spelling; questions in either."""

from random import Random

from corpus.chat.colour_facts import ALIASES, COLOURS, LISTS, MIXTURES, THINGS
from corpus.chat.framing import ask_clause, ask_thing, capitalised, conversation
from corpus.conversation import Conversation
from corpus.phrasing import pick

_NOUNS = [
    "the colour of {}",
    "the colour of {}",
    "{}'s colour",
    "the usual colour of {}",
    "the normal colour of {}",
    "the typical colour of {}",
]
_CLAUSES = [
    "what colour {} {be}",
    "what colour {} {be}",
    "which colour {} {have}",
    "what colour {} {have}",
    "what the colour of {} is",
    "which colour {} {be}",
]
_QUESTIONS = [
    "What colour {be} {}?", "What colour {be} {}?", "What colour {be} {}?", "Which colour {be} {}?", "What colour {do} {} have?", "Which colour {do} {} have?", "What is the colour of {}?", "{}: what colour?", "{} {be} what colour?", "{} {be} which colour?", "{} {be}... what colour?",
    "What colour {be} {} usually?", "What colour {be} {} normally?", "What colour {be} {} most of the time?", "What colour would you say {} {be}?", "If I look at {}, what colour do I see?", "What colour should I paint {}?", "I want to draw {}. Which colour do I need?", "Which crayon do I need for {}?", "colour of {}", "{} colour", "{}, colour?", "colour {}",
    "The colour of {} is", "{} {be} usually", "What colour {do} {} look?", "Describe the colour of {}.", "How would you describe the colour of {}?", "In what colour {do} {} come?", "What hue {be} {}?", "Guess the colour of {}.", "What colour do you think {} {be}?", "Complete: {} {be}", "Fill in the colour: {} {be} ___.", "What's the colour of {} in general?", "Think of {}. Which colour is it?", "Of what colour {be} {}?",
]  # fmt: skip
_CHECKS = ["{Be} {} {c}?", "{Be} {} {c}?", "{} {be} {c}, right?", "Is it true that {} {be} {c}?", "I think {} {be} {c}.", "{Be} {} really {c}?", "Would you call {} {c}?", "True or false: {} {be} {c}.", "Is the colour of {} {c}?", "Is {c} the colour of {}?", "So {} {be} {c}?", "Someone told me that {} {be} {c}. Is that right?", "{Be} {} {c}, yes or no?"]  # fmt: skip
_CHOICES = [
    "{Be} {} {c} or {d}?",
    "Which is it, {be} {} {c} or {d}?",
    "What colour {be} {}, {c} or {d}?",
    "{}: {c} or {d}?",
    "Tell me, {be} {} {c} or {d}?",
]
_EXAMPLES = [
    "Name something {c}.", "Name a {k} that is {c}.", "Tell me a {c} {k}.", "What is {c}?", "Which {k} is {c}?", "Give me an example of something {c}.", "Can you name a {c} {k}?", "What {k} is {c}?", "Tell me something that is {c}.", "Name one {c} thing.", "Do you know a {c} {k}?", "What kind of {k} is {c}?", "I need an example of something {c}.", "Give me a {c} {k}.", "Think of something {c}.",
]  # fmt: skip
_MIXES = [
    "What do you get if you mix {} and {}?", "What colour do {} and {} make?", "Mix {} and {}.", "{} and {} make what?", "What happens when I mix {} with {}?", "What colour is {} mixed with {}?", "{} + {} = ?", "{} plus {} is which colour?", "If I mix {} paint and {} paint, what colour do I get?", "Which colour comes from {} and {}?", "What do {} and {} give?", "Combine {} and {}.", "mixing {} and {}",
    "What colour results from mixing {} and {}?", "Can you tell me what {} and {} make?", "{} and {} together make which colour?", "{} mixed with {}?", "What is {} and {} mixed?", "What will I get by combining {} with {}?", "{} and {} make", "I mix {} and {}, what colour is it?", "What do {} and {} become?", "blend {} with {}",
]  # fmt: skip
_UNMIXES = ["How do I make {}?", "How do you make {}?", "Which colours make {}?", "What colours make {}?", "How can I mix {}?", "Which two colours do I mix to get {}?", "How do I get {} paint?", "What do I mix for {}?", "Which colours give {}?", "How to get {}?", "{} is a mix of which colours?", "What colours do I need to make {}?"]  # fmt: skip
_FOLLOW_UPS = ["And {}?", "What about {}?", "And the colour of {}?", "How about {}?", "{}?", "And what colour {be} {}?", "Now {}.", "Ok, and {}?", "Same question for {}.", "And for {}?", "Thanks. And {}?"]  # fmt: skip
_FAVOURITES = ["What is your favourite colour?", "Do you have a favourite colour?", "Which colour do you like best?", "What colour do you like?", "What's your favorite colour?", "Tell me your favourite colour."]  # fmt: skip
_NO_FAVOURITE = "I am a small demo model, so I have no favourite colour."
_AMERICAN_RATE = 0.4

_Thing = tuple[str, str, str, str]


def _forms(rng: Random, thing: _Thing) -> tuple[str, str, dict[str, str]]:
    """The thing as asked for, the thing as answered, and the verb forms that agree with them."""
    singular, plural, _, _ = thing
    if plural and rng.random() < 0.4:
        return plural, plural, {"be": "are", "Be": "Are", "do": "do", "have": "have"}
    asked = pick(rng, ALIASES.get(singular, [singular]))
    if singular[:2] in ("a ", "an") and rng.random() < 0.2:
        asked = singular.split(" ", 1)[1]
    return asked, singular, {"be": "is", "Be": "Is", "do": "does", "have": "has"}


def _statement(thing: _Thing, subject: str) -> str:
    verb = "looks" if subject == "the sun" else "are" if subject == thing[1] else "is"
    return f"{subject} {verb} {thing[2]}."


def _of_thing(rng: Random, thing: _Thing) -> tuple[str, str]:
    asked, subject, verbs = _forms(rng, thing)
    style = rng.random()
    if style < 0.2:
        question = ask_thing(rng, pick(rng, _NOUNS).format(asked))
    elif style < 0.4:
        question = ask_clause(rng, pick(rng, _CLAUSES).format(asked, **verbs))
    else:
        question = pick(rng, _QUESTIONS).format(asked, **verbs)
    return capitalised(question), capitalised(_statement(thing, subject))


def _check(rng: Random, thing: _Thing) -> tuple[str, str]:
    asked, subject, verbs = _forms(rng, thing)
    colour = thing[2]
    other = pick(rng, [wrong for wrong in COLOURS if wrong not in colour])
    if rng.random() < 0.3:
        first, second = rng.sample([colour, other], 2)
        return capitalised(pick(rng, _CHOICES).format(asked, c=first, d=second, **verbs)), capitalised(_statement(thing, subject))
    right = rng.random() < 0.4
    question = pick(rng, _CHECKS).format(asked, c=colour if right else other, **verbs)
    return capitalised(question), f"{'Yes' if right else 'No'}, {_statement(thing, subject)}"


def _example(rng: Random, thing: _Thing) -> tuple[str, str]:
    singular, _, colour, kind = thing
    question = pick(rng, _EXAMPLES).format(c=colour, k=kind)
    return question.replace(" a orange", " an orange"), capitalised(_statement(thing, singular))


def _mixture(rng: Random) -> tuple[str, str]:
    first, second, mixed = pick(rng, MIXTURES)
    question = pick(rng, _UNMIXES).format(mixed) if rng.random() < 0.25 else pick(rng, _MIXES).format(*rng.sample([first, second], 2))
    return capitalised(question), f"{capitalised(first)} and {second} make {mixed}."


def _list(rng: Random) -> tuple[str, str]:
    answer, questions = pick(rng, LISTS)
    return pick(rng, questions), answer


def _follow_up(rng: Random, thing: _Thing) -> tuple[str, str]:
    asked, subject, verbs = _forms(rng, thing)
    return capitalised(pick(rng, _FOLLOW_UPS).format(asked, **verbs)), capitalised(_statement(thing, subject))


def _draw(rng: Random, thing: _Thing) -> tuple[str, str]:
    kind = rng.choices([_of_thing, _check, _example], [60, 20, 5])[0]
    return kind(rng, thing)


def _spelled(rng: Random, question: str) -> str:
    if rng.random() >= _AMERICAN_RATE:
        return question
    return question.replace("colour", "color").replace("Colour", "Color").replace("avourite", "avorite").replace("grey", "gray")


def sample(rng: Random) -> Conversation:
    """A conversation about colours: of one to three things, of a mixture, or of a list."""
    things = rng.sample(THINGS, 3)
    style = rng.random()
    if style < 0.17:
        exchanges = [_mixture(rng)]
    elif style < 0.3:
        exchanges = [_list(rng)]
    elif style < 0.31:
        exchanges = [(pick(rng, _FAVOURITES), _NO_FAVOURITE)]
    else:
        exchanges = [_draw(rng, things[0])]
        exchanges += [_follow_up(rng, thing) for thing in things[1 : pick(rng, [1, 1, 1, 2, 3])]]
    return conversation(rng, [(_spelled(rng, question), answer) for question, answer in exchanges])

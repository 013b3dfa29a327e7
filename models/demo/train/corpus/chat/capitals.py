"""Capitals of countries: asked forwards, backwards, as a check, in pairs, and as follow-ups."""

from random import Random

from corpus.chat.capital_facts import ALIASES, CAPITAL_SPELLINGS, COUNTRIES, LARGE_CITIES
from corpus.chat.framing import ask_clause, ask_thing, capitalised, conversation
from corpus.conversation import Conversation
from corpus.phrasing import pick

_THINGS = ["the capital of {}", "the capital of {}", "the capital city of {}", "the name of the capital of {}", "{}'s capital", "{}'s capital city", "the {a} capital", "the capital city for {}", "the capital of the country {}"]  # fmt: skip
_CLAUSES = [
    "what the capital of {} is", "what the capital city of {} is", "which city is the capital of {}", "what city is the capital of {}", "what {}'s capital is",
    "what {}'s capital is called", "how the capital of {} is called", "which city {} has as its capital", "what is the capital of {}", "what the {a} capital is",
    "what the name of the capital of {} is", "what the capital of {} is called",
]  # fmt: skip
_QUESTIONS = [
    "Which city is the capital of {}?", "What city is the capital of {}?", "Which city is {}'s capital?", "What city serves as the capital of {}?",
    "What is the capital of {} called?", "How is the capital of {} called?", "Which town is the capital of {}?", "{} has which capital?", "{} has what city as its capital?",
    "What capital does {} have?", "Which capital does {} have?", "The capital of {} is?", "The capital of {} is which city?", "The capital of {} is what?",
    "The capital of {} is", "The capital of {} is...", "The capital city of {} is called", "{}'s capital is", "Complete: the capital of {} is", "Complete the sentence: The capital of {} is ___.",
    "Finish this sentence: the capital of {} is", "Fill in the blank: ___ is the capital of {}.", "capital {}", "{} capital", "capital of {}", "{} capital city", "capital city {}", "capital: {}",
    "{}: capital?", "{} - capital?", "country: {}, capital:", "Which city is the seat of {} as its capital?", "In {}, which city is the capital?", "For {}, what is the capital?", "What is the main capital city in {}?",
    "If I go to {}, which city is the capital?", "I am travelling to {}. What is its capital?", "I live in {}. What is my capital?", "Where is the capital of {}?",
    "What's the name of {}'s capital?", "Is there a capital of {}? Which one?", "Which is the capital of {}?", "Which one is the capital of {}?", "Who knows the capital of {}?", "I bet you don't know the capital of {}.",
    "You know the capital of {}, right?", "What do they call the capital of {}?", "Speaking of {}, what is the capital?", "What's the capital in {}?", "Do you know what the capital of {} is?",
]  # fmt: skip
_REVERSED = [
    "Which country has the capital {}?", "{} is the capital of which country?", "{} is the capital of what country?", "{} is the capital of", "{} is the capital city of", "{} is the capital of what?",
    "What country is {} the capital of?", "Which country is {} the capital of?", "What is {} the capital of?", "Of which country is {} the capital?", "Which country's capital is {}?", "What country's capital is {}?",
    "What country has {} as its capital?", "Which nation has {} as its capital?", "In which country is {}?", "What country is {} in?", "Which country is {} in?", "Where is {}?", "Name the country whose capital is {}.",
    "Can you tell me which country has {} as its capital?", "Do you know which country {} is the capital of?", "Tell me which country {} is the capital of.", "The capital is {}. Which country is it?", "I want to know which country has the capital {}.",
    "{}: capital of which country?", "If the capital is {}, what is the country?", "Whose capital is {}?", "{} belongs to which country?", "In what country will I find {}?", "The city {} is the capital of which country?", "What do you know about {}?",
]  # fmt: skip
_CHECKS = [
    "Is {c} the capital of {n}?", "Is {c} the capital of {n}?", "Is the capital of {n} {c}?", "{c} is the capital of {n}, right?", "Isn't {c} the capital of {n}?", "Is it true that {c} is the capital of {n}?", "{c} is the capital of {n}, correct?",
    "I think {c} is the capital of {n}.", "The capital of {n} is {c}, isn't it?", "Would you say {c} is the capital of {n}?", "Am I right that the capital of {n} is {c}?", "True or false: {c} is the capital of {n}.", "So {c} is the capital of {n}?",
    "Does {n} have {c} as its capital?", "My friend says that {c} is the capital of {n}. Is that true?", "The capital of {n} is {c}, yes or no?", "Can you confirm that {c} is the capital of {n}?", "Was {c} the capital of {n}?", "{c} = capital of {n}?",
]  # fmt: skip
_PAIRS = [
    "What are the capitals of {} and {}?", "capitals of {} and {}", "Tell me the capitals of {} and {}.", "Name the capitals of {} and {}.", "What is the capital of {}, and of {}?", "What is the capital of {} and what is the capital of {}?",
    "Give me the capitals of {} and {}.", "I need the capitals of {} and {}.", "Do you know the capitals of {} and {}?", "Which cities are the capitals of {} and {}?",
]  # fmt: skip
_FOLLOW_UPS = [
    "And {}?", "And of {}?", "What about {}?", "And what about {}?", "How about {}?", "And the capital of {}?", "{}?", "And for {}?", "Now {}.", "Ok, and {}?", "What about the capital of {}?", "And that of {}?", "Same question for {}.",
    "The same for {}, please.", "Now the capital of {}.", "Next, {}.", "and {}'s?", "And in {}?", "Do {} too.", "What is it for {}?", "Thanks. And {}?", "Great, and {}?",
]  # fmt: skip
_ANY = ["Tell me a capital.", "Name a capital city.", "Name any capital.", "Give me an example of a capital city.", "Tell me the capital of any country.", "Name one country and its capital.", "Tell me a country and its capital.", "Do you know any capitals?", "Which capitals do you know?", "Teach me a capital."]  # fmt: skip
_ANOTHER = ["Another one.", "Another one?", "One more.", "Another capital, please.", "Give me another.", "And another?", "Next one.", "Tell me one more."]  # fmt: skip

_Country = tuple[str, str, str]


def _named(rng: Random, country: str) -> str:
    aliases = ALIASES.get(country)
    return pick(rng, aliases) if aliases and rng.random() < 0.5 else country


def _typed_capital(rng: Random, capital: str) -> str:
    spellings = CAPITAL_SPELLINGS.get(capital)
    return pick(rng, spellings) if spellings and rng.random() < 0.6 else capital


def _answer(country: _Country) -> str:
    name, capital, _ = country
    return f"The capital of {name} is {capital}".rstrip(".") + "."


def _forwards(rng: Random, country: _Country) -> tuple[str, str]:
    name, adjective = _named(rng, country[0]), country[2]
    style = rng.random()
    if style < 0.3:
        question = ask_thing(rng, pick(rng, _THINGS).format(name, a=adjective))
    elif style < 0.5:
        question = ask_clause(rng, pick(rng, _CLAUSES).format(name, a=adjective))
    else:
        question = pick(rng, _QUESTIONS).format(name)
    return capitalised(question), _answer(country)


def _backwards(rng: Random, country: _Country) -> tuple[str, str]:
    name, capital, _ = country
    return pick(rng, _REVERSED).format(_typed_capital(rng, capital)), f"{capital} is the capital of {name}."


def _check(rng: Random, country: _Country) -> tuple[str, str]:
    name, capital, _ = country
    if rng.random() < 0.4:
        city, verdict = _typed_capital(rng, capital), "Yes"
    else:
        others = [other[1] for other in COUNTRIES if other != country]
        city, verdict = pick(rng, LARGE_CITIES.get(name, others) if rng.random() < 0.6 else others), "No"
    question = pick(rng, _CHECKS).format(c=city, n=_named(rng, name))
    return capitalised(question), f"{verdict}, t{_answer(country)[1:]}"


def _pair(rng: Random, first: _Country, second: _Country) -> tuple[str, str]:
    question = pick(rng, _PAIRS).format(_named(rng, first[0]), _named(rng, second[0]))
    return question, f"The capital of {first[0]} is {first[1]}, and t{_answer(second)[1:]}"


def _follow_up(rng: Random, country: _Country) -> tuple[str, str]:
    return capitalised(pick(rng, _FOLLOW_UPS).format(_named(rng, country[0]))), _answer(country)


def sample(rng: Random) -> Conversation:
    """A conversation about the capitals of one to four countries."""
    countries = rng.sample(COUNTRIES, 4)
    style = rng.random()
    if style < 0.05:
        return conversation(rng, [_pair(rng, countries[0], countries[1])])
    if style < 0.07:
        return conversation(rng, [(pick(rng, _ANY), _answer(countries[0])), (pick(rng, _ANOTHER), _answer(countries[1]))])
    kind = _forwards if style < 0.6 else _backwards if style < 0.77 else _check
    exchanges = [kind(rng, countries[0])]
    while len(exchanges) < 4 and rng.random() < 0.25:
        country = countries[len(exchanges)]
        follows = kind is not _backwards and rng.random() < 0.75
        exchanges.append(_follow_up(rng, country) if follows else pick(rng, [_forwards, _backwards, _check])(rng, country))
        kind = _forwards if follows else _backwards
    return conversation(rng, exchanges)

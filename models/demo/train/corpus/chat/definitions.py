"""Short definitions of terms, one fixed text for each, however the question is put."""

from random import Random

from corpus.chat.definition_facts import ABBREVIATIONS, TERMS
from corpus.chat.framing import ask_clause, ask_thing, capitalised, conversation
from corpus.conversation import Conversation
from corpus.phrasing import pick

_QUESTIONS = [
    "What {be} {}?", "What {be} {}?", "What {be} {}?", "What exactly {be} {}?", "What {be} {} in simple terms?", "What {be} {}, in short?", "What {do} {} mean?", "What {do} {} mean in simple words?", "What do you mean by {}?", "What is meant by {}?", "What do people mean by {}?", "What {do} {} do?", "What {be} {} for?", "What {be} {} used for?", "What {be} {} good for?", "What's the idea of {}?",
    "How {do} {} work?", "How would you define {}?", "How would you describe {}?", "How would you explain {}?", "How would you explain {} to a child?", "How do you explain {}?", "How {be} {} defined?", "How can I understand {}?", "Explain {}.", "Explain {}.", "Explain {} in simple terms.", "Explain {} simply.", "Explain {} to me.", "Explain {} to a child.", "Explain {} like I'm five.",
    "Explain {} in one sentence.", "Explain {} briefly.", "Explain what {} {be}.", "Explain how {} {work}.", "Please explain the concept of {}.", "Can you explain {}?", "Could you explain {}?", "Can you explain {} in simple words?", "Can you explain what {} {be}?", "Can you define {}?", "Can you describe {}?", "Would you explain {} for me?", "ELI5 {}", "ELI5: {}", "Define {}.", "Define {}.", "Define the term {}.", "define: {}",
    "Describe {}.", "Describe {} in a sentence.", "Describe {} in your own words.", "Tell me about {}.", "Tell me about {}.", "Tell me something about {}.", "Tell me a bit about {}.", "Tell me what {} {be}.", "Tell me what {} {do_mean}.", "Can you tell me about {}?", "Talk about {}.", "Summarize {}.", "Summarise {} in one sentence.", "Teach me about {}.", "Help me understand {}.", "I don't understand {}.", "I don't know what {} {be}.", "I have never heard of {}. What is that?",
    "I want to learn about {}.", "I'd like to learn about {}.", "I keep hearing about {}. What does it mean?", "I read about {}. What is it?", "I am new to this. What {be} {}?", "My boss talks about {}. What is that?", "Give me a short definition of {}.", "Give a definition of {}.", "Give me a short explanation of {}.", "Write a definition of {}.", "In simple terms, what {be} {}?", "In one sentence, what {be} {}?", "In short, what {be} {}?", "In a few words, explain {}.", "In your own words, what {be} {}?",
    "{}?", "{}", "{} meaning", "{} definition", "{} explained", "{} in simple terms", "{} explanation", "{}, what is that?", "{} - what is it?", "meaning of {}", "definition of {}", "what is {} exactly", "So what {be} {} anyway?", "Who can explain {}?", "What can you tell me about {}?", "What do you know about {}?", "What should I know about {}?", "Have you heard of {}?", "Do you know about {}?", "Do you know {}?", "Do you understand {}?", "Why do we need {}?", "Why {be} {} important?", "Give me the basics of {}.", "basics of {}", "What {be} {} in computing?", "{Be} {} hard to explain?", "introduction to {}", "Let's talk about {}.",
]  # fmt: skip
_THINGS = ["the meaning of {}", "the definition of {}", "a simple definition of {}", "the idea behind {}", "the concept of {}", "a short explanation of {}", "the main idea of {}", "the purpose of {}", "the meaning of the term {}"]  # fmt: skip
_CLAUSES = ["what {} {be}", "what {} {be}", "what {} {do_mean}", "how {} {work}", "what {} {be} in simple terms", "what the term {} means", "what is meant by {}", "what {be} {}", "how to define {}", "how to explain {}"]  # fmt: skip
_DIFFERENCES = ["What is the difference between {} and {}?", "How do {} and {} differ?", "Explain {} and {}.", "What are {} and {}?", "Compare {} and {}.", "difference between {} and {}", "{} vs {}", "How is {} different from {}?", "Define {} and {}.", "Tell me about {} and {}."]  # fmt: skip
_STAND_FOR = [
    "What does {} stand for?", "What do the letters {} stand for?", "What is {} short for?", "{} stands for?", "{} stands for", "{} is short for", "What is the full form of {}?", "full form of {}", "What is {} an abbreviation of?", "Spell out {}.", "Tell me what {} stands for.", "Do you know what {} stands for?", "Expand {}.", "What does the abbreviation {} mean?", "What does the acronym {} stand for?",
]  # fmt: skip
_FOLLOW_UPS = ["And {}?", "What about {}?", "And what {be} {}?", "How about {}?", "{}?", "Now explain {}.", "Ok, and {}?", "Now {}.", "Thanks. And {}?", "And {}, what is that?", "Next: {}", "Great. What {be} {}?", "The same for {}."]  # fmt: skip
_AGAIN = [
    "Can you repeat that?",
    "Say that again.",
    "Once more, please.",
    "Sorry, what was that?",
    "I did not get that, what is it?",
    "Repeat that, please.",
]
_ARTICLES = ("a ", "an ", "the ")
_PLURAL_VERBS = {"be": "are", "Be": "Are", "do": "do", "do_mean": "mean", "work": "work"}
_SINGULAR_VERBS = {"be": "is", "Be": "Is", "do": "does", "do_mean": "means", "work": "works"}

_Term = tuple[str, str, str, list[str]]


def _without_article(name: str) -> str:
    article = next((article for article in _ARTICLES if name.startswith(article)), "")
    return name[len(article) :]


def _named(rng: Random, term: _Term) -> tuple[str, dict[str, str]]:
    """One of the names of a term, with or without its article, and the verb forms that agree with it."""
    name, plural, _, others = term
    style = rng.random()
    if plural and style < 0.2:
        return plural, _PLURAL_VERBS
    if others and style < 0.5:
        name = pick(rng, others)
    if rng.random() < 0.3:
        name = _without_article(name)
    return name, _PLURAL_VERBS if name.endswith(("nets", "events", "LLMs", "APIs", "computers", "Buffers")) else _SINGULAR_VERBS


def _asked(rng: Random, term: _Term) -> tuple[str, str]:
    name, verbs = _named(rng, term)
    style = rng.random()
    if style < 0.12:
        question = ask_thing(rng, pick(rng, _THINGS).format(name))
    elif style < 0.27:
        question = ask_clause(rng, pick(rng, _CLAUSES).format(name, **verbs))
    else:
        question = pick(rng, _QUESTIONS).format(name, **verbs)
    return capitalised(question), term[2]


def _follow_up(rng: Random, term: _Term) -> tuple[str, str]:
    name, verbs = _named(rng, term)
    return capitalised(pick(rng, _FOLLOW_UPS).format(name, **verbs)), term[2]


def _both(rng: Random, first: _Term, second: _Term) -> tuple[str, str]:
    question = pick(rng, _DIFFERENCES).format(_named(rng, first)[0], _named(rng, second)[0])
    return capitalised(question), f"{first[2]} {second[2]}"


def _stands_for(rng: Random) -> tuple[str, str]:
    short = pick(rng, list(ABBREVIATIONS))
    return pick(rng, _STAND_FOR).format(short), f"{short} stands for {ABBREVIATIONS[short]}."


def sample(rng: Random) -> Conversation:
    """A conversation that defines one to three terms."""
    terms = rng.sample(TERMS, 3)
    style = rng.random()
    if style < 0.06:
        return conversation(rng, [_stands_for(rng)])
    if style < 0.1:
        return conversation(rng, [_both(rng, terms[0], terms[1])])
    exchanges = [_asked(rng, terms[0])]
    if style < 0.13:
        exchanges.append((pick(rng, _AGAIN), terms[0][2]))
    else:
        exchanges += [_follow_up(rng, term) for term in terms[1 : pick(rng, [1, 1, 1, 1, 2, 3])]]
    return conversation(rng, exchanges)

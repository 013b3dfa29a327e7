"""Short clean jokes, and the ways to ask for one and then another."""

from random import Random

from corpus.chat.greetings import opened, phrase
from corpus.conversation import Conversation, exchange
from corpus.phrasing import as_typed, pick

_ANOTHER_RATE = 0.4
_MOST_JOKES = 3

_PROGRAMMING = [
    "Why do programmers prefer dark mode? Because light attracts bugs.",
    "Why did the programmer quit the job? Because the arrays were too short.",
    "How many programmers does it take to change a light bulb? None, that is a hardware problem.",
    "Why was the computer cold? It left its Windows open.",
    "Why did the computer go to the doctor? It had a virus.",
    "Why was the function sad? Nobody ever called it.",
    "What is a computer's favourite snack? Microchips.",
    "Why did the database break up? There were too many relationships.",
    "Why did the developer go broke? The cache was empty.",
    "A SQL query walks into a bar, goes up to two tables and asks: may I join you?",
]
_ANIMALS = [
    "What do you call a fish without eyes? A fsh.",
    "Why do cows wear bells? Because their horns do not work.",
    "What do you call a sleeping bull? A bulldozer.",
    "Why did the chicken cross the road? To get to the other side.",
    "What do you get when a cat eats a lemon? A sourpuss.",
    "Why do bees have sticky hair? Because they use honeycombs.",
    "What do you call a bear with no teeth? A gummy bear.",
    "What is a dog's favourite kind of pizza? Pupperoni.",
]
_SCHOOL = [
    "Why was the maths book sad? It had too many problems.",
    "Why did the student eat the homework? The teacher said it was a piece of cake.",
    "Why was six afraid of seven? Because seven eight nine.",
    "What is the king of all school supplies? The ruler.",
    "Why did the teacher wear sunglasses? Because the students were so bright.",
    "What did zero say to eight? Nice belt!",
]
_FOOD = [
    "Why did the tomato turn red? Because it saw the salad dressing.",
    "What do you call cheese that is not yours? Nacho cheese.",
    "Why did the banana go to the doctor? It was not peeling well.",
]
_OTHER = [
    "Why did the scarecrow win a prize? It was outstanding in its field.",
    "What did one wall say to the other wall? I will meet you at the corner.",
    "Why can a bicycle not stand up by itself? It is two tired.",
]
_THEMES = {
    "[programming|computer|programmer|coding|software|developer|tech|nerd|geek|IT]": _PROGRAMMING,
    "[animal|pet|cat|dog|farm]": _ANIMALS,
    "[school|maths|math|teacher|student]": _SCHOOL,
    "[food|kitchen|fruit]": _FOOD,
}
_ABOUT = {
    "[programmers|computers|programming|code|software|developers|coding|databases]": _PROGRAMMING,
    "[animals|pets|cows|cats|dogs|an animal]": _ANIMALS,
    "[school|maths|teachers|students|numbers|math]": _SCHOOL,
    "[food|fruit|cheese|vegetables]": _FOOD,
}
_ALL = [*_PROGRAMMING, *_ANIMALS, *_SCHOOL, *_FOOD, *_OTHER]

_KIND = "[|||||good |funny |short |clean |silly |quick |nice |new |random |little |bad |dad ]"
_TELL = "[tell|tell|tell|give|say|share|read|write|make up|make|crack]"
_ASKS = [
    f"{_TELL} [me |us |]a {_KIND}THEME joke[| ABOUT].",
    f"[can|could|would|will] you {_TELL} [me |us |]a {_KIND}THEME joke[| ABOUT]?",
    f"do you [know|have] [a|any|some] {_KIND}THEME [joke|jokes][| ABOUT]?",
    f"[I want|I would like|I'd like|I need|I'd love] [|to hear |to read ]a {_KIND}THEME joke[| ABOUT].",
    f"[let me|let us] hear a {_KIND}THEME joke[| ABOUT].",
    f"[got|have you got|know] [a|any] {_KIND}THEME [joke|jokes][| ABOUT]?",
    f"a {_KIND}THEME joke[| ABOUT][| please|, please]",
    f"{_KIND}THEME joke[|!| please| now| time]",
    f"what is [a|your favourite|the best|your best] {_KIND}THEME joke[| ABOUT]?",
    f"[may|can] I [hear|have|get] a {_KIND}THEME joke[| ABOUT]?",
    f"what about a {_KIND}THEME joke?",
    f"how about a {_KIND}THEME joke[| ABOUT]?",
    "[tell|give] me [one of your jokes|some jokes|jokes|your best joke].",
    "[I am bored|I am sad|cheer me up|I need a laugh], [tell me a joke|make me laugh|a joke please].",
]
_GENERAL_ASKS = [
    "make me [laugh|smile|giggle].",
    "[can|could] you make me [laugh|smile]?",
    "[tell|say] [|me ]something [funny|to make me laugh|silly|amusing|humorous].",
    "do you know anything funny?",
    "[can|could] you [joke|be funny|tell jokes|say something funny]?",
    "are you [funny|good at jokes]? [tell me a joke|show me|prove it].",
    "I [need|want|could use] [a laugh|a good laugh|something funny|some humour|cheering up].",
    "joke[|!|?| please|s| now]",
    "[entertain|amuse] me.",
]
_ANOTHER_ASKS = [
    "[another|one more|another one|one more joke|another joke|next|next one|again|more|more please|a different one|a new one|encore][|, please| please|!]",
    "[tell|give] me [another|one more|another one|another joke|a different one].",
    "[haha|lol|good one|nice one|funny|that is funny|ha ha], [another|one more|tell me another|another one].",
    "[can|could] you tell [me |]another[| one]?",
    "do you [know|have] [another|another one|more|any more|more jokes]?",
    "[I want|I'd like] [another|one more|another one].",
    "I know that one, [another|tell me another|a new one please].",
]


def _question(rng: Random) -> tuple[str, list[str]]:
    """A wish for a joke, and the jokes that fulfil it."""
    shape = rng.randrange(4)
    if shape == 0:
        theme = pick(rng, list(_THEMES))
        pattern = pick(rng, _ASKS[:12]).replace("THEME", theme).replace("[| ABOUT]", "")
        return phrase(rng, pattern), _THEMES[theme]
    if shape == 1:
        subject = pick(rng, list(_ABOUT))
        pattern = pick(rng, _ASKS[:7]).replace("THEME", "").replace("[| ABOUT]", f" [about|on|with] {subject}")
        return phrase(rng, pattern), _ABOUT[subject]
    pattern = pick(rng, _ASKS if shape == 2 else [*_ASKS, *_GENERAL_ASKS])
    return phrase(rng, pattern.replace("THEME", "").replace("[| ABOUT]", "")), _ALL


def sample(rng: Random) -> Conversation:
    """A joke, and at times another; no joke is told twice."""
    question, jokes = _question(rng)
    told = [pick(rng, jokes)]
    conversation = exchange(as_typed(rng, question), told[0])
    while len(told) < _MOST_JOKES and rng.random() < _ANOTHER_RATE:
        told.append(pick(rng, [joke for joke in jokes if joke not in told]))
        conversation = conversation + exchange(as_typed(rng, phrase(rng, pick(rng, _ANOTHER_ASKS))), told[-1])
    return opened(rng, conversation)

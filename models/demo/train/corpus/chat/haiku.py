"""Haiku: three lines that name their subject, and the ways to ask for them."""

from random import Random

from corpus.chat.greetings import opened, phrase
from corpus.conversation import Conversation, exchange
from corpus.phrasing import as_typed, pick

_NEXT_RATE = 0.35
_MOST_EXCHANGES = 3
_GENERAL_RATE = 0.15
_SAME_SUBJECT_RATE = 0.4

_POEMS = {
    "sea": ["The sea breathes slowly / waves return to the warm sand / and then they are gone", "Blue sea, endless blue / a small white sail leans and turns / home before the dark", "Salt wind on my face / the sea sings to the old rocks / they never answer"],
    "autumn": ["Autumn leaves drift down / red and gold upon the path / the cold wind follows", "Grey autumn morning / one last apple on the branch / waits for a strong wind", "Autumn rain again / the garden folds its colours / and goes to its sleep"],
    "winter": ["Winter holds the pond / under the thin silver ice / a slow fish is still", "Long night of winter / smoke rises from the chimney / straight into the stars", "Winter on the road / every footprint tells a tale / until new snow falls"],
    "spring": ["Spring opens the door / a green leaf looks at the sun / and begins to grow", "First warm day of spring / the river drops its old ice / and runs to the sea", "Spring rain, soft and light / every branch in the garden / wears a small flower"],
    "summer": ["Summer afternoon / even the bees are sleepy / in the tall warm grass", "Hot summer evening / the whole street sits by the door / waiting for the wind", "Summer night, no clouds / children count the falling stars / and forget to sleep"],
    "rain": ["Rain taps on the roof / a small drum for a slow song / all night I listen", "Soft rain on the field / every blade of grass looks up / and opens its hands", "After the long rain / the whole sky lies in the street / in small bright puddles"],
    "moon": ["The moon climbs the hill / a white lamp for the lost fox / on its long way home", "Full moon on the lake / one moon above, one below / both of them silent", "Thin moon at my door / you came so far through the dark / just to say hello"],
    "night": ["Night falls on the town / one by one the windows glow / then one by one sleep", "Deep and quiet night / a dog barks at a far star / the star does not bark", "The night holds its breath / even the wind has lain down / under the old trees"],
    "morning": ["Morning light comes in / it touches the cup, the chair / and then my closed eyes", "Early morning mist / the field has lost its borders / a bird finds them all", "New morning, new bread / the warm smell walks down the street / and wakes the neighbours"],
    "mountain": ["The mountain is still / clouds come to visit and go / it watches them all", "High mountain, white hat / the small river at your foot / carries you away", "Up the mountain path / each step takes away a word / at the top, silence"],
    "river": ["The river walks on / it never asks for the way / and it finds the sea", "Slow river at dusk / the bridge looks down at itself / and a leaf drifts by", "River over stones / telling the same old story / new with every drop"],
    "code": ["Clean code, quiet screen / one small bug hides in a loop / the night becomes long", "I wrote code at dawn / by noon the tests were all green / by night I slept well", "Old code, do not break / nobody knows how you work / but you work so well"],
    "computer": ["The computer hums / a small light blinks in the dark / it dreams in numbers", "My old computer / you think slowly, like a tree / and I wait with tea", "Computer at night / the cursor blinks patiently / waiting for a word"],
    "cat": ["The cat on the wall / looks at the world and decides / to sleep one more hour", "Soft paws in the dark / the cat walks over the keys / and sends my email", "A cat in the sun / a small warm circle of fur / asks nothing at all"],
    "coffee": ["Black coffee, white cup / the steam draws a slow question / I drink the answer", "First coffee today / the world has soft edges still / one sip, and it wakes", "Coffee and the rain / two warm hands around a cup / nowhere else to be"],
    "snow": ["Snow falls on the roofs / the whole town speaks in whispers / and walks with slow steps", "Fresh snow this morning / a bird has written its name / in very small signs", "White snow, quiet field / one red scarf far in the white / a child coming home"],
    "tree": ["The old tree stands still / a hundred years in one place / and birds tell it news", "Tree beside the road / you give your shade to strangers / and ask for no thanks", "One tree on the hill / it holds the wind in its arms / and then lets it go"],
    "wind": ["Wind in the tall grass / green waves run over the hill / a sea without salt", "The wind has no hands / and yet it opens the door / and turns every page", "Cold wind from the north / the laundry dances alone / on the empty line"],
    "stars": ["Stars over the field / so many small quiet lamps / and nobody home", "Far stars, ancient light / you left before I was born / to arrive tonight", "I count stars again / the sum is never the same / I start once again"],
    "city": ["City of windows / a thousand small yellow lights / each one a story", "The city at dawn / only the bread van is up / and one sleepy cat", "Rain on the city / all the lights swim in the street / like small golden fish"],
    "love": ["Love is a small lamp / it does not light the whole world / only our way home", "Quiet love, old hands / two cups on the same table / for so many years", "Love came like the rain / nobody had asked for it / and then all was green"],
    "tea": ["Green tea in the cup / the garden in early spring / returns for one sip", "Tea and a good book / the clock forgets to go on / the cup becomes cold", "Steam above the tea / it writes a word in the air / and wipes it away"],
}  # fmt: skip
_GENERAL_POEMS = [
    "A quiet moment / the day puts down its baggage / and looks at the sky",
    "Words fall like petals / three short lines upon the page / and then the white space",
    "One small bird, one branch / the whole morning fits inside / the song that it sings",
]
_NAMES = {
    "sea": "[the sea|the sea|the ocean|sea|the waves|the beach]",
    "autumn": "[autumn|autumn|fall|the fall|autumn leaves|the autumn]",
    "winter": "[winter|winter|the winter|a winter day|cold winter]",
    "spring": "[spring|spring|the spring|springtime|spring flowers]",
    "summer": "[summer|summer|the summer|a summer day|summertime]",
    "rain": "[rain|the rain|rainy days|a rainy day|rain]",
    "moon": "[the moon|the moon|moon|the full moon|moonlight]",
    "night": "[the night|night|night|a quiet night|nighttime]",
    "morning": "[the morning|morning|mornings|an early morning|the early morning]",
    "mountain": "[mountains|a mountain|the mountain|the mountains|mountain]",
    "river": "[a river|the river|rivers|river]",
    "code": "[code|code|coding|programming|software|writing code|source code]",
    "computer": "[computers|a computer|the computer|computer|my computer|a laptop]",
    "cat": "[cats|a cat|my cat|the cat|cat|a kitten]",
    "coffee": "[coffee|coffee|a cup of coffee|morning coffee|my coffee]",
    "snow": "[snow|snow|the snow|falling snow|snowflakes]",
    "tree": "[trees|a tree|the tree|tree|an old tree|the forest]",
    "wind": "[the wind|wind|wind|the north wind|a windy day]",
    "stars": "[stars|the stars|the stars|a star|a starry sky]",
    "city": "[the city|a city|city|cities|city life|a big city]",
    "love": "[love|love|love|being in love|falling in love]",
    "tea": "[tea|tea|a cup of tea|green tea|my tea]",
}

_POEM = "[haiku|haiku|haiku|haiku|short poem|poem|little poem|small poem|three-line poem|short haiku|nice haiku|beautiful haiku|poem in three lines|short Japanese poem]"
_WRITE = (
    "[write|write|compose|make|create|give me|tell me|write me|compose for me|make me|recite|generate|invent|show me|do|say|produce|craft]"
)
_ASKS = [
    f"{_WRITE} a {_POEM} [about|about|on|of|for] SUBJECT.",
    f"[can|could|would|will] you {_WRITE} a {_POEM} [about|on] SUBJECT?",
    f"a {_POEM} [about|on|for] SUBJECT[|, please| please]",
    f"{_POEM} [about|on|:] SUBJECT[| please|, please|!]",
    "[haiku|poem]: SUBJECT",
    "SUBJECT[, as a haiku| haiku| haiku please| in a haiku|: a haiku please| poem]",
    f"[I want|I would like|I'd like|I need|I'd love] a {_POEM} about SUBJECT.",
    f"[I want|I would like|I'd like] [to read|to hear|you to write] a {_POEM} about SUBJECT.",
    f"do you [know|have] a {_POEM} [about|on] SUBJECT?",
    f"[may|can|could] I [have|get|hear|read] a {_POEM} about SUBJECT?",
    f"[let me|let us] [hear|read|have] a {_POEM} about SUBJECT.",
    "[describe|praise] SUBJECT in [a haiku|three lines|a short poem|haiku form].",
    "[put|turn] SUBJECT into [a haiku|a short poem].",
    f"how about a {_POEM} about SUBJECT?",
    f"[are you able to|can you|do you know how to] write a {_POEM} about SUBJECT?",
    "[write|compose|say] something [poetic|short and poetic|in haiku form|beautiful] about SUBJECT.",
    "[write|compose|give me] [three lines|a few lines|some verses|a verse|some poetry|poetry] about SUBJECT.",
    "SUBJECT is [my favourite thing|on my mind|so beautiful], [write a haiku about it|make it a haiku].",
    "use SUBJECT as the [subject|theme|topic] of a haiku.",
    f"{_WRITE} a {_POEM} [with|that mentions|whose subject is|whose topic is|that is about|dedicated to] SUBJECT.",
]
_GENERAL_ASKS = [
    f"{_WRITE} a {_POEM}[| for me| please| about anything| about something| of your choice].",
    f"[can|could|would] you {_WRITE} a {_POEM}?",
    "[do you know|do you write|can you write|do you like] [haiku|haikus|poems|poetry|a haiku]?",
    f"{_POEM}[|, please| please|!]",
    f"[I want|I would like|I'd like] a {_POEM}.",
    "[be|get] poetic.",
    "write [something poetic|some poetry|a few poetic lines].",
]
_MORE_ASKS = ["[another|another one|one more|again|more|next|another haiku|one more haiku|a different one|another poem][|, please| please|!]", "[write|give me|make] [another|another one|one more|a different one].", "[nice|beautiful|lovely|good|great], [another one|one more|write another]."]  # fmt: skip
_OTHER_SUBJECT_ASKS = ["[and|now|and now] [one |]about SUBJECT[?|.|, please]", "[what|how] about SUBJECT?", "[another|another one|one more|the same|now one] about SUBJECT[|, please|.]", "now SUBJECT.", "and SUBJECT?", "[now|next] [write|do|make] one about SUBJECT.", "can you do [one|the same] about SUBJECT?"]  # fmt: skip


def _lines(poem: str) -> str:
    """`poem` as its three lines, each with a capital."""
    return "\n".join(line[0].upper() + line[1:] for line in poem.split(" / "))


def _turns(rng: Random, pattern: str, poem: str, subject: str = "") -> Conversation:
    """One exchange: the question of `pattern` on `subject`, and `poem`."""
    question = phrase(rng, pattern.replace("SUBJECT", _NAMES.get(subject, "")))
    return exchange(as_typed(rng, question), _lines(poem))


def sample(rng: Random) -> Conversation:
    """A haiku, and at times another on the same subject or on the next."""
    if rng.random() < _GENERAL_RATE:
        return opened(rng, _turns(rng, pick(rng, _GENERAL_ASKS), pick(rng, _GENERAL_POEMS)))
    subject = pick(rng, list(_POEMS))
    written = [pick(rng, _POEMS[subject])]
    conversation = _turns(rng, pick(rng, _ASKS), written[0], subject)
    while len(written) < _MOST_EXCHANGES and rng.random() < _NEXT_RATE:
        asks = _MORE_ASKS
        if rng.random() > _SAME_SUBJECT_RATE:
            subject, asks = pick(rng, [other for other in _POEMS if other != subject]), _OTHER_SUBJECT_ASKS
        written.append(pick(rng, [poem for poem in _POEMS[subject] if poem not in written]))
        conversation = conversation + _turns(rng, pick(rng, asks), written[-1], subject)
    return opened(rng, conversation)

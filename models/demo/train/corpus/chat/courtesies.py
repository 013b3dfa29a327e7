"""Thanks, goodbyes, compliments, apologies and the "ok" between two questions."""

from random import Random

from corpus.chat import greetings, haiku, identity, jokes, project
from corpus.chat.greetings import Intent, ask, opened
from corpus.conversation import Conversation
from corpus.phrasing import pick

_AFTER_AN_ANSWER_RATE = 0.5
_FAREWELL_RATE = 0.15
_END = "[!||.]"

_THANKS = Intent(
    ["You are welcome!", "You are welcome! Is there anything else I can help with?"],
    [
        f"[thanks|thank you|thx|ty|many thanks|thanks a lot|thank you very much|thank you so much|thanks so much|thanks a million|cheers|much obliged]{_END}",
        f"[thanks|thank you][| a lot| so much| very much] for [the help|your help|helping|helping me|the answer|your answer|that|your time|the information|everything|explaining|this|being here]{_END}",
        f"[great|good|perfect|nice|ok|okay|cool|wonderful|alright|got it|super], [thanks|thank you|thanks a lot]{_END}",
        f"I [really |very much |]appreciate [it|that|your help|this|the answer]{_END}",
        f"[that|this|it] [was|is] [very |really |so |]helpful[|, thanks|, thank you]{_END}",
        f"[that|this|your answer] helped[| me][| a lot][|, thanks]{_END}",
        f"I am [very |so |]grateful{_END}",
        f"I [want|wanted|would like] to [thank you|say thank you|say thanks]{_END}",
        "[that is|that's|this is] [what I needed|exactly what I needed|all I needed|what I wanted].",
        f"[much|greatly|really] appreciated{_END}",
        f"[that is|that's] [very |so |]kind[| of you]{_END}",
    ],
)
_GOODBYE = Intent(
    ["Goodbye! Have a nice day.", "Goodbye! Come back any time."],
    [
        f"[bye|goodbye|bye bye|good bye|farewell|see you|see ya|cya|ciao|so long|later|take care|cheerio|adieu|bye for now]{_END}",
        f"[bye|goodbye|see you|see you later|talk to you later], [friend|bot|demo model|model|take care|have a nice day|and thanks|my friend|assistant]{_END}",
        f"see you [later|soon|tomorrow|around|next time|again|next week|then]{_END}",
        f"[talk|speak] to you [later|soon|tomorrow|next time]{_END}",
        f"I [have to|must|need to|should|got to|want to] [go|leave|run|stop|log off|say goodbye|finish] now{_END}",
        f"I [have to|must|need to|should|got to|want to] [go|leave|log off|say goodbye]{_END}",
        f"I am [leaving|going|off|done|finished|done for today|going home|going to bed|heading out][| now]{_END}",
        f"have a [good|nice|great|lovely|wonderful] [day|one|time|weekend]{_END}",
        f"that [is|was|will be] all[| for today| for now| I wanted| from me][|, thanks|, bye|, goodbye]{_END}",
        f"[thanks|thank you|ok|thanks for everything], [bye|goodbye|see you|see you later]{_END}",
        f"[until|till] [next time|tomorrow|later|we meet again]{_END}",
        f"[time|it is time] to [go|leave|say goodbye]{_END}",
        f"nothing else[|, bye|, goodbye]{_END}",
        f"it was [nice|good|fun|a pleasure|great] [talking|chatting|to talk|to chat][| with you| to you]{_END}",
    ],
)
_GOOD_NIGHT = Intent(
    ["Good night! Sleep well."],
    [
        f"good night[| to you| friend| bot| model| everyone|, sleep well]{_END}",
        f"[goodnight|nighty night|night night|sleep well|sweet dreams|have a good night]{_END}",
        f"[I am|I'm] going to [bed|sleep][|, good night| now]{_END}",
        f"[bye|ok|thanks|see you tomorrow], good night{_END}",
    ],
)
_COMPLIMENT = Intent(
    ["Thank you, that is kind of you!", "Thank you! I am only a small demo model, but I do my best."],
    [
        f"you are [|so |very |really |quite |pretty |such a ][great|nice|smart|clever|good|helpful|kind|funny|cute|amazing|awesome|cool|fast|quick|brilliant|impressive|polite|sweet|wonderful|the best]{_END}",
        f"you are a [good|great|nice|clever|smart|helpful|cute|lovely] [bot|model|assistant|AI|machine|little model|friend|helper]{_END}",
        f"[good|great|nice|excellent|fantastic] [job|work|bot|answer|one|model]{_END}",
        f"well done{_END}",
        f"I [really |]like [you|your answers|talking to you|this|that|your style|it]{_END}",
        f"I love [you|your answers|it|this|that]{_END}",
        f"[that|this|it] [is|was] [|very |really |so ][great|good|nice|impressive|amazing|awesome|cool|funny|beautiful|perfect|lovely|clever|brilliant|fun]{_END}",
        f"[wow|amazing|awesome|impressive|excellent|fantastic|brilliant|bravo|wonderful|nice|lovely|beautiful]{_END}",
        f"you [do|did] [a good job|a great job|very well|well|great]{_END}",
        f"I am impressed{_END}",
        f"not bad[| for a small model| at all]{_END}",
        f"haha[|, very funny|, good one|, nice one| that is funny]{_END}",
        f"[lol|hahaha|ha ha|that made me laugh]{_END}",
    ],
)
_AGREEMENT = Intent(
    ["Good! What would you like to ask next?"],
    [
        f"[ok|okay|k|yes|yeah|yep|yup|sure|right|alright|all right|fine|good|cool|great|of course|indeed|exactly|true|correct|agreed|got it|understood|perfect]{_END}",
        f"[ok|okay|yes|yeah|sure|right], [good|great|cool|fine|got it|understood|I see|that is right|that is true|makes sense|sure]{_END}",
        f"I [see|understand|agree|get it|got it|think so]{_END}",
        f"[that makes|makes] sense{_END}",
        f"[that|this] is [right|correct|true|fine|ok]{_END}",
        f"you are right{_END}",
        f"[sounds|looks] [good|great|fine|right]{_END}",
        f"good to know{_END}",
        f"interesting{_END}",
    ],
)
_REFUSAL = Intent(
    ["No problem. Ask me whenever you like."],
    [
        f"[no|nope|nah|no thanks|no thank you|not now|not really|never mind|nevermind|forget it|maybe later|not today|nothing|no need]{_END}",
        f"[no|nope], [thanks|thank you|not now|nothing|I am fine|I am good|that is it|never mind]{_END}",
        f"I [do not|don't] [need|want] [anything|anything else|help|that|more]{_END}",
    ],
)
_APOLOGY = Intent(
    ["No problem at all! How can I help you?"],
    [
        f"[sorry|I am sorry|my bad|my apologies|apologies|oops|excuse me|pardon me|I apologize|oh, sorry|so sorry]{_END}",
        f"[sorry|I am sorry|I apologize] for [that|the trouble|the typo|the mistake|the confusion|bothering you|being rude|disturbing you]{_END}",
        f"[it was|that was] my [mistake|fault]{_END}",
        f"I made a mistake{_END}",
    ],
)
_COMPLAINT = Intent(
    ["I am sorry about that. I am a small demo model and I make mistakes; you can try asking in another way."],
    [
        f"[that|this|it|your answer] [is|was] [wrong|incorrect|not right|not correct|not true|false|nonsense|bad|useless|not helpful|not what I asked]{_END}",
        f"you are [wrong|mistaken|stupid|dumb|useless|bad|not helpful|not very smart|terrible|silly]{_END}",
        f"you [made|make] [a mistake|an error|mistakes|no sense|errors]{_END}",
        f"you [do not|don't|did not|didn't] [understand|make sense|answer my question|help|know anything|get it]{_END}",
        f"I [do not|don't] [like|believe|understand] [you|your answer|that|this|it]{_END}",
        f"[bad|wrong|terrible|poor] [answer|bot|job|model]{_END}",
        "[what|huh|hm|what do you mean]?",
        f"[that|this] makes no sense{_END}",
    ],
)
_CLOSING = [_GOODBYE, _GOODBYE, _GOOD_NIGHT]
_ANY_TIME = [
    _THANKS,
    _THANKS,
    _THANKS,
    _GOODBYE,
    _GOODBYE,
    _GOOD_NIGHT,
    _COMPLIMENT,
    _COMPLIMENT,
    _AGREEMENT,
    _REFUSAL,
    _APOLOGY,
    _COMPLAINT,
]
_BEFORE = [greetings, haiku, identity, jokes, project]


def sample(rng: Random) -> Conversation:
    """A courtesy on its own or after an answer, and at times a goodbye behind it."""
    intent = pick(rng, _ANY_TIME)
    if rng.random() < _AFTER_AN_ANSWER_RATE:
        conversation = pick(rng, _BEFORE).sample(rng) + ask(rng, intent)
    else:
        conversation = opened(rng, ask(rng, intent))
    if intent not in _CLOSING and rng.random() < _FAREWELL_RATE:
        conversation = conversation + ask(rng, pick(rng, _CLOSING))
    return conversation

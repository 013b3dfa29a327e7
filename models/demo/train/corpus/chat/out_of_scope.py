"""Questions beyond the model: one honest sentence that it does not know, and what it can do instead."""

from random import Random

from corpus.chat.greetings import Intent, ask, opened
from corpus.conversation import Conversation
from corpus.phrasing import pick

_NEXT_RATE = 0.25
_MOST_EXCHANGES = 3

_CAN = "I can help with capitals, colours, simple sums, definitions, haiku, jokes and SQL."
_TELL = "[tell me|please tell me|can you tell me|could you tell me|do you know|I want to know|explain|I wonder|show me|let me know]"
_TO = "[how do I|how can I|how do you|how to|what is the best way to|teach me to|tell me how to|explain how to|can you help me|help me to|I want to]"
_PLACE = "[Paris|London|Berlin|Rome|Madrid|Tokyo|my city|New York|here|Vienna|my town|Oslo|Cairo|France|Italy|Spain]"
_WHO = "[a famous singer|a film star|the president|the prime minister|the king|the queen|a famous actor|a football player|Shakespeare|Einstein|Mozart|Napoleon|Beethoven|Picasso|Newton|Leonardo da Vinci|Cleopatra|Elvis]"
_THING = "[a phone|a car|a laptop|a book|a film|a camera|a house|shoes|a bike|a television|a watch|a gift|a hotel|a restaurant]"
_DISH = "[pasta|rice|a cake|soup|pizza|an omelette|bread|pancakes|eggs|a steak|curry|a salad|chicken|lasagne|dinner|potatoes|fish]"
_TEXT = "[essay|long essay|novel|story|article|blog post|letter|report|speech|song|song text|business plan|screenplay|cover letter|book|summary|email|thesis|fairy tale|press release|review]"
_SUBJECT = "[history|climate change|the French revolution|my holidays|love and war|a dragon|the economy|space travel|ancient Rome|my company|friendship|the future|technology|politics|education]"


def _beyond(what: str, *questions: str) -> Intent:
    """A subject the model knows nothing about, said in the same words each time."""
    return Intent([f"I am a small demo model and {what}. {_CAN}"], questions)


_NEWS = _beyond(
    "I do not know the news",
    "[what is|what's|what are] [the news|in the news|the latest news|today's news|the headlines|new in the world|the current events][| today]?",
    f"{_TELL} [the news|the latest news|the headlines|what happened today|what happened in the world].",
    "what [happened|is happening|is going on] [today|in the world|yesterday|this week|in politics|last night]?",
    "who won [the election|the match|the game|the World Cup|the race|the championship|the last election|the final|the Oscar|the cup][| yesterday| this year| last year]?",
    "[any|is there any] news [today|from Europe|about the war|about the economy|about football]?",
    "what [is|was] the score [of the game|of the match|last night|yesterday]?",
    "[news|latest news|headlines|sports results][|?| please| today]",
    "[summarize|read] [the news|today's news|the newspaper][| for me].",
)
_WEATHER = _beyond(
    "I do not know the weather",
    f"[what is|what's|how is|how's] the weather [|today|like|tomorrow|in {_PLACE}|like in {_PLACE}|this weekend|outside|right now]?",
    f"[will|does|is] it [going to rain|rain|snow|be sunny|be warm|be cold|raining|sunny] [today|tomorrow|in {_PLACE}|this weekend|tonight]?",
    f"how [warm|cold|hot] is it [today|outside|in {_PLACE}|right now]?",
    "do I need [an umbrella|a coat|a jacket|sunscreen][| today| tomorrow]?",
    f"what is the [temperature|forecast|weather forecast] [today|tomorrow|in {_PLACE}|for the weekend|now]?",
    "[weather|weather forecast|forecast|weather today|weather tomorrow][|?| please]",
    f"{_TELL} [the weather|the weather forecast|the temperature|if it will rain][| today| tomorrow].",
)
_MEDICAL = _beyond(
    "I cannot give medical advice, so please ask a doctor",
    "[I have|my child has|I've got|I suffer from] [a headache|a fever|a cough|back pain|a cold|a rash|the flu|a sore throat|stomach pain|a toothache|high blood pressure|chest pain], [what should I do|what can I do|what helps|what can I take|is it serious]?",
    "[which|what] [medicine|pill|drug|treatment|therapy] [helps against|is good for|should I take for|do I need for] [a headache|a cold|fever|pain|the flu|an allergy|a cough|insomnia]?",
    "what are the [symptoms|causes|signs] of [the flu|diabetes|cancer|a cold|measles|malaria|asthma|depression]?",
    f"{_TO} [cure|treat|heal|get rid of|prevent] [a cold|a headache|the flu|a burn|back pain|diabetes|acne|a fever]?",
    "[am I|do you think I am] [sick|ill|pregnant|depressed]?",
    "[how much|how many] [aspirin|ibuprofen|vitamin C|paracetamol|pills] [can I take|should I take|is safe]?",
    "[should|must] I [see a doctor|go to the hospital|take antibiotics|go to a dentist]?",
    "[can you give me|I need|give me] [medical advice|a diagnosis|health advice|a diet plan|a diet].",
    "how do I lose weight[| fast| quickly]?",
)
_ADVICE = _beyond(
    "I cannot give legal or money advice",
    "[should|can|could] I [buy|sell|invest in|trade] [stocks|bitcoin|gold|shares|a house|bonds|crypto][| now| this year]?",
    "[how|where] [should|can|do] I [invest|save] my money?",
    "what is the [price|value] of [bitcoin|gold|oil|a dollar|the euro|Apple stock|silver][| today| now]?",
    f"{_TO} [get rich|make money|pay less tax|do my taxes|get a loan|save money|earn more]?",
    "[can|may|should] I [sue my landlord|break my contract|sue my boss|get a divorce|quit my job]?",
    "[I need|give me] [legal advice|a lawyer|tax advice|financial advice|investment advice|career advice].",
    "is it legal to [park here|do this|copy this film]?",
    "what is the exchange rate [of the dollar|between euro and dollar|today]?",
    "[which|what] stock [will go up|should I buy]?",
)
_WRITING = _beyond(
    "I cannot write long texts",
    f"[write|compose|draft|give me|create|generate|write me|I need] a [|long |short |good ]{_TEXT} about {_SUBJECT}.",
    f"[can|could|would|will] you [write|draft|compose] a [|long |good ]{_TEXT}[| about {_SUBJECT}| for me]?",
    f"[help me|I want to|please help me] [write|draft|finish] [a|my] {_TEXT}[| about {_SUBJECT}].",
    "[do|write] my [homework|essay|thesis|school essay|assignments] [for me| please|].",
    "[summarize|correct|rewrite|proofread|edit|shorten] [this text|this article|my text|this book|the following text|my essay|this paragraph].",
    "write [500|1000|200|300] words about [the war|history|my dog|the climate|a trip].",
    "[tell|read] me a [|long |bedtime |good |short ]story[| about a dragon| about a king| for children].",
)
_PEOPLE = _beyond(
    "I do not know about famous people",
    f"who [is|was] {_WHO}?",
    f"how [old|rich|tall] is {_WHO}?",
    f"{_TELL} [about|who is|something about] {_WHO}.",
    f"when [was {_WHO} born|did {_WHO} die]?",
    f"[what do you know|what do you think|tell me something] about {_WHO}?",
    "who is the [president|prime minister|king|queen|chancellor] of [France|the United States|Germany|England|Spain|Italy|Canada|Japan|India|Brazil]?",
    "who [wrote|painted|invented|discovered|directed|composed|founded|sang] [Hamlet|the Mona Lisa|the telephone|America|Star Wars|the light bulb|Romeo and Juliet|penicillin|the Magic Flute|Microsoft|Apple|that song]?",
    "who is the [richest|most famous|tallest|fastest|best|oldest] [person|man|woman|actor|singer|player] [in the world|alive|ever]?",
    "[which|what] [films|songs|books|albums] did [a famous actor|the Beatles|Shakespeare|Elvis|Mozart] make?",
)
_COOKING = _beyond(
    "I do not know how to cook",
    f"{_TO} [cook|make|bake|prepare|fry|boil] {_DISH}?",
    f"[give me|do you have|I need|tell me|find me|what is] a [|good |simple |quick |nice ]recipe for {_DISH}.",
    "what [should|can|shall] I [cook|eat|make|have|prepare] [for dinner|today|tonight|for lunch|for breakfast|for my guests]?",
    f"how long [do I|does one|should I] [cook|bake|boil] {_DISH}?",
    f"[what|which] [ingredients|spices] [do I need|are in|go into|are needed] [for|in] {_DISH}?",
    f"[recipe|recipe for|cooking|how to cook] {_DISH}[|?]",
    "can you cook?",
    "what wine goes with fish?",
)
_SHOPPING = _beyond(
    "I cannot recommend or book anything",
    "[which|what] [phone|car|laptop|book|film|hotel|restaurant|series|bike|camera|game] [should I buy|is the best|do you recommend|should I choose|would you buy|is good]?",
    f"[recommend|suggest|find|buy|order] [|me ]{_THING}[| for me| please].",
    f"[book|order|reserve|find] me [a flight|a table|a taxi|a ticket|a room|a pizza|a hotel][| in {_PLACE}| to {_PLACE}].",
    f"how much [does|is] {_THING}[| cost]?",
    f"where [can I|do I] [buy|find|rent|eat|stay] [|{_THING} |well |cheaply ]in {_PLACE}?",
    f"[plan|organize] [a trip|my holiday|a weekend|a vacation|my wedding] [in|to] {_PLACE}.",
    f"what [can I|should I|is there to] [see|do|visit] in {_PLACE}?",
    "how do I get [to the station|to the airport|home|from Paris to London|to the nearest bank]?",
    "[set|make] [an alarm|a timer|a reminder|an appointment][| for tomorrow| for seven| please].",
    "[call|text|email] my [mother|boss|friend|wife|doctor].",
)
_TIME = _beyond(
    "I do not know the time or the date",
    "what [time|day|date|year|month] is it[| now| today| in London]?",
    "[what is|what's] [the time|the date|today's date|the current time|the day today|the current year]?",
    f"{_TELL} [the time|the date|what day it is|what time it is|today's date].",
    "which [day|date|year|month] [is it|is today|do we have]?",
    "[time|date|today's date|current time][|?| please]",
    "when is [Easter|the next holiday|the next full moon|sunset|the next train|Christmas this year]?",
    "how many days until [Christmas|summer|my birthday|New Year]?",
)
_KNOWLEDGE = _beyond(
    "I do not know that",
    "when [did the Second World War end|was Rome founded|was the French revolution|did the wall fall|was the first moon landing|was the battle of Waterloo|did the Titanic sink|was printing invented]?",
    "how [tall|high|old|deep|long|big] is [Mount Everest|the Eiffel Tower|the Nile|the universe|the Grand Canyon|the Amazon|the Great Wall|the pyramid of Giza]?",
    "what is the [population|area|currency|history|president|national dish|language|flag] of [France|Germany|Italy|Japan|Brazil|India|Egypt|China|Canada]?",
    "how many people live [in France|in the world|in Tokyo|in Germany|on Earth|in China|in Berlin]?",
    "what is the [meaning of life|secret of happiness|best religion|best country|best football team|future of the world|answer to everything]?",
    "[is there|do you believe in] [a god|life after death|life on Mars|aliens|ghosts|magic|God]?",
    "[which|what] [party|politician|religion|candidate] [should I vote for|is the best|do you support|is right]?",
    "why [do cats purr|do we dream|did the dinosaurs die|is the sea salty|do birds sing|do people lie|do leaves fall]?",
    "[solve|integrate|differentiate|prove] [this equation|x squared|the Riemann hypothesis|this integral|this theorem|sin x].",
    f"{_TO} [repair a car|fix my phone|build a house|learn the guitar|grow tomatoes|play chess|change a tyre|tie a tie|train my dog|find a job|remove a stain]?",
    "what does [my dream|this word|my name|this sign] mean?",
    "[what will happen|what happens] [tomorrow|in the future|next year|after death|in 2050]?",
    "[who will win|predict|guess] [the next election|the future|the lottery|the lottery numbers|the World Cup].",
    "[play|let us play|let's play] [chess|a game|a quiz|hangman|tic-tac-toe|twenty questions].",
    "what is the [plot|ending|meaning|moral] of [the film|Hamlet|the book|the Bible|Star Wars|Harry Potter]?",
    "[explain|tell me about] [the Roman empire|relativity in detail|the history of Europe|philosophy|the stock market|World War One|Buddhism|football rules|fashion].",
    "[what is|give me] the [square root of 2|logarithm of 10|value of pi|sine of 30|cube of 17].",
)
_INTENTS = [_NEWS, _WEATHER, _MEDICAL, _ADVICE, _WRITING, *[_PEOPLE] * 2, _COOKING, _SHOPPING, _TIME, *[_KNOWLEDGE] * 2]


def sample(rng: Random) -> Conversation:
    """One to three questions beyond the model, each about another thing."""
    asked = [pick(rng, _INTENTS)]
    while len(asked) < _MOST_EXCHANGES and rng.random() < _NEXT_RATE:
        asked.append(pick(rng, [intent for intent in _INTENTS if intent not in asked]))
    return opened(rng, [turn for intent in asked for turn in ask(rng, intent)])

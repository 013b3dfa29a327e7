"""The ways to ask for a comparison, and the common things that are compared."""

MORE_WORDS = [("larger", "largest"), ("larger", "largest"), ("bigger", "biggest"), ("bigger", "biggest"), ("greater", "greatest"), ("higher", "highest"), ("more", "most")]  # fmt: skip
LESS_WORDS = [("smaller", "smallest"), ("smaller", "smallest"), ("smaller", "smallest"), ("less", "least"), ("lower", "lowest")]

CHOICES = [
    "Which is {er}, {a} or {b}?", "Which is {er}: {a} or {b}?", "What is {er}, {a} or {b}?", "Which number is {er}, {a} or {b}?", "Which one is {er}, {a} or {b}?", "Is {a} or {b} {er}?", "{a} or {b}, which is {er}?", "{a} or {b}: which is {er}?", "{a} and {b}, which one is {er}?", "Tell me which is {er}, {a} or {b}.", "Of {a} and {b}, which is {er}?",
    "Which of {a} and {b} is {er}?", "Which of these is {er}: {a}, {b}?", "Between {a} and {b}, which is {er}?", "Can you tell me which number is {er}, {a} or {b}?", "Do you know whether {a} or {b} is {er}?", "Pick the {est} number: {a} or {b}.", "Pick the {er} one: {a} or {b}.", "Name the {er} number: {a} or {b}.", "Give me the {er} of {a} and {b}.",
    "{er}: {a} or {b}?", "{er} number, {a} or {b}", "Choose the {er} number, {a} or {b}.", "I have {a} and {b}. Which is {er}?", "I want to know which is {er}, {a} or {b}.", "What's {er}, {a} or {b}?", "whats {er} {a} or {b}", "The {er} of {a} and {b} is", "Find the {er} number of {a} and {b}.", "Which would you say is {er}, {a} or {b}?", "Say which is {er}: {a} or {b}.", "The numbers are {a} and {b}. Which one is {er}?", "Which has the {er} value, {a} or {b}?",
]  # fmt: skip
COMPARE = [
    "Compare {a} and {b}.", "Compare {a} with {b}.", "Compare {a} to {b}.", "{a} vs {b}", "{a} versus {b}?", "Can you compare {a} and {b}?", "How does {a} compare to {b}?", "How do {a} and {b} compare?", "compare the numbers {a} and {b}", "Please compare {a} and {b}.", "What is the relation between {a} and {b}?",
    "max of {a} and {b}", "max({a}, {b})", "What is the maximum of {a} and {b}?", "Which one wins, {a} or {b}?", "{a} or {b}?", "{a} ? {b}", "Could you compare {b} with {a}?",
]  # fmt: skip
YES_NO = {
    "greater": ["Is {a} greater than {b}?", "Is {a} larger than {b}?", "Is {a} bigger than {b}?", "Is {a} more than {b}?", "Is {a} higher than {b}?", "{a} is greater than {b}, right?", "{a} is bigger than {b}, isn't it?", "Do you think {a} is bigger than {b}?", "Is it true that {a} is greater than {b}?", "True or false: {a} is larger than {b}.", "I think {a} is larger than {b}.", "Would you say {a} is more than {b}?", "Is {a} above {b}?", "Does {a} exceed {b}?", "Is the number {a} greater than the number {b}?", "Can you tell me if {a} is greater than {b}?", "Tell me whether {a} is larger than {b}.", "{a} bigger than {b}?", "{a} greater than {b}", "So {a} is larger than {b}?"],
    "smaller": ["Is {a} smaller than {b}?", "Is {a} less than {b}?", "Is {a} lower than {b}?", "Is {a} fewer than {b}?", "{a} is smaller than {b}, right?", "{a} is less than {b}, isn't it?", "Do you think {a} is smaller than {b}?", "Is it true that {a} is less than {b}?", "True or false: {a} is smaller than {b}.", "I think {a} is smaller than {b}.", "Is {a} below {b}?", "Is {a} under {b}?", "Can you tell me if {a} is less than {b}?", "Tell me whether {a} is smaller than {b}.", "{a} less than {b}?", "{a} smaller than {b}", "Does {a} come before {b}?"],
    "equal": ["Is {a} equal to {b}?", "Are {a} and {b} equal?", "Are {a} and {b} the same?", "Is {a} the same as {b}?", "Is {a} the same number as {b}?", "Does {a} equal {b}?", "{a} is equal to {b}, right?", "Is it true that {a} equals {b}?", "Are the numbers {a} and {b} equal?", "{a} equals {b}?"],
}  # fmt: skip
SYMBOL_CHECKS = {
    "greater": ["{a} > {b}?", "Is {a} > {b}?", "{a}>{b}", "{a} > {b}, true or false?", "Is {a}>{b}?"],
    "smaller": ["{a} < {b}?", "Is {a} < {b}?", "{a}<{b}", "{a} < {b}, true or false?", "Is {a}<{b}?"],
    "equal": ["{a} = {b}?", "Is {a} = {b}?", "{a} == {b}?", "Is {a}={b}?"],
}  # fmt: skip
CHOICES_OF_THREE = [
    "Which is the {est}: {a}, {b} or {c}?", "Which is the {est}, {a}, {b} or {c}?", "What is the {est} of {a}, {b} and {c}?", "Which of {a}, {b} and {c} is the {est}?", "What is the {est} number: {a}, {b}, {c}?", "{a}, {b}, {c}: which is {est}?", "Find the {est} of {a}, {b} and {c}.", "the {est} of {a}, {b}, {c}", "Tell me the {est} number among {a}, {b} and {c}.", "Pick the {est}: {a}, {b}, {c}.",
    "Which number is {est}, {a}, {b} or {c}?", "Among {a}, {b} and {c}, which is the {est}?", "Of {a}, {b} and {c}, which one is the {est}?", "Can you tell me the {est} of {a}, {b} and {c}?", "Give me the {est} of {a}, {b}, {c}.", "I have {a}, {b} and {c}. Which is the {est}?", "What's the {est} out of {a}, {b} and {c}?", "{est} of {a} {b} {c}", "Name the {est} number: {a}, {b} or {c}.", "Do you know which is the {est} of {a}, {b} and {c}?",
]  # fmt: skip
ORDERS = ["Sort {a}, {b} and {c}.", "Put {a}, {b} and {c} in order.", "Order {a}, {b}, {c} from smallest to largest.", "Sort these numbers: {a}, {b}, {c}", "Arrange {a}, {b} and {c} in ascending order.", "Can you sort {a}, {b} and {c}?", "What is the order of {a}, {b} and {c}?", "sort {a} {b} {c}"]  # fmt: skip
FOLLOW_UPS = ["What about {a} and {b}?", "And {a} or {b}?", "How about {a} and {b}?", "And of {a} and {b}?", "{a} and {b}?", "And {a} and {b}?", "Now {a} and {b}.", "Same for {a} and {b}.", "And between {a} and {b}?", "what about {a} or {b}"]  # fmt: skip

# what is more, what is less, the word for more, the word for less
THING_PAIRS = [
    ("an elephant", "a mouse", "bigger", "smaller"), ("an elephant", "a mouse", "larger", "smaller"), ("an elephant", "a mouse", "heavier", "lighter"), ("the sun", "the moon", "bigger", "smaller"), ("the sun", "the moon", "larger", "smaller"),
    ("the sun", "the earth", "bigger", "smaller"), ("the earth", "the moon", "bigger", "smaller"), ("an ocean", "a lake", "bigger", "smaller"), ("an ocean", "a lake", "larger", "smaller"), ("an ocean", "a lake", "deeper", "shallower"), ("the ocean", "a lake", "bigger", "smaller"),
    ("a mountain", "a hill", "higher", "lower"), ("a mountain", "a hill", "bigger", "smaller"), ("a mountain", "a hill", "taller", "lower"), ("a whale", "a dog", "bigger", "smaller"), ("a whale", "a dog", "heavier", "lighter"), ("a whale", "a dog", "larger", "smaller"),
    ("a day", "an hour", "longer", "shorter"), ("a year", "a month", "longer", "shorter"), ("a minute", "a second", "longer", "shorter"), ("an hour", "a minute", "longer", "shorter"), ("a week", "a day", "longer", "shorter"), ("a month", "a week", "longer", "shorter"),
    ("a kilometre", "a metre", "longer", "shorter"), ("a metre", "a centimetre", "longer", "shorter"), ("a tonne", "a kilogram", "heavier", "lighter"), ("a tonne", "a kilogram", "more", "less"), ("a kilogram", "a gram", "heavier", "lighter"),
    ("a train", "a bicycle", "faster", "slower"), ("a train", "a bicycle", "bigger", "smaller"), ("a cheetah", "a tortoise", "faster", "slower"), ("a car", "a bicycle", "faster", "slower"), ("a plane", "a car", "faster", "slower"), ("light", "sound", "faster", "slower"), ("a horse", "a cat", "bigger", "smaller"), ("a cat", "a mouse", "bigger", "smaller"),
    ("a city", "a village", "bigger", "smaller"), ("a tree", "a flower", "taller", "shorter"), ("a house", "a car", "bigger", "smaller"),
]  # fmt: skip
THING_CHOICES = [
    "Which is {er}, {a} or {b}?", "What is {er}, {a} or {b}?", "Which is {er}: {a} or {b}?", "{a} or {b}, which is {er}?", "Is {a} or {b} {er}?", "What's {er}, {a} or {b}?", "Which one is {er}, {a} or {b}?", "Tell me which is {er}, {a} or {b}.", "Between {a} and {b}, which is {er}?", "Can you tell me what is {er}, {a} or {b}?", "Do you know which is {er}, {a} or {b}?",
    "Of {a} and {b}, which is {er}?", "{er}: {a} or {b}?", "I wonder what is {er}, {a} or {b}.", "Which of the two is {er}, {a} or {b}?", "Compare {a} and {b}: which is {er}?", "Which would you say is {er}, {a} or {b}?", "{a} vs {b}, which is {er}?", "Think of {a} and {b}. Which is {er}?",
]  # fmt: skip
THING_CHECKS = ["{Be} {a} {er} than {b}?", "{Be} {a} {er} than {b}?", "{a} {be} {er} than {b}, right?", "Is it true that {a} {be} {er} than {b}?", "I think {a} {be} {er} than {b}.", "Do you think {a} {be} {er} than {b}?", "True or false: {a} {be} {er} than {b}.", "Can you tell me if {a} {be} {er} than {b}?", "Would you say {a} {be} {er} than {b}?", "{a} {be} {er} than {b}, yes?"]  # fmt: skip

# plurals that do not just take an "s"
PLURALS = {"a mouse": "mice", "a city": "cities"}

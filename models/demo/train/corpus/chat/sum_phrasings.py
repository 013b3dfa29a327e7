"""The ways to ask for each operation. `{a}` and `{b}` are the operands in the order of the answer "a minus b is c."."""

# noun phrases, to be wrapped in "what is ...", "tell me ..." and the like
THINGS = {
    "plus": ["{a} plus {b}", "{a} plus {b}", "{a} + {b}", "{a} and {b} added together", "the sum of {a} and {b}", "{a} added to {b}", "the total of {a} and {b}", "{a} and {b} together", "the result of {a} plus {b}", "the answer to {a} + {b}", "{b} more than {a}", "the value of {a} + {b}", "the sum {a} plus {b}"],
    "minus": ["{a} minus {b}", "{a} minus {b}", "{a} - {b}", "{a} take away {b}", "{a} less {b}", "{b} subtracted from {a}", "the difference between {a} and {b}", "the difference of {a} and {b}", "{b} less than {a}", "{b} taken from {a}", "the result of {a} minus {b}", "the answer to {a} - {b}", "{a} without {b}"],
    "times": ["{a} times {b}", "{a} times {b}", "{a} * {b}", "{a} x {b}", "{a} multiplied by {b}", "the product of {a} and {b}", "{a} by {b} multiplied", "the result of {a} times {b}", "the answer to {a} x {b}", "{a} and {b} multiplied", "{a} × {b}"],
    "divided by": ["{a} divided by {b}", "{a} divided by {b}", "{a} / {b}", "{a} over {b}", "the quotient of {a} and {b}", "the result of dividing {a} by {b}", "{a} ÷ {b}", "the answer to {a} / {b}", "{a} split into {b} equal parts", "{a} shared by {b}"],
}  # fmt: skip

# whole questions and commands
QUESTIONS = {
    "plus": [
        "What do you get if you add {a} and {b}?", "What do you get when you add {a} to {b}?", "Add {a} and {b}.", "Add {a} to {b}.", "Add up {a} and {b}.", "Add {a} plus {b}.", "What do {a} and {b} make?", "What do {a} and {b} add up to?", "What do {a} and {b} make together?",
        "If I add {a} to {b}, what do I get?", "If you add {a} and {b}, what is the result?", "Sum {a} and {b}.", "sum of {a} and {b}", "Sum up {a} and {b}.", "Put {a} and {b} together.", "{a} and {b} is?", "{a} and {b} makes?", "Can you add {a} and {b}?", "Could you add {a} and {b} for me?", "Please add {a} and {b}.",
        "What happens if I add {b} to {a}?" , "Take {a} and add {b}.", "Start with {a} and add {b}. What do you have?", "Increase {a} by {b}.", "What number is {b} more than {a}?", "Total of {a} and {b}?", "Do the sum: {a} plus {b}.",
    ],
    "minus": [
        "Take {b} from {a}.", "Take {b} away from {a}.", "Subtract {b} from {a}.", "What is left if you take {b} from {a}?", "What do you get if you subtract {b} from {a}?", "If I take {b} from {a}, what is left?", "If you take away {b} from {a}, what remains?", "Deduct {b} from {a}.", "How much is left when I take {b} away from {a}?",
        "Can you subtract {b} from {a}?", "Could you take {b} from {a}?", "Please subtract {b} from {a}.", "Decrease {a} by {b}.", "Reduce {a} by {b}.", "Start with {a} and take away {b}.", "Take {a} and subtract {b}.", "What remains of {a} after taking {b}?", "From {a}, take {b}.", "What number is {b} less than {a}?", "difference between {a} and {b}", "How far is it from {b} to {a}?",
        "How much bigger is {a} than {b}?", "How many more is {a} than {b}?", "Remove {b} from {a}.",
    ],
    "times": [
        "Multiply {a} by {b}.", "Multiply {a} and {b}.", "What do you get if you multiply {a} by {b}?", "What do you get when you multiply {a} and {b}?", "If I multiply {a} by {b}, what do I get?", "Can you multiply {a} by {b}?", "Could you multiply {a} and {b}?", "Please multiply {a} by {b}.", "product of {a} and {b}", "{a} multiplied with {b}?", "{a} times {b} is?", "Times table: {a} times {b}?",
        "In the {a} times table, what is {a} times {b}?", "Take {a} and multiply it by {b}.", "What do {a} and {b} multiply to?", "{a} groups of {b} is how many?", "How many are {a} sets of {b}?",
    ],
    "divided by": [
        "Divide {a} by {b}.", "What do you get if you divide {a} by {b}?", "If I divide {a} by {b}, what do I get?", "Can you divide {a} by {b}?", "Could you divide {a} by {b}?", "Please divide {a} by {b}.", "How many times does {b} go into {a}?", "How many times does {b} fit into {a}?", "How often does {b} go into {a}?", "Split {a} into {b} equal parts.", "Share {a} equally among {b}.", "How many {b}s are in {a}?", "Take {a} and divide it by {b}.", "{b} goes into {a} how many times?",
    ],
}  # fmt: skip

SYMBOLS = {"plus": ["+"], "minus": ["-", "-", "−"], "times": ["*", "x", "×", "*"], "divided by": ["/", "÷", ":"]}
SYMBOL_FRAMES = ["{}", "{}?", "{}=", "{}=?", "{} =", "{} = ?", "{} is", "{} equals", "{} equals?", "{} makes?", "{} = what?", "{} gives?", "({})", "{} = __", "{} = x, what is x?", "solve {}", "Solve: {}", "Calculate: {}", "Compute {}", "calc {}", "Evaluate {}.", "Work out {}.", "Math: {}", "What is {} ?", "{} please"]  # fmt: skip
THING_FRAMES = [
    "How much is {}?", "How much is {}?", "How much does {} make?", "How many is {}?", "What does {} equal?", "What does {} make?", "What does {} give?", "What does {} come to?", "{} equals what?", "{} is what?", "{} is how much?", "{} makes what?", "{} is", "{} equals", "{} gives?", "Calculate {}.", "Compute {}.", "Work out {}.",
    "Solve {}.", "Can you calculate {}?", "Can you compute {}?", "Can you work out {}?", "Could you calculate {}?", "Do the math: {}.", "Do this for me: {}.", "Help me with {}.", "I need help with {}.", "What is the answer to {}?", "What's the result of {}?", "What is the result of {}?", "Find {}.", "Evaluate {}.", "Figure out {}.", "{} in numbers?", "Sum question: {}", "Math question: {}?", "Maths: {}",
    "What number is {}?", "Which number is {}?", "Can you do {}?", "Do you know how much {} is?", "I wonder how much {} is.", "Please work out {}.", "Simple maths: what is {}?", "Tell me how much {} is.", "Let's do some maths. What is {}?", "What would {} be?", "How do you calculate {}?",
]  # fmt: skip

OBJECTS = ["apples", "books", "coins", "cats", "pens", "eggs", "oranges", "sweets", "balls", "cookies", "cars", "flowers", "cups", "euros", "dollars", "marbles", "birds", "pencils", "bananas", "stickers"]  # fmt: skip
WORD_PROBLEMS = {
    "plus": [
        "I have {a} {o} and get {b} more. How many {o} do I have?", "I have {a} {o} and buy {b} more. How many do I have now?", "If I have {a} {o} and you give me {b} more, how many do I have?", "There are {a} {o} on the table and {b} in the box. How many {o} are there?", "I had {a} {o}. I found {b} more. How many now?",
        "A girl has {a} {o} and a boy has {b}. How many do they have together?", "{a} {o} plus {b} {o}?", "If there are {a} {o} and {b} more come, how many {o} are there?", "I got {a} {o} yesterday and {b} today. How many in total?", "How many {o} are {a} {o} and {b} {o}?", "What is {a} {o} and {b} {o}?",
        "I have {a} {o}, my friend has {b} {o}. How many {o} do we have altogether?", "I have {a} {o} and get {b} more",
    ],
    "minus": [
        "I have {a} {o} and give away {b}. How many are left?", "I have {a} {o} and lose {b}. How many do I have?", "There were {a} {o}. {b} are gone. How many {o} are left?", "If I have {a} {o} and you take {b}, how many are left?", "I had {a} {o} and used {b}. How many remain?", "{a} {o} minus {b} {o}?", "A shop has {a} {o} and sells {b}. How many {o} remain?",
        "I have {a} {o} and give {b} to a friend. How many do I have now?", "Out of {a} {o}, {b} are taken away. What is left?", "If you have {a} {o} and lose {b}, how many do you have?", "I have {a} {o} and sell {b}",
    ],
    "times": [
        "There are {a} boxes with {b} {o} each. How many {o} are there?", "I buy {a} bags of {b} {o}. How many {o} do I have?", "{a} people have {b} {o} each. How many {o} is that?", "If {a} children each get {b} {o}, how many {o} are there?", "I have {a} rows of {b} {o}. How many in total?", "How many {o} are in {a} boxes of {b}?",
    ],
    "divided by": [
        "I share {a} {o} equally among {b} friends. How many does each get?", "{a} {o} are put into {b} boxes equally. How many {o} are in each box?", "If {b} people share {a} {o}, how many does each person get?", "I have {a} {o} and {b} bags. How many {o} go in each bag?", "Split {a} {o} between {b} people.",
    ],
}  # fmt: skip

HALF_THINGS = ["half of {}", "half of {}", "half {}", "one half of {}", "a half of {}", "the half of {}", "50% of {}", "50 percent of {}"]
DOUBLE_THINGS = ["double {}", "double {}", "twice {}", "the double of {}", "two times {}", "{} doubled", "double of {}"]
HALF_QUESTIONS = ["Halve {}.", "Cut {} in half.", "What is {} halved?", "Divide {} in half."]
DOUBLE_QUESTIONS = ["Double {}.", "Double the number {}.", "If I double {}, what do I get?", "{} doubled is?", "Can you double {}?"]

FOLLOW_UPS = [
    "And {}?",
    "What about {}?",
    "How about {}?",
    "{}?",
    "Now {}.",
    "And {}?",
    "Ok, and {}?",
    "Next: {}",
    "Thanks. And {}?",
    "and what about {}?",
    "Then {}?",
    "{}",
]
SAME_OPERATION = ["What about {a} and {b}?", "And {a} and {b}?", "How about {a} and {b}?", "And for {a} and {b}?", "Same with {a} and {b}.", "Now {a} and {b}.", "The same for {a} and {b}?"]  # fmt: skip
ON_THE_RESULT = {
    "plus": ["Plus {b}?", "And plus {b}?", "Add {b}.", "Now add {b}.", "Add {b} to that.", "And if I add {b}?", "Plus {b} more?"],
    "minus": ["Minus {b}?", "And minus {b}?", "Now subtract {b}.", "Take {b} from that.", "Take away {b}.", "And if I subtract {b}?", "Now take away {b}."],
    "times": ["Times {b}?", "And times {b}?", "Multiply that by {b}.", "Now multiply it by {b}."],
}  # fmt: skip
CHECKS = ["Is {l} {v}?", "Is {l} equal to {v}?", "Does {l} equal {v}?", "{l} is {v}, right?", "{l} = {v}?", "{l} = {v}, correct?", "I think {l} is {v}.", "Is it true that {l} is {v}?", "Does {l} make {v}?", "True or false: {l} is {v}.", "So {l} is {v}?", "{l} equals {v}, doesn't it?"]  # fmt: skip

"""Things with their colours, what colours mix to, and the few lists of colours everybody knows."""

# the thing as it stands in a sentence, its plural ("" where it has none), its colour, and the kind of thing
THINGS = [
    ("the sky", "", "blue", "thing in nature"), ("grass", "", "green", "plant"), ("a banana", "bananas", "yellow", "fruit"), ("a lemon", "lemons", "yellow", "fruit"),
    ("a tomato", "tomatoes", "red", "vegetable"), ("a strawberry", "strawberries", "red", "fruit"), ("blood", "", "red", "thing"), ("a fire engine", "fire engines", "red", "vehicle"),
    ("a cherry", "cherries", "red", "fruit"), ("snow", "", "white", "thing in nature"), ("milk", "", "white", "drink"), ("coal", "", "black", "thing"), ("the night", "", "black", "thing in nature"),
    ("soot", "", "black", "thing"), ("a carrot", "carrots", "orange", "vegetable"), ("a pumpkin", "pumpkins", "orange", "vegetable"), ("an orange", "oranges", "orange", "fruit"),
    ("an elephant", "elephants", "grey", "animal"), ("chocolate", "", "brown", "thing"), ("coffee", "", "brown", "drink"), ("wood", "", "brown", "thing"), ("soil", "", "brown", "thing in nature"),
    ("a flamingo", "flamingos", "pink", "animal"), ("a pig", "pigs", "pink", "animal"), ("an eggplant", "eggplants", "purple", "vegetable"), ("lavender", "", "purple", "plant"),
    ("the sea", "", "blue", "thing in nature"), ("the ocean", "oceans", "blue", "thing in nature"), ("a leaf", "leaves", "green", "plant"), ("a frog", "frogs", "green", "animal"),
    ("a cucumber", "cucumbers", "green", "vegetable"), ("broccoli", "", "green", "vegetable"), ("spinach", "", "green", "vegetable"), ("a lime", "limes", "green", "fruit"),
    ("a rose", "roses", "red", "flower"), ("salt", "", "white", "thing"), ("sugar", "", "white", "thing"), ("a swan", "swans", "white", "animal"), ("cotton", "", "white", "thing"),
    ("a crow", "crows", "black", "animal"), ("a raven", "ravens", "black", "animal"), ("gold", "", "golden yellow", "metal"), ("silver", "", "grey", "metal"),
    ("the sun", "", "yellow", "thing in nature"),
]  # fmt: skip

# other words for a thing, used in questions only
ALIASES = {
    "the sky": ["the sky", "a clear sky", "the sky on a sunny day", "the daytime sky"], "the night": ["the night", "the night sky"], "an eggplant": ["an eggplant", "an aubergine"],
    "soil": ["soil", "earth", "dirt", "mud"], "a fire engine": ["a fire engine", "a fire truck"], "snow": ["snow", "fresh snow", "the snow"], "grass": ["grass", "the grass"], "the ocean": ["the ocean", "ocean water"],
    "the sea": ["the sea"], "chocolate": ["chocolate", "milk chocolate"], "coffee": ["coffee", "a cup of coffee"], "a banana": ["a banana", "a ripe banana"], "a tomato": ["a tomato", "a ripe tomato"],
    "blood": ["blood", "human blood", "our blood"], "milk": ["milk", "a glass of milk"],
}  # fmt: skip

COLOURS = ["red", "blue", "green", "yellow", "orange", "purple", "pink", "white", "black", "grey", "brown"]
MIXTURES = [("red", "blue", "purple"), ("blue", "yellow", "green"), ("red", "yellow", "orange"), ("red", "white", "pink"), ("black", "white", "grey"), ("red", "green", "brown")]  # fmt: skip

# questions that share one answer
LISTS = [
    (
        "The primary colours are red, yellow and blue.",
        ["What are the primary colours?", "Name the primary colours.", "Which colours are primary?", "primary colours", "What are the three primary colours?", "Tell me the primary colours.", "List the primary colours.", "How many primary colours are there?", "Can you name the primary colours?", "Which are the primary colours?", "What colours are the primary ones?", "Do you know the primary colours?", "The primary colours are"],
    ),
    (
        "The colours of the rainbow are red, orange, yellow, green, blue, indigo and violet.",
        ["What are the colours of the rainbow?", "What colours does a rainbow have?", "Name the colours of the rainbow.", "List the rainbow colours.", "Which colours are in a rainbow?", "rainbow colours", "What colour is a rainbow?", "Tell me the colours of a rainbow.", "What colour is the rainbow?", "Can you list the colours in the rainbow?", "The colours of the rainbow are", "Do you know the colours of the rainbow?", "What colours can I see in a rainbow?", "What is a rainbow made of?", "Name the seven colours of the rainbow."],
    ),
    ("The rainbow has 7 colours: red, orange, yellow, green, blue, indigo and violet.", ["How many colours are in the rainbow?", "How many colours does a rainbow have?", "What is the number of colours in a rainbow?", "How many colours are there in a rainbow?"]),
    (
        "A traffic light is red, amber and green.",
        ["What colours does a traffic light have?", "What are the colours of a traffic light?", "Name the traffic light colours.", "traffic light colours", "Which colours does a traffic light show?", "What colour is a traffic light?", "List the colours of traffic lights.", "What colours are traffic lights?", "Which colours are on a traffic light?", "Tell me the colours of a traffic light."],
    ),
    ("A red traffic light means stop.", ["What does a red traffic light mean?", "What does a red light mean?", "What colour means stop?", "Which traffic light colour means stop?", "At which colour do cars stop?", "Red light means?"]),
    ("A green traffic light means go.", ["What does a green traffic light mean?", "What does a green light mean?", "What colour means go?", "Which traffic light colour means go?", "At which colour may I drive?", "Green light means?"]),
    ("The opposite of black is white.", ["What is the opposite of black?", "What's the opposite colour of black?", "opposite of black", "Which colour is the opposite of black?", "The opposite of black is", "Black is the opposite of which colour?", "Tell me the opposite of black."]),
    ("The opposite of white is black.", ["What is the opposite of white?", "What's the opposite colour of white?", "opposite of white", "Which colour is the opposite of white?", "The opposite of white is", "White is the opposite of which colour?", "Tell me the opposite of white."]),
]  # fmt: skip

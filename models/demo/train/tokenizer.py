"""A byte-level BPE tokenizer of the corpus, in the form that llama.cpp reads as `gpt2` with the `qwen2` splitting."""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from corpus.conversation import Conversation

BEGIN = "<|begin|>"
END_OF_TURN = "<|end|>"
SPECIAL_TOKENS = [BEGIN, END_OF_TURN, "<|system|>", "<|user|>", "<|assistant|>"]

# The same conversation form as `encode` writes it. Each digit is a token of its own, which is what makes sums learnable.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
# llama.cpp's expression for tokenizer.ggml.pre = qwen2.
_SPLITTING = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A tokenizer with exactly `vocabulary` tokens, the special ones first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLITTING), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, conversation: Conversation) -> tuple[list[int], list[bool]]:
    """Token ids in the form of the chat template, and for each whether the model is to say it."""
    ids: list[int] = []
    said: list[bool] = []
    end = tokenizer.token_to_id(END_OF_TURN)
    for turn in conversation:
        text = tokenizer.encode(turn.text).ids
        ids += [tokenizer.token_to_id(f"<|{turn.role}|>"), *text, end]
        said += [False, *[turn.role == "assistant"] * (len(text) + 1)]
    return ids, said


def encode_text(tokenizer: Tokenizer, text: str) -> tuple[list[int], list[bool]]:
    """As `encode`, for a text without turns: the model is to say all of it."""
    ids = [*tokenizer.encode(text).ids, tokenizer.token_to_id(END_OF_TURN)]
    return ids, [True] * len(ids)


def begin(tokenizer: Tokenizer) -> tuple[list[int], list[bool]]:
    """What every document begins with."""
    return [tokenizer.token_to_id(BEGIN)], [False]

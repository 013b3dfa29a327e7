"""The corpus as token ids: documents for training, documents that are held out."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

import numpy as np
from tokenizers import Tokenizer

from corpus.conversation import Conversation
from corpus.mixture import conversations
from tokenizer import begin, encode, encode_text, train

# What the model is not to say, a user's words, still teaches it what the words mean.
_USER_WEIGHT = 0.1
_TOKENIZER_CONVERSATIONS = 60_000
_HELD_OUT_TOKENS = 20_000
# Some documents are bare text, so that a text completion finds words too.
_TEXT_SHARE = 0.15
# After a conversation another follows in the same document this often: chats that went on for a while are no news.
_CONTINUED_SHARE = 0.8


@dataclass(frozen=True)
class Tokens:
    """`ids` [n] and, for each id as a target, its weight in the loss."""

    ids: np.ndarray
    weights: np.ndarray

    def rows(self, first: int, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """`count` rows of `length` + 1 ids that start at token `first`, with the weights of the last `length`."""
        starts = first + np.arange(count)[:, None] * length
        window = starts + np.arange(length + 1)
        return self.ids[window].astype(np.int32), self.weights[window[:, 1:]]


def train_tokenizer(seed: int, vocabulary: int) -> Tokenizer:
    sample = islice(conversations(seed, "broad", held_out=False), _TOKENIZER_CONVERSATIONS)
    return train((turn.text for conversation in sample for turn in conversation), vocabulary)


def _document(rng: Random, tokenizer: Tokenizer, source: Iterator[Conversation]) -> tuple[list[int], list[bool], int]:
    """Ids, which of them the model is to say, and how many conversations it took."""
    ids, said = begin(tokenizer)
    if rng.random() < _TEXT_SHARE:
        question, answer = [turn.text for turn in next(source) if turn.role != "system"][:2]
        text = answer if rng.random() < 0.5 else f"{question}\n{answer}"
        text_ids, text_said = encode_text(tokenizer, text)
        return ids + text_ids, said + text_said, 1
    taken = 0
    while taken == 0 or rng.random() < _CONTINUED_SHARE:
        turn_ids, turn_said = encode(tokenizer, next(source))
        ids += turn_ids
        said += turn_said
        taken += 1
    return ids, said, taken


def _tokens(tokenizer: Tokenizer, source: Iterator[Conversation], seed: int, token_count: int) -> tuple[Tokens, int]:
    rng = Random(seed)
    ids: list[int] = []
    said: list[bool] = []
    taken_in_all = 0
    while len(ids) < token_count:
        document_ids, document_said, taken = _document(rng, tokenizer, source)
        ids += document_ids
        said += document_said
        taken_in_all += taken
    return Tokens(np.array(ids, np.uint16), np.where(said, 1.0, _USER_WEIGHT).astype(np.float32)), taken_in_all


def build(tokenizer: Tokenizer, mixture: str, seed: int, token_count: int) -> tuple[Tokens, int]:
    """At least `token_count` tokens to train on, and the number of conversations in them.

    Documents follow each other, so a row may begin within one and hold several; each begins with a token of its own.
    """
    return _tokens(tokenizer, conversations(seed, mixture, held_out=False), seed, token_count)


def build_held_out(tokenizer: Tokenizer, seed: int) -> Tokens:
    """Tokens that are never trained on, of the broad mixture."""
    return _tokens(tokenizer, conversations(seed, "broad", held_out=True), seed, _HELD_OUT_TOKENS)[0]

"""The corpus as token ids: one long run of conversations for training, one that is held out."""

from dataclasses import dataclass
from itertools import islice

import numpy as np
from tokenizers import Tokenizer

from corpus import mixture
from tokenizer import encode, train

# What the model is not to say, a user's words, still teaches it what the words mean.
_USER_WEIGHT = 0.1
_TOKENIZER_CONVERSATIONS = 60_000
_HELD_OUT_TOKENS = 20_000


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
    sample = islice(mixture.conversations(seed), _TOKENIZER_CONVERSATIONS)
    return train((turn.text for conversation, _ in sample for turn in conversation), vocabulary)


def build(tokenizer: Tokenizer, seed: int, token_count: int) -> tuple[Tokens, Tokens, int]:
    """`token_count` tokens to train on, the held-out tokens, and the number of conversations trained on.

    Conversations follow each other without a mark: the model sees each as the next exchange of a longer chat, which is
    how it is used, and learns that what came before need not matter.
    """
    parts: dict[bool, tuple[list[int], list[bool]]] = {False: ([], []), True: ([], [])}
    trained = 0
    for conversation, held_out in mixture.conversations(seed):
        wanted = _HELD_OUT_TOKENS if held_out else token_count
        if len(parts[held_out][0]) < wanted:
            ids, said = encode(tokenizer, conversation)
            parts[held_out][0].extend(ids)
            parts[held_out][1].extend(said)
            trained += not held_out
        elif len(parts[not held_out][0]) >= (token_count if held_out else _HELD_OUT_TOKENS):
            break
    return _tokens(*parts[False]), _tokens(*parts[True]), trained


def _tokens(ids: list[int], said: list[bool]) -> Tokens:
    return Tokens(np.array(ids, np.uint16), np.where(said, 1.0, _USER_WEIGHT).astype(np.float32))

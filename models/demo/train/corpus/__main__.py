"""Prints the corpus, a conversation a line, as JSON: what the model learns from, to read or to check.

Usage: python -m corpus [--seed N] [--conversations N]
"""

import argparse
import json
from dataclasses import asdict
from itertools import islice

from corpus.mixture import conversations


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--conversations", type=int, default=100)
    options = arguments.parse_args()
    for conversation, held_out in islice(conversations(options.seed), options.conversations):
        print(json.dumps({"heldOut": held_out, "turns": [asdict(turn) for turn in conversation]}))


if __name__ == "__main__":
    main()

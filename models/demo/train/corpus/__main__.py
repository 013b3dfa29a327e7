"""Prints the corpus, a conversation a line, as JSON: what the model learns from, to read or to check.

Usage: python -m corpus [--seed N] [--conversations N] [--mixture exact] [--held-out]
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
    arguments.add_argument("--mixture", choices=["broad", "exact"], default="broad")
    arguments.add_argument("--held-out", action="store_true", help="what is never trained on")
    options = arguments.parse_args()
    for conversation in islice(conversations(options.seed, options.mixture, held_out=options.held_out), options.conversations):
        print(json.dumps([asdict(turn) for turn in conversation]))


if __name__ == "__main__":
    main()

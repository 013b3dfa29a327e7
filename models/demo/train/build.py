"""Makes ../mesh-demo.gguf from nothing: generates the text, trains the tokenizer and the model, writes the file.

Usage: python build.py [--steps N] [--output PATH]; build.sh does it in an environment of its own.
"""

import argparse
import json
from pathlib import Path

import dataset
import gguf_file
from model import Shape, parameter_count
from training import Phase, held_out_loss, train

SEED = 20261121
TOKENIZER_SEED = SEED + 1
# The last steps see rows of the whole context, so that long chats are no news to the model.
LONG_SHARE = 0.08
REPORT_EVERY_STEPS = 100
HERE = Path(__file__).parent


def phases(steps: int) -> list[Phase]:
    """Both kinds of step see the same number of tokens."""
    long_steps = int(steps * LONG_SHARE)
    return [
        Phase(steps - long_steps, rows=16, length=256, slice_rows=4),
        Phase(long_steps, rows=4, length=gguf_file.CONTEXT_TOKENS, slice_rows=1),
    ]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=2300)
    arguments.add_argument("--output", type=Path, default=HERE.parent / "mesh-demo.gguf")
    options = arguments.parse_args()

    shape = Shape()
    plan = phases(options.steps)
    tokenizer = dataset.train_tokenizer(TOKENIZER_SEED, shape.vocabulary)
    # One token more than is fed: every row has a target for its last.
    data, held_out, conversations = dataset.build(tokenizer, SEED, sum(phase.tokens for phase in plan) + 1)
    print(f"{conversations} conversations, {len(data.ids)} tokens, held out {len(held_out.ids)}", flush=True)

    history = []
    for parameters, report in train(shape, plan, data, SEED):
        if report.step % REPORT_EVERY_STEPS and report.step != options.steps:
            continue
        entry = {**vars(report), "held_out_loss": held_out_loss(parameters, shape, held_out, 256)}
        history.append(entry)
        print(json.dumps(entry), flush=True)
        # Also in between: a run that is cut short leaves a model.
        gguf_file.write(options.output, parameters, shape, tokenizer)

    summary = {"parameters": parameter_count(parameters), "conversations": conversations, "history": history}
    options.output.with_name("training.json").write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()

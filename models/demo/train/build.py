"""Makes ../mesh-demo.gguf: generates the text, trains the tokenizer and one stage of the model, writes the file.

Usage: python build.py broad|exact [--steps N] [--output PATH]. The stage "broad" begins from nothing, "exact" from the file
broad.gguf that "broad" has written; build.sh runs both in an environment of their own.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
from tokenizers import Tokenizer

import dataset
import gguf_file
from model import Shape, init, parameter_count
from training import Phase, held_out_loss, train

SEED = 20261121
TOKENIZER_SEED = SEED + 1
REPORT_EVERY_STEPS = 100
HERE = Path(__file__).parent
# Texts whose tokens ../model.test.ts compares with llama.cpp's.
TOKENIZER_CASES = [
    "What is the capital of France?",
    "12+35=47, isn't it? I'LL say 1,000.5",
    "SELECT name, COUNT(*) FROM users\nWHERE age >= 18;\n\n",
    "  two  spaces\tand a tab \r\n",
    "São Tomé, naïve café, 東京, 🙂👍🏽",
    "don't we'll I'm they've he'd",
]


@dataclass(frozen=True)
class Stage:
    """One mixture of the corpus at `rate` of the highest learning rates; `long_share` of the steps see rows of the whole context, so that long chats are no news."""

    seed: int
    steps: int
    rate: float
    long_share: float
    decays: bool

    def phases(self, steps: int) -> list[Phase]:
        """Both kinds of step see the same number of tokens."""
        long_steps = int(steps * self.long_share)
        return [
            Phase(steps - long_steps, rows=16, length=256, slice_rows=4),
            Phase(long_steps, rows=4, length=gguf_file.CONTEXT_TOKENS, slice_rows=1),
        ]


STAGES = {
    "broad": Stage(seed=SEED, steps=1000, rate=1, long_share=0, decays=False),
    "exact": Stage(seed=SEED + 2, steps=1400, rate=0.5, long_share=0.12, decays=True),
}


def write_tokenizer_cases(path: Path, tokenizer: Tokenizer) -> None:
    cases = [json.dumps({"text": text, "tokens": tokenizer.encode(text).ids}) for text in TOKENIZER_CASES]
    path.write_text("[\n" + ",\n".join(cases) + "\n]\n")


def write_history(path: Path, name: str, summary: dict) -> None:
    """Keeps what the other stage has written."""
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, name: summary}, indent=1) + "\n")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("stage", choices=list(STAGES))
    arguments.add_argument("--steps", type=int)
    arguments.add_argument("--output", type=Path, default=HERE.parent / "mesh-demo.gguf")
    options = arguments.parse_args()

    shape = Shape()
    stage = STAGES[options.stage]
    steps = options.steps or stage.steps
    plan = stage.phases(steps)
    tokenizer = dataset.train_tokenizer(TOKENIZER_SEED, shape.vocabulary)
    write_tokenizer_cases(options.output.with_name("tokenizer-cases.json"), tokenizer)
    # One token more than is fed: every row has a target for its last.
    data, conversations = dataset.build(tokenizer, options.stage, stage.seed, sum(phase.tokens for phase in plan) + 1)
    held_out = dataset.build_held_out(tokenizer, SEED)
    print(f"{conversations} conversations, {len(data.ids)} tokens, held out {len(held_out.ids)}", flush=True)

    # A file of its own, so that a stage that is run again begins where it began before.
    broad = options.output.with_name("broad.gguf")
    output = broad if options.stage == "broad" else options.output
    parameters = init(jax.random.key(SEED), shape) if options.stage == "broad" else gguf_file.read(broad, shape)
    history = []
    for trained, report in train(shape, parameters, plan, data, rate=stage.rate, decays=stage.decays):
        if report.step % REPORT_EVERY_STEPS and report.step != steps:
            continue
        entry = {**asdict(report), "held_out_loss": held_out_loss(trained, shape, held_out, 256)}
        history.append(entry)
        print(json.dumps(entry), flush=True)
        # Also in between: a run that is cut short leaves a model.
        gguf_file.write(output, trained, shape, tokenizer)
    summary = {"parameters": parameter_count(parameters), "conversations": conversations, "history": history}
    write_history(options.output.with_name("training.json"), options.stage, summary)


if __name__ == "__main__":
    main()

#!/bin/sh
# The one command that rebuilds ../mesh-demo.gguf: makes a virtual environment beside this file, then trains both stages in it.
set -eu
cd "$(dirname "$0")"
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --requirement requirements.txt
.venv/bin/python build.py broad
.venv/bin/python build.py exact

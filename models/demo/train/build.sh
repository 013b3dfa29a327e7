#!/bin/sh
# The one command that rebuilds ../mesh-demo.gguf: makes a virtual environment beside this file, then runs build.py in it.
set -eu
cd "$(dirname "$0")"
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --requirement requirements.txt
exec .venv/bin/python build.py "$@"

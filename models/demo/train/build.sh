#!/bin/sh
# The one command that rebuilds ../mesh-demo.gguf: makes a virtual environment beside this file, then trains both stages in it.
set -eu
cd "$(dirname "$0")"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "build.sh needs Python 3.11 or newer" >&2; exit 78; }
[ -x .venv/bin/pip ] || python3 -m venv --clear .venv
.venv/bin/pip install --quiet --requirement requirements.txt
.venv/bin/python build.py broad
.venv/bin/python build.py exact

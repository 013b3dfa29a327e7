"""Runs every case of the SDK for Python; reads the setting as JSON and writes [{"name", "error"}]."""

import json
import sys

import chat_cases
import error_cases
import response_cases
import stream_cases
import text_cases
from setting import Setting, run_all

# Importing a module notes its cases.
assert all([chat_cases, error_cases, response_cases, stream_cases, text_cases])

json.dump(run_all(Setting(**json.load(sys.stdin))), sys.stdout)

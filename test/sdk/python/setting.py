"""What the cases work with."""

import json
import time
import urllib.request
from dataclasses import dataclass

from openai import AsyncOpenAI, OpenAI

_CASES = []


@dataclass(frozen=True)
class Setting:
    """The mesh, as the test that runs this script tells it."""

    base_url: str
    upstream_url: str
    keys: dict
    small_model: str

    def client(self, key="admin", **options):
        """The SDK as its users set it up, without attempts after the first."""
        return OpenAI(base_url=self.base_url, api_key=self.keys.get(key, key), **{"max_retries": 0, **options})

    def async_client(self):
        return AsyncOpenAI(base_url=self.base_url, api_key=self.keys["admin"], max_retries=0)

    def chat(self, command, **fields):
        """One message, which says what the server behind the mesh does."""
        return self.client().chat.completions.create(**{"model": "chat", "messages": say(command), **fields})

    def sent(self, **fields):
        """The body that the server behind the mesh was sent."""
        return json.loads(self.chat("echo", **fields).choices[0].message.content)

    def left(self):
        """How many clients have left the server behind the mesh."""
        with urllib.request.urlopen(f"{self.upstream_url}/left") as answer:
            return json.load(answer)["left"]


def say(content):
    return [{"role": "user", "content": content}]


def case(function):
    """Notes a function as a case; its docstring says what it shows."""
    _CASES.append(function)
    return function


def run_all(setting):
    """Runs every case; what each showed, or why not."""
    return [{"name": function.__doc__, "error": _failure(function, setting)} for function in _CASES]


def _failure(function, setting):
    try:
        function(setting)
    except Exception as error:  # a case fails by anything that it raises
        frame = error.__traceback__
        while frame.tb_next is not None and frame.tb_next.tb_frame.f_globals.get("__package__") == "":
            frame = frame.tb_next
        return f"{type(error).__name__} in line {frame.tb_lineno}: {error}"
    return None


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def includes(found, expected):
    """Every member of `expected` is in `found`."""
    equal({name: found.get(name) for name in expected}, expected)


def raised(error_type, function):
    """The error of that type that a function raises."""
    try:
        function()
    except error_type as error:
        return error
    raise AssertionError(f"no {error_type.__name__}")


def eventually(condition, what):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)

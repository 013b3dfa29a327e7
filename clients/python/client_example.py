"""A client for the tasks and streams of an inference mesh, in one file.

    from client_example import LLMClient

    client = LLMClient("http://127.0.0.1:8000", api_key)
    print(client.generate("The capital of France is", max_tokens=16)["result"])
    for text in client.stream("Tell me a story."):
        print(text, end="", flush=True)

Needs `requests`. Run it as a program: python client_example.py http://127.0.0.1:8000 <API key> "a prompt"
"""

import json
import sys
import time
import uuid

import requests


class LLMError(Exception):
    """What the server said: its status, and the text of `detail`; `retry_after` in seconds where it told a wait."""

    def __init__(self, status, detail, retry_after=None):
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class LLMClient:
    """Speaks to one mesh with one API key."""

    def __init__(self, base_url, api_key, timeout=30.0, retries=2):
        """`timeout` bounds one request, in seconds; `retries` is how often one is sent again that may not have arrived."""
        self.base_url = base_url.rstrip("/")
        self.timeout = timeout
        self.retries = retries
        self.session = requests.Session()
        self.session.headers["X-API-Key"] = api_key

    def generate(self, prompt, max_tokens=512, temperature=0.7, wait=True, top_p=0.9, user_id=None, wait_timeout=600.0):
        """Submits a task. With `wait` the body of /result, which may say status "error"; else that of the submission.

        Raises LLMError, and TimeoutError after `wait_timeout` seconds: the task goes on.
        """
        accepted = self.submit(prompt, max_tokens, temperature, top_p, user_id)
        return self.wait(accepted["task_id"], wait_timeout) if wait else accepted

    def submit(self, prompt, max_tokens=512, temperature=0.7, top_p=0.9, user_id=None):
        """Submits a task and returns {"status", "task_id", "message"}. A repetition after a lost answer is the same task."""
        body = {"prompt": prompt, "max_tokens": max_tokens, "temperature": temperature, "top_p": top_p}
        if user_id is not None:
            body["user_id"] = user_id
        return self._json("POST", "/generate", json=body, headers={"Idempotency-Key": str(uuid.uuid4())})

    def status(self, task_id):
        """Where a task is: {"status", "task_id", "message", "position"?}."""
        return self._json("GET", f"/status/{task_id}")

    def result(self, task_id):
        """What came of a task; its status is "queued" or "processing" while it has not ended."""
        return self._json("GET", f"/result/{task_id}")

    def cancel(self, task_id):
        """Cancels a task."""
        return self._json("DELETE", f"/tasks/{task_id}")

    def wait(self, task_id, timeout=600.0):
        """Waits for the end of a task and returns the body of /result."""
        deadline = time.monotonic() + timeout
        for event in self.events(task_id, deadline):
            if event["status"] in ("completed", "error"):
                break
        return self.result(task_id)

    def stream(self, prompt, max_tokens=512, temperature=0.7, timeout=600.0):
        """Submits a task and yields its text as it comes. Raises LLMError when the task fails, or its text begins anew."""
        task_id = self.submit(prompt, max_tokens, temperature)["task_id"]
        has_text = False
        for event in self.events(task_id, time.monotonic() + timeout):
            if "delta" in event:
                has_text = True
                yield event["delta"]
            elif event["status"] == "error":
                raise LLMError(200, f"{event['error_type']}: {event['error_message']}")
            elif event["status"] == "processing" and has_text:
                raise LLMError(200, f"the task {task_id} was lost in mid-stream and runs again; see /result/{task_id}")

    def events(self, task_id, deadline):
        """Yields the events of a task, once each; a connection that breaks is made again where it broke."""
        last_event_id = "0"
        while time.monotonic() < deadline:
            try:
                headers = {"Last-Event-ID": last_event_id, "Accept": "text/event-stream"}
                with self._send("GET", f"/stream/{task_id}", headers=headers, stream=True) as response:
                    if response.status_code == 204:
                        return
                    for event_id, event in _events(response):
                        last_event_id = event_id
                        yield event
                        if event["status"] in ("completed", "error"):
                            return
            except requests.RequestException:
                pass
            time.sleep(0.2)
        raise TimeoutError(f"the task {task_id} has not ended in time; it goes on")

    def _json(self, method, path, **options):
        return self._send(method, path, **options).json()

    def _send(self, method, path, **options):
        for attempt in range(self.retries + 1):
            try:
                response = self.session.request(method, self.base_url + path, timeout=self.timeout, **options)
            except requests.ConnectionError:
                if attempt == self.retries:
                    raise
            else:
                if response.ok:
                    return response
                error = _error_of(response)
                if error.status != 503 or attempt == self.retries:
                    raise error
            time.sleep(0.5 * 2**attempt)
        raise AssertionError("unreachable")


def _error_of(response):
    try:
        detail = response.json().get("detail", response.text)
    except ValueError:
        detail = response.text
    wait = response.headers.get("Retry-After")
    return LLMError(response.status_code, detail, float(wait) if wait else None)


def _events(response):
    """Yields (id, body) of each event."""
    event_id = "0"
    # As bytes: of text U+2028 and others would end a line as well.
    for line in response.iter_lines():
        if line.startswith(b"id: "):
            event_id = line[4:].decode()
        elif line.startswith(b"data: "):
            yield event_id, json.loads(line[6:])


def main(arguments):
    if len(arguments) != 3:
        print(__doc__)
        return 2
    client = LLMClient(arguments[0], arguments[1])
    try:
        for text in client.stream(arguments[2]):
            print(text, end="", flush=True)
        print()
    except LLMError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

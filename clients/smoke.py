"""Tries a mesh: health, a task and a chat, with both kinds of credentials, and prints example calls.

    python smoke.py 127.0.0.1:8000 <API key> [user password]

Ends with 0 when everything answered as it should. Needs `requests`.
"""

import json
import sys
import time

import requests

PROMPT = "The capital of France is"


def main(arguments):
    if len(arguments) not in (2, 4):
        print(__doc__)
        return 2
    host, api_key = arguments[:2]
    base_url = host if "://" in host else f"http://{host}"
    checks = [("GET /health", lambda: health(base_url))]
    credentials = [("X-API-Key", api_key), ("Authorization: Bearer, the key", f"Bearer {api_key}")]
    if len(arguments) == 4:
        token = login(base_url, *arguments[2:])
        print("ok    POST /auth/login")
        credentials.append(("Authorization: Bearer, the token", f"Bearer {token}"))
    for name, value in credentials:
        headers = {name.split(":")[0]: value}
        checks.append((f"POST /generate and its result, {name}", lambda headers=headers: task(base_url, headers)))
        checks.append((f"POST /v1/chat/completions, {name}", lambda headers=headers: chat(base_url, headers)))
    failures = sum(not passes(name, check) for name, check in checks)
    print_examples(base_url)
    return 1 if failures else 0


def passes(name, check):
    try:
        told = check()
    except Exception as error:  # Whatever it is: the next check may still pass.
        print(f"FAILED {name}: {error}")
        return False
    print(f"ok    {name}: {told}")
    return True


def health(base_url):
    body = requests.get(f"{base_url}/health", timeout=10).json()
    return f"{body['status']}, model {body['model']}"


def login(base_url, username, password):
    body = {"username": username, "password": password}
    return answered(requests.post(f"{base_url}/auth/login", json=body, timeout=30))["access_token"]


def task(base_url, headers):
    body = {"prompt": PROMPT, "max_tokens": 8}
    task_id = answered(requests.post(f"{base_url}/generate", json=body, headers=headers, timeout=30))["task_id"]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        result = answered(requests.get(f"{base_url}/result/{task_id}", headers=headers, timeout=30))
        if result["status"] == "completed":
            return json.dumps(result["result"])
        if result["status"] == "error":
            raise RuntimeError(f"{result['error_type']}: {result['error_message']}")
        time.sleep(0.2)
    raise TimeoutError("no result in two minutes")


def chat(base_url, headers):
    body = {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8}
    answer = answered(requests.post(f"{base_url}/v1/chat/completions", json=body, headers=headers, timeout=120))
    return json.dumps(answer["choices"][0]["message"]["content"])


def answered(response):
    if not response.ok:
        raise RuntimeError(f"{response.status_code} {response.text}")
    return response.json()


def print_examples(base_url):
    print(
        f"""
Example calls:

  curl -H "X-API-Key: $KEY" -H 'Content-Type: application/json' -d '{{"prompt": "{PROMPT}"}}' {base_url}/generate
  curl -H "X-API-Key: $KEY" {base_url}/result/<task_id>
  curl -N -H "X-API-Key: $KEY" {base_url}/stream/<task_id>
  curl -N -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\
    -d '{{"messages": [{{"role": "user", "content": "Hello!"}}], "stream": true}}' {base_url}/v1/chat/completions
"""
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

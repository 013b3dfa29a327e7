"""Sends HTTP calls with requests, as told line by line.

A line of standard input is {"method", "url", "headers", "body"?, "text"?, "stream"}: `body` is sent as JSON, `text` as it is. A
line of standard output is {"status", "headers", "text"}. An event stream is read line by line, as clients of the systems do.
"""

import json
import sys

import requests

session = requests.Session()
# A proxy of the machine has no part in this.
session.trust_env = False

for line in sys.stdin:
    call = json.loads(line)
    answer = session.request(
        call["method"],
        call["url"],
        headers=call["headers"],
        json=call.get("body"),
        data=call.get("text"),
        stream=call["stream"],
        timeout=120,
    )
    if call["stream"]:
        text = "\n".join(each.decode("utf-8") for each in answer.iter_lines())
    else:
        answer.encoding = "utf-8"
        text = answer.text
    told = {"status": answer.status_code, "headers": dict(answer.headers), "text": text}
    print(json.dumps(told), flush=True)

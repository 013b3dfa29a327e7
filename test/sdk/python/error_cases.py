"""Errors, attempts and headers."""

from concurrent.futures import ThreadPoolExecutor

import openai

from setting import case, equal, eventually, includes, raised, say


@case
def classes(setting):
    """errors have the class, the code and the field that the SDK knows"""
    for error_type, command, fields, expected in [
        (openai.BadRequestError, "count 1", {"temperature": 9}, {"param": "temperature", "code": "invalid_value"}),
        (openai.BadRequestError, "refuse 400 no", {}, {"param": "top_p", "type": "invalid_request_error"}),
        (openai.NotFoundError, "count 1", {"model": "nobody/knows"}, {"code": "model_not_found", "param": "model"}),
        (openai.InternalServerError, "refuse 503 busy", {}, {"status_code": 503, "code": "server_is_overloaded"}),
        (openai.InternalServerError, "refuse 500 no", {}, {"status_code": 502, "code": "bad_gateway"}),
        (openai.APIStatusError, "x" * (11 << 20), {}, {"status_code": 413}),
    ]:
        error = raised(error_type, lambda: setting.chat(command, **fields))
        includes({name: getattr(error, name) for name in expected}, expected)
        equal(error.request_id, error.response.headers["x-request-id"])


@case
def credentials(setting):
    """a wrong key, and a model that the key may not use"""
    for key, error_type in [("im_wrong", openai.AuthenticationError), ("narrow", openai.PermissionDeniedError)]:
        create = setting.client(key).chat.completions.create
        raised(error_type, lambda: create(model="chat", messages=say("count 1")))


@case
def refusals(setting):
    """fields that cannot be honoured are refused by name"""
    small = {"model": setting.small_model}
    for param, fields in [
        ("tools", {**small, "tools": [{"type": "function", "function": {"name": "f"}}]}),
        ("modalities", {**small, "modalities": ["audio"]}),
        ("min_tokens", {**small, "extra_body": {"min_tokens": 5}}),
        ("tools.0.type", {"tools": [{"type": "custom", "custom": {"name": "f"}}]}),
    ]:
        equal(raised(openai.BadRequestError, lambda: setting.chat("count 1", **fields)).param, param)


@case
def short_wait(setting):
    """a short wait is sat out, and the next attempt goes well"""
    create = setting.client("slow", max_retries=2).chat.completions.with_raw_response.create
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: create(model="chat", messages=say("count 1")), range(2)))
    equal([answer.parse().choices[0].message.content for answer in both], ["0 ", "0 "])
    assert max(answer.retries_taken for answer in both) > 0


@case
def long_wait(setting):
    """a long wait, and a budget that never suffices, are told at once"""
    hourly = setting.client("hourly", max_retries=2).chat.completions.create
    hourly(model="chat", messages=say("count 1"))
    error = raised(openai.RateLimitError, lambda: hourly(model="chat", messages=say("count 1")))
    equal((error.code, error.type), ("rate_limit_exceeded", "rate_limit_error"))
    assert int(error.response.headers["retry-after"]) > 60
    equal(error.response.headers["x-should-retry"], "false")
    equal(error.response.request.headers["x-stainless-retry-count"], "0")
    thrifty = setting.client("thrifty", max_retries=2).chat.completions.create
    error = raised(
        openai.RateLimitError, lambda: thrifty(model="chat", messages=say("count 1"), max_tokens=2_000)
    )
    equal(error.code, "insufficient_quota")
    equal(error.response.request.headers["x-stainless-retry-count"], "0")


@case
def busy_engine(setting):
    """an engine that is busy is asked again, a request that is wrong is not"""
    create = setting.client(max_retries=2).chat.completions.create
    busy = raised(openai.InternalServerError, lambda: create(model="chat", messages=say("refuse 503 busy")))
    equal(busy.response.request.headers["x-stainless-retry-count"], "2")
    wrong = raised(openai.BadRequestError, lambda: create(model="chat", messages=say("refuse 400 no")))
    equal(wrong.response.request.headers["x-stainless-retry-count"], "0")


@case
def impatience(setting):
    """a client that has waited long enough ends the request of the engine"""
    before = setting.left()
    create = setting.client(timeout=0.3).chat.completions.create
    raised(openai.APITimeoutError, lambda: create(model="chat", messages=say("endless"), max_tokens=100_000))
    eventually(lambda: setting.left() > before, "the engine is told")


@case
def headers(setting):
    """the headers of the answer, with the id that the caller gave"""
    create = setting.client("thrifty").chat.completions.with_raw_response.create
    request = {"model": "chat", "messages": say("count 1"), "max_tokens": 1}
    answer = create(**request, extra_headers={"x-request-id": "my-request-7"})
    equal(answer.request_id, "my-request-7")
    includes(answer.headers, {"x-ratelimit-limit-minute": "2147483647", "x-ratelimit-limit-tokens": "1000"})
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 1000

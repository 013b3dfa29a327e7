"""Chats that are answered in one piece, and tools."""

import time

from pydantic import BaseModel

from setting import case, equal, includes, say

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS, "strict": True}}]
CALLS = [("call_0", "get_weather", '{"city":"Bergen"}'), ("call_1", "get_weather", '{"city":"Tromsø"}')]


class Person(BaseModel):
    name: str
    age: int


@case
def answer(setting):
    """an answer has its id, its model, its usage and the id of its request"""
    told = setting.chat("count 3")
    equal(told.id, f"chatcmpl-{told._request_id}")
    equal((told.object, told.model, told.choices[0].message.content), ("chat.completion", "chat", "0 1 2 "))
    equal((told.choices[0].message.role, told.choices[0].finish_reason), ("assistant", "stop"))
    usage = told.usage
    equal((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (5, 3, 8))
    equal(usage.prompt_tokens_details.cached_tokens, 2)
    assert abs(told.created - time.time()) < 300


@case
def fields(setting):
    """every field of a generation reaches the engine"""
    kept = {
        **{"temperature": 0.3, "top_p": 0.9, "frequency_penalty": 0.5, "presence_penalty": -0.5, "seed": 7},
        **{"logit_bias": {"50": -100}, "logprobs": True, "top_logprobs": 2, "reasoning_effort": "low"},
    }
    includes(setting.sent(**kept, stop="END", max_completion_tokens=99), {**kept, "stop": ["END"], "max_tokens": 99})
    includes(setting.sent(stop=["a", "b"], max_tokens=12), {"stop": ["a", "b"], "max_tokens": 12})


@case
def extras(setting):
    """what the SDK does not know goes to the engine as it is"""
    body = {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "guided_json": {"type": "object"}, "mirostat": 2}
    includes(setting.sent(extra_body={**body, "chat_template_kwargs": {"enable_thinking": False}}), body)


@case
def without_effect(setting):
    """what has no effect is accepted and kept from the engine"""
    ignored = {
        **{"store": True, "metadata": {"a": "b"}, "service_tier": "auto", "parallel_tool_calls": False, "user": "u"},
        **{"safety_identifier": "s", "prompt_cache_key": "k", "verbosity": "low"},
    }
    equal(set(ignored) & set(setting.sent(**ignored)), set())


@case
def conversation(setting):
    """a whole conversation with parts, pictures, names and tool results"""
    call = {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    rest = [
        {"role": "user", "name": "ada", "content": [{"type": "text", "text": "echo"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_0", "content": "one"},
    ]
    sent = setting.sent(messages=[{"role": "developer", "content": "Be brief."}, *rest])
    equal(sent["messages"], [{"role": "system", "content": "Be brief."}, *rest])


@case
def choices(setting):
    """several choices, log-probabilities and reasoning"""
    several = setting.chat("count 2", n=3)
    equal([(choice.index, choice.message.content) for choice in several.choices], [(i, "0 1 ") for i in range(3)])
    [token] = setting.chat("count 1", logprobs=True, top_logprobs=1).choices[0].logprobs.content
    equal((token.token, token.logprob, token.bytes, token.top_logprobs[0].token), ("0 ", -0.25, [48, 32], "other"))
    thought = setting.chat("think")
    message = thought.choices[0].message
    equal((message.reasoning_content, message.content), ("Let me think.", "It is 42."))
    equal(thought.usage.completion_tokens_details.reasoning_tokens, 2)


@case
def schema(setting):
    """a schema reaches the engine, and the answer is parsed by it"""
    request = {"model": "chat", "messages": say("person"), "response_format": Person}
    parsed = setting.client().chat.completions.parse(**request).choices[0].message.parsed
    equal(parsed, Person(name="Ada", age=36))
    form = {"type": "json_schema", "json_schema": {"name": "p", "schema": PARAMETERS, "strict": True}}
    includes(setting.sent(response_format=form), {"response_format": form})


@case
def tool_calls(setting):
    """calls of tools in one piece, in fragments, and put together by the helper"""
    whole = setting.chat("weather", tools=TOOLS)
    equal(whole.choices[0].finish_reason, "tool_calls")
    equal(_told(whole.choices[0].message.tool_calls), CALLS)
    by_index = {}
    for chunk in setting.chat("weather", tools=TOOLS, stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            known = by_index.setdefault(call.index, [call.id, call.type, call.function.name, ""])
            known[3] += call.function.arguments
    equal([tuple(call) for call in by_index.values()], [(id, "function", name, text) for id, name, text in CALLS])
    with setting.client().chat.completions.stream(model="chat", messages=say("weather"), tools=TOOLS) as stream:
        final = stream.get_final_completion()
    equal(_told(final.choices[0].message.tool_calls), CALLS)
    equal(final.choices[0].message.tool_calls[0].function.parsed_arguments, {"city": "Bergen"})
    results = [{"role": "tool", "tool_call_id": id, "content": f"rain {id}"} for id, _, _ in CALLS]
    asked = [*say("weather"), whole.choices[0].message, *results]
    equal(setting.chat("", messages=asked, tools=TOOLS).choices[0].message.content, "rain call_0 rain call_1 ")


@case
def tool_choice(setting):
    """a choice of tools reaches the engine"""
    for choice in ["none", "auto", "required", {"type": "function", "function": {"name": "get_weather"}}]:
        includes(setting.sent(tools=TOOLS, tool_choice=choice), {"tools": TOOLS, "tool_choice": choice})


def _told(calls):
    return [(call.id, call.function.name, call.function.arguments) for call in calls]

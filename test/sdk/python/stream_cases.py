"""Chats that are streamed."""

import asyncio

import openai

from setting import case, equal, eventually, raised, say


def _text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@case
def pieces(setting):
    """pieces as they come, the role with the first, the bill last and apart, and only when asked"""
    chunks = list(setting.chat("count 3", stream=True, stream_options={"include_usage": True}))
    equal((chunks[0].choices[0].delta.role, _text(chunks)), ("assistant", "0 1 2 "))
    equal([chunk.choices[0].finish_reason for chunk in chunks[:-1]][-1], "stop")
    equal((chunks[-1].choices, chunks[-1].usage.total_tokens), ([], 8))
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert all(chunk.usage is None for chunk in setting.chat("count 3", stream=True))


@case
def several(setting):
    """several choices, reasoning and log-probabilities in a stream"""
    chunks = list(setting.chat("count 2", stream=True, n=2, logprobs=True, top_logprobs=1))
    for index in range(2):
        own = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == index]
        equal("".join(choice.delta.content or "" for choice in own), "0 1 ")
        equal([token.token for choice in own if choice.logprobs for token in choice.logprobs.content], ["0 ", "1 "])
    deltas = [chunk.choices[0].delta for chunk in setting.chat("think", stream=True)]
    equal("".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas), "Let me think.")


@case
def helper(setting):
    """the helper of the SDK tells every piece and puts the answer together"""
    with setting.client().chat.completions.stream(model="chat", messages=say("count 3")) as stream:
        told = [event.delta for event in stream if event.type == "content.delta"]
    equal("".join(told), "0 1 2 ")
    equal(stream.get_final_completion().choices[0].message.content, "0 1 2 ")


@case
def asynchronous(setting):
    """the asynchronous client streams, and answers of many at once do not mix"""

    async def count(client, number):
        stream = await client.chat.completions.create(model="chat", messages=say(f"count {number}"), stream=True)
        return _text([chunk async for chunk in stream])

    async def many():
        async with setting.async_client() as client:
            return await asyncio.gather(*(count(client, number) for number in range(1, 9)))

    equal(asyncio.run(many()), ["".join(f"{at} " for at in range(number)) for number in range(1, 9)])


@case
def leaving(setting):
    """a stream that is closed ends the request of the engine"""
    before = setting.left()
    with setting.chat("endless", stream=True, max_tokens=100_000) as stream:
        for chunk in stream:
            if chunk.choices[0].delta.content == "3 ":
                break
    eventually(lambda: setting.left() > before, "the engine is told")


@case
def faults(setting):
    """an engine that fails in mid-stream is an error with a code; before the first token it has its status"""
    for command, code in [("fault 3", "bad_gateway"), ("cut 3", "engine_lost")]:
        chunks = []
        error = raised(openai.APIError, lambda: chunks.extend(setting.chat(command, stream=True)))
        equal((error.code, error.type), (code, "server_error"))
    told = []
    raised(openai.APIError, lambda: [told.append(chunk) for chunk in setting.chat("fault 3", stream=True)])
    equal(_text(told), "0 1 2 ")
    refused = raised(openai.BadRequestError, lambda: setting.chat("refuse 400 odd", stream=True))
    equal((refused.param, refused.status_code), ("top_p", 400))

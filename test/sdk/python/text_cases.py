"""Text completions, embeddings, models, and the embedded engine."""

import json

import openai

from setting import case, equal, includes, raised, say


@case
def completions(setting):
    """a text goes on, in one piece, as a stream, from token ids, with every field"""
    complete = setting.client().completions.create
    told = complete(model="chat", prompt="count 2", logprobs=1, n=2)
    equal([(choice.index, choice.text) for choice in told.choices], [(0, "0 1 "), (1, "0 1 ")])
    equal((told.choices[0].logprobs.tokens, told.choices[0].logprobs.text_offset), (["0 ", "1 "], [0, 2]))
    kept = {"temperature": 0.1, "seed": 3, "stop": ["x"], "presence_penalty": 1, "suffix": "!"}
    sent = json.loads(complete(model="chat", prompt="echo", **kept).choices[0].text)
    includes(sent, {**kept, "max_tokens": 16, "prompt": "echo"})
    chunks = list(complete(model="chat", prompt="count 3", stream=True, stream_options={"include_usage": True}))
    equal("".join(chunk.choices[0].text for chunk in chunks[:-1]), "0 1 2 ")
    equal(chunks[-1].usage.completion_tokens, 3)
    equal(complete(model="chat", prompt=[1, 2, 3]).choices[0].text, "0 1 2 3 ")


@case
def embeddings(setting):
    """vectors of one text, of several, of token ids, as numbers and as the SDK asks for them"""
    embed = setting.client().embeddings.create
    numbers = embed(model="vectors", input="abc", encoding_format="float").data[0].embedding
    coded = embed(model="vectors", input="abc").data[0].embedding
    for found in (numbers, coded):
        assert all(abs(a - b) < 1e-6 for a, b in zip(found, [3, 3.1, 3.2, 3.3], strict=True)), found
    several = embed(model="vectors", input=["a", "bb"], dimensions=2)
    equal([(item.index, len(item.embedding), item.embedding[0]) for item in several.data], [(0, 2, 1), (1, 2, 2)])
    equal((several.model, several.usage.prompt_tokens), ("vectors", 6))
    equal([item.embedding[0] for item in embed(model="vectors", input=[[1, 2, 3, 4], [5]]).data], [4, 1])
    refused = raised(openai.BadRequestError, lambda: embed(model=setting.small_model, input="a"))
    equal(refused.param, "model")


@case
def models(setting):
    """models by id, also with a slash in it, and by their other names"""
    client = setting.client()
    ids = [model.id for model in client.models.list()]
    equal(ids[:2], ["org/chat-1", "org/embed-1"])
    for name in [*ids, "chat"]:
        equal(client.models.retrieve(name).id, name)
    raised(openai.NotFoundError, lambda: client.models.retrieve("nobody/knows"))


@case
def embedded(setting):
    """the embedded engine: the same text with and without stream, stops, seeds, exact bytes of tokens, valid JSON"""
    ask = {"model": setting.small_model, "messages": say("Hello there."), "max_tokens": 20, "temperature": 0}
    create = setting.client().chat.completions.create
    text = create(**ask).choices[0].message.content
    equal("".join(chunk.choices[0].delta.content or "" for chunk in create(**ask, stream=True)), text)
    stop = text[10:13]
    stopped = create(**ask, stop=stop).choices[0]
    equal((stopped.finish_reason, stopped.message.content), ("stop", text[: text.index(stop)]))
    seeded = {**ask, "temperature": 1, "seed": 42}
    equal(create(**seeded).choices[0].message.content, create(**seeded).choices[0].message.content)
    tokens = create(**ask, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    equal(b"".join(bytes(token.bytes) for token in tokens).decode("utf-8", "replace")[:10], text[:10])
    assert all(len(token.top_logprobs) == 3 for token in tokens)
    shape = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": shape}}
    answer = create(**{**ask, "max_tokens": 200}, response_format=form).choices[0]
    equal(answer.finish_reason, "stop")
    assert isinstance(json.loads(answer.message.content)["ok"], bool)

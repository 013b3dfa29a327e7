"""Responses."""

import openai

from setting import case, equal, includes, raised

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": True}]


@case
def responses(setting):
    """responses in one piece, streamed, with tools and their results, and refusals by name"""
    client = setting.client()
    whole = client.responses.create(model="chat", input="think")
    equal((whole.output_text, whole.status, whole.id), ("It is 42.", "completed", f"resp_{whole._request_id}"))
    equal(whole.output[0].content[0].text, "Let me think.")
    equal((whole.usage.input_tokens, whole.usage.output_tokens_details.reasoning_tokens), (5, 2))
    with client.responses.stream(model="chat", input="count 3") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    equal((text, final.output_text, final.usage.total_tokens), ("0 1 2 ", "0 1 2 ", 8))
    with client.responses.stream(model="chat", input="weather", tools=TOOLS) as stream:
        calls = stream.get_final_response().output
    equal([(call.call_id, call.arguments) for call in calls], [
        ("call_0", '{"city":"Bergen"}'), ("call_1", '{"city":"Tromsø"}'),
    ])  # fmt: skip
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in calls]
    asked = [{"role": "user", "content": "weather"}, *(call.to_dict() for call in calls), *results]
    equal(client.responses.create(model="chat", input=asked, tools=TOOLS).output_text, "rain rain ")
    refused = raised(
        openai.BadRequestError,
        lambda: client.responses.create(model="chat", input="a", previous_response_id="resp_1"),
    )
    includes(vars(refused), {"param": "previous_response_id", "code": "invalid_value"})
    raised(openai.APIError, lambda: list(client.responses.create(model="chat", input="fault 3", stream=True)))

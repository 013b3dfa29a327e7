"""A client of grpcio: does what it is told by lines of JSON. Its messages lie in the folder of the first argument."""

import json
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

sys.path.insert(0, sys.argv[1])

from mesh.generation.v1 import generate_request_pb2 as generation  # noqa: E402
from mesh.generation.v1 import prompt_pb2 as prompts  # noqa: E402
from mesh.inference.v1 import inference_service_pb2 as inference  # noqa: E402
from mesh.router.v1 import router_service_pb2 as router  # noqa: E402
from mesh.router.v1 import router_service_pb2_grpc as router_grpc  # noqa: E402

LARGEST_BYTES = 16 << 20


def connect(told):
    options = [
        ("grpc.max_receive_message_length", LARGEST_BYTES),
        # Each connection by itself: channels to the same address share one otherwise.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if "keepaliveMs" in told:
        options += [
            ("grpc.keepalive_time_ms", told["keepaliveMs"]),
            ("grpc.keepalive_timeout_ms", 20_000),
            # As often as it likes, also when no message was sent in between.
            ("grpc.http2.max_pings_without_data", 0),
        ]
    if "ca" not in told:
        return grpc.insecure_channel(told["address"], options)
    with open(told["ca"], "rb") as file:
        return grpc.secure_channel(told["address"], grpc.ssl_channel_credentials(file.read()), options)


def options_of(call):
    metadata = [("authorization", "Bearer " + call["key"])]
    if "requestId" in call:
        metadata.append(("x-request-id", call["requestId"]))
    timeout = call["timeoutMs"] / 1000 if "timeoutMs" in call else None
    return {"metadata": metadata, "timeout": timeout}


def details_of(error):
    told = {}
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = error_details_pb2.ErrorInfo()
        retry = error_details_pb2.RetryInfo()
        quota = error_details_pb2.QuotaFailure()
        if detail.Unpack(info):
            told.update(reason=info.reason, domain=info.domain, metadata=dict(info.metadata))
        elif detail.Unpack(retry):
            told["retryDelayMs"] = retry.retry_delay.ToMilliseconds()
        elif detail.Unpack(quota):
            told["violations"] = [
                {"subject": each.subject, "description": each.description, "quotaId": each.quota_id}
                for each in quota.violations
            ]
    return told


def failure(error):
    return {"code": error.code().name, "message": error.details(), "details": details_of(error)}


def request_id_header(call):
    return dict(call.initial_metadata()).get("x-request-id")


def models(stub, call):
    answer, running = stub.ListModels.with_call(router.ListModelsRequest(), **options_of(call))
    return {"requestIdHeader": request_id_header(running), "models": [each.id for each in answer.models]}


def generate(stub, call):
    told = {"events": [], "text": ""}
    request = generation.GenerateRequest(
        prompt=prompts.Prompt(text="hi"),
        sampling=generation.SamplingParameters(max_tokens=call["maxTokens"]),
    )
    stream = stub.Generate(request, **options_of(call))
    deltas = 0
    try:
        for event in stream:
            kind = event.WhichOneof("event")
            told["events"].append(kind)
            if kind == "started":
                told["requestId"] = event.started.request_id
            elif kind == "usage":
                told["completionTokens"] = event.usage.completion_tokens
            elif kind == "delta":
                told["text"] += event.delta.text
                deltas += 1
                if deltas == call.get("cancelAfterDeltas"):
                    stream.cancel()
        return {**told, "requestIdHeader": request_id_header(stream)}
    except grpc.RpcError as error:
        return {**told, **failure(error)}


def embed(stub, call):
    text = prompts.Prompt(text="x" * call["textBytes"])
    request = inference.EmbedRequest(inputs=[text] * call["count"], dimensions=call["dimensions"])
    answer = stub.Embed(request, **options_of(call))
    return {"vectors": [[len(each.values), each.values[-1]] for each in answer.embeddings]}


def main():
    channel = None
    for line in sys.stdin:
        command = json.loads(line)
        told = {"code": "OK"}
        if command["do"] == "connect":
            if channel:
                channel.close()
            channel = connect(command)
        else:
            stub = router_grpc.RouterServiceStub(channel)
            try:
                told.update({"models": models, "generate": generate, "embed": embed}[command["do"]](stub, command))
            except grpc.RpcError as error:
                told.update(failure(error))
        print(json.dumps(told), flush=True)


main()

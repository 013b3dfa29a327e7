"""The inference mesh: what it is, how to start, call and configure it, and what it is made of."""

from random import Random

from corpus.chat.greetings import Intent, ask, opened
from corpus.conversation import Conversation
from corpus.phrasing import pick

_NEXT_RATE = 0.35
_MOST_EXCHANGES = 4

_MESH = "[the inference mesh|the inference mesh|the mesh|the mesh|this project|your project|inference mesh]"
_IT = "[the inference mesh|the mesh|this project|it|the server|the project]"
_TELL = "[tell me|please tell me|can you tell me|could you tell me|I want to know|do you know|explain|show me|I need to know|I forgot|remind me]"
_TO = "[how do I|how can I|how do you|how does one|how to|how should I|how could I|how would I|what is the way to|tell me how to|show me how to|explain how to|I want to|I need to|I would like to|can you tell me how to]"
_COMMAND = "[command|npm command|shell command]"

_MESH_ITSELF = Intent(
    [
        "The inference mesh is a set of small gRPC services with typed Protobuf contracts that turn a laptop, a GPU host or a cluster into an LLM API.",
    ],
    [
        f"what [is|exactly is|kind of thing is] {_MESH}?",
        f"what does {_MESH} do?",
        f"{_TELL} what {_MESH} [is|does].",
        f"[describe|explain|summarize|introduce|define] {_MESH}[| in one sentence| briefly| to me].",
        f"[tell me|say something|talk] [|a bit |more |something ]about {_MESH}.",
        f"what is the [purpose|goal|idea|point|aim] of {_MESH}?",
        f"what is {_MESH} [for|good for|used for|about]?",
        f"what can [I do with|I use] {_MESH}[| for]?",
        "[the inference mesh|inference mesh|the mesh|this project][|?]",
        f"[why|when] would I [use|want|need] {_MESH}?",
        f"how does {_MESH} work?",
        "what project [is this|are you part of|do you belong to|is this a demo of]?",
        "[which|what] [project|software|system|server] [are you part of|runs you|serves you|is behind you|do you belong to]?",
        f"can {_MESH} run on [a laptop|a cluster|a GPU host|my laptop|one machine|many machines]?",
        f"what does {_MESH} turn a [laptop|cluster|GPU host] into?",
        f"give me a [short|brief|one-sentence] [summary|description|overview] of {_MESH}.",
        f"[is|so is] {_MESH} an [LLM API|LLM server|inference server|API server]?",
        f"how would you [describe|explain] {_MESH} [to a developer|to a friend|in a sentence]?",
    ],
)
_SERVICES = Intent(
    ["The services are auth, quota, router and inference, with a facade for REST."],
    [
        f"[what|which] [services|microservices|parts|components|gRPC services|modules|processes|pieces] [does {_MESH} have|are there|make up {_MESH}|are in {_MESH}|does {_MESH} consist of|is {_MESH} made of]?",
        f"[list|name|enumerate] the [services|microservices|components|parts] [of|in] {_MESH}.",
        f"how many [services|microservices|components] [are there|does {_MESH} have|are in {_MESH}]?",
        f"what is {_MESH} [made of|composed of|built from|made up of]?",
        f"what are the [services|components|parts|microservices|building blocks|gRPC services] of {_MESH}?",
        f"{_TELL} the [services|components|parts] of {_MESH}.",
        f"what is the [architecture|structure|design] of {_MESH}?",
        f"how is {_MESH} [structured|organized|built|designed|put together]?",
        "[services|components|architecture] of the [inference |]mesh[|?]",
        f"is {_MESH} [a monolith|one program|one service|made of microservices|split into services]?",
        "what are the names of the [services|microservices|components]?",
        "the services of the mesh, please.",
        f"[which|what] services run [behind|inside|in] {_MESH}?",
        "which services [take part in|handle|work on|serve] a request?",
        "[does|do] the mesh have [a router|an auth service|a quota service|services]?",
    ],
)
_AUTH = Intent(
    ["The auth service checks the API key of each request."],
    [
        "what [does|is] the auth service[| do| for]?",
        "[which|what] service [checks|verifies|handles|looks after] [API keys|keys|authentication|the key|auth]?",
        "who checks the [API key|key|keys]?",
        "what is auth [for|doing] in the mesh?",
        "what [is the role|is the job|is the purpose|is the task] of [auth|the auth service]?",
        "[explain|describe] the auth service.",
        "which part of the mesh authenticates [users|requests|callers]?",
    ],
)
_QUOTA = Intent(
    ["The quota service counts requests and keeps the limits per minute and hour by tier."],
    [
        "what [does|is] the quota service[| do| for]?",
        "[which|what] service [counts requests|keeps the limits|enforces the limits|handles quotas|handles rate limits|limits requests]?",
        "what is quota [for|doing] in the mesh?",
        "what [is the role|is the job|is the purpose|is the task] of [quota|the quota service]?",
        "[explain|describe] the quota service.",
        "who [counts the requests|enforces the limits]?",
    ],
)
_ROUTER = Intent(
    ["The router service takes each request and chooses an inference engine for it."],
    [
        "what [does|is] the router[| service][| do| for]?",
        "[which|what] service [chooses the engine|routes requests|picks the engine|chooses where a request goes|decides which engine is used]?",
        "what is the router [for|doing] in the mesh?",
        "what [is the role|is the job|is the purpose|is the task] of [the router|the router service]?",
        "[explain|describe] the router[| service].",
        "how is an engine chosen[| for a request]?",
    ],
)
_INFERENCE = Intent(
    ["The inference service runs the model on an engine such as llama.cpp and streams the tokens back."],
    [
        "what [does the inference service do|is the inference service|is the inference service for]?",
        "[which|what] service [runs the model|generates the tokens|runs the engine|generates the text]?",
        "what [is the role|is the job|is the purpose|is the task] of the inference service?",
        "[explain|describe] the inference service.",
        "where does the model run in the mesh?",
    ],
)
_FACADE = Intent(
    ["The facade answers REST and SSE in the style of OpenAI and passes requests on to the gRPC services."],
    [
        "what [does|is] the [REST |]facade[| do| for]?",
        "[which|what] [service|part] [answers REST|handles REST|speaks REST|handles SSE|translates REST to gRPC]?",
        "what [is the role|is the job|is the purpose|is the task] of the facade?",
        "[explain|describe] the facade.",
        "why is there a facade[| in the mesh]?",
    ],
)
_PORT = Intent(
    ["The mesh uses port 8000 by default.", "By default the mesh listens on port 8000."],
    [
        f"[what|which] port [does {_IT} use|does {_IT} listen on|does {_IT} run on|is {_IT} on|is used|is the default|is it|do I use|do I connect to|should I call|is open|do I need]?",
        f"on [what|which] port [does {_IT} run|does {_IT} listen|is {_IT}|can I reach {_IT}|is {_IT} reachable|does {_IT} answer|is {_IT} served]?",
        f"what is the [default |standard |usual |]port[| number][| of {_IT}| for {_IT}]?",
        f"{_TELL} [which port|what port|on which port] {_IT} [uses|listens on|runs on|is on].",
        f"{_TELL} the [default |]port[| number| of the mesh| of the inference mesh].",
        "[default port|port|port number|the port|mesh port|which port][|?| please]",
        f"how many ports [does {_IT} use|does {_IT} need|are there]?",
        f"does {_IT} [use|listen on|run on] port [8000|8080|3000|80|443]?",
        "is [8000|8080|3000] the [default port|port|right port]?",
        f"where does {_IT} listen?",
        "the port number, please.",
        "[what|which] port number [should|do|must] I [use|put in the URL|connect to|type]?",
        "to which port [do|should] I [connect|send requests]?",
        f"what [network|TCP] port does {_IT} [bind|open|take|occupy]?",
    ],
)
_CHANGE_PORT = Intent(
    ["Set another port with the flag --port or the environment variable MESH_PORT; the default is 8000."],
    [
        f"{_TO} [change|set|choose|configure|pick|override] [the|another|a different] port[| number| of the mesh]?",
        "can [I|we] [change|choose|set|use] [the|another|a different] port[| number]?",
        f"{_TO} [run|start] {_IT} on [another port|a different port|port 9000|port 8080|port 3000]?",
        "port 8000 is [taken|in use|busy|already used|occupied], what [now|can I do|do I do]?",
        "[which|what] [flag|option|variable|setting] [sets|changes|controls] the port?",
        "is the port configurable?",
    ],
)
_PROTOCOLS = Intent(
    ["One port answers REST and SSE (OpenAI-compatible), gRPC, gRPC-Web and Connect."],
    [
        f"[what|which] [protocols|API protocols|wire protocols|APIs|interfaces] [does {_IT} speak|does {_IT} support|does {_IT} answer|does {_IT} offer|are supported|does {_IT} understand|does the port answer]?",
        f"does {_IT} [support|speak|have|offer|understand|answer] [gRPC|REST|SSE|gRPC-Web|Connect|REST and gRPC|a REST API]?",
        f"{_TELL} [which|what] protocols {_IT} [speaks|supports|answers].",
        "[list|name] the [supported protocols|protocols|protocols of the mesh|protocols on the port].",
        f"[can I|may I|is it possible to] [use|call {_IT} with|call {_IT} over|reach {_IT} by] [gRPC|REST|gRPC-Web|Connect|SSE]?",
        "what does [the port|port 8000|the one port] [answer|speak|serve]?",
        "[protocols|supported protocols|gRPC or REST|REST or gRPC][|?]",
        "is it [REST or gRPC|a REST API|a gRPC API|gRPC only|REST only]?",
        "[how|in which ways] can [clients|a client|programs|apps|a browser] [talk to|speak to|connect to|reach] the [server|mesh|inference mesh]?",
        "[can|does] one port [answer|serve] [both REST and gRPC|all protocols|several protocols|REST and gRPC]?",
        "do I need [a second port|another port|different ports|two ports] for [gRPC|REST]?",
        "what [kind|type|sort] of API does the [mesh|inference mesh|server] [have|offer|provide]?",
    ],
)
_CALL = Intent(
    ["Send POST http://127.0.0.1:8000/v1/chat/completions with the header Authorization: Bearer <key>."],
    [
        f"{_TO} [call|use|query|reach|access|invoke|talk to|send a request to|make a request to|send a message to] [{_MESH}|the API|the server|the chat API|the model|it|the mesh API|the REST API]?",
        "what is the [URL|endpoint|address|route|path|web address] [of the chat API|for chat|of the API|for chat completions|of the mesh|to call|for requests]?",
        "[which|what] [URL|endpoint|address|route] [do I call|should I call|do I use|must I use|do I send requests to|do I post to|answers chat requests|takes chat messages]?",
        "[where|to which URL] [do|can|should|must] I send [requests|my request|a chat request|messages|a prompt|a question|my prompt]?",
        f"{_TELL} the [chat endpoint|endpoint|API URL|chat completions URL|URL of the API].",
        "[chat endpoint|API URL|endpoint|chat completions endpoint|API address|API endpoint][|?| please]",
        "give me [a curl example|a curl command|an example request|an example call|a sample request|the request line].",
        f"{_TO} [do|make|send] [a chat request|an API call|a chat completion|a REST call|a curl request|my first request]?",
        "what does a [request|chat request|call|REST request] look like?",
        "[which|what] HTTP method [do I use|is used] for [chat|chat completions]?",
        f"{_TO} [ask|prompt] the model [over HTTP|with curl|over REST|from my program]?",
        "is there [a REST API|a chat endpoint|an HTTP API|a curl example]?",
        f"where is {_MESH} [reachable|available|served]?",
        "once it runs, [how do I call it|where do I send requests|what URL do I use]?",
    ],
)
_HEADER = Intent(
    ["Use the header Authorization: Bearer <key>; the admin key is in the file .mesh/admin.key."],
    [
        "[which|what] [header|HTTP header|auth header] [do I need|do I send|is needed|carries the key|must I set|do I use|is required][| for the key| for authentication]?",
        f"{_TO} [authenticate|log in|authorize|pass the key|send the key|send my API key|use my key|give the key|sign in|provide the API key]?",
        "how does [authentication|authorization|auth] work[| in the mesh]?",
        "do I need [an API key|a key|a token|to authenticate|a password|to log in|an account]?",
        "[where|how] [do|does] the [key|API key|token] go[| in a request]?",
        f"{_TELL} [how to authenticate|which header to use|how to send the key|how authentication works].",
        "[authentication|authorization header|auth header|bearer token|Authorization header][|?]",
        "[I get|why do I get|what does it mean when I get] [a 401|401|unauthorized|an authentication error].",
        "is [a key|an API key|authentication|a token] [needed|required|necessary]?",
        "what format does the Authorization header have?",
        "does the mesh use [bearer tokens|API keys|passwords|basic auth]?",
    ],
)
_ADMIN_KEY = Intent(
    ["The admin key is in the file .mesh/admin.key."],
    [
        "where [is|can I find|do I find|do I get|lies|is stored|is kept|does the mesh store|does the mesh keep] the [admin key|API key|key|administrator key|admin API key|admin token]?",
        "where [is|can I find|do I get|do I find] [my|an|the first] [API key|key|admin key]?",
        "[which|what] file [holds|contains|has|stores] the [admin key|key|API key]?",
        "in [which|what] [file|folder|directory|place] is the [admin key|key|API key]?",
        f"{_TELL} where the [admin key|key|API key] is.",
        "[admin key|the admin key|admin key location|admin key file|API key|admin key path|path of the admin key][|?| please]",
        "how do I [get|find|read|see|obtain|look up] the [admin key|API key|key|administrator key]?",
        "what is the [path|location|place|file name] of the [admin key|key|admin key file]?",
        "I [lost|cannot find|can't find|need|am looking for] the [admin key|key|API key].",
        "[what|which] key [do I use|should I use|can I use]?",
        "what is in [the file |].mesh/admin.key?",
        "is there an [admin key|API key|administrator key]?",
        "what is the admin key?",
        "show me where to find the [admin key|key].",
        "[from|out of] which file do I read the [key|admin key]?",
    ],
)
_DATA = Intent(
    ["The data directory is .mesh; it holds the database and the admin key in .mesh/admin.key."],
    [
        "where [does the mesh store|does the mesh keep|is|are] [its data|the data|its files|the data directory|the database|the state]?",
        "[what|which] is the data [directory|folder]?",
        "what is [in|inside] the [directory|folder] .mesh?",
        "what is the .mesh [directory|folder] [for|about]?",
        "in which [directory|folder] [is the data|are the data|does the mesh write]?",
        "[data directory|data folder|.mesh|.mesh directory][|?]",
    ],
)
_SDK = Intent(
    ["OpenAI SDKs work with the base URL http://127.0.0.1:8000/v1."],
    [
        "[what|which] [base URL|baseURL|base_url|base url] [do I use|do I set|is it|should I use|do I need|must I give][| for the OpenAI SDK| in the OpenAI client| for OpenAI SDKs]?",
        "what is the [base URL|baseURL|base_url|base address]?",
        f"[can I use|does {_IT} work with|does {_IT} support|is it possible to use|may I use] [the OpenAI SDK|OpenAI SDKs|the OpenAI client|an OpenAI client|the official OpenAI library|the OpenAI Python library|the openai package|OpenAI libraries]?",
        f"{_TO} [use|configure|set up|point|connect] the OpenAI [SDK|client|library|Python client|package][| with the mesh| to the mesh]?",
        f"is {_IT} [compatible with OpenAI|OpenAI-compatible|OpenAI compatible|compatible with the OpenAI API|compatible with the OpenAI SDK|a drop-in for OpenAI]?",
        f"{_TELL} the base URL[| for the OpenAI SDK| for OpenAI clients].",
        "[base URL|OpenAI base URL|OpenAI SDK|baseURL|OpenAI client][|?| please]",
        "do [OpenAI SDKs|OpenAI clients|OpenAI libraries|existing OpenAI apps] work[| with the mesh| here| with it]?",
        "which [SDK|SDKs|client library|client libraries|library] can I use[| with the mesh| to call it]?",
        f"{_TO} call {_IT} from [Python|JavaScript|Node.js|TypeScript|my app]?",
        "I have an [OpenAI app|app that uses OpenAI|OpenAI client], [how do I connect it|what do I change|can it use the mesh]?",
        "[does|is] the API [follow|like|compatible with] OpenAI?",
        "where do I point my OpenAI [SDK|client|library]?",
    ],
)
_STREAM = Intent(
    ['Add "stream": true to the request, and the answer comes token by token as SSE.'],
    [
        f"{_TO} [stream|get a streaming answer|stream the answer|stream tokens|turn on streaming|enable streaming|get tokens one by one|use streaming|stream responses|receive the answer as a stream]?",
        f"does {_IT} [support streaming|stream|support SSE streaming|stream tokens|stream answers]?",
        "[can|could] I [stream|get a stream|stream answers|stream the response|see tokens as they come]?",
        "[which|what] [parameter|option|field|setting|flag] [turns on streaming|enables streaming|is for streaming|makes it stream|do I need to stream]?",
        "is streaming [supported|possible|available]?",
        f"{_TELL} how streaming works.",
        "[streaming|stream|streaming answers|how to stream][|?]",
        "how does streaming work[| here| in the mesh]?",
        "[how are|are] tokens streamed?",
        "I want [the tokens one by one|a streamed answer|live tokens|streaming].",
        'what does ["stream": true|stream true] do?',
        "what do I [add|set|put in the body] to [stream|get a stream]?",
    ],
)
_START = Intent(
    ["Start the mesh with npm start; it serves on http://127.0.0.1:8000."],
    [
        f"{_TO} [start|run|launch|boot|bring up|start up|fire up|spin up|get started with|set up|install|begin with|serve] [{_MESH}|{_IT}|the server]?",
        f"[what|which] {_COMMAND} [starts|runs|launches|boots|brings up] {_IT}?",
        f"what is the {_COMMAND} to [start|run|launch|boot] {_IT}?",
        f"{_TELL} [how to start|how to run|the command to start|the command that starts|how one starts] {_IT}.",
        "[start|run|launch|starting|running|install] [the mesh|the server|the inference mesh][|?| how]",
        "[start command|how to start|how to run|getting started|quick start|installation|start][|?]",
        f"how is {_IT} [started|launched|run|installed]?",
        f"what do I [type|run|enter|execute] to [start|run|launch] {_IT}?",
        f"with [which|what] command [do I|can I|does one] [start|run|launch] {_IT}?",
        f"I [just downloaded|just cloned|have cloned|have installed] {_IT}, [what now|how do I start|what do I run|what next]?",
        "how do I get [the mesh|the server|it|the API] [running|up|up and running|to run][| on my laptop| locally]?",
        "what does npm start do?",
        f"is there a [simple|single|quick] [way|command] to [start|run] {_IT}?",
        "[the|your] server is [not running|down], how do I start it?",
    ],
)
_TEST = Intent(
    ["Run the tests with npm test."],
    [
        f"{_TO} [test|check|verify|run the tests of|run tests for|run the test suite of] [{_MESH}|{_IT}|the code]?",
        f"{_TO} [run|start|execute|launch] the [tests|test suite|unit tests|end-to-end tests|checks]?",
        f"[what|which] {_COMMAND} [runs the tests|tests the project|runs the test suite|starts the tests|runs the unit tests]?",
        f"what is the {_COMMAND} [to run the tests|for the tests|to test|for testing|to test the mesh]?",
        f"{_TELL} [how to run the tests|how to test the mesh|the test command|how the tests are run].",
        "[run tests|run the tests|test command|tests|testing|how to test|test the mesh|unit tests][|?]",
        f"how [is|do you test|do I test] {_IT}[| tested]?",
        "what do I [type|run|enter] to [test|run the tests|check that everything works]?",
        f"does {_IT} have [tests|unit tests|a test suite|end-to-end tests]?",
        "are there [tests|unit tests|any tests|end-to-end tests]?",
        "what does npm test do?",
        "how do I [know|check|see] [that|if|whether] [it works|everything works|the tests pass|my change is fine]?",
    ],
)
_STOP = Intent(
    ["Stop the mesh with Ctrl-C."],
    [
        f"{_TO} [stop|quit|end|exit|shut down|kill|terminate|turn off|close|halt|switch off] [{_MESH}|{_IT}|the server]?",
        f"[what|which] [key|keys|command|shortcut|key combination] [stops|ends|quits|shuts down|terminates] {_IT}?",
        f"{_TELL} [how to stop|how to shut down|how to quit|how to end] {_IT}.",
        "[stop|quit|exit|shut down|stopping|shutdown] [the mesh|the server|the inference mesh|it][|?| how]",
        f"how is {_IT} [stopped|shut down|ended|turned off]?",
        f"what do I [press|type|do] to [stop|quit|end|shut down] {_IT}?",
        f"{_IT} is running, how do I [stop it|end it|shut it down|turn it off]?",
        "how do I [make it stop|stop it again|stop it|shut it down|get out]?",
        f"what is the [way|command|key] to [stop|quit|shut down] {_IT}?",
        "does Ctrl-C [stop it|stop the mesh|work|shut it down|end the server]?",
    ],
)
_REAL_MODEL = Intent(
    [
        "Run npm start -- --model hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF to serve a real model, or give a file with --model /path/to/model.gguf.",
    ],
    [
        f"{_TO} [use|run|serve|load|try|switch to|get|start|deploy|host|download|plug in] [a real|a bigger|another|a better|a larger|a different|my own|a proper|a smarter|an actual|a full] [model|LLM|language model]?",
        f"{_TO} [use|run|serve|load|try] [Qwen|a Qwen model|Qwen2.5|a Hugging Face model|a model from Hugging Face|Llama|Mistral|a model from hf]?",
        f"{_TO} [change|replace|switch|choose|swap|set|select] [the|this] [model|demo model|toy model]?",
        f"can [I|{_IT}] [use|run|serve|load] [a real model|a bigger model|another model|a different model|Qwen|my own model|other models|Hugging Face models]?",
        "[which|what] [flag|option|command|argument] [loads|serves|sets|chooses|starts|runs|selects] [a real|another|a bigger|the] model?",
        f"{_TELL} how to [use|run|serve|load] [a real model|another model|a bigger model|a better model].",
        "[real model|bigger model|another model|use a real model|change model|--model|model flag][|?]",
        "is there [a bigger|a real|a better|a smarter] model?",
        "[you are too small|I want a smarter model|I need a better model|this model is too small], [what can I do|how do I get a bigger one|how do I use a real one|what now].",
        f"does {_IT} [support|run|work with|serve] [real models|other models|bigger models|Hugging Face models|Qwen]?",
        "[which|what] models can [I|it|the mesh] [run|use|serve|load]?",
        "what does the flag --model do?",
        "can I replace [you|the demo model|this model][| with a real one| with a bigger one]?",
        "give me the command for [a real model|Qwen|a Hugging Face model|another model].",
    ],
)
_MODEL_FILE = Intent(
    ["Run npm start -- --model /path/to/model.gguf to serve a local GGUF file."],
    [
        f"{_TO} [use|run|serve|load|open] [a GGUF file|my GGUF file|a local model|a model file|a local file|a gguf model|a model on my disk|a GGUF model]?",
        "[can|does] [I|it|the mesh|the inference mesh] [use|load|serve|run] [a GGUF file|GGUF files|GGUF|a local model|my own GGUF file|a model file]?",
        f"[which|what] [file format|model format|format|formats|kind of model file] [does {_IT} use|does {_IT} load|does {_IT} support|is supported|do models need]?",
        "I have a [GGUF file|model file|local model], [how do I use it|how do I run it|can I use it|what do I do with it|how do I serve it]?",
        "[GGUF|gguf file|local model|model file|model path][|?]",
        f"{_TELL} how to [use|load|serve] [a GGUF file|a local model|a model file].",
        "where do I put the [path of the model|model path|path of my model|model file]?",
        "is GGUF supported?",
        "how do I give [it|the mesh] [the path of a model|a model file|my model]?",
    ],
)
_ENGINES = Intent(
    ["The engines are llama.cpp (embedded) and any OpenAI-compatible server; vLLM and TGI are planned."],
    [
        f"[what|which] [engines|inference engines|backends|engine|model engines|runtimes|inference backends|backend] [does {_IT} use|does {_IT} support|are supported|are there|can I use|does {_IT} have|can it use|runs the model]?",
        f"does {_IT} [use|support|work with|run on|have|embed] [llama.cpp|vLLM|TGI|an engine|Ollama|other engines|an OpenAI-compatible server]?",
        "is [vLLM|TGI|llama.cpp] [supported|available|there yet|planned|ready|usable|embedded|included]?",
        "[can I|is it possible to|may I] [use|connect|plug in|run] [vLLM|TGI|llama.cpp|an OpenAI-compatible server|another engine|a remote engine|an external server]?",
        f"{_TELL} [which|what] engines {_IT} [supports|uses|has|can use].",
        "[list|name] the [engines|inference engines|backends|supported engines].",
        "[engines|inference engines|backends|llama.cpp|vLLM|TGI|supported engines][|?]",
        "what [runs|executes] the [model|models|inference]?",
        "what is [the default engine|the embedded engine|the built-in engine|the engine]?",
        "[which|what] engine is [embedded|built in|the default|included|used by default]?",
        "[which|what] engines are planned?",
        f"is {_IT} based on llama.cpp?",
    ],
)
_LANGUAGE = Intent(
    ["The mesh is written in TypeScript on Node.js."],
    [
        f"[what|which] [programming |]language is {_IT} [written in|coded in|made in|implemented in|programmed in|built in]?",
        f"in [what|which] [programming |]language is {_IT} [written|coded|implemented|programmed|built]?",
        f"[is|was] {_IT} [written|coded|implemented|built] in [TypeScript|Python|Go|Rust|Java|JavaScript|C++]?",
        f"{_TELL} [what|which] language {_IT} is written in.",
        f"[what|which] [technology|tech stack|stack|runtime|technologies|platform] [does {_IT} use|is {_IT} built on|does {_IT} run on]?",
        f"does {_IT} [use|need|run on|require] [Node.js|Node|TypeScript|Python|JavaScript|npm]?",
        "[programming language|tech stack|implementation language|TypeScript|Node.js|stack][|?]",
        f"what is {_IT} [written in|implemented in|coded in|programmed in]?",
        "[which|what] runtime [does it need|do I need|is needed]?",
        "what is the [tech stack|implementation language|programming language] of the [mesh|inference mesh|project]?",
        "what do I need to install [before|first|to run it]?",
        "is the [code|source|mesh] [Python|Go|Rust|TypeScript|Java]?",
    ],
)
_LIMITS = Intent(
    ["The mesh limits requests per minute and per hour by tier."],
    [
        f"[what|which] [limits|rate limits|quotas|request limits|restrictions] [does {_IT} have|are there|does {_IT} set|does {_IT} enforce|apply|do users have]?",
        f"how [does {_IT} limit|are|do you limit] [requests|users|callers|clients|requests limited]?",
        f"does {_IT} [have|support|enforce|do] [rate limits|rate limiting|quotas|limits|a rate limit]?",
        "[are there|is there] [rate limits|limits|quotas|a rate limit|a limit|a request limit]?",
        "how many requests [can I send|may I send|can I make|are allowed|may I make|can I do][| per minute| per hour]?",
        f"{_TELL} [about the limits|how rate limiting works|about rate limits|which limits there are].",
        "[rate limits|limits|quotas|rate limiting|request limits|tiers][|?]",
        "how do[es|] [rate limiting|rate limits|limits|quotas] work[| here| in the mesh]?",
        "what is [a tier|a tier for|limited by tier]?",
        "are requests [limited|counted|limited per minute|limited per hour|throttled]?",
        "what happens [if|when] I send too many requests?",
        "by [what|which] [unit|time] are requests limited?",
        "what [are tiers|do tiers do|do tiers limit]?",
    ],
)
_STORE = Intent(
    ["The store is SQLite, or Redis for many nodes."],
    [
        f"[what|which] [database|store|storage|data store|db] [does {_IT} use|does {_IT} need|is used|do I need|is behind {_IT}|does {_IT} support]?",
        f"does {_IT} [use|need|support|require|work with|have] [a database|Redis|SQLite|PostgreSQL|MySQL|a store|MongoDB]?",
        f"{_TELL} [which|what] [database|store] {_IT} uses.",
        f"{_TO} [run|use|share limits across|scale to|deploy on] [many nodes|several nodes|many machines|multiple nodes|a cluster]?",
        "[when|why] [do I need|should I use|would I use|is there] Redis?",
        "[database|store|storage|Redis|SQLite|Redis or SQLite|SQLite or Redis|data store][|?]",
        f"where does {_IT} [store|keep|save] [keys|counters|limits|its state|API keys|quotas]?",
        "is [Redis|SQLite|a database] [needed|required|used|necessary|optional|supported]?",
        f"what [is|does] {_IT} [store its data in|use as a store|use as a database]?",
        "[which|what] store [for|do I use for|is right for] [many nodes|several nodes|one node|a cluster|a laptop]?",
        "which databases are supported?",
        "can I use [Redis|SQLite|Postgres]?",
    ],
)
_CONFIGURATION = Intent(
    ["The mesh is configured by mesh.yaml, by flags and by environment variables."],
    [
        f"{_TO} [configure|set up the options of|change the settings of|customize|adjust|change the configuration of|set options for] {_IT}?",
        f"how is {_IT} [configured|set up|customized]?",
        f"[what|which] [file|config file|configuration file] [configures|holds the settings of|do I edit to configure|does one edit for] {_IT}?",
        "where [is|are|do I put|do I set|can I change|do I change] the [configuration|settings|config|options|config file|configuration file]?",
        f"{_TELL} [how to configure|how one configures|where to configure] {_IT}.",
        "[configuration|config|settings|config file|mesh.yaml|options|configuration file|flags][|?]",
        "what is [mesh.yaml|the file mesh.yaml|the config file|the configuration file][| for| called]?",
        "what is the name of the [config|configuration] file?",
        f"can [I|we] [configure|customize] {_IT}[| with environment variables| with a file| with flags]?",
        "are there [flags|environment variables|settings|options|command line flags|config files]?",
        f"does {_IT} [need|have|use|read] [a config file|configuration|a configuration file|environment variables|flags|settings]?",
        "[which|what] [ways|options] [are there|do I have] to configure it?",
        "yaml or flags?",
    ],
)
_NEEDS = Intent(
    ["No, the mesh needs no GPU; it runs on a laptop CPU, and also on a GPU host or a cluster."],
    [
        f"does {_MESH} [need|require|want] [a GPU|a graphics card|CUDA|a big machine|a server|the cloud|a cluster]?",
        f"do I need a [GPU|graphics card|server|cluster|powerful machine] [for|to run|to use|to start] {_MESH}?",
        f"is a [GPU|cluster|server] [needed|required|necessary] [for|to run] {_MESH}?",
        f"{_TELL} [if|whether] {_MESH} needs a GPU.",
        f"can {_MESH} [run|work] without a [GPU|graphics card|cluster|server]?",
        f"[what|which] hardware does {_MESH} [need|require]?",
    ],
)
_CONTRACTS = Intent(
    ["The contracts of the mesh are typed Protobuf definitions, and the services talk gRPC."],
    [
        "how do the services [talk|communicate|speak][| to each other| with each other]?",
        "[what|which] [contracts|schema|interface language|IDL|message format|serialization] [does the mesh use|do the services use|defines the API|does the inference mesh use]?",
        "does the [mesh|inference mesh] use [Protobuf|protocol buffers|gRPC between services]?",
        "[what|how] are the contracts[| defined| written][| in the mesh]?",
        "what are the contracts of the mesh[| written in]?",
        "how are the [APIs|interfaces|services|messages] [defined|typed|described]?",
        "[what is|why] Protobuf [used for in the mesh|in the mesh]?",
        "are the [contracts|APIs|interfaces] typed?",
    ],
)
_INTENTS = [
    *[_MESH_ITSELF] * 3, *[_SERVICES] * 2, _AUTH, _QUOTA, _ROUTER, _INFERENCE, _FACADE, *[_PORT] * 3, _CHANGE_PORT, *[_PROTOCOLS] * 2, *[_CALL] * 3,
    *[_HEADER] * 2, *[_ADMIN_KEY] * 3, _DATA, *[_SDK] * 2, *[_STREAM] * 2, *[_START] * 3, *[_TEST] * 2, *[_STOP] * 2, *[_REAL_MODEL] * 3, _MODEL_FILE,
    *[_ENGINES] * 2, *[_LANGUAGE] * 2, *[_LIMITS] * 2, *[_STORE] * 2, *[_CONFIGURATION] * 2, _NEEDS, _CONTRACTS,
]  # fmt: skip


def sample(rng: Random) -> Conversation:
    """One to four questions about the inference mesh, each about another thing."""
    asked = [pick(rng, _INTENTS)]
    while len(asked) < _MOST_EXCHANGES and rng.random() < _NEXT_RATE:
        asked.append(pick(rng, [intent for intent in _INTENTS if intent not in asked]))
    return opened(rng, [turn for intent in asked for turn in ask(rng, intent)])

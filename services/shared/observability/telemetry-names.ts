/**
 * Names in traces. Those of OpenTelemetry are written out, since its conventions for generative AI and for RPC still move: a
 * release of a package must not rename what dashboards look for. Sources: semantic-conventions 1.45 for HTTP, RPC and databases,
 * semantic-conventions-genai for `gen_ai.*`.
 */
export const NAMES = {
  errorType: 'error.type',
  serverAddress: 'server.address',
  serverPort: 'server.port',
  clientAddress: 'client.address',

  httpMethod: 'http.request.method',
  httpRoute: 'http.route',
  httpStatus: 'http.response.status_code',
  urlScheme: 'url.scheme',
  userAgent: 'user_agent.original',
  protocolVersion: 'network.protocol.version',

  rpcSystem: 'rpc.system.name',
  /** Fully qualified, e.g. "mesh.auth.v1.AuthService/Authenticate"; also the name of the span. */
  rpcMethod: 'rpc.method',
  rpcStatus: 'rpc.response.status_code',

  dbSystem: 'db.system.name',
  dbOperation: 'db.operation.name',

  genAiOperation: 'gen_ai.operation.name',
  genAiProvider: 'gen_ai.provider.name',
  genAiRequestModel: 'gen_ai.request.model',
  genAiStream: 'gen_ai.request.stream',
  genAiMaxTokens: 'gen_ai.request.max_tokens',
  genAiTemperature: 'gen_ai.request.temperature',
  genAiTopP: 'gen_ai.request.top_p',
  genAiTopK: 'gen_ai.request.top_k',
  genAiSeed: 'gen_ai.request.seed',
  genAiFrequencyPenalty: 'gen_ai.request.frequency_penalty',
  genAiPresencePenalty: 'gen_ai.request.presence_penalty',
  genAiStopSequences: 'gen_ai.request.stop_sequences',
  genAiOutputType: 'gen_ai.output.type',
  genAiChoices: 'gen_ai.request.choice.count',
  genAiResponseModel: 'gen_ai.response.model',
  genAiFinishReasons: 'gen_ai.response.finish_reasons',
  genAiTimeToFirstChunk: 'gen_ai.response.time_to_first_chunk',
  genAiInputTokens: 'gen_ai.usage.input_tokens',
  genAiOutputTokens: 'gen_ai.usage.output_tokens',
  genAiCachedTokens: 'gen_ai.usage.cache_read.input_tokens',
  genAiReasoningTokens: 'gen_ai.usage.reasoning.output_tokens',
  /** Only where an operator asked for it: what people wrote, and were answered. */
  genAiInput: 'gen_ai.input.messages',
  genAiOutput: 'gen_ai.output.messages',

  /** Ours: the id in `x-request-id`. */
  requestId: 'mesh.request.id',
  engine: 'mesh.engine',
  /** How long it waited for a place or a model, in milliseconds. */
  queueMs: 'mesh.queue_ms',
  promptTokens: 'mesh.prompt_tokens',
  completionTokens: 'mesh.completion_tokens',
  taskId: 'mesh.task.id',
  attempt: 'mesh.attempt',
  fromToken: 'mesh.from_token',
} as const;

/** Events of spans. */
export const EVENTS = {
  /** The first of the answer came. */
  firstToken: 'gen_ai.first_token',
  /** Another engine goes on. */
  takeover: 'mesh.takeover',
} as const;

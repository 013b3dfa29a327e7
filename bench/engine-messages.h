// The bytes that the mock engine sends, built once at start: the shape and size of what vLLM sends for one request.
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>

#include "clock.h"

namespace messages {

inline std::string httpChunk(const std::string& data) {
  char size[16];
  snprintf(size, sizeof size, "%zx\r\n", data.size());
  return size + data + "\r\n";
}

inline std::string httpResponse(const std::string& status, const std::string& type, const std::string& body) {
  return "HTTP/1.1 " + status + "\r\ncontent-type: " + type + "\r\ncontent-length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

// One SSE event in one HTTP chunk. `choices` is the inside of the array, `rest` what follows it.
inline std::string event(const std::string& choices, const std::string& rest = "") {
  return httpChunk(
      "data: {\"id\":\"chatcmpl-6f0c3a7d9b1e4c52a8d0f1b2c3d4e5f6\",\"object\":\"chat.completion.chunk\","
      "\"created\":1763695870,\"model\":\"mock\",\"choices\":[" +
      choices + "]" + rest + "}\n\n");
}

inline std::string choice(const std::string& delta, const std::string& finishReason) {
  return "{\"index\":0,\"delta\":{" + delta + "},\"logprobs\":null,\"finish_reason\":" + finishReason + "}";
}

constexpr int kPromptTokens = 23;
constexpr int kUnaryTokens = 128;

inline std::string usage(long completionTokens) {
  return "\"usage\":{\"prompt_tokens\":" + std::to_string(kPromptTokens) +
         ",\"total_tokens\":" + std::to_string(kPromptTokens + completionTokens) +
         ",\"completion_tokens\":" + std::to_string(completionTokens) + "}";
}

const std::string kStreamHead =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    "transfer-encoding: chunked\r\n\r\n";

const std::string kRole = event(choice("\"role\":\"assistant\",\"content\":\"\"", "null"));

// What ends a stream; built once per request because of the count.
inline std::string streamEnd(long completionTokens, bool includeUsage) {
  return event(choice("\"content\":\"\"", "\"stop\"")) +
         (includeUsage ? event("", "," + usage(completionTokens)) : "") + httpChunk("data: [DONE]\n\n") + "0\r\n\r\n";
}

// The token event. Its text is " t" and the time of sending, patched into the same buffer for every token, so that
// the load client can tell how long each token travelled.
class TokenEvent {
 public:
  TokenEvent()
      : bytes_(event(choice("\"content\":\" t" + std::string(kStampDigits, '0') + "\"", "null"))),
        stampAt_(bytes_.find("\" t0") + 3) {}

  const std::string& stamped(uint64_t timeUs) {
    for (int i = kStampDigits - 1; i >= 0; i--, timeUs /= 10) bytes_[stampAt_ + i] = '0' + timeUs % 10;
    return bytes_;
  }

 private:
  std::string bytes_;
  size_t stampAt_;
};

// Answer to "stream": false, about 1 KB.
inline std::string unary() {
  std::string text(620, 'x');
  for (size_t i = 7; i < text.size(); i += 8) text[i] = ' ';
  return httpResponse(
      "200 OK", "application/json",
      "{\"id\":\"chatcmpl-6f0c3a7d9b1e4c52a8d0f1b2c3d4e5f6\",\"object\":\"chat.completion\",\"created\":1763695870,"
      "\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"" +
          text +
          "\",\"refusal\":null,\"tool_calls\":[]},\"logprobs\":null,\"finish_reason\":\"stop\",\"stop_reason\":null}]," +
          usage(kUnaryTokens) + ",\"prompt_logprobs\":null}");
}

inline std::string models() {
  std::string entries;
  for (const char* name : {"mock", "burst", "paced", "lock"}) {
    if (!entries.empty()) entries += ",";
    entries += std::string("{\"id\":\"") + name +
               "\",\"object\":\"model\",\"created\":1763695870,\"owned_by\":\"bench\",\"max_model_len\":32768}";
  }
  return httpResponse("200 OK", "application/json", "{\"object\":\"list\",\"data\":[" + entries + "]}");
}

}  // namespace messages

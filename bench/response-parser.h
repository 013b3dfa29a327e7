// Incremental reader of one HTTP/1.1 response after another on a connection, and of the SSE events inside.
// It validates nothing that the benchmark does not count on; bench/engine.test.ts checks the bytes themselves.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "clock.h"
#include "transit-times.h"

class ResponseParser {
 public:
  int status = 0;
  bool eventStream = false;
  bool sawDone = false;            // "data: [DONE]"
  bool closesConnection = false;   // said by the server
  long tokens = 0;                 // stamps seen; several may share one event
  uint64_t firstTokenUs = 0;       // when the first stamp was read, 0 for none
  std::string errorBody;           // start of the body when the status is not 200

  explicit ResponseParser(TransitTimes* transits) : transits_(transits) {}

  void reset() { *this = ResponseParser(transits_); }

  // True when the response is complete.
  bool feed(const char* p, size_t n, uint64_t readAtUs) {
    while (n > 0) {
      size_t used = 0;
      bool complete = false;
      switch (state_) {
        case State::Head: used = head(p, n, &complete); break;
        case State::Body: used = plainBody(p, n, readAtUs, &complete); break;
        case State::ChunkSize: used = chunkSize(p, n); break;
        case State::ChunkData: used = chunkData(p, n, readAtUs); break;
        case State::ChunkEnd: used = throughNewline(p, n, State::ChunkSize); break;
        case State::Trailer:
          used = throughNewline(p, n, State::Head);
          complete = state_ == State::Head;
          break;
      }
      if (complete) return true;
      p += used;
      n -= used;
    }
    return false;
  }

  // Whether the end of the connection is a proper end of this response (neither length nor chunks were announced).
  bool endsWithConnection() const { return state_ == State::Body && length_ < 0; }

 private:
  enum class State { Head, Body, ChunkSize, ChunkData, ChunkEnd, Trailer };

  State state_ = State::Head;
  long length_ = -1;  // -1: not announced
  long left_ = 0;     // of the body or of the chunk
  std::string head_, size_, line_;
  TransitTimes* transits_;

  size_t head(const char* p, size_t n, bool* complete) {
    size_t before = head_.size();
    head_.append(p, n);
    size_t end = head_.find("\r\n\r\n", before > 3 ? before - 3 : 0);
    if (end == std::string::npos) return n;
    head_.resize(end + 4);
    size_t used = end + 4 - before;
    for (char& letter : head_) letter = tolower(letter);
    status = atoi(head_.c_str() + strlen("http/1.1 "));
    eventStream = has("\r\ncontent-type: text/event-stream") || has("\r\ncontent-type:text/event-stream");
    closesConnection = has("\r\nconnection: close");
    size_t at = head_.find("\r\ncontent-length:");
    if (at != std::string::npos) length_ = atol(head_.c_str() + at + strlen("\r\ncontent-length:"));
    left_ = length_;
    state_ = has("\r\ntransfer-encoding: chunked") ? State::ChunkSize : State::Body;
    *complete = length_ == 0;
    return used;
  }

  bool has(const char* text) const { return head_.find(text) != std::string::npos; }

  size_t plainBody(const char* p, size_t n, uint64_t readAtUs, bool* complete) {
    size_t used = length_ < 0 ? n : std::min<size_t>(n, left_);
    content(p, used, readAtUs);
    if (length_ >= 0) *complete = (left_ -= used) == 0;
    return used;
  }

  size_t chunkSize(const char* p, size_t n) {
    for (size_t i = 0; i < n; i++) {
      if (p[i] != '\n') {
        size_ += p[i];
        continue;
      }
      left_ = strtol(size_.c_str(), nullptr, 16);
      size_.clear();
      state_ = left_ > 0 ? State::ChunkData : State::Trailer;
      return i + 1;
    }
    return n;
  }

  size_t chunkData(const char* p, size_t n, uint64_t readAtUs) {
    size_t used = std::min<size_t>(n, left_);
    content(p, used, readAtUs);
    if ((left_ -= used) == 0) state_ = State::ChunkEnd;
    return used;
  }

  size_t throughNewline(const char* p, size_t n, State next) {
    const char* end = static_cast<const char*>(memchr(p, '\n', n));
    if (!end) return n;
    state_ = next;
    return end + 1 - p;
  }

  void content(const char* p, size_t n, uint64_t readAtUs) {
    if (status != 200) errorBody.append(p, std::min<size_t>(n, 300 - std::min<size_t>(300, errorBody.size())));
    if (!eventStream) return;
    while (n > 0) {
      const char* end = static_cast<const char*>(memchr(p, '\n', n));
      if (!end) {
        line_.append(p, n);
        return;
      }
      if (line_.empty()) {
        line(p, end - p, readAtUs);
      } else {
        line_.append(p, end - p);
        line(line_.data(), line_.size(), readAtUs);
        line_.clear();
      }
      n -= end + 1 - p;
      p = end + 1;
    }
  }

  void line(const char* p, size_t n, uint64_t readAtUs) {
    if (n < 5 || memcmp(p, "data:", 5) != 0) return;
    if (n <= 16 && memmem(p, n, "[DONE]", 6)) {
      sawDone = true;
      return;
    }
    const char* end = p + n;
    while ((p = static_cast<const char*>(memmem(p, end - p, " t0", 3)))) {
      p += 2;
      uint64_t sentAtUs = 0;
      int digits = 0;
      for (; digits < kStampDigits && p < end && *p >= '0' && *p <= '9'; digits++, p++)
        sentAtUs = sentAtUs * 10 + (*p - '0');
      if (digits < kStampDigits) continue;
      if (tokens++ == 0) firstTokenUs = readAtUs;
      transits_->add(sentAtUs, readAtUs);
    }
  }
};

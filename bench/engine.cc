// Mock OpenAI-compatible engine: one thread, epoll, no allocation per token, so that the gateway is what is measured.
//
//   POST /v1/chat/completions   "stream": true  -> role chunk, tokens (one write() each), finish, usage, [DONE]
//                               "stream": false -> about 1 KB of JSON
//   GET /v1/models, GET /health
//   GET /left                   streams that run now, and those that the other side left before their end since this was last
//                               asked for: their number and the time (CLOCK_MONOTONIC, us) at which their socket was seen closed
//
// `model` says when tokens come, `max_tokens` how many (default 64):
//   burst  as fast as the socket takes them
//   paced  one each `seed` ms (default 20), each stream with a phase of its own
//   lock   one each `seed` ms, all streams on the same tick, as a batching engine steps
// `seed` carries the pace because it is a number that every gateway forwards untouched; what is above its last five digits is the
// number of the stream, 0 for those that nobody asks about.
// No pipelining: a client waits for the end of an answer before it sends the next request on a connection.
//
// usage: engine PORT
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "clock.h"
#include "engine-messages.h"

enum class Mode { Burst, Paced, Lock };

// Burst streams take turns of this many events, so that none starves the others.
constexpr int kBurstTurn = 16;
constexpr int kMaxDescriptors = 65536;

struct Connection {
  int fd = -1;
  uint64_t stream = 0;  // number of the running stream: tells a queue entry of an earlier stream from this one's
  std::string input;
  std::string pending;  // bytes that the socket did not take yet
  size_t pendingSent = 0;
  bool wantsWritable = false;
  bool streaming = false;
  bool includeUsage = false;
  Mode mode = Mode::Burst;
  long tokens = 0, tokensLeft = 0;
  uint64_t periodUs = 0, dueUs = 0;
  long number = 0;
};

struct Turn {
  uint64_t dueUs;
  int fd;
  uint64_t stream;
  bool operator<(const Turn& other) const { return dueUs > other.dueUs; }  // priority_queue: earliest first
};

static int poller;
static uint64_t streamsStarted = 0;
static long streamsRunning = 0;
static std::vector<std::pair<long, uint64_t>> left;
static std::vector<Connection*> connections(kMaxDescriptors, nullptr);  // by descriptor
static std::priority_queue<Turn> timed;
static std::vector<Turn> burst;

static const std::string kUnary = messages::unary();
static const std::string kModels = messages::models();
static const std::string kHealth = messages::httpResponse("200 OK", "text/plain", "ok");
static const std::string kNotFound = messages::httpResponse("404 Not Found", "text/plain", "not found");
static messages::TokenEvent tokenEvent;

// --- Writing ------------------------------------------------------------------------------------------------------

static void watch(Connection* c, bool writable) {
  if (writable == c->wantsWritable) return;
  c->wantsWritable = writable;
  epoll_event e{};
  e.events = EPOLLIN | (writable ? EPOLLOUT : 0u);
  e.data.fd = c->fd;
  epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

// Every function that returns bool says whether the connection is still good.
static bool send(Connection* c, const std::string& bytes) {
  if (c->wantsWritable) {
    c->pending += bytes;
    return true;
  }
  ssize_t sent = write(c->fd, bytes.data(), bytes.size());
  if (sent < 0) {
    if (errno != EAGAIN) return false;
    sent = 0;
  }
  if (static_cast<size_t>(sent) < bytes.size()) {
    c->pending.assign(bytes, sent, std::string::npos);
    c->pendingSent = 0;
    watch(c, true);
  }
  return true;
}

static void schedule(Connection* c) {
  if (c->mode != Mode::Burst) timed.push({c->dueUs, c->fd, c->stream});
  // A burst stream whose socket is full is scheduled again when the socket has drained.
  else if (!c->wantsWritable) burst.push_back({0, c->fd, c->stream});
}

static bool sendToken(Connection* c) {
  if (!send(c, tokenEvent.stamped(nowUs()))) return false;
  if (--c->tokensLeft > 0) return true;
  c->streaming = false;
  streamsRunning--;
  return send(c, messages::streamEnd(c->tokens, c->includeUsage));
}

// --- Requests -----------------------------------------------------------------------------------------------------

// The value of a top-level field, found by text: the bodies are the harness's own and small. A quote inside a prompt
// is escaped, so a quoted name is always a field.
static const char* fieldValue(const std::string& body, const char* quotedName) {
  size_t at = body.find(quotedName);
  if (at == std::string::npos) return nullptr;
  at += strlen(quotedName);
  while (at < body.size() && (body[at] == ' ' || body[at] == ':')) at++;
  return body.c_str() + at;
}

static long numberField(const std::string& body, const char* quotedName, long otherwise) {
  const char* value = fieldValue(body, quotedName);
  return value ? strtol(value, nullptr, 10) : otherwise;
}

static bool fieldIs(const std::string& body, const char* quotedName, const char* expected) {
  const char* value = fieldValue(body, quotedName);
  return value && strncmp(value, expected, strlen(expected)) == 0;
}

static bool startStream(Connection* c, const std::string& body) {
  c->tokens = std::max(1L, numberField(body, "\"max_tokens\"", numberField(body, "\"max_completion_tokens\"", 64)));
  c->tokensLeft = c->tokens;
  long seed = numberField(body, "\"seed\"", 20);
  c->periodUs = std::max(1L, seed % 100000) * 1000;
  c->number = seed / 100000;
  c->includeUsage = fieldIs(body, "\"include_usage\"", "true");
  c->mode = fieldIs(body, "\"model\"", "\"paced\"")  ? Mode::Paced
            : fieldIs(body, "\"model\"", "\"lock\"") ? Mode::Lock
                                                     : Mode::Burst;
  c->streaming = true;
  streamsRunning++;
  c->stream = ++streamsStarted;
  if (!send(c, messages::kStreamHead) || !send(c, messages::kRole)) return false;
  if (c->mode == Mode::Lock) {
    c->dueUs = (nowUs() / c->periodUs + 1) * c->periodUs;  // joins the next step of the batch
  } else {
    c->dueUs = nowUs() + c->periodUs;
    if (!sendToken(c)) return false;
  }
  if (c->streaming) schedule(c);
  return true;
}

static std::string takeLeft() {
  std::string list;
  for (auto& [number, atUs] : left) {
    if (!list.empty()) list += ",";
    list += "[" + std::to_string(number) + "," + std::to_string(atUs) + "]";
  }
  left.clear();
  return messages::httpResponse("200 OK", "application/json",
                                "{\"running\":" + std::to_string(streamsRunning) + ",\"left\":[" + list + "]}");
}

static bool respond(Connection* c, const std::string& requestLine, const std::string& body) {
  auto is = [&](const char* start) { return requestLine.compare(0, strlen(start), start) == 0; };
  if (is("GET /v1/models ")) return send(c, kModels);
  if (is("GET /health ")) return send(c, kHealth);
  if (is("GET /left ")) return send(c, takeLeft());
  if (!is("POST /v1/chat/completions ")) return send(c, kNotFound);
  return fieldIs(body, "\"stream\"", "true") ? startStream(c, body) : send(c, kUnary);
}

// Cuts one whole request off the input. False: more bytes are needed.
static bool takeRequest(std::string& input, std::string& requestLine, std::string& body) {
  size_t headEnd = input.find("\r\n\r\n");
  if (headEnd == std::string::npos) return false;
  std::string head = input.substr(0, headEnd + 2);
  requestLine = head.substr(0, head.find("\r\n"));
  for (char& letter : head) letter = tolower(letter);
  size_t end = headEnd + 4;
  body.clear();
  size_t at;
  if ((at = head.find("\r\ncontent-length:")) != std::string::npos) {
    size_t length = strtoul(head.c_str() + at + strlen("\r\ncontent-length:"), nullptr, 10);
    if (input.size() < end + length) return false;
    body = input.substr(end, length);
    end += length;
  } else if (head.find("\r\ntransfer-encoding: chunked") != std::string::npos) {
    for (size_t length = 1; length > 0;) {
      size_t lineEnd = input.find("\r\n", end);
      if (lineEnd == std::string::npos) return false;
      length = strtoul(input.c_str() + end, nullptr, 16);
      if (input.size() < lineEnd + 2 + length + 2) return false;
      body.append(input, lineEnd + 2, length);
      end = lineEnd + 2 + length + 2;
    }
  }
  input.erase(0, end);
  return true;
}

static bool serveInput(Connection* c) {
  std::string requestLine, body;
  while (!c->streaming && takeRequest(c->input, requestLine, body))
    if (!respond(c, requestLine, body)) return false;
  return true;
}

// --- Event loop ---------------------------------------------------------------------------------------------------

static void drop(Connection* c) {
  if (c->streaming) streamsRunning--;
  if (c->streaming && c->number > 0) left.push_back({c->number, nowUs()});
  connections[c->fd] = nullptr;
  close(c->fd);
  delete c;
}

static bool onReadable(Connection* c) {
  char buffer[65536];
  for (;;) {
    ssize_t got = read(c->fd, buffer, sizeof buffer);
    if (got == 0) return false;
    if (got < 0) {
      if (errno == EAGAIN) break;
      return false;
    }
    c->input.append(buffer, got);
    if (got < static_cast<ssize_t>(sizeof buffer)) break;
  }
  return serveInput(c);
}

static bool onWritable(Connection* c) {
  ssize_t sent = write(c->fd, c->pending.data() + c->pendingSent, c->pending.size() - c->pendingSent);
  if (sent < 0) return errno == EAGAIN;
  c->pendingSent += sent;
  if (c->pendingSent < c->pending.size()) return true;
  c->pending.clear();
  c->pendingSent = 0;
  watch(c, false);
  if (c->streaming) {
    if (c->mode == Mode::Burst) schedule(c);
    return true;
  }
  return serveInput(c);
}

static void acceptAll(int listener) {
  for (;;) {
    int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
    if (fd < 0) return;
    if (fd >= kMaxDescriptors) {
      close(fd);
      continue;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connections[fd] = new Connection;
    connections[fd]->fd = fd;
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.fd = fd;
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
  }
}

// The stream that a queue entry meant, unless it has ended or its descriptor serves another by now.
static Connection* streamOf(const Turn& turn) {
  Connection* c = connections[turn.fd];
  return c && c->streaming && c->stream == turn.stream ? c : nullptr;
}

static void sendDueTokens() {
  for (uint64_t now = nowUs(); !timed.empty() && timed.top().dueUs <= now;) {
    Connection* c = streamOf(timed.top());
    timed.pop();
    if (!c) continue;
    if (!sendToken(c)) {
      drop(c);
    } else if (c->streaming) {
      c->dueUs += c->periodUs;  // from the plan, not from now: lateness does not add up
      schedule(c);
    }
  }
}

static void sendBurstTokens() {
  static std::vector<Turn> turns;
  turns.clear();
  turns.swap(burst);
  for (const Turn& turn : turns) {
    Connection* c = streamOf(turn);
    if (!c) continue;
    bool good = true;
    for (int i = 0; i < kBurstTurn && good && c->streaming && !c->wantsWritable; i++) good = sendToken(c);
    if (!good) drop(c);
    else if (c->streaming) schedule(c);
  }
}

static int timeoutMs() {
  if (!burst.empty()) return 0;
  if (timed.empty()) return -1;
  uint64_t now = nowUs(), due = timed.top().dueUs;
  return due <= now ? 0 : static_cast<int>((due - now + 999) / 1000);  // up: never early, never a busy loop
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: engine PORT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(atoi(argv[1]));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) || listen(listener, 4096)) {
    perror("engine: cannot listen");
    return 1;
  }
  poller = epoll_create1(0);
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.fd = listener;
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);

  static epoll_event events[1024];
  for (;;) {
    int ready = epoll_wait(poller, events, 1024, timeoutMs());
    for (int i = 0; i < ready; i++) {
      if (events[i].data.fd == listener) {
        acceptAll(listener);
        continue;
      }
      Connection* c = connections[events[i].data.fd];
      if (!c) continue;
      bool good = true;
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) good = onReadable(c);
      if (good && c->wantsWritable && (events[i].events & EPOLLOUT)) good = onWritable(c);
      if (!good) drop(c);
    }
    sendDueTokens();
    sendBurstTokens();
  }
}

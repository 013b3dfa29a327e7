// As load.cc, for mesh.router.v1.RouterService/Generate over gRPC: all streams on one connection of HTTP/2, as a client of gRPC has
// them. A request counts as good only when its stream was closed by the server, ended with the bill and brought exactly the
// expected number of tokens. It speaks just as much HTTP/2 as that needs: header fields are written plainly and never read.
//
// usage: as load.cc; --body FILE is the encoded GenerateRequest, --concurrency the number of streams at a time
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "clock.h"
#include "load-run.h"

enum FrameType : uint8_t { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
constexpr uint8_t kAck = 1, kEndStream = 1, kEndHeaders = 4;
constexpr uint32_t kMaxWindow = 0x7fffffff, kFirstWindow = 65535;
constexpr int kUsageField = 5;  // of GenerationEvent

struct Stream {
  uint64_t sentAtUs = 0, firstTokenUs = 0;
  long tokens = 0;
  bool billed = false;
  std::string unread;  // what has come of a message that is not whole
};

static int connection;
static std::string out, in, requestHeaders, requestMessage;
static std::unordered_map<uint32_t, Stream> streams;
static uint32_t nextId = 1;
static int64_t window = kFirstWindow;
static long issued = 0, waiting = 0;
static bool stopping = false, broken = false;

static std::string number(uint32_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
  return text;
}

static uint32_t numberAt(const char* bytes, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; i++) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

static void frame(uint8_t type, uint8_t flags, uint32_t id, const std::string& payload) {
  out += number(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) + number(id, 4) + payload;
}

// A literal of HPACK, RFC 7541, 6.2.2: without index and without Huffman.
static std::string literal(const std::string& text) {
  std::string length;
  if (text.size() < 127) {
    length = static_cast<char>(text.size());
  } else {
    length = static_cast<char>(127);
    size_t rest = text.size() - 127;
    for (; rest >= 128; rest /= 128) length += static_cast<char>(rest % 128 + 128);
    length += static_cast<char>(rest);
  }
  return length + text;
}

static void field(const std::string& name, const std::string& value) {
  requestHeaders += static_cast<char>(0) + literal(name) + literal(value);
}

static void sendWaiting() {
  while (waiting > 0 && window >= static_cast<int64_t>(requestMessage.size())) {
    waiting--;
    window -= requestMessage.size();
    streams[nextId].sentAtUs = nowUs();
    frame(HEADERS, kEndHeaders, nextId, requestHeaders);
    frame(DATA, kEndStream, nextId, requestMessage);
    nextId += 2;
  }
}

static void sendNext() {
  if (stopping || broken || issued >= options.requests) return;
  issued++;
  waiting++;
  sendWaiting();
}

static void finish(uint32_t id, const char* problem) {
  Stream& s = streams[id];
  uint64_t now = nowUs();
  measured.tokens += s.tokens;
  std::string why = problem ? problem : !s.billed ? "no bill" : "";
  if (why.empty() && options.tokensPerStream >= 0 && s.tokens != options.tokensPerStream)
    why = std::to_string(s.tokens) + " tokens";
  if (why.empty()) {
    measured.good++;
    measured.latencyUs.push_back(now - s.sentAtUs);
    if (s.firstTokenUs) measured.firstTokenUs.push_back(s.firstTokenUs - s.sentAtUs);
  } else {
    fail(why);
  }
  streams.erase(id);
  sendNext();
}

static void readTokens(Stream& s, const char* bytes, size_t size, uint64_t now) {
  if (size > 0 && static_cast<uint8_t>(bytes[0]) == (kUsageField << 3 | 2)) s.billed = true;
  const char* end = bytes + size;
  for (const char* at = bytes; (at = static_cast<const char*>(memmem(at, end - at, " t0", 3))) != nullptr; at += 3) {
    if (end - at < 2 + kStampDigits) break;
    uint64_t stampUs = 0;
    for (int i = 0; i < kStampDigits; i++) stampUs = stampUs * 10 + (at[2 + i] - '0');
    if (s.tokens++ == 0) s.firstTokenUs = now;
    measured.transits.add(stampUs, now);
  }
}

static void readData(uint32_t id, const char* bytes, size_t size, uint64_t now) {
  auto found = streams.find(id);
  if (found == streams.end()) return;
  Stream& s = found->second;
  s.unread.append(bytes, size);
  size_t at = 0;
  while (s.unread.size() - at >= 5) {
    size_t length = numberAt(s.unread.data() + at + 1, 4);
    if (s.unread.size() - at < 5 + length) break;
    readTokens(s, s.unread.data() + at + 5, length, now);
    at += 5 + length;
  }
  s.unread.erase(0, at);
}

static void onFrame(uint8_t type, uint8_t flags, uint32_t id, const char* payload, size_t size, uint64_t now) {
  if (type == DATA) readData(id, payload, size, now);
  if ((type == DATA || type == HEADERS) && (flags & kEndStream) && streams.count(id)) finish(id, nullptr);
  if (type == RST_STREAM && streams.count(id)) finish(id, "reset");
  if (type == SETTINGS && !(flags & kAck)) frame(SETTINGS, kAck, 0, "");
  if (type == PING && !(flags & kAck)) frame(PING, kAck, 0, std::string(payload, size));
  if (type == GOAWAY) broken = true;
  if (type == WINDOW_UPDATE && id == 0) {
    window += numberAt(payload, 4);
    sendWaiting();
  }
}

static bool readAll(uint64_t* lastReadUs) {
  static char buffer[262144];
  ssize_t got = recv(connection, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return true;
  if (got <= 0) return false;
  uint64_t now = *lastReadUs = nowUs();
  measured.reads++;
  measured.bytes += got;
  in.append(buffer, got);
  size_t at = 0;
  while (in.size() - at >= 9) {
    size_t size = numberAt(in.data() + at, 3);
    if (in.size() - at < 9 + size) break;
    onFrame(in[at + 3], in[at + 4], numberAt(in.data() + at + 5, 4), in.data() + at + 9, size, now);
    at += 9 + size;
  }
  in.erase(0, at);
  return true;
}

static void flush() {
  // What a client has to say here always fits: its requests are small, and the window bounds them.
  if (!out.empty() && send(connection, out.data(), out.size(), 0) != static_cast<ssize_t>(out.size())) broken = true;
  out.clear();
}

static bool open() {
  connection = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address)) return false;
  int one = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  out = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  // No table of header fields, and as much on each stream as ever comes.
  frame(SETTINGS, 0, 0, number(1, 2) + number(0, 4) + number(4, 2) + number(kMaxWindow, 4));
  frame(WINDOW_UPDATE, 0, 0, number(kMaxWindow - kFirstWindow, 4));
  flush();
  return true;
}

// Returns the seconds from the first request to the last byte.
static double run() {
  if (!open()) {
    fail("connect");
    return 0;
  }
  int poller = epoll_create1(0);
  epoll_event e{};
  e.events = EPOLLIN;
  epoll_ctl(poller, EPOLL_CTL_ADD, connection, &e);
  uint64_t startUs = nowUs(), stopUs = startUs + static_cast<uint64_t>(options.seconds * 1e6), lastReadUs = startUs;
  uint64_t started = 0, all = options.concurrency;
  auto dueUs = [&](uint64_t stream) { return startUs + options.rampUs * stream / all; };
  while (!broken) {
    uint64_t now = nowUs();
    if (now >= stopUs) stopping = true;
    if (now >= stopUs + kDrainUs) break;
    for (; started < all && dueUs(started) <= now; started++) sendNext();
    flush();
    if (streams.empty() && waiting == 0 && (stopping || (started == all && issued >= options.requests))) break;
    uint64_t waitMs = 100;
    if (started < all && !stopping) waitMs = std::min<uint64_t>(waitMs, (dueUs(started) - now + 999) / 1000);
    if (epoll_wait(poller, &e, 1, static_cast<int>(waitMs)) > 0 && !readAll(&lastReadUs)) broken = true;
  }
  for (long left = streams.size() + waiting; left > 0; left--) fail(broken ? "connection cut" : "unfinished");
  return (lastReadUs - startUs) / 1e6;
}

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  readArguments(argc, argv, "grpc-load");
  field(":method", "POST");
  field(":scheme", "http");
  field(":path", "/mesh.router.v1.RouterService/Generate");
  field(":authority", "127.0.0.1:" + std::to_string(options.port));
  field("content-type", "application/grpc");
  field("te", "trailers");
  std::istringstream lines(options.headers);
  for (std::string line; getline(lines, line);) {
    size_t colon = line.find(": ");
    if (colon != std::string::npos) field(line.substr(0, colon), line.substr(colon + 2, line.find('\r') - colon - 2));
  }
  requestMessage = std::string(1, 0) + number(options.body.size(), 4) + options.body;
  reserveTimes();
  print(run());
}

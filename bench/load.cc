// Closed-loop HTTP/1.1 load client: one thread, epoll; each connection sends its next request when its answer is
// complete. Prints one line of JSON. A request counts as good only when its status is 200, its stream ended with
// [DONE] and it brought exactly the expected number of tokens: a gateway that drops work must not look fast.
//
// usage: load --port N --concurrency N --seconds S --body FILE [--requests N] [--ramp-ms N] [--headers FILE]
//             [--tokens-per-stream N]
//   --headers  one header per line; a file, because it holds the key and arguments are readable by everybody
//   --ramp-ms  the connections start spread over this time
// Times: first token and latency from the moment the request is written, transit from the engine's write of a token.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "clock.h"
#include "load-run.h"
#include "response-parser.h"

struct Connection {
  int fd = -1;
  bool busy = false;
  uint64_t startAtUs = 0, sentAtUs = 0;
  ResponseParser response;
  explicit Connection(std::vector<uint32_t>* transitUs) : response(transitUs) {}
};

static std::string request;
static std::vector<Connection> connections;
static int poller, active = 0;
static long issued = 0;
static bool stopping = false;

static bool open(Connection& c) {
  c.fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c.fd, reinterpret_cast<sockaddr*>(&address), sizeof address)) {
    fail("connect");
    close(c.fd);
    c.fd = -1;
    return false;
  }
  int one = 1;
  setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(c.fd, F_SETFL, O_NONBLOCK);
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.u64 = &c - connections.data();
  epoll_ctl(poller, EPOLL_CTL_ADD, c.fd, &e);
  return true;
}

static void shut(Connection& c) {
  close(c.fd);
  c.fd = -1;
}

static void sendNext(Connection& c) {
  if (stopping || issued >= options.requests) return;
  issued++;
  if (c.fd < 0 && !open(c)) return;
  c.response.reset();
  c.sentAtUs = nowUs();
  // The whole request fits an empty socket buffer; less would need a write queue that no workload uses.
  if (write(c.fd, request.data(), request.size()) != static_cast<ssize_t>(request.size())) {
    fail("short write");
    shut(c);
    return;
  }
  c.busy = true;
  active++;
}

static std::string problem(const ResponseParser& response, bool whole) {
  if (response.status != 200) return "status " + std::to_string(response.status);
  if (!whole) return "connection cut";
  if (!response.eventStream) return options.tokensPerStream < 0 ? "" : "not an event stream";
  if (!response.sawDone) return "no [DONE]";
  if (options.tokensPerStream >= 0 && response.tokens != options.tokensPerStream)
    return std::to_string(response.tokens) + " tokens";
  return "";
}

static void finish(Connection& c, bool whole) {
  uint64_t now = nowUs();
  c.busy = false;
  active--;
  measured.tokens += c.response.tokens;
  std::string why = problem(c.response, whole);
  if (why.empty()) {
    measured.good++;
    measured.latencyUs.push_back(now - c.sentAtUs);
    if (c.response.firstTokenUs) measured.firstTokenUs.push_back(c.response.firstTokenUs - c.sentAtUs);
  } else {
    if (measured.errors == 0) fprintf(stderr, "load: %s %s\n", why.c_str(), c.response.errorBody.c_str());
    fail(why);
  }
  if (!whole || c.response.closesConnection) shut(c);
  sendNext(c);
}

static void onReadable(Connection& c, uint64_t* lastReadUs) {
  static char buffer[262144];
  ssize_t got = read(c.fd, buffer, sizeof buffer);
  if (got < 0 && errno == EAGAIN) return;
  uint64_t now = nowUs();
  if (got > 0) {
    measured.reads++;
    measured.bytes += got;
    *lastReadUs = now;
    if (c.busy && c.response.feed(buffer, got, now)) finish(c, true);
  } else if (!c.busy) {
    shut(c);
  } else if (got == 0 && c.response.endsWithConnection()) {
    c.response.closesConnection = true;
    finish(c, true);
  } else {
    finish(c, false);
  }
}

// Returns the seconds from the first request to the last byte.
static double run() {
  for (Connection& c : connections) open(c);
  uint64_t startUs = nowUs(), stopUs = startUs + static_cast<uint64_t>(options.seconds * 1e6), lastReadUs = startUs;
  for (size_t i = 0; i < connections.size(); i++)
    connections[i].startAtUs = startUs + options.rampUs * i / connections.size();
  size_t started = 0;
  static epoll_event events[512];
  for (;;) {
    uint64_t now = nowUs();
    if (now >= stopUs) stopping = true;
    if (now >= stopUs + kDrainUs) break;
    while (started < connections.size() && connections[started].startAtUs <= now) sendNext(connections[started++]);
    if (active == 0 && (stopping || issued >= options.requests)) break;
    uint64_t waitMs = 100;
    if (started < connections.size() && !stopping)
      waitMs = std::min<uint64_t>(waitMs, (connections[started].startAtUs - now + 999) / 1000);
    int ready = epoll_wait(poller, events, 512, static_cast<int>(waitMs));
    for (int i = 0; i < ready; i++) {
      Connection& c = connections[events[i].data.u64];
      if (c.fd >= 0) onReadable(c, &lastReadUs);
    }
  }
  for (; active > 0; active--) fail("unfinished");
  return (lastReadUs - startUs) / 1e6;
}

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  readArguments(argc, argv, "load");
  request = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:" + std::to_string(options.port) +
            "\r\ncontent-type: application/json\r\naccept: */*\r\n" + options.headers +
            "content-length: " + std::to_string(options.body.size()) + "\r\n\r\n" + options.body;
  reserveTimes();
  for (int i = 0; i < options.concurrency; i++) connections.emplace_back(&measured.transitUs);
  poller = epoll_create1(0);
  print(run());
}

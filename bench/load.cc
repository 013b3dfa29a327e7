// HTTP/1.1 load client: one thread, epoll. In a closed loop each connection sends its next request when its answer is
// complete; with --rate requests come at random times (Poisson), whatever became of those before them. Prints one line of JSON. A request counts as good only when its status is 200, its stream ended with
// [DONE] and it brought exactly the expected number of tokens: a gateway that drops work must not look fast.
//
// usage: load --port N --concurrency N --seconds S --body FILE [--requests N] [--ramp-ms N] [--headers FILE]
//             [--tokens-per-stream N] [--rate N] [--keys FILE] [--leave-after-tokens N] [--count-from-ms N] [--count-until-ms N]
//   --headers  one header per line; a file, because it holds the key and arguments are readable by everybody
//   --ramp-ms  the connections start spread over this time
//   --rate     requests per second, always the same random times; --concurrency is then how many may be open at a time
//   --keys     one per line, the requests have them in turn
//   --leave-after-tokens  closes the connection in the middle of each stream; `seed` then carries the stream's number, so that
//              the engine can tell when it saw each of them closed
//   --count-from-ms, --count-until-ms  transit of those tokens only that are read in this part of the run
// Times: first token and latency from the moment the request is written, with --rate from when it was to be written, as callers
// who come by themselves see it; transit from the engine's write of a token.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <deque>
#include <random>

#include "clock.h"
#include "load-run.h"
#include "response-parser.h"

struct Connection {
  int fd = -1;
  bool busy = false;
  size_t index;
  long number = 0;  // of its request, from 1
  uint64_t startAtUs = 0, sentAtUs = 0;
  ResponseParser response;
  explicit Connection(size_t index) : index(index), response(&measured.transits) {}
};

static std::string request;  // unless each is another
static std::deque<Connection> connections;
static std::vector<Connection*> idle;      // of an open loop
static std::deque<uint64_t> duesUs;        // of an open loop: what is to be sent and could not be yet
static int poller, active = 0, timer = -1;
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
  e.data.u64 = c.index;
  epoll_ctl(poller, EPOLL_CTL_ADD, c.fd, &e);
  return true;
}

static void shut(Connection& c) {
  close(c.fd);
  c.fd = -1;
}

// `seed` of a body is a pace in milliseconds; five digits above it carry the number of the stream.
static std::string numbered(const std::string& body, long number) {
  size_t at = body.find("\"seed\":");
  if (at == std::string::npos) return body;
  size_t from = at + strlen("\"seed\":"), to = body.find_first_not_of("0123456789", from);
  return body.substr(0, from) + std::to_string(number * 100000 + stol(body.substr(from))) + body.substr(to);
}

static std::string requestOf(long number) {
  std::string body = options.leaveAfterTokens < 0 ? options.body : numbered(options.body, number);
  std::string key =
      options.keys.empty() ? "" : "authorization: Bearer " + options.keys[number % options.keys.size()] + "\r\n";
  return "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:" + std::to_string(options.port) +
         "\r\ncontent-type: application/json\r\naccept: */*\r\n" + options.headers + key +
         "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// `dueUs` 0: now.
static void send(Connection& c, uint64_t dueUs) {
  c.number = ++issued;
  if (c.fd < 0 && !open(c)) return;
  c.response.reset();
  bool same = options.keys.empty() && options.leaveAfterTokens < 0;
  if (!same) request = requestOf(c.number);
  c.sentAtUs = dueUs ? dueUs : nowUs();
  // The whole request fits an empty socket buffer; less would need a write queue that no workload uses.
  if (write(c.fd, request.data(), request.size()) != static_cast<ssize_t>(request.size())) {
    fail("short write");
    shut(c);
    return;
  }
  c.busy = true;
  active++;
}

static void sendNext(Connection& c) {
  if (!stopping && issued < options.requests) send(c, 0);
}

// What is due goes out on a connection that is idle, or on another one while there may be more.
static void sendDue() {
  for (uint64_t now = nowUs(); !duesUs.empty() && duesUs.front() <= now;) {
    if (idle.empty()) {
      if (connections.size() >= static_cast<size_t>(options.concurrency)) return;
      idle.push_back(&connections.emplace_back(connections.size()));
    }
    Connection& c = *idle.back();
    idle.pop_back();
    send(c, duesUs.front());
    duesUs.pop_front();
    if (!c.busy) idle.push_back(&c);
  }
}

// Times between arrivals that do not know of each other are exponential; the same in every run, so that all peers get the same.
static void planArrivals(uint64_t startUs) {
  std::mt19937_64 random(1);
  std::exponential_distribution<double> gapSeconds(options.requestsPerSecond);
  for (double at = gapSeconds(random); at < options.seconds; at += gapSeconds(random))
    if (static_cast<long>(duesUs.size()) < options.requests) duesUs.push_back(startUs + static_cast<uint64_t>(at * 1e6));
}

static std::string problem(const ResponseParser& response, bool whole) {
  if (response.status == 0) return "no answer";
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
  if (options.requestsPerSecond > 0) idle.push_back(&c);
  else sendNext(c);
}

static void leave(Connection& c) {
  c.busy = false;
  active--;
  measured.good++;
  measured.tokens += c.response.tokens;
  measured.left.push_back({c.number, nowUs()});
  shut(c);
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
    else if (c.busy && options.leaveAfterTokens >= 0 && c.response.tokens >= options.leaveAfterTokens) leave(c);
  } else if (!c.busy) {
    shut(c);
  } else if (got == 0 && c.response.endsWithConnection()) {
    c.response.closesConnection = true;
    finish(c, true);
  } else {
    finish(c, false);
  }
}

constexpr uint64_t kTimer = UINT64_MAX;

// epoll waits in milliseconds, which would be added to every latency of an open loop.
static void wakeAtNextDue() {
  static uint64_t armedUs = 0;
  uint64_t dueUs = duesUs.empty() ? 0 : duesUs.front();
  if (dueUs == armedUs) return;
  armedUs = dueUs;
  itimerspec at{};
  at.it_value.tv_sec = dueUs / 1000000;
  at.it_value.tv_nsec = dueUs % 1000000 * 1000;
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, nullptr);
}

static void startOpenLoop(uint64_t startUs) {
  planArrivals(startUs);
  timer = timerfd_create(CLOCK_MONOTONIC, 0);
  epoll_event e{};
  e.events = EPOLLIN | EPOLLET;
  e.data.u64 = kTimer;
  epoll_ctl(poller, EPOLL_CTL_ADD, timer, &e);
}

// A connection is open before its first request, so that accepting it is not measured, and not so long that a server closes it
// as one that says nothing.
constexpr uint64_t kOpenAheadUs = 500000;

// Returns the seconds from the first request to the last byte.
static double run() {
  bool isOpenLoop = options.requestsPerSecond > 0;
  size_t started = 0, opened = 0, toStart = connections.size();
  auto openUntil = [&](uint64_t offsetUs) {
    while (opened < toStart && options.rampUs * opened / toStart <= offsetUs) open(connections[opened++]);
  };
  openUntil(kOpenAheadUs);
  uint64_t startUs = nowUs(), stopUs = startUs + static_cast<uint64_t>(options.seconds * 1e6), lastReadUs = startUs;
  measured.startedAtUs = startUs;
  if (options.countUntilUs) measured.transits.countBetween(startUs + options.countFromUs, startUs + options.countUntilUs);
  if (isOpenLoop) startOpenLoop(startUs);
  for (size_t i = 0; i < toStart; i++) connections[i].startAtUs = startUs + options.rampUs * i / toStart;
  static epoll_event events[512];
  for (;;) {
    uint64_t now = nowUs();
    if (now >= stopUs) stopping = true;
    if (now >= stopUs + kDrainUs) break;
    openUntil(now - startUs + kOpenAheadUs);
    while (started < toStart && connections[started].startAtUs <= now) sendNext(connections[started++]);
    if (isOpenLoop) sendDue();
    bool issuedAll = isOpenLoop ? duesUs.empty() : stopping || issued >= options.requests;
    if (active == 0 && issuedAll) break;
    if (isOpenLoop) wakeAtNextDue();
    uint64_t waitMs = 100;
    if (started < toStart && !stopping)
      waitMs = std::min<uint64_t>(waitMs, (connections[started].startAtUs - now + 999) / 1000);
    int ready = epoll_wait(poller, events, 512, static_cast<int>(waitMs));
    for (int i = 0; i < ready; i++) {
      if (events[i].data.u64 == kTimer) continue;
      Connection& c = connections[events[i].data.u64];
      if (c.fd >= 0) onReadable(c, &lastReadUs);
    }
  }
  for (; active > 0; active--) fail("unfinished");
  for (size_t left = duesUs.size(); left > 0; left--) fail("never sent: too many were open");
  return (lastReadUs - startUs) / 1e6;
}

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  readArguments(argc, argv, "load");
  request = requestOf(0);
  reserveTimes();
  if (options.requestsPerSecond == 0)
    for (int i = 0; i < options.concurrency; i++) connections.emplace_back(connections.size());
  poller = epoll_create1(0);
  print(run());
}

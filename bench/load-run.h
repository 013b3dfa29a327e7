// What the load clients share: their options, what they count, and the line of JSON that tells it.
#pragma once
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "transit-times.h"

struct Options {
  int port = 0, concurrency = 1;
  long requests = 100000000, tokensPerStream = -1;  // -1: any number
  double seconds = 1;
  uint64_t rampUs = 0;
  double requestsPerSecond = 0;                     // 0: closed loop
  long leaveAfterTokens = -1;                       // -1: stay until the end
  uint64_t countFromUs = 0, countUntilUs = 0;       // from the start of the run; 0: all of it
  std::string body, headers;
  std::vector<std::string> keys;  // one each request in turn; none: as the headers say
};

struct Measured {
  long good = 0, errors = 0, tokens = 0;
  uint64_t reads = 0, bytes = 0;
  std::string firstError;
  std::vector<uint32_t> latencyUs, firstTokenUs;
  TransitTimes transits;
  uint64_t startedAtUs = 0;
  std::vector<std::pair<long, uint64_t>> left;  // streams that the client left: number and time
};

// Time for answers in flight at the end of the run; what is unfinished then counts as errors.
constexpr uint64_t kDrainUs = 20000000;

inline Options options;
inline Measured measured;

inline void fail(const std::string& why) {
  if (measured.errors++ == 0) measured.firstError = why;
}

inline void reserveTimes() {
  // Room for a whole run, so that no reallocation falls into a measured time.
  measured.latencyUs.reserve(1 << 18);
  measured.firstTokenUs.reserve(1 << 18);
  measured.transits.valuesUs.reserve(1 << 21);
}

inline uint32_t percentile(const std::vector<uint32_t>& sorted, double q) {
  return sorted.empty() ? 0 : sorted[std::min(sorted.size() - 1, static_cast<size_t>(q * sorted.size()))];
}

inline void printTimes(const char* name, std::vector<uint32_t>& values) {
  std::sort(values.begin(), values.end());
  printf(",\"%sP50Us\":%u,\"%sP99Us\":%u", name, percentile(values, 0.5), name, percentile(values, 0.99));
}

inline void print(double seconds) {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpuSeconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
                      (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  double perSecond = seconds > 0 ? 1 / seconds : 0;
  printf("{\"requests\":%ld,\"errors\":%ld,\"firstError\":\"%s\",\"seconds\":%.4f,\"requestsPerSecond\":%.1f",
         measured.good, measured.errors, measured.firstError.c_str(), seconds, measured.good * perSecond);
  printf(",\"tokens\":%ld,\"tokensPerSecond\":%.1f,\"reads\":%lu,\"bytes\":%lu,\"clientCpuSeconds\":%.3f",
         measured.tokens, measured.tokens * perSecond, measured.reads, measured.bytes, cpuSeconds);
  printTimes("latency", measured.latencyUs);
  printTimes("firstToken", measured.firstTokenUs);
  printTimes("transit", measured.transits.valuesUs);
  printf(",\"transitMaxUs\":%u,\"countedTokens\":%zu,\"lateTokens\":%ld,\"startedAtUs\":%lu,\"left\":[",
         measured.transits.longestUs, measured.transits.valuesUs.size(), measured.transits.late, measured.startedAtUs);
  const char* comma = "";
  for (auto& [number, atUs] : measured.left) {
    printf("%s[%ld,%lu]", comma, number, atUs);
    comma = ",";
  }
  printf("]}\n");
}

inline std::string contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream all;
  all << file.rdbuf();
  if (!file) {
    fprintf(stderr, "load: cannot read %s\n", path.c_str());
    exit(2);
  }
  return all.str();
}

inline std::vector<std::string> lines(const std::string& path) {
  std::istringstream text(contents(path));
  std::vector<std::string> all;
  for (std::string line; getline(text, line);)
    if (!line.empty()) all.push_back(line);
  return all;
}

inline std::string headerLines(const std::string& path) {
  std::string all;
  for (const std::string& line : lines(path)) all += line + "\r\n";
  return all;
}

inline void readArguments(int argc, char** argv, const char* name) {
  std::map<std::string, std::string> given;
  for (int i = 1; i + 1 < argc; i += 2) given[argv[i]] = argv[i + 1];
  auto take = [&](const char* name, auto store) {
    auto found = given.find(name);
    if (found == given.end()) return;
    store(found->second);
    given.erase(found);
  };
  take("--port", [](auto& v) { options.port = stoi(v); });
  take("--concurrency", [](auto& v) { options.concurrency = stoi(v); });
  take("--requests", [](auto& v) { options.requests = stol(v); });
  take("--tokens-per-stream", [](auto& v) { options.tokensPerStream = stol(v); });
  take("--seconds", [](auto& v) { options.seconds = stod(v); });
  take("--ramp-ms", [](auto& v) { options.rampUs = stoul(v) * 1000; });
  take("--rate", [](auto& v) { options.requestsPerSecond = stod(v); });
  take("--leave-after-tokens", [](auto& v) { options.leaveAfterTokens = stol(v); });
  take("--count-from-ms", [](auto& v) { options.countFromUs = stoul(v) * 1000; });
  take("--count-until-ms", [](auto& v) { options.countUntilUs = stoul(v) * 1000; });
  take("--keys", [](auto& v) { options.keys = lines(v); });
  take("--body", [](auto& v) { options.body = contents(v); });
  take("--headers", [](auto& v) { options.headers = headerLines(v); });
  if (argc % 2 == 0 || !given.empty() || options.port == 0 || options.body.empty()) {
    fprintf(stderr, "%s: unknown or missing argument, see %s.cc\n", name, name);
    exit(2);
  }
}

// One clock for both programs: the engine stamps a token with it, the load client subtracts, so it must be the same
// clock in two processes. CLOCK_MONOTONIC is system-wide on Linux.
#pragma once
#include <time.h>

#include <cstdint>

inline uint64_t nowUs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

// A stamp is 16 decimal digits of microseconds: fixed width, so that it is patched in place. The first digit stays 0
// for 31 years of uptime, which lets the reader recognise a stamp cheaply.
constexpr int kStampDigits = 16;

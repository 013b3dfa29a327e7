// How long each token travelled: from the engine's write of it to the client's read.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

class TransitTimes {
 public:
  // A reader of text notices a token that is later than this.
  static constexpr uint32_t kLateUs = 20000;

  std::vector<uint32_t> valuesUs;
  long late = 0;
  uint32_t longestUs = 0;

  // Only tokens that are read within this time count, so that the start of many streams is not what is measured.
  void countBetween(uint64_t fromUs, uint64_t untilUs) {
    fromUs_ = fromUs;
    untilUs_ = untilUs;
  }

  void add(uint64_t sentAtUs, uint64_t readAtUs) {
    if (readAtUs < fromUs_ || readAtUs > untilUs_) return;
    uint32_t us = readAtUs > sentAtUs ? readAtUs - sentAtUs : 0;
    valuesUs.push_back(us);
    longestUs = std::max(longestUs, us);
    if (us > kLateUs) late++;
  }

 private:
  uint64_t fromUs_ = 0, untilUs_ = UINT64_MAX;
};

// SPDX-License-Identifier: Apache-2.0
#include "base/safeguard.h"

#include <atomic>

#include "base/assert.h"

namespace fb {
namespace {

constexpr std::string_view kNames[] = {
#define FB_SAFEGUARD_NAME(name) #name,
    FB_SAFEGUARDS(FB_SAFEGUARD_NAME)
#undef FB_SAFEGUARD_NAME
};

#ifdef FB_SAFEGUARDS_SWITCHABLE
constexpr unsigned kNone = ~0U;
std::atomic<unsigned> left_out = kNone;
#endif

}  // namespace

std::optional<Safeguard> safeguard_named(std::string_view name) {
  for (unsigned i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == name) return static_cast<Safeguard>(i);
  }
  return std::nullopt;
}

std::string_view name_of(Safeguard safeguard) { return kNames[static_cast<unsigned>(safeguard)]; }

#ifdef FB_SAFEGUARDS_SWITCHABLE
bool safeguard_stands(Safeguard safeguard) {
  return left_out.load(std::memory_order_relaxed) != static_cast<unsigned>(safeguard);
}

SafeguardLeftOut::SafeguardLeftOut(Safeguard safeguard) {
  const unsigned before = left_out.exchange(static_cast<unsigned>(safeguard));
  FB_ASSERT(before == kNone, before);
}

SafeguardLeftOut::~SafeguardLeftOut() { left_out.store(kNone); }
#else
SafeguardLeftOut::SafeguardLeftOut(Safeguard safeguard) {
  FB_ASSERT(kSafeguardsSwitchable, static_cast<unsigned>(safeguard));
}

SafeguardLeftOut::~SafeguardLeftOut() = default;
#endif

}  // namespace fb

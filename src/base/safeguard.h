// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

// A safeguard is a step that only a rare fault needs: a wipe, a second look, a refusal. A test that passes
// with and without it proves nothing about it. So code asks `if (FB_SAFEGUARD(name))`, which is the constant
// true in every build that serves users; builds with FB_SAFEGUARDS_SWITCHABLE (the presets debug, asan, tsan
// and safeguards) let a test leave one out by name and expect a failure. docs/testing.md says how.

// One line each. Ask only in .cc files.
#define FB_SAFEGUARDS(X)                                                                                    \
  /* src/io */                                                                                              \
  X(claim_waits) /* a start: files are claimed before they are read (io/claim.h) */                         \
  /* src/bss, blobs */                                                                                      \
  X(withdraw_failed_batch)       /* its descriptor is wiped, durably, before it counts as ended */          \
  X(doubt_unwiped_batch)         /* one that cannot be wiped does not count as ended */                     \
  X(sync_before_believing)       /* recovery: what it read becomes durable before it counts as such */      \
  X(rewrite_unproven_batches)    /* not by a sync alone: one that failed before it may have lost them */    \
  X(keep_doubt_over_checkpoint)  /* one that cannot be wiped is named by the checkpoint */                  \
  X(copy_needs_verified_payload) /* recovery: else what it was copied from stays in its place */            \
  /* src/bss, journal */                                                                                    \
  X(wipe_ahead_segment)          /* recovery: stale groups of the segment that is kept ahead go, too */     \
  X(trimmed_segment_stays_first) /* until its removal is durable */                                         \
  X(rewrite_unproven_groups)     /* recovery: the last groups are written once more */                      \
  /* src/bss, pages */                                                                                      \
  X(rewrite_table_head) /* recovery: the head of the table is written once more before logs are given up */ \
  X(heed_syncs_of_others) /* a sync of the slots' file that failed for another counts for all who wrote */  \
  /* src/nss */                                                                                             \
  X(commit_waits_for_journal)      /* no answer before the change is durable */                             \
  X(refuse_invalid_keys)           /* commit and rename: no key that no request can have named */           \
  X(checkpoint_waits_for_sections) /* and asks the cores what these left */                                 \
  X(sweep_asks_cores)              /* what became garbage while it marked */                                \
  X(sweep_holds_renames)           /* lest its mark never ends */

namespace fb {

enum class Safeguard : unsigned {
#define FB_SAFEGUARD_ENUMERATOR(name) name,
  FB_SAFEGUARDS(FB_SAFEGUARD_ENUMERATOR)
#undef FB_SAFEGUARD_ENUMERATOR
};

std::optional<Safeguard> safeguard_named(std::string_view name);
std::string_view name_of(Safeguard safeguard);

#ifdef FB_SAFEGUARDS_SWITCHABLE
inline constexpr bool kSafeguardsSwitchable = true;
bool safeguard_stands(Safeguard safeguard);
#define FB_SAFEGUARD(name) (::fb::safeguard_stands(::fb::Safeguard::name))
#else
inline constexpr bool kSafeguardsSwitchable = false;
#define FB_SAFEGUARD(name) (static_cast<void>(::fb::Safeguard::name), true)
#endif

// Leaves one safeguard out of the whole process while it lives. One at a time, and only if
// kSafeguardsSwitchable is true, which the caller checks first; otherwise an assertion fails.
class SafeguardLeftOut {
 public:
  explicit SafeguardLeftOut(Safeguard safeguard);
  ~SafeguardLeftOut();
  SafeguardLeftOut(const SafeguardLeftOut&) = delete;
  SafeguardLeftOut& operator=(const SafeguardLeftOut&) = delete;
};

}  // namespace fb

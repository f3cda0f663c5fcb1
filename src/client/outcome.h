// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace fb {

// An error of a seam says one of these about the call that it answers (docs/seams.md). Code that decides
// about a retry, or about content it stored for a change, asks for the outcome and lists no error codes.
enum class Outcome : uint8_t {
  answer,    // the request was understood and refused: repeating it gives the same
  not_done,  // the change was certainly not made, and will not be: free the content stored for it, try again
             // later
  not_mine,  // not made, since another process is the owner: ask the root for the owner
  unknown,   // it may have been made, or may be made yet: content stored for it must stay
  damaged,   // stored bytes fail their checksum: read another copy
};
std::string_view to_string(Outcome outcome);

// Looks an error of a seam up by its code. An error of any other domain is `unknown`.
Outcome outcome_of(const Error& error);

}  // namespace fb

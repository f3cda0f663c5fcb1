// SPDX-License-Identifier: Apache-2.0
#include "art/page_source.h"

namespace fb::art {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::done:
      return "done";
    case Outcome::absent:
      return "absent";
    case Outcome::kept:
      return "kept";
    case Outcome::missing:
      return "missing";
    case Outcome::no_frames:
      return "no_frames";
    case Outcome::too_large:
      return "too_large";
    case Outcome::source_missing:
      return "source_missing";
    case Outcome::destination_occupied:
      return "destination_occupied";
    case Outcome::into_itself:
      return "into_itself";
    case Outcome::key_too_long:
      return "key_too_long";
    case Outcome::renamed:
      return "renamed";
    case Outcome::damaged:
      return "damaged";
  }
  return "unknown";
}

}  // namespace fb::art

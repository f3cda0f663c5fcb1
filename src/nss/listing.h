// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "client/namespace_client.h"
#include "nss/entry_map.h"

namespace fb {

// One page of a listing, as NamespaceClient::list says. Beneath a common prefix it looks at one key only, and
// goes on behind it by one descent: the cost follows what is returned, not what lies beneath.
ListPage list_entries(const EntryMap& map, const ListRequest& request);

// The least string above everything that begins with `prefix`; empty where there is none.
std::string prefix_successor(std::string_view prefix);

// The first entry past everything of `space` that begins with `prefix`.
EntryMap::Iterator after_prefix(const EntryMap& map, Space space, std::string_view prefix);

}  // namespace fb

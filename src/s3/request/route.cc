// SPDX-License-Identifier: Apache-2.0
#include "s3/request/route.h"

#include <algorithm>
#include <optional>

#include "s3/request/virtual_host.h"

namespace fb::s3 {
namespace {

constexpr uint8_t kNone = 0xFF;

static_assert(kOperationCount < kNone);

// The names of all sub-resources, sorted and each once; the empty name, which stands for no sub-resource,
// comes first.
struct SubResources {
  std::array<std::string_view, kOperationCount> names{};
  size_t count = 0;

  constexpr size_t find(std::string_view name) const {
    const auto end = names.begin() + count;
    const auto at = std::lower_bound(names.begin(), end, name);
    return at != end && *at == name ? static_cast<size_t>(at - names.begin()) : count;
  }
};

constexpr SubResources kSubResources = [] {
  SubResources all;
  for (const OperationInfo& entry : kOperations) all.names[all.count++] = entry.sub_resource;
  std::sort(all.names.begin(), all.names.end());
  all.count = std::unique(all.names.begin(), all.names.end()) - all.names.begin();
  return all;
}();
constexpr size_t kSubResourceCount = kSubResources.count;
static_assert(kSubResources.names[0].empty());

// No sub-resource begins with a capital letter, every X-Amz-* item of a presigned URL does.
static_assert(std::ranges::none_of(kOperations, [](const OperationInfo& entry) {
  return !entry.sub_resource.empty() && entry.sub_resource[0] >= 'A' && entry.sub_resource[0] <= 'Z';
}));

// Only names of these sizes need to be looked up.
constexpr size_t kSubResourceSizeMax = [] {
  size_t size = 0;
  for (const OperationInfo& entry : kOperations) size = std::max(size, entry.sub_resource.size());
  return size;
}();

// For each (target, method, sub-resource) the first operation in the list.
struct Index {
  uint8_t first[kTargetCount][kMethodCount][kSubResourceCount];
};
constexpr Index kIndex = [] {
  Index index{};
  for (auto& methods : index.first) {
    for (auto& row : methods) std::fill(std::begin(row), std::end(row), kNone);
  }
  for (int i = 0; i < kOperationCount; ++i) {
    const OperationInfo& entry = kOperations[i];
    uint8_t& slot = index.first[static_cast<int>(entry.target)][static_cast<int>(entry.method)]
                               [kSubResources.find(entry.sub_resource)];
    if (slot == kNone) slot = static_cast<uint8_t>(i);
  }
  return index;
}();

bool same_place(const OperationInfo& a, const OperationInfo& b) {
  return a.target == b.target && a.method == b.method && a.sub_resource == b.sub_resource;
}

// Any method of this target knows the sub-resource.
bool exists_at(Target target, size_t sub_resource) {
  for (int method = 0; method < kMethodCount; ++method) {
    if (kIndex.first[static_cast<int>(target)][method][sub_resource] != kNone) return true;
  }
  return false;
}

// The index of the sub-resource an item names, or kSubResourceCount where it names none.
size_t find_sub_resource(std::string_view name) {
  char decoded[kUriEncodeGrowth * kSubResourceSizeMax];
  if (name.empty() || name[0] == 'X' || name.size() > sizeof(decoded)) return kSubResourceCount;
  if (name.find('%') != std::string_view::npos) {
    const auto size = percent_decode(name, UriPart::query, decoded);
    if (!size) return kSubResourceCount;
    name = {decoded, *size};
  }
  if (name.empty() || name.size() > kSubResourceSizeMax) return kSubResourceCount;
  return kSubResources.find(name);
}

S3Result<size_t> select_sub_resource(QueryView query) {
  size_t selected = 0;
  for (const QueryItem& item : query) {
    const size_t found = find_sub_resource(item.name);
    if (found == kSubResourceCount || found == selected) continue;
    if (selected != 0) {
      return S3Failure(S3Error::InvalidArgument,
                       fmt::format("Conflicting query string parameters: {}, {}",
                                   kSubResources.names[selected], kSubResources.names[found]))
          .with("ArgumentName", "ResourceType")
          .with("ArgumentValue", kSubResources.names[selected]);
    }
    selected = found;
  }
  return selected;
}

bool holds(std::string_view also, const RequestHead& head, QueryView query) {
  if (also.empty()) return true;
  return also.front() == '?' ? query.has(also.substr(1)) : head.has_header(also);
}

S3Failure method_not_allowed(Method method, std::string_view resource_type) {
  return S3Failure(S3Error::MethodNotAllowed)
      .with("Method", to_string(method))
      .with("ResourceType", resource_type);
}

S3Result<Operation> find_operation(const RequestHead& head, Target target, QueryView query) {
  static constexpr std::string_view kTypes[] = {"SERVICE", "BUCKET", "OBJECT"};
  const auto method = parse_method(head.method);
  if (!method) {
    return S3Failure(S3Error::MethodNotAllowed).with("ResourceType", kTypes[static_cast<int>(target)]);
  }
  // A preflight asks for a resource whatever its query says.
  size_t sub_resource = 0;
  if (*method != Method::options) {
    FB_TRY(sub_resource, select_sub_resource(query));
  }
  const uint8_t first = kIndex.first[static_cast<int>(target)][static_cast<int>(*method)][sub_resource];
  if (first == kNone) {
    const std::string_view name = kSubResources.names[sub_resource];
    if (exists_at(target, sub_resource)) {
      return method_not_allowed(*method, sub_resource == 0 ? kTypes[static_cast<int>(target)] : name);
    }
    // A sub-resource of another kind of target: answering as if it were absent could do the wrong thing.
    return not_implemented(fmt::format("The sub-resource '{}' on this resource", name));
  }
  int at = first;
  while (!holds(kOperations[at].also, head, query)) {
    ++at;
    if (at == kOperationCount || !same_place(kOperations[at], kOperations[first])) {
      return method_not_allowed(*method, kSubResources.names[sub_resource]);
    }
  }
  return static_cast<Operation>(at);
}

struct Names {
  Target target;
  std::string_view bucket;  // still encoded
  std::string_view key;     // still encoded
  bool virtual_host;
};

Names split_names(const RequestHead& head, std::string_view host, std::span<const std::string> domains) {
  std::string_view path = head.path;
  if (path.starts_with('/')) path.remove_prefix(1);
  Names names{};
  if (!domains.empty()) {
    if (const auto bucket = bucket_of_host(host, domains)) {
      names.virtual_host = true;
      names.bucket = *bucket;
      names.key = path;
    }
  }
  if (!names.virtual_host) {
    const size_t slash = path.find('/');
    names.bucket = path.substr(0, slash);
    if (slash != std::string_view::npos) names.key = path.substr(slash + 1);
  }
  const bool service = path.empty() && !names.virtual_host;
  names.target = service ? Target::service : names.key.empty() ? Target::bucket : Target::object;
  return names;
}

S3Failure invalid_bucket_name(std::string_view name) {
  return S3Failure(S3Error::InvalidBucketName).with("BucketName", name);
}

S3Result<std::string_view> decode_bucket(const Names& names, RouteBuffer& buffer) {
  std::string_view name = names.bucket;
  if (name.size() > buffer.bucket.size()) return invalid_bucket_name(name);
  if (names.virtual_host) {
    // Host names have no letter case.
    std::ranges::transform(name, buffer.bucket.begin(), ascii_lower);
    name = {buffer.bucket.data(), name.size()};
  } else if (name.find('%') != std::string_view::npos) {
    const auto size = percent_decode(name, UriPart::path, buffer.bucket.data());
    if (!size) return S3Error::InvalidURI;
    name = {buffer.bucket.data(), *size};
  }
  if (!is_valid_bucket_name(name)) return invalid_bucket_name(name);
  return name;
}

S3Failure key_too_long(size_t size) {
  return S3Failure(S3Error::KeyTooLongError)
      .with("Size", std::to_string(size))
      .with("MaxSizeAllowed", std::to_string(kKeySizeMax));
}

S3Result<std::string_view> decode_key(std::string_view encoded, RouteBuffer& buffer) {
  std::string_view key = encoded;
  if (encoded.find('%') != std::string_view::npos) {
    if (encoded.size() > buffer.key.size()) return key_too_long(encoded.size());
    const auto size = percent_decode(encoded, UriPart::path, buffer.key.data());
    if (!size) return S3Error::InvalidURI;
    key = {buffer.key.data(), *size};
  }
  FB_CHECK(check_key(key));
  if (!is_within_bucket(key)) return S3Error::InvalidURI;
  return key;
}

}  // namespace

std::string_view sub_resource_of(const QueryItem& item) {
  const size_t found = find_sub_resource(item.name);
  return found == kSubResourceCount ? std::string_view() : kSubResources.names[found];
}

bool is_within_bucket(std::string_view key) {
  if (key.find("..") == std::string_view::npos) return true;
  size_t depth = 0;
  for (;;) {
    const size_t slash = key.find('/');
    const std::string_view element = key.substr(0, slash);
    if (element == "..") {
      if (depth == 0) return false;
      --depth;
    } else if (element != ".") {
      ++depth;
    }
    if (slash == std::string_view::npos) return true;
    key.remove_prefix(slash + 1);
  }
}

S3Result<void> check_key(std::string_view key) {
  switch (fault_of_key(key)) {
    case KeyFault::none:
      return {};
    case KeyFault::empty:
      return S3Failure(S3Error::InvalidArgument, "The key is empty.");
    case KeyFault::too_long:
      return key_too_long(key.size());
    case KeyFault::nul:
      return S3Failure(S3Error::InvalidArgument, "The key contains a NUL byte.");
    case KeyFault::not_utf8:
      return S3Failure(S3Error::InvalidArgument, "The key is not valid UTF-8.");
  }
  FB_UNREACHABLE();
}

S3Result<Route> route(const RequestHead& head, std::string_view host, std::span<const std::string> domains,
                      RouteBuffer& buffer) {
  const Names names = split_names(head, host, domains);
  Route result;
  result.query = QueryView(head.query);
  result.virtual_host = names.virtual_host;
  FB_TRY(result.operation, find_operation(head, names.target, result.query));
  if (!result.operation_info().is_built()) return not_implemented(to_string(result.operation));
  if (result.operation == Operation::ListObjectsV2) {
    const std::string_view type = *result.query.get("list-type");
    if (type == "1") {
      result.operation = Operation::ListObjects;
    } else if (type != "2") {
      return invalid_argument("list-type must be 2.", "list-type", type);
    }
  }
  if (names.target != Target::service) {
    FB_TRY(result.bucket, decode_bucket(names, buffer));
  }
  if (names.target == Target::object) {
    FB_TRY(result.key, decode_key(names.key, buffer));
  }
  return result;
}

std::string allowed_methods(const RequestHead& head, std::string_view host,
                            std::span<const std::string> domains) {
  const Target target = split_names(head, host, domains).target;
  const size_t sub_resource = select_sub_resource(QueryView(head.query)).value_or(0);
  std::string list;
  for (int method = 0; method < kMethodCount; ++method) {
    if (kIndex.first[static_cast<int>(target)][method][sub_resource] == kNone) continue;
    if (!list.empty()) list += ", ";
    list += to_string(static_cast<Method>(method));
  }
  return list;
}

S3Result<Operation> operation_of(const RequestHead& head, std::string_view host,
                                 std::span<const std::string> domains) {
  return find_operation(head, split_names(head, host, domains).target, QueryView(head.query));
}

NamesForLog names_for_log(const RequestHead& head, std::string_view host,
                          std::span<const std::string> domains) {
  const Names names = split_names(head, host, domains);
  const auto readable = [](std::string_view text, size_t size_max) {
    std::string name = decode_path(text).value_or(std::string(text));
    if (name.size() > size_max) name.resize(size_max);
    return name;
  };
  return {.bucket = readable(names.bucket, kBucketNameSizeMax), .key = readable(names.key, kKeySizeMax)};
}

std::string_view operation_name(const RequestHead& head, std::string_view host,
                                std::span<const std::string> domains) {
  const auto operation = operation_of(head, host, domains);
  return operation ? to_string(*operation) : kUnknownOperation;
}

}  // namespace fb::s3

// SPDX-License-Identifier: Apache-2.0
#include "workload.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <pugixml.hpp>

#include "s3/checksum/checksum.h"
#include "s3/uri.h"

namespace fb::sim {
namespace {

constexpr uint64_t kWorkloadStream = 0x3'0000;
constexpr Duration kCallTimeout = Duration::seconds(10);
constexpr uint64_t kPauseMsMax = 60;
constexpr size_t kPartSizeMin = 5 * kMiB;

constexpr std::string_view kIdHeader = "x-amz-meta-id";

bool contains(std::initializer_list<int> statuses, int status) {
  return std::ranges::find(statuses, status) != statuses.end();
}

std::string unquoted(std::string_view etag) {
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

constexpr std::array<std::string_view, 4> kDirectories = {"a/", "dir/", "n/e w/", "n/0/"};
constexpr int kRenameTriesMax = 4;
constexpr int kDirectoriesTried = 6;    // to find one that can be renamed
constexpr unsigned kCutAnswersMax = 5;  // of a damaged object, before it counts as lost

}  // namespace

Workload::Workload(World& world, Env& env, unsigned number)
    : world_(world),
      env_(env),
      number_(number),
      random_(world.simulation.seed(), kWorkloadStream + number),
      client_(env, world.server.endpoint(kServerPort), world.identity, kCallTimeout),
      own_(keys_of(number)) {}

// Names that are prefixes of each other, end in a slash, need escaping, or sort around a delimiter; and the
// same in several directories, which are renamed to one another.
std::vector<std::string> Workload::keys_of(unsigned number) {
  std::vector<std::string> keys;
  for (const std::string_view name : {"a", "a-b", "a0", "sp ace+%&", "\xc3\xbc/\xe2\x82\xac"})
    keys.push_back(fmt::format("c{}/{}", number, name));
  for (const std::string_view directory : kDirectories) {
    for (const std::string_view name : {"", "b"})
      keys.push_back(fmt::format("c{}/{}{}", number, directory, name));
  }
  return keys;
}

const std::string& Workload::own_key() {
  for (;;) {
    const std::string& key = own_[random_.below(own_.size())];
    const bool moving = unanswered_ && std::ranges::any_of(unanswered_->moves, [&](const Move& move) {
                          return move.from == key || move.to == key;
                        });
    if (!moving) return key;
  }
}

const std::string& Workload::any_key() {
  auto entry = world_.keys.begin();
  std::advance(entry, random_.below(world_.keys.size()));
  return entry->first;
}

std::string Workload::path_of(std::string_view key) const {
  return fmt::format("/{}/{}", kBucket, s3::uri_encode(key, s3::Slash::keep));
}

size_t Workload::random_size() {
  const uint64_t kind = random_.below(100);
  if (kind < 8) return 0;
  if (kind < 45) return random_.between(1, 600);
  if (kind < 75) return random_.between(3'500, 9'000);
  if (kind < 95) return random_.between(10'000, 70'000);
  if (kind < 99) return random_.between(70'000, 300'000);
  return random_.between(1'000'000, 2'400'000);
}

Task<S3Answer> Workload::call(const char* operation, const S3Request& request) {
  operation_ = operation;
  S3Answer answer = co_await client_.call(request);
  if (answer.answered()) {
    ++world_.answered;
    ++world_.operations[operation];
  } else {
    world_.unknown += answer.outcome == S3Answer::Outcome::unknown;
    // A server that is away or busy is left alone for a moment.
    (void)co_await sleep_for(env_,
                             Duration::microseconds(static_cast<int64_t>(random_.between(100, 20'000))));
  }
  co_return answer;
}

void Workload::fail(const S3Answer& answer, std::string_view what) {
  world_.fail(fmt::format("{} by client {}: {} (status {}, id {}, request {})", operation_, number_, what,
                          answer.status, answer.header(std::string(kIdHeader)),
                          answer.header("x-amz-request-id")));
}

Workload::Verdict Workload::judge(const S3Answer& answer, const Expect& expect) {
  if (answer.outcome == S3Answer::Outcome::not_sent) return Verdict::refused;
  if (answer.outcome == S3Answer::Outcome::unknown) return Verdict::unknown;
  if (contains(expect.done, answer.status)) return Verdict::done;
  if (contains(expect.refused, answer.status)) return Verdict::refused;
  switch (answer.status) {
    case 503:
      ++world_.refused_busy;
      return Verdict::unknown;
    case 507:
      ++world_.refused_full;
      // Damaged segments are kept as they are, and take space.
      if (world_.disk_may_be_full || world_.plan.disk_fails()) return Verdict::refused;
      break;
    case 500:
      ++world_.reported_damage;
      if (world_.loses() || world_.may_fail()) return Verdict::unknown;
      break;
    case 400:
    case 408:
      if (answer.error_code() == "RequestTimeout" || answer.error_code() == "IncompleteBody")
        return Verdict::refused;
      break;
    default:
      break;
  }
  fail(answer, fmt::format("unexpected status {} {}", answer.status, answer.error_code()));
  return Verdict::unknown;
}

// Whether the process that got the request can still act on it.
bool Workload::late() const { return world_.server.running() && client_.sent_at() >= world_.server_started; }

void Workload::settle(KeyModel& key, Verdict verdict) {
  switch (verdict) {
    case Verdict::done:
      return key.write_acknowledged();
    case Verdict::refused:
      return key.write_refused();
    case Verdict::unknown:
      return key.write_unknown(late());
  }
}

Task<void> Workload::create_bucket() {
  for (unsigned tries = 0; !world_.settled || !world_.loses() || tries < kCutAnswersMax; ++tries) {
    const S3Answer answer =
        co_await call("create_bucket", {.method = "PUT", .path = fmt::format("/{}", kBucket)});
    const Verdict verdict = judge(answer, {{200, 409}});
    if (world_.failed() || (world_.stopping && !world_.settled))
      co_return;  // a store lost to damage at once never gets one
    if (verdict != Verdict::done) continue;
    world_.bucket_made = true;
    co_return;
  }
}

Task<void> Workload::run() {
  while (!world_.stopping && !world_.failed()) {
    if (unanswered_) co_await look_at_unanswered_rename();
    const uint64_t choice = random_.below(110);
    if (choice >= 100) {
      co_await (choice < 105 ? rename_object() : rename_directory());
    } else if (choice < 32) {
      co_await put(own_key());
    } else if (choice < 56) {
      (void)co_await get(any_key(), false, random_.below(3) == 0);
    } else if (choice < 62) {
      (void)co_await get(any_key(), true, false);
    } else if (choice < 72) {
      co_await remove(own_key());
    } else if (choice < 75) {
      co_await remove_several();
    } else if (choice < 82) {
      const std::string from = own_key();
      co_await copy(from, own_key());
    } else if (choice < 92) {
      (void)co_await list();
    } else if (choice < 96) {
      co_await multipart(own_key());
    } else {
      co_await bucket_life();
    }
    if (random_.below(8) == 0) {
      (void)co_await sleep_for(env_,
                               Duration::microseconds(static_cast<int64_t>(random_.between(10, 3'000))));
    }
  }
}

Task<void> Workload::verify() {
  // A disk that failed from the beginning has kept it from being made.
  if (!world_.bucket_made) co_await create_bucket();
  if (!world_.bucket_made) co_return;
  for (const auto& [key, model] : world_.keys) {
    const uint64_t unknown = world_.unknown;
    while (!world_.failed() && !co_await get(key, false, false)) {
      // What is damaged behind its first block is cut off, since its head has been sent by then.
      if (!world_.loses() || world_.unknown - unknown < kCutAnswersMax) continue;
      ++world_.reported_damage;
      break;
    }
  }
  while (!world_.failed() && !co_await list()) {
  }
}

Task<void> Workload::put(const std::string& key) {
  const ValuePtr value = Value::make(world_.next_value++, random_size());
  S3Request request{.method = "PUT", .path = path_of(key), .body = value->content()};
  request.headers.emplace_back(kIdHeader, value->id);
  request.form = static_cast<BodyForm>(random_.below(3));
  KeyModel& model = world_.keys.at(key);
  const PutCondition condition = random_.below(3) == 0 ? put_condition(model) : PutCondition();
  if (!condition.header.empty()) request.headers.emplace_back(condition.header, condition.value);
  model.write_begins(value);
  const S3Answer answer = co_await call(condition.header.empty() ? "put" : "put_conditional", request);
  const Verdict verdict = condition.may_fail ? judge(answer, {.done = {200}, .refused = {condition.refused}})
                                             : judge(answer, {{200}});
  if (answer.status == 200 && !condition.may_hold) fail(answer, "a condition did not hold: " + key);
  settle(model, verdict);
  if (verdict == Verdict::done && unquoted(answer.header("etag")) != value->etag)
    fail(answer, "wrong etag of " + key);
}

// A write that the store answers is decided on what is there: only this client writes the key.
Workload::PutCondition Workload::put_condition(const KeyModel& key) {
  const std::optional<ValuePtr> certain = key.certain();
  const bool there = certain && *certain != nullptr;
  const bool absent = certain && *certain == nullptr;
  PutCondition condition;
  if (random_.coin()) {
    condition = {.header = "If-None-Match", .value = "*", .may_hold = !there, .may_fail = !absent};
  } else if (there && random_.coin()) {
    condition = {.header = "If-Match", .value = "\"" + (*certain)->etag + "\""};
  } else if (certain) {
    condition = {.header = "If-Match",
                 .value = "\"00000000000000000000000000000000\"",
                 .may_hold = false,
                 .may_fail = true,
                 .refused = there ? 412 : 404};
  }
  return condition;
}

// Finds out which of the allowed values an answer is of, and holds its headers against it.
bool Workload::check_identity(const S3Answer& answer, const std::string& key, KeyModel::Observation& seen,
                              ValuePtr& value) {
  const std::string id = answer.header(std::string(kIdHeader));
  const std::optional<ValuePtr> found = seen.with_id(id);
  if (!found) {
    fail(answer, fmt::format("'{}' holds value {}, which it may not", key, id));
    return false;
  }
  value = *found;
  if (unquoted(answer.header("etag")) != value->etag) {
    fail(answer, fmt::format("'{}' has etag {}, not {}", key, answer.header("etag"), value->etag));
    return false;
  }
  return true;
}

void Workload::check_body(const S3Answer& answer, const std::string& key, const Value& value,
                          const Range& range) {
  const std::string content = value.content();
  std::string_view expected = content;
  if (answer.status == 206) {
    const uint64_t last = std::min<uint64_t>(range.last, content.size() - 1);
    expected = expected.substr(range.first, last - range.first + 1);
    const std::string described = fmt::format("bytes {}-{}/{}", range.first, last, content.size());
    if (answer.header("content-range") != described) {
      return fail(answer, fmt::format("'{}' has content range {}, not {}", key,
                                      answer.header("content-range"), described));
    }
  }
  if (answer.body != expected) {
    const size_t at =
        static_cast<size_t>(std::ranges::mismatch(answer.body, expected).in1 - answer.body.begin());
    fail(answer, fmt::format("'{}' has wrong bytes: {} of {}, the first at {}", key, answer.body.size(),
                             expected.size(), at));
  }
}

// True where the store has answered.
Task<bool> Workload::get(const std::string& key, bool head, bool range) {
  KeyModel& model = world_.keys.at(key);
  KeyModel::Observation seen(model);
  S3Request request{.method = head ? "HEAD" : "GET", .path = path_of(key)};
  Range wanted{.wanted = range};
  if (range) {
    wanted.first = random_.below(8'000);
    wanted.last = wanted.first + random_.below(80'000);
    request.headers.emplace_back("Range", fmt::format("bytes={}-{}", wanted.first, wanted.last));
  }
  // A slow reader holds what others overwrite meanwhile.
  if (world_.plan.has(FaultClass::sweep) && !world_.settled && random_.below(8) == 0)
    client_.pause_next(Duration::milliseconds(static_cast<int64_t>(random_.between(1, kPauseMsMax))));
  const S3Answer answer = co_await call(head ? "head" : range ? "get_range" : "get", request);
  const Verdict verdict = judge(answer, {.done = {200, 206, 404, 416}});
  if (verdict != Verdict::done) co_return answer.answered() && world_.loses();
  if (answer.status == 404) {
    if (!head && answer.error_code() != "NoSuchKey") {
      fail(answer, "404 of another kind: " + answer.error_code());
    } else if (!seen.may_be_absent()) {
      fail(answer, fmt::format("'{}' is gone", key));
    } else {
      seen.saw(nullptr);
    }
    co_return true;
  }
  if (answer.status == 416) {
    const bool possible = std::ranges::any_of(seen.allowed(), [&](const ValuePtr& value) {
      return value != nullptr && value->size() <= wanted.first;
    });
    if (!possible) fail(answer, fmt::format("'{}' is longer than {}", key, wanted.first));
    co_return true;
  }
  ValuePtr value;
  if (!check_identity(answer, key, seen, value)) co_return true;
  if (head) {
    if (answer.header("content-length") != fmt::format("{}", value->size()))
      fail(answer, "wrong length of " + key);
  } else {
    check_body(answer, key, *value, wanted);
  }
  if (!world_.failed()) seen.saw(value);
  co_return true;
}

Task<void> Workload::remove(const std::string& key) {
  KeyModel& model = world_.keys.at(key);
  model.write_begins(nullptr);
  const S3Answer answer = co_await call("delete", {.method = "DELETE", .path = path_of(key)});
  settle(model, judge(answer, {{204}}));
}

Task<void> Workload::remove_several() {
  std::set<std::string> names;
  for (int i = 0; i < 3; ++i) names.insert(own_key());
  std::string body = "<Delete>";
  for (const std::string& name : names) {
    std::string escaped;
    for (const char c : name) escaped += c == '&' ? std::string("&amp;") : std::string(1, c);
    body += fmt::format("<Object><Key>{}</Key></Object>", escaped);
    world_.keys.at(name).write_begins(nullptr);
  }
  body += "</Delete>";
  S3Request request{.method = "POST", .path = fmt::format("/{}", kBucket), .query = "delete=", .body = body};
  request.headers.emplace_back("x-amz-checksum-crc32",
                               s3::Checksum::of(s3::ChecksumKind::crc32, s3::as_bytes(body)).to_base64());
  const S3Answer answer = co_await call("delete_several", request);
  Verdict verdict = judge(answer, {{200}});
  std::set<std::string> deleted;
  if (verdict == Verdict::done) {
    pugi::xml_document document;
    if (!document.load_string(answer.body.c_str())) fail(answer, "malformed XML");
    for (const pugi::xml_node& node : document.child("DeleteResult").children("Deleted")) {
      deleted.insert(node.child_value("Key"));
    }
    if (!std::ranges::includes(names, deleted)) fail(answer, "deleted what was not asked for");
  }
  for (const std::string& name : names) {
    // A key with an error of its own may or may not be gone.
    const bool unsure = verdict == Verdict::done && !deleted.contains(name);
    settle(world_.keys.at(name), unsure ? Verdict::unknown : verdict);
    if (unsure && !world_.plan.disk_fails()) fail(answer, fmt::format("'{}' was not deleted", name));
  }
}

Task<void> Workload::copy(const std::string& from, const std::string& to) {
  const std::optional<ValuePtr> source = world_.keys.at(from).certain();
  if (from == to || !source || *source == nullptr) co_return;
  auto value = std::make_shared<Value>(**source);
  S3Request request{.method = "PUT", .path = path_of(to)};
  request.headers.emplace_back("x-amz-copy-source", path_of(from));
  const bool of_parts = value->etag.find('-') != std::string::npos;
  if (of_parts || random_.coin()) {
    // Another ETag makes it another value.
    value->id = fmt::format("{:x}", world_.next_value++);
    request.headers.emplace_back("x-amz-metadata-directive", "REPLACE");
    request.headers.emplace_back(kIdHeader, value->id);
  }
  if (of_parts) value->etag = s3::hex_encode(s3::md5(s3::as_bytes(value->content())));
  const ValuePtr target = value->id == (*source)->id ? *source : ValuePtr(value);
  KeyModel& model = world_.keys.at(to);
  model.write_begins(target);
  const S3Answer answer = co_await call("copy", request);
  Verdict verdict = judge(answer, {{200}});
  if (verdict == Verdict::done && answer.body.find("<CopyObjectResult") == std::string::npos) {
    // A copy may fail after its 200 has been sent.
    verdict = Verdict::unknown;
    if (!world_.plan.disk_fails()) fail(answer, "a copy failed: " + answer.error_code());
  }
  settle(model, verdict);
  if (verdict == Verdict::done && answer.body.find(target->etag) == std::string::npos) {
    fail(answer, fmt::format("wrong etag of the copy '{}'", to));
  }
}

// What one page of a listing was asked for.
struct Workload::Page {
  std::string prefix;
  std::string delimiter;
  std::string after;          // the last item before it
  bool after_prefix = false;  // which was a common prefix
};

Task<bool> Workload::list() {
  Page page;
  if (random_.coin()) page.prefix = fmt::format("c{}/", random_.below(number_ + 2));
  if (random_.coin()) page.delimiter = "/";
  const uint64_t keys_max = random_.below(3) == 0 ? random_.between(1, 8) : 1'000;
  std::string token;
  for (;;) {
    std::map<std::string, KeyModel::Observation> seen;
    for (auto& [name, key] : world_.keys) {
      if (name.starts_with(page.prefix)) seen.try_emplace(name, key);
    }
    S3Request request{.method = "GET", .path = fmt::format("/{}", kBucket)};
    request.query = fmt::format("encoding-type=url&list-type=2&max-keys={}", keys_max);
    if (!page.prefix.empty()) request.query += "&prefix=" + s3::uri_encode(page.prefix, s3::Slash::encode);
    if (!page.delimiter.empty()) request.query += "&delimiter=%2F";
    if (!token.empty()) request.query += "&continuation-token=" + s3::uri_encode(token, s3::Slash::encode);
    const S3Answer answer = co_await call("list", request);
    if (judge(answer, {{200}}) != Verdict::done) co_return answer.answered() && world_.loses();
    check_page(answer, page, seen);
    if (world_.failed()) co_return true;
    pugi::xml_document document;
    document.load_string(answer.body.c_str());
    const pugi::xml_node result = document.child("ListBucketResult");
    if (std::string_view(result.child_value("IsTruncated")) != "true") co_return true;
    token = result.child_value("NextContinuationToken");
    // The page ended with the greater of its last key and its last common prefix.
    std::string last_key;
    std::string last_prefix;
    for (const pugi::xml_node& node : result.children("Contents")) {
      last_key = s3::decode_query(node.child_value("Key")).value_or("");
    }
    for (const pugi::xml_node& node : result.children("CommonPrefixes")) {
      last_prefix = s3::decode_query(node.child_value("Prefix")).value_or("");
    }
    page.after = std::max(last_key, last_prefix);
    page.after_prefix = last_prefix > last_key;
  }
}

void Workload::check_page(const S3Answer& answer, const Page& page,
                          std::map<std::string, KeyModel::Observation>& seen) {
  pugi::xml_document document;
  if (!document.load_string(answer.body.c_str())) return fail(answer, "malformed XML");
  const pugi::xml_node result = document.child("ListBucketResult");
  const bool truncated = std::string_view(result.child_value("IsTruncated")) == "true";
  std::set<std::string> listed;
  std::set<std::string> prefixes;
  std::string last = page.after;
  for (const pugi::xml_node& node : result.children("Contents")) {
    const std::string key = s3::decode_query(node.child_value("Key")).value_or("");
    if (key <= last && !listed.empty()) return fail(answer, fmt::format("'{}' is out of order", key));
    last = std::max(last, key);
    listed.insert(key);
    const auto observation = seen.find(key);
    if (observation == seen.end()) return fail(answer, fmt::format("'{}' was never written", key));
    const std::string etag = unquoted(node.child_value("ETag"));
    const auto values =
        observation->second.with_etag(etag, static_cast<size_t>(node.child("Size").text().as_ullong()));
    if (values.empty()) return fail(answer, fmt::format("'{}' is listed with etag {}", key, etag));
    if (values.size() == 1) observation->second.saw(values.front());
  }
  for (const pugi::xml_node& node : result.children("CommonPrefixes")) {
    const std::string prefix = s3::decode_query(node.child_value("Prefix")).value_or("");
    last = std::max(last, prefix);
    prefixes.insert(prefix);
    const bool possible = std::ranges::any_of(seen, [&](const auto& entry) {
      return entry.first.starts_with(prefix) && !entry.second.must_be_absent();
    });
    if (!possible) return fail(answer, fmt::format("prefix '{}' has no keys", prefix));
  }
  for (auto& [key, observation] : seen) {
    const bool before = key <= page.after || (page.after_prefix && key.starts_with(page.after));
    const bool behind = truncated && key > last && !(prefixes.contains(last) && key.starts_with(last));
    if (before || behind) continue;
    if (listed.contains(key)) continue;
    const size_t end =
        page.delimiter.empty() ? std::string::npos : key.find(page.delimiter, page.prefix.size());
    const bool rolled_up = end != std::string::npos && prefixes.contains(key.substr(0, end + 1));
    if (rolled_up) continue;
    if (!observation.may_be_absent()) return fail(answer, fmt::format("'{}' is not listed", key));
    observation.saw(nullptr);
  }
}

Task<void> Workload::multipart(const std::string& key) {
  std::vector<size_t> sizes;
  // Parts but the last are 5 MiB at least, which costs time: most uploads have a single part.
  if (random_.below(40) == 0) sizes.push_back(kPartSizeMin);
  sizes.push_back(random_.between(1, 40'000));
  const ValuePtr value = Value::make_multipart(world_.next_value++, sizes);

  S3Request begin{.method = "POST", .path = path_of(key), .query = "uploads="};
  begin.headers.emplace_back(kIdHeader, value->id);
  const S3Answer begun = co_await call("create_upload", begin);
  if (judge(begun, {{200}}) != Verdict::done) co_return;
  pugi::xml_document document;
  document.load_string(begun.body.c_str());
  const std::string upload = document.child("InitiateMultipartUploadResult").child_value("UploadId");
  if (upload.empty()) co_return fail(begun, "no upload id");

  std::string list = "<CompleteMultipartUpload>";
  for (size_t i = 0; i < sizes.size(); ++i) {
    S3Request part{.method = "PUT",
                   .path = path_of(key),
                   .query = fmt::format("partNumber={}&uploadId={}", i + 1, upload),
                   .body = Value::piece_content(value->pieces[i])};
    part.form = BodyForm::unsigned_plain;
    const S3Answer stored = co_await call("upload_part", part);
    if (judge(stored, {{200}}) != Verdict::done) co_return;
    list +=
        fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, stored.header("etag"));
  }
  list += "</CompleteMultipartUpload>";

  if (random_.below(4) == 0) {
    const S3Answer aborted = co_await call(
        "abort_upload", {.method = "DELETE", .path = path_of(key), .query = "uploadId=" + upload});
    (void)judge(aborted, {{204}});
    co_return;
  }
  KeyModel& model = world_.keys.at(key);
  model.write_begins(value);
  const S3Answer completed =
      co_await call("complete_upload",
                    {.method = "POST", .path = path_of(key), .query = "uploadId=" + upload, .body = list});
  Verdict verdict = judge(completed, {{200}});
  if (verdict == Verdict::done &&
      completed.body.find("<CompleteMultipartUploadResult") == std::string::npos) {
    verdict = Verdict::unknown;
    if (!world_.plan.disk_fails()) fail(completed, "completion failed: " + completed.error_code());
  }
  settle(model, verdict);
  if (verdict == Verdict::done && completed.body.find(value->etag) == std::string::npos) {
    fail(completed, fmt::format("wrong etag of the upload '{}'", key));
  }
}

// --- renames ---

Task<void> Workload::rename_object() {
  std::string from = own_key();
  for (int tries = 0; tries < 3 && !world_.keys.at(from).certain().value_or(nullptr); ++tries)
    from = own_key();
  const std::string to = own_key();
  const std::optional<ValuePtr> source = world_.keys.at(from).certain();
  const std::optional<ValuePtr> destination = world_.keys.at(to).certain();
  // A name that ends in a slash is a directory's.
  if (unanswered_ || from == to || from.ends_with('/') || to.ends_with('/')) co_return;
  if (!source || !destination || (*source != nullptr && *source == *destination)) co_return;
  S3Request request{.method = "PUT", .path = path_of(to), .query = "renameObject="};
  request.headers.emplace_back("x-amz-rename-source", s3::uri_encode(from, s3::Slash::keep));
  if (*source == nullptr) {
    (void)judge(co_await call("rename_refused", request), {.done = {404}});
    co_return;
  }
  bool refused = false;
  if (random_.below(3) == 0) {
    request.headers.emplace_back("If-None-Match", "*");
    refused = *destination != nullptr;
  }
  if (random_.below(4) == 0) {
    const bool right = random_.coin();
    request.headers.emplace_back("x-amz-rename-source-if-match",
                                 right ? "\"" + (*source)->etag + "\"" : std::string("\"0\""));
    refused = refused || !right;
  }
  if (refused) {
    (void)judge(co_await call("rename_refused", request), {.done = {412}});
    co_return;
  }
  co_await rename(std::move(request), {{from, to, *source}});
}

// What a rename of one directory to another would move; nothing where that is not certain.
std::optional<std::vector<Workload::Move>> Workload::moves_between(const std::string& from,
                                                                   const std::string& to, bool& occupied) {
  std::vector<Move> moves;
  occupied = false;
  for (const std::string& key : own_) {
    if (!key.starts_with(from) && !key.starts_with(to)) continue;
    const std::optional<ValuePtr> value = world_.keys.at(key).certain();
    if (!value) return std::nullopt;
    if (*value == nullptr) continue;
    occupied = occupied || key.starts_with(to);
    if (key.starts_with(from)) moves.push_back({key, to + key.substr(from.size()), *value});
  }
  return moves;
}

Task<void> Workload::rename_directory() {
  if (unanswered_) co_return;
  std::string from;
  std::string to;
  std::optional<std::vector<Move>> moves;
  bool occupied = true;
  for (int tries = 0; tries < kDirectoriesTried && (!moves || moves->empty() || occupied); ++tries) {
    const size_t first = random_.below(kDirectories.size());
    const size_t second = (first + 1 + random_.below(kDirectories.size() - 1)) % kDirectories.size();
    from = fmt::format("c{}/{}", number_, kDirectories[first]);
    to = fmt::format("c{}/{}", number_, kDirectories[second]);
    moves = moves_between(from, to, occupied);
  }
  if (!moves) co_return;
  S3Request request{.method = "PUT", .path = path_of(to), .query = "renameObject="};
  request.headers.emplace_back("x-amz-rename-source", s3::uri_encode(from, s3::Slash::keep));
  if (moves->empty()) {
    (void)judge(co_await call("rename_refused", request), {.done = {404}});
  } else if (occupied) {
    (void)judge(co_await call("rename_refused", request), {.done = {409}});
  } else {
    co_await rename(std::move(request), std::move(*moves));
  }
}

// One that must be carried out. Where no answer comes it is asked for again under its token, which makes it
// happen once.
Task<void> Workload::rename(S3Request request, std::vector<Move> moves) {
  request.headers.emplace_back("x-amz-client-token", fmt::format("rename-{}-{}", number_, ++renames_made_));
  for (const Move& move : moves) {
    world_.keys.at(move.from).write_begins(nullptr);
    world_.keys.at(move.to).write_begins(move.value);
  }
  const Instant server_started = world_.server_started;
  Verdict verdict = Verdict::refused;
  const uint64_t tries = random_.between(1, kRenameTriesMax);
  for (uint64_t i = 0; i < tries && !world_.failed(); ++i) {
    const S3Answer answer = co_await call(moves.size() == 1 ? "rename" : "rename_directory", request);
    const Verdict now = judge(answer, {{200}});
    // One that was refused says nothing of those before it.
    if (now == Verdict::done || verdict == Verdict::refused) verdict = now;
    if (verdict != Verdict::unknown) break;
  }
  const bool was_late = late() || world_.server_started == server_started;
  for (const Move& move : moves) {
    for (const std::string& key : {move.from, move.to}) {
      KeyModel& model = world_.keys.at(key);
      if (verdict == Verdict::unknown) {
        model.write_unknown(was_late);
      } else {
        settle(model, verdict);
      }
    }
  }
  if (verdict == Verdict::unknown)
    unanswered_ = Renaming{.moves = std::move(moves), .server_started = world_.server_started};
}

// Once the process is gone that might still have carried it out: all of it has happened, or nothing.
Task<void> Workload::look_at_unanswered_rename() {
  if (world_.server_started == unanswered_->server_started) co_return;
  uint64_t moved = 0;
  uint64_t stayed = 0;
  for (const Move& move : unanswered_->moves) {
    for (const std::string& key : {move.from, move.to}) {
      while (!world_.failed() && !world_.stopping && !co_await get(key, true, false)) {
      }
    }
    const std::optional<ValuePtr> from = world_.keys.at(move.from).certain();
    const std::optional<ValuePtr> to = world_.keys.at(move.to).certain();
    if (world_.failed()) co_return;
    if (!from || !to) continue;  // damaged, or the run ends
    const bool here = *from == move.value;
    const bool there = *to == move.value;
    if (here == there) {
      world_.fail(fmt::format("client {}: the rename of '{}' to '{}' has happened in part: {}", number_,
                              move.from, move.to, here ? "both are there" : "the object is gone"));
    }
    ++(there ? moved : stayed);
  }
  if (moved != 0 && stayed != 0) {
    world_.fail(fmt::format("client {}: of the rename of '{}' {} objects have moved and {} have not", number_,
                            unanswered_->moves.front().from, moved, stayed));
  }
  unanswered_.reset();
}

// A bucket from its making to its end. Where an answer stays out, its name is not used again.
Task<void> Workload::bucket_life() {
  const std::string path = fmt::format("/temporary-{}-{}", number_, ++buckets_made_);
  if (judge(co_await call("create_bucket", {.method = "PUT", .path = path}), {{200}}) != Verdict::done)
    co_return;
  if (judge(co_await call("head_bucket", {.method = "HEAD", .path = path}), {{200}}) != Verdict::done)
    co_return;
  if (random_.coin()) {
    const S3Request object{.method = "PUT", .path = path + "/key", .body = "x"};
    if (judge(co_await call("put", object), {{200}}) != Verdict::done) co_return;
    const S3Answer refused = co_await call("delete_bucket", {.method = "DELETE", .path = path});
    if (judge(refused, {{409}}) != Verdict::done) co_return;
    const S3Answer removed = co_await call("delete", {.method = "DELETE", .path = path + "/key"});
    if (judge(removed, {{204}}) != Verdict::done) co_return;
  }
  if (judge(co_await call("delete_bucket", {.method = "DELETE", .path = path}), {{204}}) != Verdict::done)
    co_return;
  (void)judge(co_await call("head_bucket", {.method = "HEAD", .path = path}), {{404}});
}

}  // namespace fb::sim

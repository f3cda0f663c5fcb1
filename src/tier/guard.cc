// SPDX-License-Identifier: Apache-2.0
#include "tier/guard.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "base/checksum.h"
#include "client/blob_client.h"
#include "io/error.h"
#include "io/file.h"
#include "io/log.h"
#include "s3/checksum/checksum.h"
#include "s3/checksum/hash.h"
#include "s3/encoding.h"
#include "s3/request/xml_body.h"
#include "s3/uri.h"
#include "tier/keys.h"

namespace fb::tier {
namespace {

constexpr std::string_view kMarkerTitle = "FractalBits store in a cloud bucket\nformat 1\n";
constexpr std::string_view kStateTitle = "FractalBits cloud tier\nformat 1\n";
constexpr size_t kStateSizeMax = 4096;
constexpr Duration kChecksumPause = Duration::milliseconds(500);
constexpr size_t kTokenBytes = 16;
constexpr std::string_view kProbe = "This object is written and deleted at each start.\n";

// The value of "name value" at the start of a line.
std::string_view line_value(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ' ')
      return line.substr(name.size() + 1);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return {};
}

std::optional<uint64_t> number_of(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string with_checksum(std::string text) {
  return text + fmt::format("checksum {:016x}\n", xxh3(std::as_bytes(std::span(text))));
}

std::string make_token(Env& env) {
  std::array<std::byte, kTokenBytes> bytes;
  env.random_bytes(bytes);
  return s3::hex_encode({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

bool is_token(std::string_view text) { return text.size() == 2 * kTokenBytes && s3::is_lower_hex(text); }

}  // namespace

std::string Guard::where() const {
  const TierOptions& options = requests_.options();
  return fmt::format("bucket {} at {}", options.bucket, options.origin.authority);
}

// Explains an answer that is no success to a person, and says what to do about it.
std::string Guard::explain(const CloudAnswer& answer, std::string_view doing) const {
  if (answer.code == "NoSuchBucket")
    return fmt::format("the cloud tier's {} does not exist; make it, or choose another with --tier-bucket",
                       where());
  return fmt::format("the cloud tier's {}: cannot {}: {} {}", where(), doing, answer.status, answer.code);
}

std::string Guard::write_marker(const Marker& marker) {
  return with_checksum(fmt::format("{}store {}\ngeneration {}\ntoken {}\n", kMarkerTitle, marker.store,
                                   marker.generation, marker.token));
}

std::optional<Guard::Marker> Guard::parse_marker(std::string_view text) {
  if (!text.starts_with(kMarkerTitle)) return std::nullopt;
  Marker marker{.store = std::string(line_value(text, "store")),
                .token = std::string(line_value(text, "token"))};
  const auto generation = number_of(line_value(text, "generation"));
  if (!generation || !is_token(marker.token) || !is_token(marker.store)) return std::nullopt;
  marker.generation = *generation;
  return write_marker(marker) == text ? std::optional(marker) : std::nullopt;
}

Task<ConfigResult<Guard::State>> Guard::read_state() {
  const std::string& path = requests_.options().state_path;
  const auto text = co_await read_small_file(requests_.env(), path, kStateSizeMax);
  if (!text && text.error().is(IoError::not_found)) co_return State();
  if (!text) co_return std::unexpected(fmt::format("{}: cannot be read: {}", path, text.error().to_string()));
  const size_t at = text->find("checksum ");
  const auto generation = number_of(line_value(*text, "generation"));
  const bool good = text->starts_with(kStateTitle) && at != std::string::npos && generation &&
                    with_checksum(text->substr(0, at)) == *text;
  if (!good) co_return std::unexpected(fmt::format("{} is damaged; restore it from a backup", path));
  co_return State{.generation = *generation,
                  .token = std::string(line_value(*text, "token")),
                  .next_token = std::string(line_value(*text, "next_token"))};
}

Task<ConfigResult<void>> Guard::write_state(const State& state) {
  std::string text = fmt::format("{}generation {}\n", kStateTitle, state.generation);
  if (!state.token.empty()) text += fmt::format("token {}\n", state.token);
  if (!state.next_token.empty()) text += fmt::format("next_token {}\n", state.next_token);
  const std::string& path = requests_.options().state_path;
  const auto written =
      co_await replace_small_file(requests_.env(), path, with_checksum(text), 0644, FileRole::other);
  if (!written)
    co_return std::unexpected(fmt::format("{}: cannot be written: {}", path, written.error().to_string()));
  co_return ConfigResult<void>();
}

Task<ConfigResult<std::optional<Guard::Marker>>> Guard::read_marker() {
  const std::string key = marker_key(requests_.options().prefix);
  // Text that is no marker may be a marker that was damaged on its way.
  for (int attempts = 0; attempts < kDamagedAttemptsMax; ++attempts) {
    const auto answer = co_await requests_.call({.method = "GET", .key = key});
    if (!answer) {
      unreachable_ = true;
      co_return std::unexpected(requests_.problem());
    }
    if (answer->status == 404 && answer->code == "NoSuchKey") co_return std::optional<Marker>();
    if (!answer->ok()) co_return std::unexpected(explain(*answer, "read the marker"));
    if (auto marker = parse_marker(answer->body)) co_return marker;
  }
  co_return std::unexpected(
      fmt::format("the cloud tier's {}: the object {} is no marker of a FractalBits store; choose another "
                  "--tier-prefix",
                  where(), key));
}

Task<ConfigResult<void>> Guard::check_empty() {
  const std::string& prefix = requests_.options().prefix;
  const auto answer = co_await requests_.call(
      {.method = "GET",
       .query = fmt::format("list-type=2&prefix={}", s3::uri_encode(prefix, s3::Slash::encode))});
  if (!answer) {
    unreachable_ = true;
    co_return std::unexpected(requests_.problem());
  }
  if (!answer->ok()) co_return std::unexpected(explain(*answer, "list it"));
  const auto listed = s3::parse_list_result(answer->body);
  if (!listed)
    co_return std::unexpected(fmt::format("the cloud tier's {}: its listing makes no sense", where()));
  if (listed->items.empty()) co_return ConfigResult<void>();
  co_return std::unexpected(
      fmt::format("the cloud tier's {}: there is something under the prefix '{}' already, and no marker that "
                  "says whose it is; choose an empty --tier-prefix",
                  where(), prefix));
}

// Reads, compares and writes the marker.
Task<ConfigResult<void>> Guard::claim() {
  const TierOptions& options = requests_.options();
  const std::string store = s3::hex_encode(options.store_id);
  auto state = co_await read_state();
  if (!state) co_return std::unexpected(state.error());
  const auto marker = co_await read_marker();
  if (!marker) co_return std::unexpected(marker.error());
  if (!*marker) {
    if (!state->token.empty()) {
      co_return std::unexpected(fmt::format(
          "the cloud tier's {}: the marker {} is gone; put it back as {} says, or give the bucket "
          "and prefix that this store used before",
          where(), marker_key(options.prefix), options.state_path));
    }
    if (auto empty = co_await check_empty(); !empty) co_return empty;
  } else if ((*marker)->store != store) {
    co_return std::unexpected(
        fmt::format("the cloud tier's {}: the prefix '{}' belongs to another store, {}; give each store a "
                    "--tier-prefix of its own",
                    where(), options.prefix, (*marker)->store));
  } else if ((*marker)->token != state->token && (*marker)->token != state->next_token) {
    co_return std::unexpected(fmt::format(
        "the cloud tier's {}: a copy of this store has been started (generation {} there, {} here): "
        "this one is a restored backup or a clone. Two must not share what is in the cloud; see "
        "docs/tiering.md",
        where(), (*marker)->generation, state->generation));
  }

  const Marker next{.store = store,
                    .generation = (*marker ? (*marker)->generation : 0) + 1,
                    .token = make_token(requests_.env())};
  state->generation = next.generation;
  state->token = *marker ? (*marker)->token : std::string();
  state->next_token = next.token;
  if (auto written = co_await write_state(*state); !written) co_return written;
  std::string text = write_marker(next);
  const iovec body{text.data(), text.size()};
  const std::string hash = s3::hex_encode(s3::sha256(text));
  const std::string key = marker_key(options.prefix);
  const auto put =
      co_await requests_.call({.method = "PUT", .key = key, .body = {&body, 1}, .body_sha256 = hash});
  if (!put) {
    unreachable_ = true;
    co_return std::unexpected(requests_.problem());
  }
  if (!put->ok()) co_return std::unexpected(explain(*put, "write the marker"));
  token_ = next.token;
  co_return co_await write_state({.generation = next.generation, .token = next.token});
}

// Whether the cloud refuses a body with a wrong CRC32C. If it does not, check_rights() deletes the object.
Task<Result<bool>> Guard::verifies_checksums(std::string_view key) {
  std::string text(kProbe);
  const iovec body{text.data(), text.size()};
  const std::string wrong = s3::Checksum::of(s3::ChecksumKind::crc32c, s3::as_bytes("other")).to_base64();
  for (int attempts = 0; attempts < kDamagedAttemptsMax; ++attempts) {
    const auto answer = co_await requests_.call_once({.method = "PUT",
                                                      .key = key,
                                                      .headers = {{"x-amz-checksum-crc32c", wrong}},
                                                      .body = {&body, 1},
                                                      .body_sha256 = kUnsignedBody});
    if (answer && answer->ok()) co_return false;
    if (answer && answer->status / 100 == 4 && answer->status != 429 && answer->status != 408)
      co_return answer->code == "BadDigest";
    (void)co_await sleep_for(requests_.env(), kChecksumPause);
  }
  co_return BlobError::unavailable;
}

// Tries every operation that will be needed, on an object of its own, and whether the endpoint knows
// checksums.
Task<ConfigResult<void>> Guard::check_rights() {
  const TierOptions& options = requests_.options();
  const std::string prefix = store_prefix(options.prefix, options.store_id);
  const std::string key = check_key(prefix);
  std::string text(kProbe);
  const iovec body{text.data(), text.size()};
  const std::string hash = s3::hex_encode(s3::sha256(text));
  const std::string encoded = s3::uri_encode(prefix, s3::Slash::encode);
  std::string upload_id;
  const auto fails = [this](const Result<CloudAnswer>& answer, std::string_view doing) {
    if (answer && answer->ok()) return std::string();
    unreachable_ |= !answer;
    return answer ? explain(*answer, doing) : requests_.problem();
  };

  const auto verified = co_await verifies_checksums(key);
  if (!verified) {
    unreachable_ = true;
    co_return std::unexpected(requests_.problem());
  }
  const auto put =
      co_await requests_.call({.method = "PUT", .key = key, .body = {&body, 1}, .body_sha256 = hash});
  if (auto problem = fails(put, "write objects"); !problem.empty()) co_return std::unexpected(problem);
  const auto got = co_await requests_.call({.method = "GET", .key = key});
  if (auto problem = fails(got, "read objects"); !problem.empty()) co_return std::unexpected(problem);
  if (got->body != kProbe) {
    unreachable_ = true;
    co_return std::unexpected("an object just written reads back as something else");
  }
  const auto deleted = co_await requests_.call({.method = "DELETE", .key = key});
  if (auto problem = fails(deleted, "delete objects"); !problem.empty()) co_return std::unexpected(problem);
  const auto listed = co_await requests_.call({.method = "GET", .query = "list-type=2&prefix=" + encoded});
  if (auto problem = fails(listed, "list objects"); !problem.empty()) co_return std::unexpected(problem);

  for (const bool checksums : {*verified, false}) {
    CloudRequest create{.method = "POST", .key = key, .query = "uploads="};
    if (checksums) {
      create.headers = {{"x-amz-checksum-algorithm", "CRC32C"}, {"x-amz-checksum-type", "FULL_OBJECT"}};
    }
    const auto created = co_await requests_.call(create);
    if (created && created->ok()) {
      if (auto id = s3::parse_initiate_result(created->body)) upload_id = std::move(*id);
      shared_.checksums.store(checksums);
      break;
    }
    if (checksums) continue;
    co_return std::unexpected(fails(created, "begin multipart uploads"));
  }
  if (upload_id.empty()) {
    co_return std::unexpected(
        fmt::format("the cloud tier's {}: the answer to a new multipart upload makes no sense", where()));
  }
  const auto aborted = co_await requests_.call(
      {.method = "DELETE", .key = key, .query = "uploadId=" + s3::uri_encode(upload_id, s3::Slash::encode)});
  if (aborted && aborted->not_offered()) {
    log(requests_.env(), LogLevel::warn,
        "tier: this endpoint cannot abort multipart uploads; what is not finished stays there until it is "
        "cleared by other means");
    co_return ConfigResult<void>();
  }
  // A request whose answer was lost is repeated; the upload is then gone already.
  if (aborted && aborted->status == 404) co_return ConfigResult<void>();
  if (auto problem = fails(aborted, "abort multipart uploads"); !problem.empty())
    co_return std::unexpected(problem);
  co_return ConfigResult<void>();
}

Task<ConfigResult<void>> Guard::check_at_start() {
  unreachable_ = false;
  auto claimed = co_await claim();
  if (claimed) claimed = co_await check_rights();
  if (claimed) {
    good_until_ = requests_.env().now() + kGuardAge;
    shared_.guard.store(GuardState::good);
    log(requests_.env(), LogLevel::info, "tier: large objects go to the cloud",
        {{"endpoint", requests_.options().origin.authority},
         {"bucket", requests_.options().bucket},
         {"prefix", requests_.options().prefix},
         {"threshold_bytes", requests_.options().threshold_bytes},
         {"checksums", shared_.checksums.load() ? "crc32c" : "none"}});
    co_return claimed;
  }
  if (!unreachable_) {
    shared_.guard.store(GuardState::mismatch);
    co_return claimed;
  }
  co_return ConfigResult<void>();
}

Task<Result<void>> Guard::check_before_delete() {
  if (shared_.guard.load() != GuardState::good) co_return BlobError::unavailable;
  Env& env = requests_.env();
  if (env.now() < good_until_) co_return Result<void>();
  unreachable_ = false;
  const Instant asked = env.now();
  const auto marker = co_await read_marker();
  if (!marker && unreachable_) co_return BlobError::unavailable;
  if (!marker || !*marker || (*marker)->token != token_) {
    shared_.guard.store(GuardState::mismatch);
    log(env, LogLevel::error,
        "tier: the marker in the cloud bucket is not the one that this process wrote: nothing is deleted or "
        "written there any more",
        {{"bucket", requests_.options().bucket}, {"marker", marker_key(requests_.options().prefix)}});
    co_return BlobError::unavailable;
  }
  good_until_ = asked + kGuardAge;
  co_return Result<void>();
}

}  // namespace fb::tier

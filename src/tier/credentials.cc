// SPDX-License-Identifier: Apache-2.0
#include "tier/credentials.h"

#include <algorithm>
#include <optional>

#include "base/ascii.h"
#include "client/blob_client.h"
#include "s3/time.h"
#include "s3/uri.h"

namespace fb::tier {
namespace {

constexpr size_t kAnswerBytesMax = 64 * kKiB;
constexpr Duration kFreshMargin = Duration::minutes(5);
constexpr std::string_view kTokenSeconds = "21600";
constexpr std::string_view kRolePath = "/latest/meta-data/iam/security-credentials/";

// A cursor over JSON with text and plain values only.
struct JsonCursor {
  std::string_view rest;

  void skip_space() {
    while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r'))
      rest.remove_prefix(1);
  }
  bool take(char c) {
    skip_space();
    if (rest.empty() || rest[0] != c) return false;
    rest.remove_prefix(1);
    return true;
  }
  bool text(std::string& out) {
    if (!take('"')) return false;
    out.clear();
    while (!rest.empty()) {
      const char c = rest[0];
      rest.remove_prefix(1);
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < ' ') return false;
      if (c != '\\') {
        out.push_back(c);
        continue;
      }
      // Accepts only escapes that stand for one plain character: secrets and tokens have no others.
      if (rest.empty() || (rest[0] != '"' && rest[0] != '\\' && rest[0] != '/')) return false;
      out.push_back(rest[0]);
      rest.remove_prefix(1);
    }
    return false;
  }
  bool plain_value() {
    const size_t end = rest.find_first_of(",} \t\r\n");
    if (end == 0 || end == std::string_view::npos) return false;
    const std::string_view value = rest.substr(0, end);
    rest.remove_prefix(end);
    return value.find_first_of("{[\"") == std::string_view::npos;
  }
};

}  // namespace

std::optional<std::string> json_text_field(std::string_view json, std::string_view name) {
  JsonCursor cursor{json};
  std::optional<std::string> found;
  std::string key;
  std::string value;
  if (!cursor.take('{')) return std::nullopt;
  if (cursor.take('}')) return std::nullopt;
  do {
    if (!cursor.text(key) || !cursor.take(':')) return std::nullopt;
    cursor.skip_space();
    if (cursor.rest.starts_with('"')) {
      if (!cursor.text(value)) return std::nullopt;
      if (key == name) found = value;
    } else if (!cursor.plain_value()) {
      return std::nullopt;
    }
  } while (cursor.take(','));
  if (!cursor.take('}')) return std::nullopt;
  cursor.skip_space();
  return cursor.rest.empty() ? found : std::nullopt;
}

MetadataCredentials::MetadataCredentials(Env& env, const Endpoint& service)
    : env_(env),
      pool_(env,
            {.host = service.to_string(),
             .authority = service.to_string(),
             .peer_host = service.host_text(),
             .peer_port = service.port},
            no_tls_, {.connections = 1, .connect_timeout = Duration::seconds(2)}),
      fetching_(env) {}

Task<void> MetadataCredentials::close() { co_await pool_.close(); }

Task<Result<std::string>> MetadataCredentials::ask(std::string_view method, std::string_view path,
                                                   HeaderField header, const IoLimits& limits) {
  FB_CO_TRY(std::unique_ptr<OutboundConnection> connection, co_await pool_.acquire(limits));
  const std::array headers = {HeaderField{"Host", pool_.origin().authority}, header};
  HttpClient& http = connection->http();
  HttpClientRequest request{.method = method, .target = path, .headers = headers};
  if (method == "PUT") request.content_length = 0;
  int status = 0;
  Result<std::string> text = BlobError::unavailable;
  if (auto sent = co_await http.send_head(request, limits); sent) {
    if (auto head = co_await http.receive_head(limits); head) {
      status = (*head)->status;
      text = co_await http.read_body_text(kAnswerBytesMax, limits);
    }
  }
  if (text) {
    co_await pool_.release(std::move(connection));
  } else {
    co_await pool_.discard(std::move(connection));
  }
  if (status != 200) co_return BlobError::unavailable;
  co_return text;
}

Task<Result<void>> MetadataCredentials::fetch(const IoLimits& limits) {
  FB_CO_TRY(const std::string token,
            co_await ask("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds", kTokenSeconds},
                         limits));
  const HeaderField session{"X-aws-ec2-metadata-token", token};
  FB_CO_TRY(std::string role, co_await ask("GET", kRolePath, session, limits));
  role = std::string(ascii_trim(std::string_view(role).substr(0, role.find('\n'))));
  if (role.empty()) co_return BlobError::unavailable;
  const std::string path = std::string(kRolePath) + s3::uri_encode(role, s3::Slash::encode);
  FB_CO_TRY(const std::string json, co_await ask("GET", path, session, limits));
  const auto access_key = json_text_field(json, "AccessKeyId");
  const auto secret_key = json_text_field(json, "SecretAccessKey");
  const auto session_token = json_text_field(json, "Token");
  const auto expiration = json_text_field(json, "Expiration");
  const auto expires = s3::parse_iso8601_ms(expiration.value_or(""));
  if (!access_key || !secret_key || !session_token || !expires) co_return BlobError::unavailable;
  credentials_ = {
      .access_key = *access_key, .secret_key = Secret(*secret_key), .session_token = Secret(*session_token)};
  expires_ = {*expires * 1'000'000};
  fresh_until_ = {expires_.ns - kFreshMargin.ns};
  co_return Result<void>();
}

Task<Result<const CloudCredentials*>> MetadataCredentials::get(const IoLimits& limits) {
  if (env_.wall_clock() < fresh_until_) co_return &credentials_;
  const auto turn = co_await fetching_.acquire();
  if (env_.wall_clock() < fresh_until_) co_return &credentials_;
  const auto fetched = co_await fetch(limits);
  if (!fetched && (credentials_.access_key.empty() || env_.wall_clock() >= expires_))
    co_return fetched.error();
  co_return &credentials_;
}

}  // namespace fb::tier

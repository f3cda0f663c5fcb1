// SPDX-License-Identifier: Apache-2.0
#include "s3_client.h"

#include <fmt/core.h>

#include <charconv>

#include "base/ascii.h"
#include "http/cut_stream.h"
#include "io/error.h"
#include "s3/auth/signer.h"
#include "s3/checksum/checksum.h"
#include "s3/checksum/hash.h"
#include "s3/request/chunked_encoder.h"
#include "s3/time.h"

namespace fb::sim {
namespace {

constexpr size_t kLineSizeMax = 16 * kKiB;
constexpr size_t kChunkSize = 20'000;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = ascii_lower(c);
  return out;
}

// The seed says which requests leave in pieces, and where they are cut.
Cut draw_cut(Env& env) {
  constexpr uint64_t kOneIn = 4;
  constexpr Cut kCuts[] = {Cut::bytes, Cut::lines, Cut::middle, Cut::apart, Cut::random};
  return env.random() % kOneIn == 0 ? kCuts[env.random() % std::size(kCuts)] : Cut::none;
}

// HTTP's own chunks.
std::string transfer_chunks(Env& env, const std::string& body) {
  std::string out;
  for (size_t at = 0; at < body.size();) {
    const size_t size = std::min<size_t>(body.size() - at, 1 + env.random() % (2 * kChunkSize));
    out += fmt::format("{:x}\r\n", size);
    out.append(body, at, size).append("\r\n");
    at += size;
  }
  return out + "0\r\n\r\n";
}

std::string chunked_body(const std::string& data) {
  std::string out;
  s3::ChunkedEncoder encoder(s3::PayloadKind::streaming_unsigned_trailer);
  for (size_t at = 0; at < data.size(); at += kChunkSize) {
    encoder.append_chunk(s3::as_bytes(std::string_view(data).substr(at, kChunkSize)), out);
  }
  const std::string checksum = s3::Checksum::of(s3::ChecksumKind::crc32, s3::as_bytes(data)).to_base64();
  const s3::ChunkedEncoder::Trailer trailer{"x-amz-checksum-crc32", checksum};
  encoder.append_end({&trailer, 1}, out);
  return out;
}

}  // namespace

std::string S3Answer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

std::string S3Answer::error_code() const {
  const size_t begin = body.find("<Code>");
  const size_t end = body.find("</Code>");
  if (begin == std::string::npos || end == std::string::npos) return {};
  return body.substr(begin + 6, end - begin - 6);
}

std::string S3Client::serialize(const S3Request& request) {
  const bool framed = request.form == BodyForm::trailer_crc32;
  std::string body = framed ? chunked_body(request.body) : request.body;
  const bool transfer_chunked = !body.empty() && env_.random() % 4 == 0;
  if (transfer_chunked) body = transfer_chunks(env_, body);
  std::vector<std::pair<std::string, std::string>> fields = {
      {"Host", server_.to_string()},
      {"x-amz-date", s3::format_amz_date(env_.wall_clock().seconds())},
      {transfer_chunked ? "Transfer-Encoding" : "Content-Length",
       transfer_chunked ? std::string("chunked") : fmt::format("{}", body.size())},
  };
  switch (request.form) {
    case BodyForm::hashed: {
      const s3::Sha256Digest digest = s3::sha256(request.body);
      fields.emplace_back("x-amz-content-sha256", s3::hex_encode(digest));
      break;
    }
    case BodyForm::unsigned_plain:
      fields.emplace_back("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
      break;
    case BodyForm::trailer_crc32:
      fields.emplace_back("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
      fields.emplace_back("x-amz-decoded-content-length", fmt::format("{}", request.body.size()));
      fields.emplace_back("Content-Encoding", "aws-chunked");
      fields.emplace_back("x-amz-trailer", "x-amz-checksum-crc32");
      break;
  }
  fields.insert(fields.end(), request.headers.begin(), request.headers.end());

  std::vector<HeaderField> views;
  for (const auto& [name, value] : fields) views.push_back({name, value});
  const std::string target = request.query.empty() ? request.path : request.path + "?" + request.query;
  const RequestHead head{.method = request.method,
                         .target = target,
                         .path = request.path,
                         .query = request.query,
                         .headers = views};
  const Result<std::string> authorization =
      s3::sign_request(head, {.access_key = identity_.access_key, .secret = identity_.secret});
  FB_ASSERT(authorization.has_value(), target);

  std::string text = fmt::format("{} {} HTTP/1.1\r\n", request.method, target);
  for (const auto& [name, value] : fields) text += fmt::format("{}: {}\r\n", name, value);
  text += fmt::format("Authorization: {}\r\n\r\n", *authorization);
  return text + body;
}

Task<Result<void>> S3Client::connect(Instant deadline) {
  FB_CO_TRY(Socket socket, co_await Socket::connect(env_, server_, {.deadline = deadline}));
  socket_.emplace(std::move(socket));
  input_.clear();
  co_return Result<void>();
}

Task<void> S3Client::close() {
  if (socket_) {
    (void)co_await socket_->close();
    socket_.reset();
  }
}

Task<S3Answer> S3Client::call(const S3Request& request) {
  S3Answer answer;
  sent_at_ = Instant::never();
  const Instant deadline = env_.now() + timeout_;
  if (!socket_) {
    if (Result<void> connected = co_await connect(deadline); !connected) {
      answer.why = connected.error().to_string();
      co_return answer;
    }
  }
  std::string text = serialize(request);
  iovec vector{text.data(), text.size()};
  CutStream stream(*socket_, draw_cut(env_));
  // Once a byte has left, the server may act on it. An answer may come before all of a refused body has been
  // sent.
  answer.outcome = S3Answer::Outcome::unknown;
  sent_at_ = env_.now();
  const Result<void> sent = co_await stream.send_all({&vector, 1}, {.deadline = deadline});
  const Result<void> received = co_await receive_answer(request.method == "HEAD", deadline, answer);
  if (received) {
    answer.outcome = S3Answer::Outcome::answered;
  } else {
    answer.why = received.error().to_string();
  }
  pause_ = {};
  if (!sent || !received || ascii_iequals(answer.header("connection"), "close")) co_await close();
  co_return answer;
}

Task<Result<void>> S3Client::receive_more(Instant deadline) {
  char piece[16 * kKiB];
  FB_CO_TRY(const size_t count,
            co_await socket_->receive(std::as_writable_bytes(std::span(piece)), {.deadline = deadline}));
  if (count == 0) co_return IoError::end_of_file;
  input_.append(piece, count);
  co_return Result<void>();
}

Task<Result<std::string>> S3Client::receive_line(Instant deadline) {
  for (;;) {
    const size_t end = input_.find("\r\n");
    if (end != std::string::npos) {
      std::string line = input_.substr(0, end);
      input_.erase(0, end + 2);
      co_return line;
    }
    if (input_.size() > kLineSizeMax) co_return IoError::limit;
    FB_CO_CHECK(co_await receive_more(deadline));
  }
}

Task<Result<void>> S3Client::receive_to(size_t size, Instant deadline) {
  while (input_.size() < size) {
    if (pause_.ns > 0) (void)co_await sleep_for(env_, pause_);
    FB_CO_CHECK(co_await receive_more(deadline));
  }
  co_return Result<void>();
}

Task<Result<void>> S3Client::receive_chunked(Instant deadline, std::string& body) {
  for (;;) {
    FB_CO_TRY(const std::string line, co_await receive_line(deadline));
    size_t size = 0;
    if (std::from_chars(line.data(), line.data() + line.size(), size, 16).ec != std::errc()) {
      co_return IoError::failed;
    }
    FB_CO_CHECK(co_await receive_to(size + 2, deadline));
    body.append(input_, 0, size);
    input_.erase(0, size + 2);
    if (size == 0) co_return Result<void>();
  }
}

Task<Result<void>> S3Client::receive_answer(bool head_request, Instant deadline, S3Answer& answer) {
  do {
    answer.headers.clear();
    FB_CO_TRY(const std::string status_line, co_await receive_line(deadline));
    if (!status_line.starts_with("HTTP/1.1 ") || status_line.size() < 12) co_return IoError::failed;
    answer.status = std::stoi(status_line.substr(9, 3));
    for (;;) {
      FB_CO_TRY(const std::string line, co_await receive_line(deadline));
      if (line.empty()) break;
      const size_t colon = line.find(':');
      if (colon == std::string::npos) co_return IoError::failed;
      answer.headers[lower(line.substr(0, colon))] = ascii_trim(std::string_view(line).substr(colon + 1));
    }
  } while (answer.status == 100);
  if (head_request || answer.status == 204 || answer.status == 304) co_return Result<void>();
  if (ascii_iequals(answer.header("transfer-encoding"), "chunked")) {
    co_return co_await receive_chunked(deadline, answer.body);
  }
  const std::string length = answer.header("content-length");
  if (length.empty()) co_return IoError::failed;
  const size_t size = std::stoull(length);
  FB_CO_CHECK(co_await receive_to(size, deadline));
  answer.body = input_.substr(0, size);
  input_.erase(0, size);
  co_return Result<void>();
}

}  // namespace fb::sim

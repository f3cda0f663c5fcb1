// SPDX-License-Identifier: Apache-2.0
#include "api/request_body.h"

#include <algorithm>
#include <cstring>

#include "s3/request/requests.h"

namespace fb::api {
namespace {

// What the text of a small body begins with.
constexpr size_t kTextPieceBytes = 4 * kKiB;
constexpr Duration kTextMemoryWaitMax = Duration::seconds(2);

s3::Bytes octets(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace

S3Result<s3::PayloadPlan> plan_payload(const Call& call, const s3::UploadChecksum& upload) {
  const s3::PayloadUse use = call.route.operation_info().body;
  FB_ASSERT(use != s3::PayloadUse::none, to_string(call.route.operation));
  return s3::plan_payload({.head = call.head,
                           .kind = call.auth.payload,
                           .content_length = call.exchange.content_length(),
                           .use = use,
                           .upload = upload});
}

RequestBody::RequestBody(Call& call, const s3::PayloadPlan& plan) : call_(call), plan_(plan) {
  if (plan.kind == s3::PayloadKind::hash) sha256_.emplace();
  if (plan.computed) checksum_.emplace(*plan.computed);
  if (plan.with_crc64nvme) crc64nvme_.emplace(s3::ChecksumKind::crc64nvme);
  if (!s3::is_streaming(plan.kind)) return;
  const s3::ChunkedDecoder::Options options{
      .kind = plan.kind, .decoded_length = plan.size_bytes, .announced_trailers = plan.announced_trailers};
  if (plan.kind == s3::PayloadKind::streaming_unsigned_trailer) {
    framing_ = std::make_unique<Framing>(options, nullptr);
  } else {
    const s3::SignatureChain chain(*call.signing_key, call.auth);
    framing_ = std::make_unique<Framing>(options, &chain);
  }
}

// Whether these are the whole body: then its MD5 is left to the batch.
bool RequestBody::is_all(std::span<const std::byte> bytes) const {
  return received_ == 0 && plan_.size_bytes == bytes.size() && !bytes.empty() &&
         bytes.size() <= Md5Batch::kBytesMax;
}

void RequestBody::hash(std::span<const std::byte> bytes) {
  received_ += bytes.size();
  if (!md5_known_) md5_.update(octets(bytes));
  if (sha256_) sha256_->update(octets(bytes));
  if (checksum_) checksum_->update(octets(bytes));
  if (crc64nvme_) crc64nvme_->update(octets(bytes));
}

// How much of an aws-chunked body is content shows only when it is decoded, and that of unknown size may be
// at its end.
size_t RequestBody::at_hand() const {
  const size_t raw = ended_ ? SIZE_MAX : call_.exchange.body_at_hand();
  if (raw == SIZE_MAX) return plan_.size_bytes ? SIZE_MAX : 1;
  if (!framing_) return raw;
  return raw == 0 && framing_->rest.empty() ? 0 : 1;
}

Task<S3Result<void>> RequestBody::await_some() {
  const auto there = co_await call_.exchange.await_body();
  if (!there) co_return to_failure(there.error());
  co_return S3Result<void>();
}

Task<S3Result<size_t>> RequestBody::fill(std::span<std::byte> into) {
  if (ended_) co_return size_t{0};
  size_t filled = 0;
  if (framing_) {
    FB_CO_TRY(filled, co_await fill_framed(into));
  } else {
    const auto count = co_await call_.exchange.read_body(into);
    if (!count) co_return to_failure(count.error());
    filled = *count;
    if (filled < into.size()) ended_ = true;
  }
  const std::span<std::byte> bytes = into.first(filled);
  if (is_all(bytes)) {
    md5_digest_ = co_await call_.md5s.digest(octets(bytes));
    md5_known_ = true;
  }
  hash(bytes);
  co_return filled;
}

// Moves the data among the received bytes to their front; the size of the data.
S3Result<size_t> RequestBody::decode_in_place(std::span<std::byte> received) {
  s3::Bytes input = octets(received);
  size_t written = 0;
  while (!input.empty()) {
    const auto piece = framing_->decoder.next(input);
    if (!piece) return to_failure(piece.error());
    if (!piece->data.empty()) std::memmove(received.data() + written, piece->data.data(), piece->data.size());
    written += piece->data.size();
    input = input.subspan(piece->consumed);
  }
  return written;
}

S3Result<size_t> RequestBody::decode_window(std::span<std::byte> out) {
  const auto written =
      framing_->decoder.read(framing_->rest, {reinterpret_cast<uint8_t*>(out.data()), out.size()});
  if (!written) return to_failure(written.error());
  return *written;
}

Task<S3Result<size_t>> RequestBody::fill_framed(std::span<std::byte> into) {
  Framing& framing = *framing_;
  size_t filled = 0;
  while (filled < into.size()) {
    const std::span<std::byte> room = into.subspan(filled);
    if (!framing.rest.empty()) {
      FB_CO_TRY(const size_t count, decode_window(room));
      filled += count;
      continue;
    }
    const bool in_place = room.size() >= kWindowBytes;
    auto received = co_await call_.exchange.read_body_some(in_place ? room : std::span(framing.window));
    if (!received) co_return to_failure(received.error());
    if (*received == 0) {
      ended_ = true;
      break;
    }
    if (!in_place) {
      framing.rest = octets(std::span(framing.window).first(*received));
      continue;
    }
    FB_CO_TRY(const size_t count, decode_in_place(room.first(*received)));
    filled += count;
  }
  call_.services.env.stats().bytes_copied += filled;
  co_return filled;
}

S3Result<void> RequestBody::finish_framing() {
  if (!framing_) return {};
  const s3::ChunkedDecoder& decoder = framing_->decoder;
  if (auto finished = decoder.finish(); !finished) return to_failure(finished.error());
  if (!plan_.trailer) return {};
  const std::string_view name = s3::checksum_header(*plan_.trailer);
  const auto text = decoder.trailer(name);
  if (!text) return S3Error::MalformedTrailerError;
  plan_.checksum = s3::ChecksumValue::parse(*plan_.trailer, *text);
  if (!plan_.checksum) {
    return S3Failure(S3Error::InvalidRequest, fmt::format("Value for {} trailing header is invalid.", name));
  }
  return {};
}

S3Result<void> RequestBody::compare_checksum() {
  if (crc64nvme_) crc64nvme_value_ = crc64nvme_->finish();
  if (!checksum_) return {};
  checksum_value_ = checksum_->finish();
  if (!plan_.checksum || *plan_.checksum == *checksum_value_) return {};
  return S3Failure(S3Error::BadDigest, std::string("The ") +
                                           std::string(s3::checksum_name(checksum_value_->kind())) +
                                           " you specified did not match the calculated checksum.");
}

Task<S3Result<void>> RequestBody::finish() {
  if (!ended_) {
    hold(0, BufferUse::incoming);  // all of it has been handed on
    std::byte beyond[1];
    FB_CO_TRY(const size_t count, co_await fill(beyond));
    if (count != 0) co_return S3Error::IncompleteBody;
  }
  FB_CO_CHECK(finish_framing());
  if (plan_.size_bytes && received_ != *plan_.size_bytes) co_return S3Error::IncompleteBody;
  if (sha256_) {
    const s3::Sha256Digest digest = sha256_->finish();
    if (!s3::constant_time_equal(s3::Bytes(digest), s3::Bytes(call_.auth.body_sha256)))
      co_return S3Error::XAmzContentSHA256Mismatch;
  }
  if (!md5_known_) md5_digest_ = md5_.finish();
  if (plan_.content_md5 && *plan_.content_md5 != md5_digest_) co_return S3Error::BadDigest;
  co_return compare_checksum();
}

namespace {

// Waits with what the body has already, so only briefly.
Task<bool> take_memory(Call& call, size_t bytes, std::vector<BufferPool::Reservation>& memory) {
  BufferPool& pool = call.services.env.buffers();
  auto reserved = co_await pool.reserve_within(bytes, BufferUse::text, kTextMemoryWaitMax);
  const bool taken = bool{reserved};
  if (taken) memory.push_back(std::move(reserved));
  co_return taken;
}

}  // namespace

// Room for the text doubles as it fills, and begins with what has come: a declared length is worth nothing.
Task<S3Result<SmallBody>> read_small_body(Call& call, size_t size_max_bytes) {
  FB_CO_TRY(const s3::PayloadPlan plan, plan_payload(call));
  RequestBody body(call, plan);
  if (body.size_bytes() && *body.size_bytes() > size_max_bytes) co_return S3Error::MaxMessageLengthExceeded;
  const size_t end = body.size_bytes().value_or(size_max_bytes) + 1;  // one more shows that it is too long
  SmallBody small;
  std::string& text = small.text_;
  if (body.at_hand() == 0) FB_CO_CHECK(co_await body.await_some());
  for (size_t room = std::min(end, kTextPieceBytes);; room = std::min(end, 2 * room)) {
    const size_t start = text.size();
    if (!co_await take_memory(call, room - start, small.memory_)) co_return S3Error::SlowDown;
    text.reserve(room);
    text.resize(room);
    body.hold(room, BufferUse::text);
    FB_CO_TRY(const size_t count, co_await body.fill(std::as_writable_bytes(std::span(text).subspan(start))));
    text.resize(start + count);
    if (text.size() < room || room == end) break;
  }
  if (text.size() > size_max_bytes) co_return S3Error::MaxMessageLengthExceeded;
  FB_CO_CHECK(co_await body.finish());
  body.hold(text.size(), BufferUse::text);
  co_return std::move(small);
}

RecordChecksumAlgorithm to_record(s3::ChecksumKind kind) {
  switch (kind) {
    case s3::ChecksumKind::crc32:
      return RecordChecksumAlgorithm::crc32;
    case s3::ChecksumKind::crc32c:
      return RecordChecksumAlgorithm::crc32c;
    case s3::ChecksumKind::crc64nvme:
      return RecordChecksumAlgorithm::crc64nvme;
    case s3::ChecksumKind::sha1:
      return RecordChecksumAlgorithm::sha1;
    case s3::ChecksumKind::sha256:
      return RecordChecksumAlgorithm::sha256;
  }
  FB_UNREACHABLE();
}

std::optional<s3::ChecksumKind> to_checksum_kind(RecordChecksumAlgorithm algorithm) {
  switch (algorithm) {
    case RecordChecksumAlgorithm::none:
      return std::nullopt;
    case RecordChecksumAlgorithm::crc32:
      return s3::ChecksumKind::crc32;
    case RecordChecksumAlgorithm::crc32c:
      return s3::ChecksumKind::crc32c;
    case RecordChecksumAlgorithm::crc64nvme:
      return s3::ChecksumKind::crc64nvme;
    case RecordChecksumAlgorithm::sha1:
      return s3::ChecksumKind::sha1;
    case RecordChecksumAlgorithm::sha256:
      return s3::ChecksumKind::sha256;
  }
  return std::nullopt;
}

RecordChecksum to_record(const s3::ChecksumValue& value) {
  RecordChecksum record{.algorithm = to_record(value.kind()),
                        .size = static_cast<uint8_t>(value.bytes().size())};
  std::copy(value.bytes().begin(), value.bytes().end(), record.value.begin());
  return record;
}

std::optional<s3::ChecksumValue> to_checksum_value(const RecordChecksum& checksum) {
  const auto kind = to_checksum_kind(checksum.algorithm);
  if (!kind) return std::nullopt;
  return s3::ChecksumValue(*kind, {checksum.value.data(), checksum.size});
}

s3::UploadChecksum to_upload_checksum(const UploadRecord& upload) {
  return {.kind = to_checksum_kind(upload.checksum_algorithm),
          .type = upload.checksum_composite ? s3::ChecksumType::composite : s3::ChecksumType::full_object};
}

std::string checksum_text(const RecordChecksum& checksum, size_t part_count) {
  std::string text = s3::base64_encode({checksum.value.data(), checksum.size});
  if (checksum.composite) text += "-" + std::to_string(part_count);
  return text;
}

}  // namespace fb::api

// SPDX-License-Identifier: Apache-2.0
// GetObject and HeadObject: one record, then the blocks that the range touches and no others. A block's
// checksum is verified before any byte of it is sent; where one is found damaged after the head has left, the
// connection is cut, so that no client takes a short or wrong body for the object.

#include "api/content_cloud.h"
#include "api/content_cursor.h"
#include "api/content_reader.h"
#include "api/object_response.h"
#include "api/operations.h"
#include "io/scope.h"
#include "s3/request/requests.h"
#include "s3/response/browser_content.h"

namespace fb::api {
namespace {

// Of a block, where memory for answers is scarce.
constexpr uint64_t kScarcePieceBytes = 128 * kKiB;

// The bytes a response carries, within the object.
struct Selection {
  int status = 200;
  uint64_t offset = 0;
  uint64_t length = 0;
  const RecordPart* part = nullptr;  // where a part was asked for
};

// A part without bytes is no range that Content-Range could name: it is answered with 200.
int status_of_part(uint64_t length) { return length > 0 ? 206 : 200; }

S3Failure no_such_part(uint32_t number, size_t part_count) {
  return S3Failure(S3Error::InvalidPartNumber)
      .with("ActualPartCount", std::to_string(part_count))
      .with("PartNumberRequested", std::to_string(number));
}

S3Result<Selection> select_part(const ObjectRecord& record, uint32_t number) {
  if (record.parts.empty()) {
    if (number != 1) return no_such_part(number, 1);
    return Selection{.status = status_of_part(record.size_bytes), .length = record.size_bytes};
  }
  Selection selection;
  for (const RecordPart& part : record.parts) {
    if (part.number == number) {
      selection.length = part.content.length_bytes;
      selection.status = status_of_part(selection.length);
      selection.part = &part;
      return selection;
    }
    selection.offset += part.content.length_bytes;
  }
  return no_such_part(number, record.parts.size());
}

S3Result<Selection> select(Call& call, const s3::GetObjectRequest& request, const ObjectRecord& record,
                           std::string_view etag) {
  if (request.part_number) {
    FB_TRY(Selection selection, select_part(record, *request.part_number));
    if (!record.parts.empty()) call.exchange.headers().add("x-amz-mp-parts-count", record.parts.size());
    return selection;
  }
  if (request.range.empty() || !s3::if_range_holds(request.if_range, etag, record.last_modified.seconds(),
                                                   call.services.env.wall_clock().seconds())) {
    return Selection{.length = record.size_bytes};
  }
  const s3::ResolvedRange range = s3::resolve_range(request.range, record.size_bytes);
  switch (range.kind) {
    case s3::RangeKind::whole:
      return Selection{.length = record.size_bytes};
    case s3::RangeKind::partial:
      return Selection{.status = 206, .offset = range.offset, .length = range.size};
    case s3::RangeKind::unsatisfiable:
      break;
  }
  return S3Failure(S3Error::InvalidRange)
      .with("RangeRequested", request.range)
      .with(kActualObjectSize, std::to_string(record.size_bytes));
}

Task<S3Result<void>> send_piece(Call& call, std::span<const std::byte> bytes) {
  iovec vector{const_cast<std::byte*>(bytes.data()), bytes.size()};
  auto sent = co_await call.exchange.send_body({&vector, 1});
  if (!sent) co_return to_failure(sent.error());
  co_return S3Result<void>();
}

// Sends one piece and gives its memory back, so that reading ahead never waits for what this stream itself
// holds.
Task<S3Result<void>> send_and_release(Call& call, BlobData& data) {
  auto sent = co_await send_piece(call, data.bytes());
  data = {};
  co_return sent;
}

// Whole blocks while there is memory; small pieces where slow clients may hold them for long.
bool memory_is_scarce(Call& call) { return !call.services.env.buffers().calm(BufferUse::answer); }
uint64_t piece_bytes_max(Call& call) {
  return memory_is_scarce(call) ? kScarcePieceBytes : kBlobBlockSizeMax;
}

// As long as its client likes: `reading` keeps what is still to be read, and nothing once all is in memory.
Task<S3Result<void>> send_content(Call& call, int status, ContentCursor& cursor, LongRead& reading,
                                  uint64_t length) {
  std::optional<ContentPiece> piece = cursor.next(piece_bytes_max(call));
  BlobData data;
  if (piece && piece->inline_data.empty()) {
    FB_CO_TRY(data, co_await read_piece(call.services, *piece));
  }
  if (piece && piece->length == length) {  // all in one send
    reading.release();
    const std::span<const std::byte> bytes =
        piece->inline_data.empty() ? data.bytes() : std::as_bytes(std::span(piece->inline_data));
    iovec vector{const_cast<std::byte*>(bytes.data()), bytes.size()};
    co_return as_s3(co_await call.exchange.respond(status, {&vector, 1}));
  }
  call.exchange.begin_response(status, length);
  while (piece) {
    const std::optional<ContentPiece> next = cursor.next(piece_bytes_max(call));
    come_to(reading, next);
    if (!piece->inline_data.empty() || !next || !next->inline_data.empty()) {
      const auto bytes =
          piece->inline_data.empty() ? data.bytes() : std::as_bytes(std::span(piece->inline_data));
      FB_CO_CHECK(co_await send_piece(call, bytes));
      data = {};
      if (next && next->inline_data.empty()) {
        FB_CO_TRY(data, co_await read_piece(call.services, *next));
      }
    } else if (memory_is_scarce(call)) {  // nothing is read for a client that may not take it
      FB_CO_CHECK(co_await send_and_release(call, data));
      FB_CO_TRY(data, co_await read_piece(call.services, *next));
    } else {
      auto [sent, ahead] = co_await when_all([&] { return send_and_release(call, data); },
                                             [&] { return read_piece(call.services, *next); });
      FB_CO_CHECK(std::move(sent));
      if (!ahead) co_return ahead.error();
      data = std::move(*ahead);
    }
    piece = next;
  }
  co_return as_s3(co_await call.exchange.end_response());
}

// The same where some of it is in the cloud: the bytes before the one that is sent have been verified, and a
// connection there lasts from piece to piece.
Task<S3Result<void>> send_pieces(Call& call, PieceReader& reader, int status, ContentCursor& cursor,
                                 LongRead& reading, uint64_t length) {
  std::optional<ContentPiece> piece = cursor.next();
  FB_CO_TRY(BlobData data, co_await reader.read(*piece));
  call.exchange.begin_response(status, length);
  while (piece) {
    const std::optional<ContentPiece> next = cursor.next();
    come_to(reading, next);
    if (!next) {
      FB_CO_CHECK(co_await send_and_release(call, data));
      break;
    }
    auto [sent, ahead] =
        co_await when_all([&] { return send_and_release(call, data); }, [&] { return reader.read(*next); });
    FB_CO_CHECK(std::move(sent));
    if (!ahead) co_return ahead.error();
    data = std::move(*ahead);
    piece = next;
  }
  co_return as_s3(co_await call.exchange.end_response());
}

Task<S3Result<void>> send_from_cloud(Call& call, int status, ContentCursor& cursor, LongRead& reading,
                                     uint64_t length) {
  PieceReader reader(call.services);
  auto sent = co_await send_pieces(call, reader, status, cursor, reading, length);
  co_await reader.close();
  co_return sent;
}

void add_checksum_headers(Call& call, const ObjectRecord& record, const Selection& selection) {
  const s3::ChecksumType type = checksum_type(record.checksum);
  if (selection.part != nullptr) {
    add_checksum(call, selection.part->checksum, type, 0);
  } else if (selection.length == record.size_bytes) {
    add_checksum(call, record.checksum, type, record.parts.size());
  }
}

// The headers of a response with content, or of one to HeadObject.
S3Result<void> add_headers(Call& call, const s3::GetObjectRequest& request, const ObjectRecord& record,
                           const Selection& selection) {
  HeaderWriter& headers = call.exchange.headers();
  add_object_identity(call, record);
  headers.add_lines("Accept-Ranges: bytes\r\n");
  if (selection.status == 206) {
    headers.add("Content-Range",
                s3::content_range(
                    {.kind = s3::RangeKind::partial, .offset = selection.offset, .size = selection.length},
                    record.size_bytes));
  }
  if (request.with_checksums) add_checksum_headers(call, record, selection);
  const bool intact =
      s3::emit_object_headers(record.metadata, request.overrides, [&](std::string_view name, auto value) {
        headers.add(name, value);
        const bool is_type = name == s3::kSystemHeaders[0].name;
        if (is_type && s3::may_run_in_browser(value)) headers.add_lines(s3::kSandboxLine);
      });
  if (!intact) return S3Failure(S3Error::InternalError, "The object's metadata is damaged.");
  return {};
}

}  // namespace

Task<S3Result<void>> get_object(Call& call) {
  FB_CO_TRY(const s3::GetObjectRequest request, s3::parse_get_object(parse_context(call)));
  auto found = co_await call.services.names.get(call.context(), call.bucket, Space::objects, request.key);
  if (!found) {
    if (found.error().is(NamespaceError::not_found))
      co_return S3Failure(S3Error::NoSuchKey).with("Key", request.key);
    co_return to_failure(found.error());
  }
  FB_CO_TRY(const ObjectRecord record, as_s3(ObjectRecord::decode(found->record)));
  char etag_buffer[RecordEtag::kTextSizeMax];
  const std::string_view etag(etag_buffer, record.etag.write_text(etag_buffer));

  const auto decision = request.conditions.decide(etag, record.last_modified.seconds());
  switch (decision.outcome) {
    case s3::ConditionOutcome::proceed:
      break;
    case s3::ConditionOutcome::failed:
      co_return S3Failure(S3Error::PreconditionFailed).with("Condition", decision.header);
    case s3::ConditionOutcome::not_modified:
      found->pin.reset();  // as below: no content is read, and the client may be slow to take the answer
      add_object_identity(call, record);
      co_return as_s3(co_await call.exchange.respond_without_body(304, std::nullopt));
  }
  FB_CO_TRY(const Selection selection, select(call, request, record, etag));
  FB_CO_CHECK(add_headers(call, request, record, selection));

  if (call.is_head() || selection.length == 0) found->pin.reset();
  if (call.is_head()) {
    co_return as_s3(co_await call.exchange.respond_without_body(selection.status, selection.length));
  }
  if (selection.length == 0) {
    iovec none{};
    co_return as_s3(co_await call.exchange.respond(selection.status, {&none, 0}));
  }
  ContentCursor cursor(record, selection.offset, selection.length);
  LongRead reading(std::move(found->pin), cursor);
  if (is_in_cloud(record))
    co_return co_await send_from_cloud(call, selection.status, cursor, reading, selection.length);
  co_return co_await send_content(call, selection.status, cursor, reading, selection.length);
}

}  // namespace fb::api

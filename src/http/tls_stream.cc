// SPDX-License-Identifier: Apache-2.0
#include "http/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "http/error.h"

namespace fb {
namespace {

constexpr size_t kRecordBytesMax = 16 * kKiB;    // of plain text
constexpr size_t kRecordOverheadMax = 1 * kKiB;  // header, tag, padding; ample
constexpr size_t kOutputBytesSmall = 32 * kKiB;
constexpr size_t kOutputBytesLarge = 256 * kKiB;

}  // namespace

// The BIO between OpenSSL and a TlsStream's two buffers.
struct TlsBio {
  static TlsStream& owner(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* out, size_t size, size_t* count) {
    TlsStream& stream = owner(bio);
    BIO_clear_retry_flags(bio);
    if (stream.input_.empty()) {
      if (!stream.input_ended_) BIO_set_retry_read(bio);
      *count = 0;
      return 0;
    }
    *count = std::min(size, stream.input_.size());
    std::memcpy(out, stream.input_.data(), *count);
    stream.input_ = stream.input_.subspan(*count);
    return 1;
  }

  static int write(BIO* bio, const char* data, size_t size, size_t* count) {
    TlsStream& stream = owner(bio);
    BIO_clear_retry_flags(bio);
    if (stream.output_.empty()) stream.reserve_output(kOutputBytesSmall);
    *count = std::min(size, stream.output_.size() - stream.output_size_);
    if (*count == 0) {
      BIO_set_retry_write(bio);
      return 0;
    }
    std::memcpy(stream.output_.data() + stream.output_size_, data, *count);
    stream.output_size_ += *count;
    return 1;
  }

  static long control(BIO* bio, int command, long, void*) {
    switch (command) {
      case BIO_CTRL_FLUSH:
        return 1;
      case BIO_CTRL_EOF:
        return owner(bio).input_ended_ ? 1 : 0;
      default:
        return 0;
    }
  }

  static const BIO_METHOD* method() {
    static const BIO_METHOD* const kMethod = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "fb stream");
      FB_ASSERT(made != nullptr);
      BIO_meth_set_read_ex(made, &TlsBio::read);
      BIO_meth_set_write_ex(made, &TlsBio::write);
      BIO_meth_set_ctrl(made, &TlsBio::control);
      return made;
    }();
    return kMethod;
  }
};

TlsStream::TlsStream(Stream& transport, const TlsContext& context, Role role, const std::string& host)
    : transport_(transport), output_turn_(transport.env(), 1) {
  FB_ASSERT(context.loaded());
  ERR_clear_error();
  ssl_.reset(SSL_new(context.native()));
  FB_ASSERT(ssl_ != nullptr);
  BIO* bio = BIO_new(TlsBio::method());
  FB_ASSERT(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl_.get());
  X509_VERIFY_PARAM_set_time(verify, static_cast<time_t>(env().wall_clock().seconds()));
  if (role == Role::server) {
    SSL_set_accept_state(ssl_.get());
    return;
  }
  SSL_set_connect_state(ssl_.get());
  FB_ASSERT(!host.empty());
  if (X509_VERIFY_PARAM_set1_ip_asc(verify, host.c_str()) != 1) {
    FB_ASSERT(X509_VERIFY_PARAM_set1_host(verify, host.data(), host.size()) == 1);
    FB_ASSERT(SSL_set_tlsext_host_name(ssl_.get(), host.c_str()) == 1);
  }
  ERR_clear_error();
}

TlsStream::~TlsStream() = default;

TlsStream::Step TlsStream::step_of(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE:
      return Step::done;
    case SSL_ERROR_WANT_READ:
      return Step::need_input;
    case SSL_ERROR_WANT_WRITE:
      return Step::need_output;
    case SSL_ERROR_ZERO_RETURN:
      return Step::end;
    default:
      break;
  }
  const long verified = SSL_get_verify_result(ssl_.get());
  const char* reason = verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                                             : ERR_reason_error_string(ERR_peek_last_error());
  failure_ = reason == nullptr ? "the connection ended" : reason;
  ERR_clear_error();
  return Step::failed;
}

Task<Result<void>> TlsStream::handshake(const IoLimits& limits) {
  for (;;) {
    ERR_clear_error();
    const Step step = step_of(SSL_do_handshake(ssl_.get()));
    // Also sends an alert that says why the handshake failed.
    const auto flushed = co_await flush(limits);
    if (step == Step::failed || step == Step::end) co_return HttpError::tls_failed;
    if (!flushed) co_return flushed.error();
    if (step == Step::done) co_return Result<void>();
    if (step == Step::need_input) FB_CO_CHECK(co_await receive_records(limits));
  }
}

// OpenSSL's own messages, an answer to a key update or an alert, take output memory as they arise.
TlsStream::Step TlsStream::read_some(std::span<std::byte> into, size_t& count) {
  ERR_clear_error();
  return step_of(SSL_read_ex(ssl_.get(), into.data(), into.size(), &count));
}

// After `need_input` and `need_output` it is to be called again; after `need_input` first receive_records().
Task<Result<TlsStream::Step>> TlsStream::receive_some(std::span<std::byte> into, size_t& count,
                                                      const IoLimits& limits) {
  const Step step = read_some(into, count);
  if (input_.empty()) pooled_.reset();
  if (step == Step::need_output) {
    // The output is full and another coroutine sends it: without waiting for its turn this would loop for
    // ever.
    const auto turn = co_await output_turn_.acquire();
    FB_CO_CHECK(co_await flush(limits));
  } else if (output_size_ != 0) {
    if (const auto turn = output_turn_.try_acquire()) FB_CO_CHECK(co_await flush(limits));
  }
  if (step != Step::failed) co_return step;
  if (input_ended_) co_return IoError::connection_lost;
  co_return HttpError::tls_failed;
}

Task<Result<size_t>> TlsStream::receive(std::span<std::byte> into, IoLimits limits) {
  for (;;) {
    size_t count = 0;
    Step step = Step::need_input;
    if (input_pending() || input_ended_) {
      FB_CO_TRY(step, co_await receive_some(into, count, limits));
    }
    if (step == Step::done) co_return count;
    if (step == Step::end) co_return size_t{0};
    if (step == Step::need_input) FB_CO_CHECK(co_await receive_records(limits));
  }
}

// Waits for records without a buffer for their plain text: an idle connection, and one that has received half
// a record, hold none.
Task<Result<PooledBytes>> TlsStream::receive_pooled(IoLimits limits) {
  for (;;) {
    if (!input_pending() && !input_ended_) FB_CO_CHECK(co_await receive_records(limits));
    auto memory = std::make_unique_for_overwrite<std::byte[]>(kPooledBytesSize);
    size_t count = 0;
    FB_CO_TRY(const Step step, co_await receive_some({memory.get(), kPooledBytesSize}, count, limits));
    if (step == Step::done) co_return PooledBytes(std::move(memory), count);
    if (step == Step::end) co_return PooledBytes();
    memory.reset();
    if (step == Step::need_input) FB_CO_CHECK(co_await receive_records(limits));
  }
}

Task<Result<void>> TlsStream::receive_records(const IoLimits& limits) {
  FB_ASSERT(input_.empty());
  kept_ = {};
  pooled_.reset();
  FB_CO_TRY(pooled_, co_await transport_.receive_pooled(limits));
  input_ = pooled_.bytes();
  if (input_.empty()) input_ended_ = true;
  co_return Result<void>();
}

void TlsStream::leave_pooled_memory() {
  if (pooled_.bytes().empty()) return;
  kept_.assign(input_.begin(), input_.end());
  input_ = kept_;
  pooled_.reset();
}

void TlsStream::reserve_output(size_t bytes) {
  if (output_.size() >= bytes) return;
  FB_ASSERT(output_size_ == 0, output_size_);
  output_heap_.reset();
  output_buffer_.reset();
  // The caller may hold buffers itself, so waiting for one could be waiting for oneself.
  if (bytes > kOutputBytesSmall) output_buffer_ = env().buffers().try_allocate(bytes, BufferUse::answer);
  if (output_buffer_) {
    output_ = output_buffer_.span();
  } else {
    const size_t heap_bytes = std::min(bytes, kOutputBytesSmall);
    output_heap_ = std::make_unique_for_overwrite<std::byte[]>(heap_bytes);
    output_ = {output_heap_.get(), heap_bytes};
  }
}

Task<Result<void>> TlsStream::flush(const IoLimits& limits) {
  Result<void> result;
  if (output_size_ != 0) leave_pooled_memory();
  while (output_size_ != 0 && result) {
    const size_t count = output_size_;
    iovec vector{output_.data(), count};
    result = co_await transport_.send_all({&vector, 1}, limits);
    output_size_ -= count;
    std::memmove(output_.data(), output_.data() + count, output_size_);
  }
  output_size_ = 0;
  output_ = {};
  output_buffer_.reset();
  output_heap_.reset();
  co_return result;
}

// Encrypts into the output buffer, which is sent when it is full.
Task<Result<void>> TlsStream::write_plain(std::span<const std::byte> data, const IoLimits& limits) {
  while (!data.empty()) {
    const size_t piece = std::min(data.size(), kRecordBytesMax);
    if (output_.size() - output_size_ < piece + kRecordOverheadMax) {
      const size_t size = data.size() > kOutputBytesSmall ? kOutputBytesLarge
                          : data.size() > kRecordBytesMax ? kOutputBytesSmall
                                                          : piece + kRecordOverheadMax;
      FB_CO_CHECK(co_await flush(limits));
      reserve_output(size);
    }
    size_t count = 0;
    ERR_clear_error();
    const Step step = step_of(SSL_write_ex(ssl_.get(), data.data(), piece, &count));
    if (step == Step::done) {
      data = data.subspan(count);
      continue;
    }
    if (step == Step::failed || step == Step::end) co_return HttpError::tls_failed;
    FB_CO_CHECK(co_await flush(limits));
    // Sending never needs input: renegotiation is off, and TLS 1.3 does not ask for it.
    if (step == Step::need_input) co_return HttpError::tls_failed;
    reserve_output(kOutputBytesSmall);
  }
  co_return Result<void>();
}

Task<Result<void>> TlsStream::send_all(std::span<iovec> vectors, IoLimits limits) {
  const auto turn = co_await output_turn_.acquire();
  co_return co_await send_in_turn(vectors, limits);
}

Task<Result<void>> TlsStream::send_in_turn(std::span<iovec> vectors, const IoLimits& limits) {
  // Short pieces (a head, a small body) are gathered into one record: cheaper than a record each.
  Buffer gathered;
  size_t gathered_size = 0;
  for (size_t i = 0; i < vectors.size(); ++i) {
    const std::span<const std::byte> piece(static_cast<const std::byte*>(vectors[i].iov_base),
                                           vectors[i].iov_len);
    const bool more = i + 1 < vectors.size();
    if (gathered_size + piece.size() <= kRecordBytesMax && (more || gathered_size != 0)) {
      if (!gathered) gathered = env().buffers().try_allocate(kRecordBytesMax, BufferUse::request);
      if (gathered) {
        if (!piece.empty()) std::memcpy(gathered.data() + gathered_size, piece.data(), piece.size());
        gathered_size += piece.size();
        continue;
      }
    }
    if (gathered_size != 0) {
      FB_CO_CHECK(co_await write_plain(gathered.span(0, gathered_size), limits));
      gathered.reset();
      gathered_size = 0;
    }
    FB_CO_CHECK(co_await write_plain(piece, limits));
  }
  if (gathered_size != 0) FB_CO_CHECK(co_await write_plain(gathered.span(0, gathered_size), limits));
  gathered.reset();
  co_return co_await flush(limits);
}

Task<void> TlsStream::close_notify(const IoLimits& limits) {
  if (SSL_is_init_finished(ssl_.get()) != 1 || input_ended_) co_return;
  const auto turn = co_await output_turn_.acquire();
  reserve_output(kRecordOverheadMax);
  ERR_clear_error();
  (void)SSL_shutdown(ssl_.get());
  ERR_clear_error();
  // The connection closes next; whether the notice arrived changes nothing.
  (void)co_await flush(limits);
}

Task<Result<void>> TlsStream::finish_sending(IoLimits limits) {
  co_await close_notify(limits);
  co_return co_await transport_.finish_sending(limits);
}

Task<Result<void>> TlsStream::close() {
  co_await close_notify({});
  co_return co_await transport_.close();
}

}  // namespace fb

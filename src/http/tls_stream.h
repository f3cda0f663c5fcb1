// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "http/tls_context.h"
#include "io/stream.h"
#include "io/sync.h"

namespace fb {

// TLS over another stream, which it neither owns nor closes and which outlives it. OpenSSL does no I/O of its
// own: its records are taken from the environment's pooled receive buffers and collected in one output buffer
// per send, through a BIO over these. A connection that waits for its peer holds neither, except for output
// that waits to be sent; half a record lies in OpenSSL's own memory. The output buffer comes from the
// BufferPool only for large answers: output that anybody may cause lies in the heap, in memory of its size.
//
//   TlsStream tls(socket, context, TlsStream::Role::server);
//   FB_CO_CHECK(co_await tls.handshake(limits));
//   ... receive, send_all ...
//   co_await tls.close_notify(limits);
//
// Errors: HttpError::tls_failed if the peer breaks the protocol or is not trusted (failure() says why),
// otherwise those of the stream beneath. The end of that stream without a TLS close is
// IoError::connection_lost, not the end of data.
class TlsStream final : public Stream {
 public:
  enum class Role : uint8_t { server, client };
  // `host` (client only) is the name or address that the server's certificate must be for.
  TlsStream(Stream& transport, const TlsContext& context, Role role, const std::string& host = {});
  ~TlsStream() override;
  TlsStream(const TlsStream&) = delete;

  Task<Result<void>> handshake(const IoLimits& limits);
  Task<void> close_notify(const IoLimits& limits);
  const std::string& failure() const { return failure_; }
  std::string_view protocol_version() const { return SSL_get_version(ssl_.get()); }

  Task<Result<size_t>> receive(std::span<std::byte> into, IoLimits limits) override;
  Task<Result<PooledBytes>> receive_pooled(IoLimits limits) override;
  Task<Result<void>> send_all(std::span<iovec> vectors, IoLimits limits) override;
  Task<Result<void>> finish_sending(IoLimits limits) override;
  Task<Result<void>> close() override;
  Endpoint peer() const override { return transport_.peer(); }
  Env& env() const override { return transport_.env(); }

 private:
  friend struct TlsBio;
  struct SslDelete {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  enum class Step : uint8_t { done, need_input, need_output, end, failed };

  // The next step, given the `result` of an OpenSSL call.
  Step step_of(int result);
  // One SSL_read; `count` is set if it is done.
  Step read_some(std::span<std::byte> into, size_t& count);
  // One SSL_read of the bytes that are there; sends the messages that OpenSSL wants to send.
  Task<Result<Step>> receive_some(std::span<std::byte> into, size_t& count, const IoLimits& limits);
  Task<Result<void>> receive_records(const IoLimits& limits);
  // Called before waiting for the peer: unread records move to memory of their own.
  void leave_pooled_memory();
  Task<Result<void>> write_plain(std::span<const std::byte> data, const IoLimits& limits);
  // Sends the collected output, and output that a receive adds meanwhile. Only while holding the turn.
  Task<Result<void>> flush(const IoLimits& limits);
  Task<Result<void>> send_in_turn(std::span<iovec> vectors, const IoLimits& limits);
  void reserve_output(size_t bytes);
  bool input_pending() const { return !input_.empty() || SSL_has_pending(ssl_.get()) == 1; }

  Stream& transport_;
  std::unique_ptr<SSL, SslDelete> ssl_;
  PooledBytes pooled_;
  std::vector<std::byte> kept_;       // holds input_ once it has left pooled_
  std::span<const std::byte> input_;  // records received and not yet taken by OpenSSL
  bool input_ended_ = false;
  Buffer output_buffer_;
  std::unique_ptr<std::byte[]> output_heap_;  // for small output, and if the pool had no memory
  std::span<std::byte> output_;
  size_t output_size_ = 0;
  // The turn to send: a receive may have records to send as well, and leaves them to a send that is under
  // way.
  Semaphore output_turn_;
  std::string failure_;
};

}  // namespace fb

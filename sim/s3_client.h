// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/stream.h"

// A small S3 client of the simulation's own: it shares nothing with the server's HTTP code but the signer, so
// that an error of framing does not cancel out.

namespace fb::sim {

struct S3Identity {
  std::string access_key;
  std::string secret;
};

enum class BodyForm : uint8_t {
  hashed,          // x-amz-content-sha256 holds the hash
  unsigned_plain,  // UNSIGNED-PAYLOAD
  trailer_crc32,   // STREAMING-UNSIGNED-PAYLOAD-TRAILER, aws-chunked with a CRC32 trailer
};

struct S3Request {
  std::string method;
  std::string path;   // percent-encoded
  std::string query;  // percent-encoded
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  BodyForm form = BodyForm::hashed;
};

struct S3Answer {
  enum class Outcome : uint8_t {
    answered,
    not_sent,  // no connection: the server has not seen the request
    unknown,   // the connection broke or nothing came in time
  };
  Outcome outcome = Outcome::not_sent;
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string why;  // of not_sent and unknown

  bool answered() const { return outcome == Outcome::answered; }
  std::string header(const std::string& name) const;
  // The <Code> of an error document.
  std::string error_code() const;
};

// One connection at a time, kept alive between calls. Must be closed.
class S3Client {
 public:
  S3Client(Env& env, const Endpoint& server, const S3Identity& identity, Duration timeout)
      : env_(env), server_(server), identity_(identity), timeout_(timeout) {}

  Task<S3Answer> call(const S3Request& request);
  // So much before each receive of the next call's body.
  void pause_next(Duration pause) { pause_ = pause; }
  // When the last call began to send; Instant::never() where it did not.
  Instant sent_at() const { return sent_at_; }
  Task<void> close();

 private:
  Task<Result<void>> connect(Instant deadline);
  std::string serialize(const S3Request& request);
  Task<Result<void>> receive_answer(bool head_request, Instant deadline, S3Answer& answer);
  Task<Result<void>> receive_chunked(Instant deadline, std::string& body);
  Task<Result<std::string>> receive_line(Instant deadline);
  Task<Result<void>> receive_to(size_t size, Instant deadline);
  Task<Result<void>> receive_more(Instant deadline);

  Env& env_;
  Endpoint server_;
  S3Identity identity_;
  Duration timeout_;
  std::optional<Socket> socket_;
  Instant sent_at_ = Instant::never();
  Duration pause_;
  std::string input_;  // received and not yet consumed
};

}  // namespace fb::sim

// SPDX-License-Identifier: Apache-2.0
// Runs the command against a server that answers as told, on simulated machines.
#include "cli/mv_command.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <vector>

#include "cli/s3_client.h"
#include "http/http_server.h"
#include "io/file.h"
#include "io/scope.h"
#include "io/sim/simulation.h"
#include "s3/auth/sigv4.h"
#include "s3/response/error.h"

namespace fb {
namespace {

constexpr std::string_view kAccessKey = "AKIATEST";
constexpr std::string_view kSecretKey = "a secret";

struct Answer {
  int status = 200;
  std::string code{};
  bool etag = false;
  bool drop = false;  // closes the connection instead
};

// Checks each request's signature, records its headers and answers in turn; the last answer repeats.
class Script final : public HttpHandler {
 public:
  Task<void> handle(HttpExchange& exchange) override {
    const RequestHead& head = exchange.request();
    auto auth = s3::parse_auth(head);
    EXPECT_TRUE(auth &&
                s3::authenticate(head, *auth, kSecretKey, exchange.env().wall_clock().seconds(), keys_))
        << head.target;
    if (auth) EXPECT_EQ(auth->credential.access_key(), kAccessKey);
    targets.emplace_back(std::string(head.method) + " " + std::string(head.target));
    std::map<std::string, std::string>& taken = headers.emplace_back();
    for (const HeaderField& field : head.headers) taken.emplace(field.name, field.value);
    const Answer answer = answers[std::min(next_, answers.size() - 1)];
    ++next_;
    if (answer.drop) co_return;
    if (answer.etag) exchange.headers().add("ETag", "\"e\"");
    std::string body;
    if (!answer.code.empty())
      body = "<Error><Code>" + answer.code + "</Code><Message>the server's words</Message></Error>";
    iovec vector{body.data(), body.size()};
    (void)co_await exchange.respond(answer.status, {&vector, 1});
  }
  std::string protocol_error(int, HeaderWriter&) override { return {}; }

  std::vector<Answer> answers{{}};
  std::vector<std::string> targets;
  std::vector<std::map<std::string, std::string>> headers;

 private:
  s3::SigningKeyCache keys_;
  size_t next_ = 0;
};

Task<void> run_http(HttpServer* server) { co_await server->run(); }

class MvCommandTest : public ::testing::Test {
 protected:
  // Runs the command beside the server.
  CommandOutcome run(MvOptions options, std::vector<Answer> answers = {{}}) {
    script_.answers = std::move(answers);
    CommandOutcome outcome;
    bool ended = false;
    node_.start([&](Env& env) -> Task<void> {
      auto listener = co_await Listener::open(env, node_.endpoint(8080));
      EXPECT_TRUE(listener);
      HttpServer server(env, std::move(*listener), script_);
      Scope serving(env);
      serving.spawn(&run_http, &server);
      if (!credentials_file.empty()) {
        (void)co_await make_directory(env, "/home");
        (void)co_await make_directory(env, "/home/.aws");
        EXPECT_TRUE(co_await replace_small_file(env, "/home/.aws/credentials", credentials_file, 0600,
                                                FileRole::other));
      }
      variables.emplace("AWS_ENDPOINT_URL", "http://" + server.endpoint().to_string());
      const EnvironmentLookup lookup = [&](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? std::string() : found->second;
      };
      outcome = co_await move_objects(env, options, lookup);
      server.stop(Duration::seconds(1));
      co_await serving.join();
      ended = true;
    });
    simulation_.run_until([&] { return !node_.running(); }, Duration::minutes(30));
    EXPECT_TRUE(ended);
    return outcome;
  }
  CommandOutcome run(std::vector<Answer> answers) {
    return run({.source = "s3://bucket/from", .destination = "s3://bucket/to"}, std::move(answers));
  }
  std::string complaint(std::string source, std::string destination) {
    const CommandOutcome outcome = run({.source = std::move(source), .destination = std::move(destination)});
    EXPECT_EQ(outcome.status, 2) << outcome.message;
    EXPECT_TRUE(script_.targets.empty()) << "nothing was sent";
    return outcome.message;
  }

  std::map<std::string, std::string> variables = {{"AWS_ACCESS_KEY_ID", std::string(kAccessKey)},
                                                  {"AWS_SECRET_ACCESS_KEY", std::string(kSecretKey)}};
  std::string credentials_file;
  Script script_;
  sim::Simulation simulation_{1};
  sim::SimNode& node_ = simulation_.add_node({.name = "machine"});
};

TEST_F(MvCommandTest, SendsOneRename) {
  const MvOptions options{.source = "s3://bucket/old dir/\xC3\xA4+b/", .destination = "s3://bucket/a%b/"};
  const CommandOutcome outcome = run(options);
  EXPECT_EQ(outcome.status, 0) << outcome.message;
  EXPECT_EQ(outcome.message, "renamed s3://bucket/old dir/\xC3\xA4+b/ to s3://bucket/a%b/");
  EXPECT_EQ(script_.targets, std::vector<std::string>{"PUT /bucket/a%25b/?renameObject"});
  auto& headers = script_.headers[0];
  EXPECT_EQ(headers["x-amz-rename-source"], "old%20dir%2F%C3%A4%2Bb%2F");
  EXPECT_EQ(headers["x-amz-client-token"].size(), 32U);
  EXPECT_FALSE(headers.contains("If-None-Match"));
}

TEST_F(MvCommandTest, Flags) {
  MvOptions options{
      .source = "s3://bucket//from", .destination = "s3://bucket/to", .no_clobber = true, .quiet = true};
  EXPECT_EQ(run(options).message, "");
  EXPECT_EQ(script_.headers[0]["If-None-Match"], "*");
  EXPECT_EQ(script_.headers[0]["x-amz-rename-source"], "%2Ffrom") << "a slash that belongs to the key";
}

TEST_F(MvCommandTest, CredentialsFromFiles) {
  credentials_file = "[default]\naws_access_key_id = AKIATEST\naws_secret_access_key = a secret\n";
  variables = {{"HOME", "/home"}};
  EXPECT_EQ(run(std::vector<Answer>{{}}).status, 0);
  variables.emplace("AWS_PROFILE", "none");
  EXPECT_NE(run(std::vector<Answer>{{}}).message.find("no profile 'none'"), std::string::npos);
}

TEST_F(MvCommandTest, RepeatsUnderTheSameTokenUntilAnswered) {
  const CommandOutcome outcome =
      run({{.drop = true}, {.status = 503, .code = "SlowDown"}, {.status = 500}, {.status = 200}});
  EXPECT_EQ(outcome.status, 0) << outcome.message;
  ASSERT_EQ(script_.headers.size(), 4U);
  for (auto& headers : script_.headers)
    EXPECT_EQ(headers["x-amz-client-token"], script_.headers[0]["x-amz-client-token"]);
  (void)run(std::vector<Answer>{{}});
  EXPECT_NE(script_.headers[4]["x-amz-client-token"], script_.headers[0]["x-amz-client-token"]);
}

TEST_F(MvCommandTest, GivesUpInTheEnd) {
  EXPECT_EQ(run({{.status = 503, .code = "SlowDown"}}).message, "the server's words (SlowDown)");
  EXPECT_EQ(script_.headers.size(), 5U);
  const CommandOutcome dropped = run({{.drop = true}});
  EXPECT_EQ(dropped.status, 1);
  EXPECT_NE(dropped.message.find("no answer came from http://"), std::string::npos);
  variables["AWS_ENDPOINT_URL"] = "http://" + node_.endpoint(1).to_string();
  const CommandOutcome refused = run(std::vector<Answer>{{}});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.message.find("is the server running there?"), std::string::npos) << refused.message;
}

TEST_F(MvCommandTest, WhatAnswersMean) {
  const auto outcome = [&](int status, std::string code, bool directory = false) {
    const std::string slash = directory ? "/" : "";
    return run({.source = "s3://bucket/from" + slash, .destination = "s3://bucket/to" + slash},
               {{.status = status, .code = std::move(code)}});
  };
  EXPECT_EQ(outcome(404, "NoSuchKey").status, 3);
  EXPECT_EQ(outcome(404, "NoSuchKey").message, "there is no object s3://bucket/from");
  EXPECT_EQ(outcome(404, "NoSuchKey", true).message, "there is nothing under s3://bucket/from/");
  EXPECT_EQ(outcome(404, "NoSuchBucket").message, "there is no bucket bucket");
  EXPECT_EQ(outcome(409, "DirectoryNotEmpty", true).status, 4);
  EXPECT_EQ(outcome(412, "PreconditionFailed").status, 4);
  EXPECT_NE(outcome(412, "PreconditionFailed").message.find("--no-clobber"), std::string::npos);
  EXPECT_EQ(outcome(403, "SignatureDoesNotMatch").status, 1);
  EXPECT_EQ(outcome(403, "AccessDenied").message, "the server's words (AccessDenied)");
  EXPECT_NE(outcome(404, "").message.find("is it an S3 endpoint?"), std::string::npos);
  const CommandOutcome upload = run({{.etag = true}});
  EXPECT_EQ(upload.status, 1);
  EXPECT_NE(upload.message.find("does not know RenameObject"), std::string::npos);
}

TEST_F(MvCommandTest, Complaints) {
  for (const std::string bad :
       {"bucket/key", "s3://", "s3://bucket", "s3://bucket/", "s3:///key", "/tmp/file", ""}) {
    EXPECT_NE(complaint(bad, "s3://bucket/to").find("names no object"), std::string::npos) << bad;
    EXPECT_NE(complaint("s3://bucket/from", bad).find("names no object"), std::string::npos) << bad;
  }
  EXPECT_NE(complaint("s3://a/k", "s3://b/k").find("within one bucket"), std::string::npos);
  EXPECT_NE(complaint("s3://a/k/", "s3://a/k").find("end both names with '/'"), std::string::npos);
  variables["AWS_ENDPOINT_URL"] = "localhost:8080";
  EXPECT_NE(complaint("s3://a/k", "s3://a/l").find("http://HOST:PORT"), std::string::npos);
  variables.erase("AWS_ACCESS_KEY_ID");
  EXPECT_NE(complaint("s3://a/k", "s3://a/l").find("half of the credentials"), std::string::npos);
}

TEST(S3Endpoint, Forms) {
  const auto parse = [](std::string_view url) {
    const auto endpoint = S3Endpoint::parse(url);
    if (!endpoint) return std::string("none");
    return endpoint->host + " " + std::to_string(endpoint->port) + " " + endpoint->authority +
           (endpoint->tls ? " tls" : "");
  };
  EXPECT_EQ(parse("http://host"), "host 80 host");
  EXPECT_EQ(parse("https://host/"), "host 443 host tls");
  EXPECT_EQ(parse("http://127.0.0.1:8080"), "127.0.0.1 8080 127.0.0.1:8080");
  EXPECT_EQ(parse("https://[::1]:9000/"), "::1 9000 [::1]:9000 tls");
  EXPECT_EQ(parse("http://[::1]"), "::1 80 [::1]");
  for (std::string_view bad :
       {"", "host:80", "ftp://host", "http://", "http://:80", "http://host:", "http://host:0",
        "http://host:65536", "http://host:8x", "http://host/path", "http://u@host", "http://[::1",
        "http://[::1]x", "http://[]", "http://ho st"}) {
    EXPECT_EQ(parse(bad), "none") << bad;
  }
}

}  // namespace
}  // namespace fb

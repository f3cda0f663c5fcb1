// SPDX-License-Identifier: Apache-2.0
#include "tier/credentials.h"

#include <gtest/gtest.h>

#include "s3/time.h"
#include "tier/tier_test_world.h"

namespace fb::tier {
namespace {

TEST(JsonTextField, FindsTextsOfFlatObjectsOnly) {
  const std::string json = R"({ "Code" : "Success", "n": 12, "b":true,
    "Token": "a\/b\"c\\d==" , "Expiration":"2026-11-28T20:00:00Z"})";
  EXPECT_EQ(json_text_field(json, "Code"), "Success");
  EXPECT_EQ(json_text_field(json, "Token"), "a/b\"c\\d==");
  EXPECT_EQ(json_text_field(json, "n"), std::nullopt);
  EXPECT_EQ(json_text_field(json, "absent"), std::nullopt);
  for (const std::string_view bad :
       {"", "{", "{}", "[]", R"({"Code":"x")", R"({"Code":"x"}y)", R"({"Code":{"a":"b"}})",
        R"({"Code":["x"]})", R"({"Code":"x\n"})", R"({"Code":"x)", R"({Code:"x"})", R"({"Code":"x",})"}) {
    EXPECT_EQ(json_text_field(bad, "Code"), std::nullopt) << bad;
  }
}

// The metadata service of an instance: a token first, then the role, then its credentials.
class FakeMetadata final : public HttpHandler {
 public:
  uint64_t given = 0;
  bool broken = false;
  bool silent = false;  // closes the connection instead of answering
  Duration lifetime = Duration::minutes(60);

  Task<void> handle(HttpExchange& exchange) override {
    const RequestHead& head = exchange.request();
    std::string body;
    int status = 200;
    if (silent) co_return;
    if (head.method == "PUT" && head.path == "/latest/api/token") {
      EXPECT_FALSE(head.header("X-aws-ec2-metadata-token-ttl-seconds").empty());
      body = "a token";
    } else if (head.header("X-aws-ec2-metadata-token") != "a token") {
      status = 401;
    } else if (head.path == "/latest/meta-data/iam/security-credentials/") {
      body = "the-role\n";
    } else if (head.path == "/latest/meta-data/iam/security-credentials/the-role") {
      body = fmt::format(
          R"({{"Code":"Success","AccessKeyId":"KEY{}","SecretAccessKey":"s","Token":"t","Expiration":"{}"}})",
          ++given,
          s3::format_iso8601_ms(exchange.env().wall_clock().milliseconds() + lifetime.milliseconds()));
    } else {
      status = 404;
    }
    if (broken) status = 500;
    iovec vector{body.data(), body.size()};
    (void)co_await exchange.respond(status, {&vector, 1});
  }
  std::string protocol_error(int, HeaderWriter&) override { return {}; }
};

Task<void> run_http(HttpServer* server) { co_await server->run(); }

TEST(MetadataCredentials, AreFetchedAndRenewed) {
  sim::Simulation simulation(1);
  sim::SimNode& node = simulation.add_node({.name = "instance"});
  bool ended = false;
  node.start([&](Env& env) -> Task<void> {
    FakeMetadata metadata;
    auto listener = co_await Listener::open(env, node.endpoint(80));
    TIER_CHECK(listener);
    HttpServer server(env, std::move(*listener), metadata);
    Scope serving(env);
    serving.spawn(&run_http, &server);
    MetadataCredentials credentials(env, node.endpoint(80));
    const auto key = [&]() -> Task<std::string> {
      const auto found = co_await credentials.get({.deadline = env.now() + Duration::seconds(10)});
      if (!found) co_return std::string("none");
      EXPECT_EQ((*found)->session_token.reveal(), "t");
      co_return (*found)->access_key;
    };
    EXPECT_EQ(co_await key(), "KEY1");
    EXPECT_EQ(co_await key(), "KEY1");
    (void)co_await sleep_for(env, Duration::minutes(56));
    EXPECT_EQ(co_await key(), "KEY2") << "five minutes before their end";
    credentials.invalidate();
    EXPECT_EQ(co_await key(), "KEY3");
    metadata.broken = true;
    (void)co_await sleep_for(env, Duration::minutes(56));
    EXPECT_EQ(co_await key(), "KEY3") << "old ones are used to their end";
    (void)co_await sleep_for(env, Duration::minutes(5));
    EXPECT_EQ(co_await key(), "none");
    metadata.broken = false;
    EXPECT_EQ(co_await key(), "KEY4");
    metadata.silent = true;
    credentials.invalidate();
    EXPECT_EQ(co_await key(), "KEY4");
    metadata.silent = false;
    EXPECT_EQ(co_await key(), "KEY5") << "over another connection";
    co_await credentials.close();
    server.stop(Duration::seconds(1));
    co_await serving.join();
    ended = true;
  });
  simulation.run_until([&] { return !node.running(); }, Duration::minutes(200));
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace fb::tier

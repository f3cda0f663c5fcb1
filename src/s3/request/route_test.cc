// SPDX-License-Identifier: Apache-2.0
#include "s3/request/route.h"

#include <gtest/gtest.h>

#include <set>

namespace fb::s3 {
namespace {

// Owns what a RequestHead views.
struct Request {
  std::string method;
  std::string target;
  std::vector<HeaderField> headers;

  RequestHead head() const {
    RequestHead head;
    head.method = method;
    head.target = target;
    const std::string_view view = target;
    const size_t mark = view.find('?');
    head.path = view.substr(0, mark);
    if (mark != std::string_view::npos) head.query = view.substr(mark + 1);
    head.headers = headers;
    return head;
  }
};

class RouteTest : public testing::Test {
 protected:
  S3Result<Route> run(std::string method, std::string target, std::vector<HeaderField> headers = {}) {
    request_ = {std::move(method), std::move(target), std::move(headers)};
    const RequestHead head = request_.head();
    return route(head, head.header("host"), domains_, buffer_);
  }
  std::string error(std::string method, std::string target, std::vector<HeaderField> headers = {}) {
    const auto result = run(std::move(method), std::move(target), std::move(headers));
    return result ? std::string(to_string(result->operation)) : std::string(result.error().code());
  }

  Request request_;
  RouteBuffer buffer_;
  std::vector<std::string> domains_;
};

TEST_F(RouteTest, EveryOperationIsRecognised) {
  std::set<std::string_view> names;
  for (const OperationInfo& entry : kOperations) {
    SCOPED_TRACE(entry.name);
    EXPECT_TRUE(names.insert(entry.name).second);
    EXPECT_EQ(info(entry.operation).name, entry.name);
    std::string target = entry.target == Target::service  ? "/"
                         : entry.target == Target::bucket ? "/bucket"
                                                          : "/bucket/key";
    target += "?x-id=";
    target += entry.name;
    if (!entry.sub_resource.empty()) target.append("&").append(entry.sub_resource);
    if (entry.sub_resource == "list-type") target += "=2";
    std::vector<HeaderField> headers;
    if (entry.also.starts_with('?')) {
      target.append("&").append(entry.also.substr(1)).append("=1");
    } else if (!entry.also.empty()) {
      headers.push_back({entry.also, "value"});
    }
    const auto result = run(std::string(to_string(entry.method)), target, headers);
    EXPECT_EQ(operation_name(request_.head(), "", {}), entry.name);
    if (entry.is_built()) {
      ASSERT_TRUE(result) << result.error().text();
      EXPECT_EQ(result->operation, entry.operation);
      EXPECT_EQ(result->bucket, entry.target == Target::service ? "" : "bucket");
      EXPECT_EQ(result->key, entry.target == Target::object ? "key" : "");
    } else {
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().error, S3Error::NotImplemented);
      EXPECT_NE(result.error().message.find(entry.name), std::string::npos);
    }
  }
}

TEST_F(RouteTest, EverySubResourceRefusesOtherMethods) {
  for (const OperationInfo& entry : kOperations) {
    for (int i = 0; i < kMethodCount; ++i) {
      const auto method = static_cast<Method>(i);
      bool exists = false;
      for (const OperationInfo& other : kOperations) {
        exists |= other.target == entry.target && other.sub_resource == entry.sub_resource &&
                  other.method == method;
      }
      const bool preflight = method == Method::options && entry.target != Target::service;  // of any query
      if (exists || preflight) continue;
      const std::string path = entry.target == Target::service  ? "/?"
                               : entry.target == Target::bucket ? "/bucket?"
                                                                : "/bucket/key?";
      EXPECT_EQ(error(std::string(to_string(method)), path + std::string(entry.sub_resource)),
                "MethodNotAllowed")
          << entry.name << " by " << to_string(method);
    }
  }
  EXPECT_EQ(error("PATCH", "/bucket/key"), "MethodNotAllowed");
  EXPECT_EQ(error("get", "/bucket/key"), "MethodNotAllowed");
  EXPECT_EQ(error("POST", "/bucket/key"), "MethodNotAllowed");
}

TEST_F(RouteTest, AllowedMethods) {
  const auto allowed = [&](std::string target) {
    request_ = {"PATCH", std::move(target), {}};
    const RequestHead head = request_.head();
    return allowed_methods(head, head.header("host"), domains_);
  };
  EXPECT_EQ(allowed("/"), "GET");
  EXPECT_EQ(allowed("/bucket/key"), "GET, HEAD, PUT, DELETE, OPTIONS");
  EXPECT_EQ(allowed("/bucket/key?uploadId=x"), "GET, PUT, POST, DELETE");
  EXPECT_EQ(allowed("/bucket?policyStatus"), "GET");
}

TEST_F(RouteTest, QueryItems) {
  EXPECT_EQ(error("GET", "/bucket/key?unknown=1&response-content-type=a"), "GetObject");
  EXPECT_EQ(error("GET", "/bucket?prefix=acl&delimiter=policy"), "ListObjects");
  EXPECT_EQ(error("GET", "/bucket?list-type=1"), "ListObjects");
  EXPECT_EQ(error("GET", "/bucket?list-type=3"), "InvalidArgument");
  EXPECT_EQ(error("GET", "/bucket?list-type"), "InvalidArgument");
  EXPECT_EQ(error("GET", "/bucket?acl&policy"), "InvalidArgument");
  EXPECT_EQ(error("GET", "/bucket?acl&acl"), "NotImplemented");
  EXPECT_EQ(error("GET", "/bucket?%61cl"), "NotImplemented") << "an encoded name is the same name";
  EXPECT_EQ(error("GET", "/bucket?ACL"), "ListObjects") << "names have a letter case";
  EXPECT_EQ(error("GET", "/bucket/key?policy"), "NotImplemented") << "never a wrong 200";
  EXPECT_EQ(error("GET", "/?acl"), "NotImplemented");
  EXPECT_EQ(error("GET", "/bucket?" + std::string(5000, 'a')), "ListObjects");
  EXPECT_EQ(error("PUT", "/bucket/key?partNumber=1"), "PutObject") << "the parser of PutObject refuses it";
}

TEST_F(RouteTest, KeysAreLiteral) {
  const auto key = [&](std::string path) {
    const auto result = run("GET", std::move(path));
    return result ? std::string(result->key) : "error " + std::string(result.error().code());
  };
  EXPECT_EQ(key("/bucket/a+b"), "a+b");
  EXPECT_EQ(key("/bucket/a%20b%2Fc%2b"), "a b/c+");
  EXPECT_EQ(key("/bucket/a/../x"), "a/../x");
  EXPECT_EQ(key("/bucket/a//../../x"), "a//../../x") << "an empty element is one";
  EXPECT_EQ(key("/bucket/..x/...y/z.."), "..x/...y/z..");
  EXPECT_EQ(key("/bucket/../x"), "error InvalidURI");
  EXPECT_EQ(key("/bucket/.."), "error InvalidURI");
  EXPECT_EQ(key("/bucket/%2e%2e%2fx"), "error InvalidURI");
  EXPECT_EQ(key("/bucket/a/./../../x"), "error InvalidURI");
  EXPECT_EQ(key("/bucket/./a//b/"), "./a//b/");
  EXPECT_EQ(key("/bucket//"), "/");
  EXPECT_EQ(key("/bucket//a"), "/a");
  EXPECT_EQ(key("/bucket/caf%C3%A9"), "caf\xC3\xA9");
  EXPECT_EQ(key("/bucket/caf\xC3\xA9"), "caf\xC3\xA9");
  EXPECT_EQ(key("/bucket/%"), "error InvalidURI");
  EXPECT_EQ(key("/bucket/%4"), "error InvalidURI");
  EXPECT_EQ(key("/bucket/%zz"), "error InvalidURI");
  EXPECT_EQ(key("/bucket/a%00b"), "error InvalidArgument");
  EXPECT_EQ(key("/bucket/%FF"), "error InvalidArgument");
  EXPECT_EQ(key("/bucket/%ED%A0%80"), "error InvalidArgument");
  EXPECT_EQ(key("/bucket/" + std::string(1024, 'k')), std::string(1024, 'k'));
  EXPECT_EQ(key("/bucket/" + std::string(1025, 'k')), "error KeyTooLongError");
  std::string encoded;
  for (int i = 0; i < 1024; ++i) encoded += "%6B";
  EXPECT_EQ(key("/bucket/" + encoded), std::string(1024, 'k'));
  EXPECT_EQ(key("/bucket/" + encoded + "k"), "error KeyTooLongError");
  EXPECT_EQ(key("/bucket/" + encoded + "%6B"), "error KeyTooLongError");
}

TEST_F(RouteTest, PathStyleBuckets) {
  EXPECT_EQ(run("GET", "/my.bucket/a")->bucket, "my.bucket");
  EXPECT_EQ(run("GET", "/my%2Dbucket/a")->bucket, "my-bucket");
  EXPECT_EQ(error("HEAD", "/bucket/"), "HeadBucket");
  EXPECT_EQ(error("GET", "/Bucket"), "InvalidBucketName");
  EXPECT_EQ(error("GET", "//key"), "InvalidBucketName");
  EXPECT_EQ(error("GET", "/a%2Fb/key"), "InvalidBucketName");
  EXPECT_EQ(error("GET", "/%zz/key"), "InvalidURI");
  EXPECT_EQ(error("PUT", "/" + std::string(64, 'a')), "InvalidBucketName");
  EXPECT_EQ(error("PUT", "/" + std::string(5000, 'a')), "InvalidBucketName");
}

TEST_F(RouteTest, VirtualHosts) {
  domains_ = {"example.com", "s3.example.com"};
  const auto names = [&](std::string_view host, std::string path) {
    const auto result = run("GET", std::move(path), {{"HOST", host}});
    if (!result) return std::string(result.error().code());
    return fmt::format("{}|{}|{}", to_string(result->operation), result->bucket, result->key);
  };
  EXPECT_EQ(names("abc.s3.example.com", "/k/l"), "GetObject|abc|k/l");
  EXPECT_EQ(names("a.b.c.s3.example.com:8080", "/"), "ListObjects|a.b.c|");
  EXPECT_EQ(names("ABC.S3.Example.com.", "/k"), "GetObject|abc|k");
  EXPECT_EQ(names("abc.example.com", "//k"), "GetObject|abc|/k");
  EXPECT_EQ(names("s3.example.com", "/abc/k"), "GetObject|abc|k");
  EXPECT_EQ(names("example.com:80", "/"), "ListBuckets||");
  EXPECT_EQ(names("notexample.com", "/abc"), "ListObjects|abc|");
  EXPECT_EQ(names("127.0.0.1:8080", "/abc/k"), "GetObject|abc|k");
  EXPECT_EQ(names("[::1]:8080", "/abc/k"), "GetObject|abc|k");
  EXPECT_EQ(names("", "/abc/k"), "GetObject|abc|k");
  EXPECT_EQ(names("a_b.example.com", "/k"), "InvalidBucketName");
  EXPECT_EQ(names(".example.com", "/k"), "InvalidBucketName");
  EXPECT_EQ(names(std::string(900, 'a') + ".example.com", "/k"), "InvalidBucketName");
}

}  // namespace
}  // namespace fb::s3

// SPDX-License-Identifier: Apache-2.0
#include "s3/checksum/md5_lanes.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace fb::s3 {
namespace {

void expect_digests(const std::vector<std::string>& texts) {
  std::vector<Md5Message> messages;
  for (const std::string& text : texts) messages.push_back({.bytes = as_bytes(text)});
  md5_together(messages);
  for (size_t i = 0; i < texts.size(); ++i)
    EXPECT_EQ(hex_encode(messages[i].digest), hex_encode(md5(as_bytes(texts[i]))))
        << i << " of " << texts.size() << ", " << texts[i].size() << " bytes";
}

std::string random_text(std::mt19937_64& dice, size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(dice());
  return text;
}

TEST(Md5Lanes, EverySizeAroundABlock) {
  std::mt19937_64 dice(1);
  std::vector<std::string> texts;
  for (size_t size = 0; size <= 200; ++size) texts.push_back(random_text(dice, size));
  expect_digests(texts);
}

TEST(Md5Lanes, EveryNumberOfMessages) {
  std::mt19937_64 dice(2);
  for (size_t count = 0; count <= 40; ++count) {
    std::vector<std::string> texts;
    for (size_t i = 0; i < count; ++i) texts.push_back(random_text(dice, 4096));
    expect_digests(texts);
  }
}

TEST(Md5Lanes, SizesFarApart) {
  std::mt19937_64 dice(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> texts;
    const size_t count = 1 + dice() % 24;
    for (size_t i = 0; i < count; ++i)
      texts.push_back(random_text(dice, dice() % (size_t{1} << (dice() % 15))));
    expect_digests(texts);
  }
}

// The sanitizer sees whether a lane that is idle or in its tail is read beyond its end.
TEST(Md5Lanes, ReadsNothingBehindAMessage) {
  std::vector<std::vector<uint8_t>> buffers;
  for (size_t size : {1, 63, 64, 65, 4095, 4096}) buffers.emplace_back(size, uint8_t{7}).shrink_to_fit();
  std::vector<Md5Message> messages;
  for (const auto& buffer : buffers) messages.push_back({.bytes = buffer});
  md5_together(messages);
  for (const Md5Message& message : messages) EXPECT_EQ(message.digest, md5(message.bytes));
}

}  // namespace
}  // namespace fb::s3

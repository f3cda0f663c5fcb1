// SPDX-License-Identifier: Apache-2.0
#include "s3/response/browser_content.h"

#include <gtest/gtest.h>

namespace fb::s3 {
namespace {

TEST(BrowserContent, WhatRunsIsSandboxed) {
  for (const char* type : {"text/html",
                           "TEXT/HTML; charset=utf-8",
                           "text/html;x",
                           "application/xhtml+xml",
                           "image/svg+xml",
                           "text/xml",
                           "application/xml",
                           "application/rss+xml",
                           "multipart/x-mixed-replace",
                           "message/rfc822",
                           "text/javascript",
                           "image/png, text/html",
                           "image/png;a=b, text/html",
                           "application/pdf,text/html",
                           "",
                           "image/",
                           "image",
                           "image/a/b",
                           "text/plain x",
                           "\"text/plain\"",
                           "unknown/type",
                           "text"})
    EXPECT_TRUE(may_run_in_browser(type)) << type;
}

TEST(BrowserContent, TheRestIsLeftAsItIs) {
  for (const char* type : {"binary/octet-stream", "application/octet-stream", "text/plain",
                           "Text/Plain; charset=utf-8", "image/png", "image/jpeg", "video/mp4", "audio/mpeg",
                           "font/woff2", "application/pdf", "application/json", "application/zip"})
    EXPECT_FALSE(may_run_in_browser(type)) << type;
}

}  // namespace
}  // namespace fb::s3

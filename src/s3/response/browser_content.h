// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace fb::s3 {

// An object that a browser opens as a page would run its scripts in the origin of this server, beside a
// console or another application there. So pages are sandboxed: they show, but run no script, and their
// origin is nobody's. Whatever is downloaded, embedded (images, media, fonts, fetch) or opened as one of the
// types below is not changed by it; PDF is among them because Chromium's viewer does not open in a sandbox.
inline constexpr std::string_view kSandboxLine = "Content-Security-Policy: sandbox allow-downloads\r\n";

// False for types that are known to run nothing. Everything else may, unknown types and malformed texts too:
// of "image/png, text/html" a browser takes the last.
bool may_run_in_browser(std::string_view content_type);

}  // namespace fb::s3

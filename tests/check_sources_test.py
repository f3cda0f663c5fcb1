#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proves tools/check_sources.py: each rule finds the violation planted for it, and none cries at innocent code."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import check_sources

HEAD = f"// {check_sources.SPDX}\n"
WORD = "TO" + "DO"

# (rule, path, the planted line)
PLANTED = [
    ("time", "src/s3/a.cc", "  auto now = std::chrono::steady_clock::now();"),
    ("time", "src/api/a.cc", "  long now = std::time(nullptr);"),
    ("time", "src/api/a.cc", "  clock_gettime(CLOCK_REALTIME, &now);"),
    ("randomness", "src/nss/a.cc", "  std::random_device device;"),
    ("randomness", "src/nss/a.cc", "  int die = rand() % 6;"),
    ("randomness", "src/rss/a.cc", "  RAND_bytes(secret, sizeof(secret));"),
    ("randomness", "src/rss/a.cc", '  auto path = "/dev/urandom";'),
    ("threads", "src/bss/a.cc", "  std::thread worker([] {});"),
    ("threads", "src/bss/a.cc", "#include <thread>"),
    ("locks", "src/bss/a.h", "  std::mutex mutex_;"),
    ("locks", "src/bss/a.cc", "  std::lock_guard guard(x);"),
    ("thread-local", "src/base/a.cc", "  thread_local int depth = 0;"),
    ("mutable-global", "src/base/a.cc", "int requests = 0;"),
    ("mutable-global", "src/base/a.cc", "static std::vector<int> cache;"),
    ("mutable-global", "src/base/a.cc", "const char* current = nullptr;"),
    ("mutable-global", "src/base/a.h", "inline std::atomic<int> counter{0};"),
    ("mutable-global", "src/base/a.cc", "  static std::string last;"),
    ("files", "src/nss/a.cc", "  std::ofstream out;"),
    ("files", "src/nss/a.cc", "  int fd = ::open(path, O_RDONLY);"),
    ("files", "src/nss/a.cc", "  fsync(fd);"),
    ("files", "src/nss/a.cc", "#include <unistd.h>"),
    ("sockets", "src/http/a.cc", "  int fd = ::socket(AF_INET, SOCK_STREAM, 0);"),
    ("sockets", "src/http/a.cc", "#include <sys/socket.h>"),
    ("processes", "src/api/a.cc", "  std::exit(1);"),
    ("processes", "src/api/a.cc", "  std::signal(SIGTERM, handler);"),
    ("processes", "src/api/a.cc", "#include <csignal>"),
    ("environment", "src/base/a.cc", '  auto key = std::getenv("KEY");'),
    ("terminal", "src/api/a.cc", '  std::cerr << "hello";'),
    ("terminal", "src/api/a.cc", '  fmt::print("hello");'),
    ("layer", "src/s3/a.cc", '#include "io/env.h"'),
    ("layer", "src/base/a.h", '#include "io/env.h"'),
    ("layer", "src/http/a.cc", '#include "client/namespace.h"'),
    ("layer", "src/api/a.cc", '#include "nss/engine.h"'),
    ("include", "src/api/a.cc", '#include "neighbour.h"'),
    ("folder", "src/misc/a.cc", ""),
    ("heavy-header", "src/base/a.h", "#include <spdlog/spdlog.h>"),
    ("word", "src/base/a.cc", f"// {WORD}: later"),
    ("word", "docs/a.md", f"{WORD}: later"),
    ("file-name", "src/base/CamelCase.cc", ""),
    ("pragma-once", "src/base/no_guard.h", None),
    ("licence", "src/base/no_licence.cc", None),
    ("licence", "tools/no_licence.py", None),
]

INNOCENT = """#include <chrono>
#include <ctime>
#include <map>
#include <string>

#include "base/result.h"
#include "io/env.h"

namespace fb {

// A comment may say std::mutex, rand() and steady_clock; so may a string.
constexpr int kLimit = 5;
constexpr std::string_view kText = "std::thread, getenv(x), ::open(y)";
const std::map<int, int> kTable = {{1, 2}};
inline constexpr auto kWait = std::chrono::seconds(3);
static_assert(sizeof(int) == 4);
static const char* const kNames[] = {"a", "b"};
using Table = std::map<int, int>;
enum class Kind { kFile, kSocket };
struct Forward;
class Writer;
Task<Result<void>> run(Env& env);
Writer& writer_of(Forward& forward);
bool operator==(const Forward& a, const Forward& b);

class Service {
 public:
  static Service make(Env& env);
  static constexpr int kRetries = 3;
  Task<Result<int>> open(std::string path) { co_return co_await files_.open(path); }
  Task<> close();
  int time() const { return env_->time(3); }
  int random() const { return env_.random(); }
  Clock& clock();
  void signal();
  Task<> kill(int child);

 private:
  int count_ = 0;
  std::string rename;
};

int Service::read(int at) {
  static constexpr int kLocal = 1'000'000;
  auto entry = files_.read(at, '"');
  entry.write(at);
  return clock_.clock(at) + env_->exit(at) + kLocal;
}

}  // namespace fb
"""


def check(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w") as file:
                file.write(text)
        return check_sources.check_tree(root)


class CheckSources(unittest.TestCase):
    def test_each_planted_violation_is_found(self):
        for rule, path, line in PLANTED:
            with self.subTest(rule=rule, line=line):
                guard = "#pragma once\n" if path.endswith(".h") else ""
                text = {"pragma-once": HEAD, "licence": "\n"}.get(rule, f"{HEAD}{guard}{line}\n")
                findings = check({path: text})
                self.assertEqual([rule], sorted({finding.rule for finding in findings}), findings)
                if line:
                    self.assertEqual(text[:text.index(line)].count("\n") + 1, findings[0].line)

    def test_every_ban_has_a_plant(self):
        self.assertEqual(set(), {ban.rule for ban in check_sources.BANS} - {rule for rule, _, _ in PLANTED})

    def test_bans_hold_in_every_folder_but_io(self):
        line = "  std::mutex mutex_;\n"
        for folder in check_sources.LAYERS:
            with self.subTest(folder=folder):
                self.assertEqual(0 if folder == "io" else 1, len(check({f"src/{folder}/a.cc": HEAD + line})))

    def test_innocent_code_passes(self):
        self.assertEqual([], check({"src/http/a.cc": HEAD + INNOCENT}))

    def test_a_heavy_header_has_one_home(self):
        include = HEAD + "#include <toml++/toml.h>\n"
        self.assertEqual([], check({"src/base/config.cc": include}))
        both = check({"src/base/config.cc": include, "src/cli/other.cc": include})
        self.assertEqual(["heavy-header"], [finding.rule for finding in both])

    def test_an_exception_covers_its_rule_only(self):
        self.assertEqual([], check({"src/base/assert.cc": HEAD + '  std::fprintf(stderr, "x");\n'}))
        self.assertEqual(1, len(check({"src/base/assert.cc": HEAD + "  std::abort(), rand();\n"})))
        self.assertEqual([], check({"src/bss/store_test.cc": HEAD + "#include <filesystem>\n"}))
        self.assertEqual(1, len(check({"src/bss/store_test.cc": HEAD + "#include <thread>\n"})))

    def test_exceptions_name_files_that_exist_and_need_them(self):
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
        for path, rules, reason in check_sources.EXCEPTIONS:
            with self.subTest(path=path):
                self.assertTrue(reason)
                if "*" in path:
                    continue
                with open(os.path.join(root, path)) as file:
                    text = file.read()
                bare = check_sources.without(text, strings=True)
                if "layer" in rules:
                    unexcepted = "{}_copy{}".format(*os.path.splitext(path))
                    self.assertTrue(any(finding.rule == "layer" for finding in check_sources.check_layers(unexcepted, text)))
                for rule in rules - {"layer"}:
                    patterns = [ban.pattern for ban in check_sources.BANS if ban.rule == rule]
                    self.assertTrue(any(pattern.search(line) for pattern in patterns for line in bare.split("\n")), rule)


if __name__ == "__main__":
    unittest.main()

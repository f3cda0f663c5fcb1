#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what a compiler does not: layering, effects outside Env, licence lines, names.

Code under src/ other than src/io takes time, randomness, threads, files and sockets only through `Env`, because the
simulator can be deterministic only where nothing reaches around it. Every ban below carries its replacement, and
tests/check_sources_test.py plants one violation of each.

    check_sources.py [ROOT]      prints FILE:LINE: what is wrong; exit status 1 if anything is
"""
import fnmatch
import os
import re
import subprocess
import sys
from typing import NamedTuple


class Finding(NamedTuple):
    path: str
    line: int
    rule: str
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


class Ban(NamedTuple):
    rule: str
    pattern: re.Pattern
    message: str
    in_strings: bool = False  # searched in the text with its string literals, too


def call(*names):
    """A free function by one of these names: `f(`, `::f(` or `std::f(`, but neither `x.f(`, `x->f(` nor `y::f(`."""
    return rf"(?:(?<![\w.>:])|(?<=\bstd::)|(?<![\w>])::)(?:{'|'.join(names)})\("


def system_call(*names):
    """Names that methods have, too: only `::f(` and `std::f(`. (The headers of most are banned as well.)"""
    return rf"(?<![\w>])(?:\bstd)?::(?:{'|'.join(names)})\("


def headers(*names):
    return rf"^\s*#\s*include\s*<(?:{'|'.join(names)})>"


BANS = [
    Ban("time", re.compile(
        r"\b(?:system_clock|steady_clock|high_resolution_clock|utc_clock|file_clock)\b"
        r"|\b(?:clock_gettime|gettimeofday|nanosleep|clock_nanosleep|usleep|timespec_get)\b"
        r"|(?:\bstd::|(?<![\w.>:])|(?<![\w>])::)time\((?:nullptr|NULL|0|&)|" + call("__rdtsc") + "|" + system_call("clock")),
        "time comes from Env (io/env.h): the simulator's clock is virtual"),
    Ban("randomness", re.compile(
        r"\brandom_device\b|" + call("rand", "srand", "rand_r", "drand48", "getrandom", "getentropy",
                                     "arc4random", "RAND_bytes", "RAND_priv_bytes") + "|"
        + system_call("random", "srandom") + "|" + headers(r"sys/random\.h")),
        "randomness comes from Env (io/env.h): a run must repeat from its seed"),
    Ban("randomness", re.compile(r"/dev/u?random"),
        "randomness comes from Env (io/env.h): a run must repeat from its seed", in_strings=True),
    Ban("threads", re.compile(
        r"\bstd::(?:jthread|thread|async|promise|packaged_task|this_thread)\b|\bpthread_\w+|"
        + headers("thread", "future", r"pthread\.h", "stop_token")),
        "concurrency is Scope::spawn and when_all on one core, messages through Env between cores"),
    Ban("locks", re.compile(
        r"\bstd::(?:(?:recursive_|timed_|recursive_timed_|shared_|shared_timed_)?mutex|condition_variable(?:_any)?|lock_guard"
        r"|unique_lock|scoped_lock|shared_lock|counting_semaphore|binary_semaphore|latch|barrier|once_flag|call_once)\b|"
        + headers("mutex", "shared_mutex", "condition_variable", "semaphore", "latch", "barrier")),
        "an object belongs to one core; others send it messages through Env"),
    Ban("thread-local", re.compile(r"\b(?:thread_local|__thread)\b"),
        "per-core state belongs to the object that Env started on that core"),
    Ban("mutable-global", re.compile(
        # Formatted code indents nothing inside namespaces, so a declaration in column 0 is at namespace scope.
        r"^(?!(?:using|typedef|namespace|struct|class|enum|union|template|concept|extern|return|case|default|public|private"
        r"|protected|friend|goto|else|do|try|static_assert|requires|FB_)\b)(?!.*\b(?:constexpr|operator)\b)"
        r"(?!(?:static |inline |constinit )*(?:const\b(?!.*\*(?!\s*const)).*|[\w:<>, ]*\*\s*const\b.*)$)"
        r"[A-Za-z_][\w:<>,*& ]*[\s*&>]\w+(?:\[[^\]]*\])*\s*(?:=[^=]|;|\{[^}]*\};)"
        r"|^\s+static (?!const\b|constexpr|consteval|inline constexpr|inline const\b|_assert)[\w:<>,*& ]*[\s*&>]\w+\s*(?:=[^=]|;|\{)"),
        "state lives in an object that someone owns and passes on; globals may only be constants"),
    Ban("files", re.compile(
        r"\bstd::(?:filesystem|i?o?fstream|basic_[io]?fstream)\b|"
        + call("fopen", "fdopen", "freopen", "tmpfile", "mkstemp", "mkdtemp", "opendir", "fsync", "fdatasync", "fallocate",
               "posix_fallocate", "openat", "pread", "pwrite", "preadv2?", "pwritev2?", "mmap", "munmap", "ftruncate", "flock",
               "renameat2?", "unlinkat", "mkdirat", "fstat", "lstat", "statvfs", "statx") + "|"
        + system_call("open", "close", "read", "write", "lseek", "unlink", "rename", "mkdir", "rmdir", "stat", "truncate", "access",
                      "fcntl", "ioctl") + "|"
        + headers("filesystem", "fstream", r"fcntl\.h", r"unistd\.h", r"dirent\.h", r"sys/(?:stat|mman|file|statvfs|statfs|ioctl|vfs)\.h",
                  r"liburing\.h")),
        "files are Env's (io/env.h): faults can be injected only there"),
    Ban("sockets", re.compile(
        call("getaddrinfo", "gethostbyname", "epoll_create1?", "epoll_ctl", "epoll_wait", "eventfd", "setsockopt", "getsockopt",
             "recvmsg", "sendmsg", "recvfrom", "sendto", "accept4", "getpeername", "getsockname", "inet_pton", "inet_ntop") + "|"
        + system_call("socket", "bind", "listen", "accept", "connect", "send", "recv", "shutdown", "poll", "select") + "|"
        + headers(r"sys/(?:socket|epoll|eventfd|un|select|sendfile)\.h", r"netinet/\w+\.h", r"arpa/inet\.h", r"netdb\.h", r"poll\.h")),
        "sockets are Env's (io/env.h): the simulated network is one, too"),
    Ban("processes", re.compile(
        call("vfork", "execve?", "execvpe?", "execlp?", "posix_spawnp?", "popen", "waitpid", "sigaction", "sigprocmask", "_exit",
             "quick_exit", "atexit", "sched_setaffinity", "sched_getaffinity") + "|"
        + system_call("fork", "system", "kill", "raise", "signal", "exit") + "|"
        + headers("csignal", r"signal\.h", r"sys/(?:wait|signalfd|resource)\.h", r"sched\.h", r"spawn\.h")),
        "processes, signals and exit belong to the edge in src/cli, listed in EXCEPTIONS"),
    Ban("environment", re.compile(call("getenv", "secure_getenv", "setenv", "putenv") + r"|(?<![\w.>])environ\b"),
        "the environment is read once, in src/cli, and handed to base/config as values"),
    Ban("terminal", re.compile(
        r"\bstd::(?:cout|cerr|clog|cin)\b|" + call("printf", "fprintf", "puts", "fputs", "putchar", "perror", "fwrite", "isatty", "vfprintf")
        + r"|\bfmt::print(?:ln)?\(|" + headers("iostream", "print")),
        "say it through the log that Env carries (io/env.h), or return it to the caller"),
]

# The edge of the process, and what tests need; nothing else. Each needs a reason that a reader accepts.
EXCEPTIONS = [
    # (path, as fnmatch takes it; rules; why)
    ("src/base/assert.cc", {"terminal"}, "the last words of a failed assertion, when nothing else can be trusted"),
    ("src/base/safeguard.cc", {"mutable-global"}, "in test builds only: which safeguard a test has left out of the process"),
    ("src/cli/process.cc", {"environment", "files", "terminal"},
     "the edge of the process: reads the environment and the configuration file once, before there is an Env, and talks to the terminal"),
    ("src/server/server.cc", {"processes"}, "names the signals that Env delivers"),
    ("src/api/api_test_world*", {"layer"}, "the tests of the API run it on the real engines"),
    ("src/nss/*_test.cc", {"layer"}, "the namespace engine is tested over the real page store and journal"),
    ("src/nss/nss_test_world.h", {"layer"}, "the world of those tests"),
    ("src/rss/embedded_registry_test.cc", {"layer"}, "the registry is tested over the real namespace engine"),
    ("src/http/cut_stream.h", {"environment"}, "tests are told by a variable where to cut their clients' bytes"),
    ("src/*_test.cc", {"files", "mutable-global"}, "tests make temporary directories, and count in replaced allocators"),
]

# A folder may include what stands on its line, and what those may include.
LAYERS = {
    "base": [],
    "io": ["base"],
    "http": ["io"],
    "client": ["io"],
    "rpc": ["io"],
    "s3": ["base"],
    "art": ["base"],
    "nss": ["art", "client", "rpc"],
    "bss": ["client", "rpc"],
    "volume": ["client", "rpc"],
    "tier": ["client", "http", "s3"],
    "rss": ["client", "rpc", "http", "s3"],
    "api": ["s3", "client", "http"],
    "admin": ["api", "tier", "nss", "bss"],
    "server": ["admin", "rss"],
}
LAYERS["cli"] = [folder for folder in LAYERS]

# Headers that cost seconds to compile: one .cc includes each, and hides it behind a small interface.
HEAVY_HEADERS = {"spdlog": r"spdlog/", "nlohmann/json": r"nlohmann/", "toml++": r"toml\+\+/", "CLI11": r"CLI/"}

SPDX = "SPDX-License-Identifier: Apache-2.0"
SPDX_SUFFIXES = (".h", ".cc", ".py", ".sh", ".cmake", ".mjs", ".js", ".lua", ".conf", "CMakeLists.txt")
FORBIDDEN_WORDS = re.compile(r"\b(?:" + "TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
TEXT_SUFFIXES = SPDX_SUFFIXES + (".md", ".txt", ".toml", ".json", ".yml", ".yaml")
SOURCE_NAME = re.compile(r"^[a-z][a-z0-9_]*\.(?:h|cc)$")

TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^()\s\\]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)


def without(text, strings):
    """The text with comments (and, if asked, the contents of literals) blanked, line numbers kept. Includes stay."""
    def blank(match):
        token = match[0]
        if token.startswith("/"):
            return re.sub(r"[^\n]", " ", token)
        if not strings or text[text.rfind("\n", 0, match.start()) + 1:match.start()].lstrip().startswith("#"):
            return token
        if token[0] == "'" and match.start() and text[match.start() - 1].isalnum():
            return token  # a digit separator
        return re.sub(r"[^\n]", " ", token[1:-1]).join((token[0], token[-1]))
    return TOKEN.sub(blank, text)


def closure(folder):
    allowed, open_folders = {folder}, [folder]
    while open_folders:
        for below in LAYERS.get(open_folders.pop(), []):
            if below not in allowed:
                allowed.add(below)
                open_folders.append(below)
    return allowed


def excepted(path, rule):
    return any(rule in rules and fnmatch.fnmatchcase(path, where) for where, rules, _ in EXCEPTIONS)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_bans(path, text):
    bare, with_strings = without(text, strings=True), without(text, strings=False)
    for ban in BANS:
        if excepted(path, ban.rule):
            continue
        for number, line in enumerate((with_strings if ban.in_strings else bare).split("\n"), 1):
            if ban.pattern.search(line):
                yield Finding(path, number, ban.rule, ban.message)


def check_layers(path, text):
    folder = path.split("/")[1]
    if folder not in LAYERS:
        yield Finding(path, 1, "folder", f"src/{folder} is not in the table of layers (docs/architecture.md)")
        return
    allowed = closure(folder)
    for match in re.finditer(r'^\s*#\s*include\s*"([^"]+)"', without(text, strings=False), re.MULTILINE):
        target = match[1].split("/")[0]
        if "/" not in match[1] or target not in LAYERS:
            yield Finding(path, line_of(text, match.start(1)), "include", f'"{match[1]}": name it from src/, as "folder/file.h"')
        elif target not in allowed and not excepted(path, "layer"):
            yield Finding(path, line_of(text, match.start(1)), "layer",
                          f"src/{folder} may not include src/{target}; it may include {', '.join(sorted(allowed))}")


def check_heavy(path, text, seen):
    for name, pattern in HEAVY_HEADERS.items():
        match = re.search(rf'^\s*#\s*include\s*[<"]{pattern}', text, re.MULTILINE)
        if not match:
            continue
        line = line_of(text, match.end())
        if path.endswith(".h"):
            yield Finding(path, line, "heavy-header", f"{name} is included by one .cc behind an interface of ours, never by a header")
        elif (first := seen.setdefault((path.split("/")[0], name), path)) != path:
            yield Finding(path, line, "heavy-header", f"{name} is already included by {first}; use its interface")


def check_text(path, text):
    """Rules of every text file: licence line, forbidden words, names."""
    lines = text.split("\n")
    if (path.endswith(SPDX_SUFFIXES) or text.startswith("#!")) and not any(SPDX in line for line in lines[:2]):
        yield Finding(path, 1, "licence", f"the first line (the second after #!) says {SPDX}")
    for number, line in enumerate(lines, 1):
        if FORBIDDEN_WORDS.search(line):
            yield Finding(path, number, "word", "finish it, or open an issue and name the limit in docs/status.md")
    if path.endswith((".h", ".cc")):
        if not SOURCE_NAME.match(os.path.basename(path)):
            yield Finding(path, 1, "file-name", "file names are snake_case, .h and .cc")
        if path.endswith(".h") and "#pragma once" not in text:
            yield Finding(path, 1, "pragma-once", "a header begins with #pragma once")


def list_files(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
                            capture_output=True, text=True)
    if listed.returncode == 0:
        return sorted(set(filter(None, listed.stdout.split("\0"))))
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in (".git", "build", "node_modules")]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in files]
    return sorted(found)


def check_tree(root):
    findings, heavy = [], {}
    for path in list_files(root):
        full = os.path.join(root, path)
        if os.path.islink(full) or not os.path.isfile(full) or path.startswith("fuzz/corpus/"):
            continue
        with open(full, "rb") as file:
            raw = file.read()
        if not (path.endswith(TEXT_SUFFIXES) or raw.startswith(b"#!")) or path.endswith("package-lock.json"):
            continue
        text = raw.decode("utf-8", "replace")
        findings += check_text(path, text)
        if not path.endswith((".h", ".cc")):
            continue
        findings += check_heavy(path, text, heavy)
        if path.startswith("src/"):
            findings += check_layers(path, text)
            if not path.startswith("src/io/"):
                findings += check_bans(path, text)
    return findings


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    findings = check_tree(root)
    for finding in findings:
        print(finding)
    if findings:
        sys.exit(f"{len(findings)} findings")
    print("sources: layering, effects outside Env, licence lines and names are in order")


if __name__ == "__main__":
    main()

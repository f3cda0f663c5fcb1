#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""changed_code.py BASE FILE...     prints the C++ files whose code differs from the commit BASE

A file that was only moved, or in which only comments, includes or layout changed, is left out: clang-tidy would say of
it what it said before. A file that includes a header with new code, which it did not include before, is printed, since
headers are checked through the files that include them. A move is followed as git follows it.
"""
import os
import re
import subprocess
import sys

TOKEN = re.compile(
    r"""(?P<raw>R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)")
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<char>(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])*')
      | (?P<comment>//[^\n]*(?:\\\n[^\n]*)*|/\*.*?\*/)
      | (?P<space>\s+)
      | (?P<word>[A-Za-z0-9_]+(?:'[A-Za-z0-9_]+)*)
      | (?P<other>.)""",
    re.S | re.X)


def code_of(text):
    """The tokens of the text without includes and comments; text in quotes is kept as it is."""
    text = re.sub(r"^[ \t]*#[ \t]*include[^\n]*$", "", text, flags=re.M)
    tokens = []
    for token in TOKEN.finditer(text):
        if token["comment"] is not None:
            # clang-tidy obeys these, so they count as code.
            if "NOLINT" in token["comment"]:
                tokens.append(token["comment"])
        elif token["space"] is None:
            tokens.append(token[0])
    return "\n".join(tokens)


def includes_of(text):
    return re.findall(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', text, flags=re.M)


def git(*arguments):
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def old_names(base):
    """Of files that were moved since `base`: new name -> old name."""
    names = {}
    for line in (git("diff", "--name-status", "-M40%", "-l0", base) or "").splitlines():
        fields = line.split("\t")
        if fields[0].startswith("R"):
            names[fields[2]] = fields[1]
    return names


class Change:
    """Between the commit `base` and the working tree."""

    def __init__(self, base):
        self.base = base
        self.moved = old_names(base)
        self.known = {}

    def before(self, path):
        return git("show", f"{self.base}:{self.moved.get(path, path)}")

    def is_code(self, path):
        """Whether the code of the file is new or another one."""
        if path not in self.known:
            before = self.before(path)
            with open(path, encoding="utf-8") as file:
                self.known[path] = before is None or code_of(before) != code_of(file.read())
        return self.known[path]

    def includes_new_code(self, path):
        """Whether the file includes a header that it did not include, and whose code nobody has looked at."""
        before = self.before(path)
        with open(path, encoding="utf-8") as file:
            now = includes_of(file.read())
        old = set(includes_of(before or ""))
        for header in now:
            for folder in ("src/", "sim/", "bench/"):
                name = folder + header
                if not os.path.exists(name):
                    continue
                was = self.moved.get(name, name)
                if was.removeprefix(folder) not in old and self.is_code(name):
                    return True
        return False


def main():
    change = Change(sys.argv[1])
    for path in sys.argv[2:]:
        if os.path.exists(path) and (change.is_code(path) or change.includes_new_code(path)):
            print(path)


if __name__ == "__main__":
    main()

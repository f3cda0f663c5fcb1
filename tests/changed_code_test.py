#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/changed_code.py: comments, includes and layout are no change of code; all else is."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from changed_code import code_of

BEFORE = '''#include "a/b.h"

// What it is.
int f(int a) {
  return a + 1;  // one more
}
const char* kUrl = "http://host/path";  // not a comment in quotes
'''


class ChangedCode(unittest.TestCase):
    def same(self, now):
        self.assertEqual(code_of(BEFORE), code_of(now))

    def other(self, now):
        self.assertNotEqual(code_of(BEFORE), code_of(now))

    def test_comments_includes_and_layout(self):
        self.same(BEFORE.replace("// What it is.", "// Adds one."))
        self.same(BEFORE.replace("  // one more", ""))
        self.same(BEFORE.replace("// What it is.", "/* two\n lines */"))
        self.same(BEFORE.replace('"a/b.h"', '"a/c/b.h"'))
        self.same(BEFORE.replace("int f(int a) {", "int f(\n    int a)\n{"))

    def test_code(self):
        self.other(BEFORE.replace("+ 1", "+ 2"))
        self.other(BEFORE.replace("return a + 1;", "// return a + 1;"))
        self.other(BEFORE.replace("http://host/path", "http://host/pith"))
        self.other(BEFORE.replace("http://host/path", "http:// host/path"))
        self.other(BEFORE.replace("// one more", "// NOLINT: one more"))
        self.other(BEFORE.replace("int f", "intf"))

    def test_quotes(self):
        self.assertNotEqual(code_of("char c = '\"'; // a"), code_of("char c = '\"';  int d; // a"))
        self.assertNotEqual(code_of('auto r = R"x(// kept)x";'), code_of('auto r = R"x(// Kept)x";'))
        self.assertEqual(code_of("int n = 1'000; // a"), code_of("int n = 1'000; // b"))
        self.assertNotEqual(code_of("f('\"', \"a b\", \"c\")"), code_of("f('\"', \"a  b\", \"c\")"))


if __name__ == "__main__":
    unittest.main()

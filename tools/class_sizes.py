#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts methods, fields and friends of every class of src, and the lines of the longest functions.

usage: tools/class_sizes.py [--all] [--functions N]

A class over 40 methods or 20 fields, or with a friend, wants a second look for the second job in it: this prints those,
and with --all every class. Tests are left out. It reads declarations by their punctuation, not as a compiler does: a
declaration with parentheses in front of any initializer is a method, every other one a field; nested classes count for
themselves. `--functions N` prints the N longest functions instead.
"""
import argparse
import pathlib
import re
import sys

METHODS_MAX = 40
FIELDS_MAX = 20
FUNCTION_LINES_MAX = 70
ROOT = pathlib.Path(__file__).resolve().parent.parent
CLASS = re.compile(r"\b(class|struct)\s+(?:alignas\([^)]*\)\s*)?(?:\[\[[^\]]*\]\]\s*)?((?:\w+::)*\w+)(?:\s+final)?\s*(?::[^;{]*)?\{")
NO_FIELD = ("using ", "typedef ", "static_assert", "enum ", "template", "friend ", "namespace ", "FB_")


def source_files():
    for path in sorted((ROOT / "src").rglob("*")):
        name = path.name
        if path.suffix not in (".h", ".cc") or "test" in name or name in ("doubtful_names.h", "partition_workload.h"):
            continue
        yield path


def without_comments_and_strings(text):
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'//[^\n]*|/\*.*?\*/|R"\((?:.*?)\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', blank, text, flags=re.S)


def end_of(text, opening):
    depth = 0
    for at in range(opening, len(text)):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    return len(text)


def declarations(body):
    """The declarations of a class body, each without what stands in braces."""
    out, depth, parens, current = [], 0, 0, ""
    at = 0
    while at < len(body):
        char = body[at]
        if char == "{":
            end = end_of(body, at)
            current += "{}"
            at = end + 1
            rest = body[at:].lstrip()
            is_function = re.search(r"\)[^=]*\{\}$", current) is not None
            if is_function and not rest.startswith((";", ",", ")")) and parens == 0:
                out.append(current)
                current = ""
            continue
        if char == "(":
            parens += 1
        elif char == ")":
            parens -= 1
        if char == ";" and parens == 0:
            out.append(current)
            current = ""
        else:
            current += char
        at += 1
    return out


def classify(text):
    """'method', 'field', 'friend' or None."""
    text = re.sub(r"\b(public|private|protected)\s*:", " ", text)
    text = " ".join(text.split())
    text = re.sub(r"^template\s*<[^>]*>\s*(requires[^;]*?\))?\s*", "", text)
    text = re.sub(r"\[\[[^\]]*\]\]\s*", "", text)
    text = re.sub(r"alignas\([^)]*\)\s*", "", text)
    if not text or text == "{}":
        return None
    if text.startswith("friend "):
        return "friend"
    if text.startswith(NO_FIELD):
        return None
    if re.match(r"(class|struct|union)\s+[\w:]+(\s+final)?\s*(:[^{]*)?(\{\})?$", text):
        return None
    head = re.split(r"=|\{", text)[0] if "operator" not in text else text
    bare = head
    while True:
        shorter = re.sub(r"<[^<>]*>", "", bare)
        if shorter == bare:
            break
        bare = shorter
    if "(" in bare:
        return None if "= default" in text or "= delete" in text else "method"
    if re.match(r"(static )?(inline )?(static )?constexpr|static const ", text):
        return None
    return "field"


def classes_of(path):
    text = without_comments_and_strings(path.read_text())
    for match in CLASS.finditer(text):
        if re.search(r"enum\s*$", text[: match.start()][-8:]):
            continue
        opening = match.end() - 1
        counts = {"method": 0, "field": 0, "friend": 0}
        for declaration in declarations(text[opening + 1: end_of(text, opening)]):
            kind = classify(declaration)
            if kind == "field":
                counts["field"] += 1 + re.sub(r"\{\}|<[^;]*>|\([^)]*\)", "", declaration).count(",")
            elif kind:
                counts[kind] += 1
        yield match.group(2), counts


FUNCTION = re.compile(r"^(?!namespace|class|struct|enum|extern|#|\s|\})[^;{}]*\)[^;{}]*\{$", re.M)


def functions_of(path):
    raw = path.read_text()
    text = without_comments_and_strings(raw)
    for match in FUNCTION.finditer(text):
        opening = match.end() - 1
        end = end_of(text, opening)
        lines = text.count("\n", match.start(), end) + 1
        yield lines, " ".join(raw[match.start(): opening].split())[:90]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--functions", type=int, default=0, metavar="N")
    options = parser.parse_args()
    if options.functions:
        longest = sorted(((lines, str(path.relative_to(ROOT)), name) for path in source_files() if path.suffix == ".cc"
                          for lines, name in functions_of(path)), reverse=True)
        for lines, path, name in longest[: options.functions]:
            print(f"{lines:5d}  {path}: {name}")
        over = sum(lines > FUNCTION_LINES_MAX for lines, _, _ in longest)
        print(f"{over} functions over {FUNCTION_LINES_MAX} lines, of {len(longest)}")
        return 0
    rows = [(name, counts, str(path.relative_to(ROOT))) for path in source_files() for name, counts in classes_of(path)]
    over = [row for row in rows
            if row[1]["method"] > METHODS_MAX or row[1]["field"] > FIELDS_MAX or row[1]["friend"] > 0]
    print("methods  fields  friends  class")
    for name, counts, path in sorted(rows if options.all else over, key=lambda row: -(row[1]["method"] + row[1]["field"])):
        print(f"{counts['method']:7d} {counts['field']:7d} {counts['friend']:8d}  {name} ({path})")
    print(f"{len(over)} of {len(rows)} classes over {METHODS_MAX} methods or {FIELDS_MAX} fields, or with friends")
    return 0


if __name__ == "__main__":
    sys.exit(main())

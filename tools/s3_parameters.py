#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the names of all parameters that the AWS SDKs know for the operations that are built, one a line:
operation, location (header, query, body), name. They are read from botocore's description of S3 (service-2.json),
wherever botocore is installed; only names are kept.

    tools/s3_parameters.py > tests/e2e/s3_parameters.txt

tests/e2e/test_parameters.py says of each what becomes of it, and sends it.
"""
import gzip
import json
import os
import re

import botocore

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def built_operations():
    with open(os.path.join(ROOT, "src", "s3", "operation.h"), encoding="utf-8") as file:
        return re.findall(r"X\((\w+), [^)]*, built\)", file.read())


def model():
    folder = os.path.join(os.path.dirname(botocore.__file__), "data", "s3", "2006-03-01")
    for name, opener in (("service-2.json.gz", gzip.open), ("service-2.json", open)):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with opener(path, "rt", encoding="utf-8") as file:
                return json.load(file)
    raise SystemExit(f"no service-2.json in {folder}")


def body_names(shapes, shape, path):
    """The elements of a body, each as its path."""
    shape = shapes[shape]
    if shape["type"] == "list":
        yield from body_names(shapes, shape["member"]["shape"], path)
    for name, member in shape.get("members", {}).items():
        inner = f"{path}/{member.get('locationName', name)}"
        yield inner
        yield from body_names(shapes, member["shape"], inner)


def parameters(description, operation):
    shape = description["operations"][operation].get("input", {}).get("shape")
    for name, member in description["shapes"][shape]["members"].items() if shape else ():
        where, name = member.get("location", "body"), member.get("locationName", name)
        if where == "uri":
            continue
        if where == "body":
            for path in body_names(description["shapes"], member["shape"], name):
                yield "body", path
        else:
            yield {"headers": "header", "querystring": "query"}.get(where, where), name


def main():
    description = model()
    print(f"# Made by tools/s3_parameters.py from botocore {botocore.__version__}.")
    for operation in built_operations():
        for where, name in sorted(parameters(description, operation)):
            print(operation, where, name)


if __name__ == "__main__":
    main()

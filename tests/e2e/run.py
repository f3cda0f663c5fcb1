#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs end-to-end tests: `run.py [NAME[.Class[.method]]...]`, NAME being a test file without test_ and .py."""
import glob
import os
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import harness

VERSIONS = {
    "aws": ["aws", "--version"], "s3cmd": ["s3cmd", "--version"], "rclone": ["rclone", "version"], "restic": ["restic", "version"],
    "s3fs": ["s3fs", "--version"], "node": ["node", "--version"], "openssl": ["openssl", "version"],
}


def version(command):
    try:
        with tempfile.TemporaryDirectory() as home:  # some clients make folders there even to say their version
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=harness.client_environment(home))
        return (done.stdout or done.stderr).strip().split("\n")[0]
    except OSError:
        return "not installed"


def print_versions(names):
    said = [f"python {sys.version.split()[0]}"]
    try:
        import boto3
        import botocore
        said.append(f"boto3 {boto3.__version__} (botocore {botocore.__version__})")
    except ImportError:
        said.append("boto3 not installed")
    uses = {"awscli": ["aws"], "js": ["node"], "rclone": ["rclone"], "restic": ["restic"], "s3cmd": ["s3cmd"], "s3fs": ["s3fs"]}
    wanted = set(VERSIONS) if len(names) != 1 else set(uses.get(names[0].split(".")[0], []))
    said += [f"{name}: {version(command)}" for name, command in VERSIONS.items() if name in wanted]
    print("clients: " + "; ".join(said), flush=True)
    print(f"endpoint: {harness.EXTERNAL or harness.BINARY}", flush=True)


def main():
    names = sys.argv[1:]
    if not harness.EXTERNAL and not os.access(harness.BINARY, os.X_OK):
        sys.exit(f"no server at {harness.BINARY}: ./dev build")
    print_versions(names)
    modules = [f"test_{name}" for name in names] or sorted(
        os.path.splitext(os.path.basename(file))[0] for file in glob.glob(os.path.join(HERE, "test_*.py")))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are stopped when ctest's time is up
    passed = False
    try:
        passed = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromNames(modules)).wasSuccessful()
    finally:
        problems = harness.clean_up(show_logs=not passed)
    if problems:
        sys.exit("\n".join(problems))
    sys.exit(not passed)


if __name__ == "__main__":
    main()

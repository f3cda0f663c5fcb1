# SPDX-License-Identifier: Apache-2.0
"""`./dev run` as a newcomer types it, but for the ports: ready, a round trip with the AWS CLI, a clean stop."""
import os
import unittest

import harness
from harness import ROOT, Server, needs_own_server


@needs_own_server
class DevRun(unittest.TestCase):
    def test_run(self):
        server = Server(command=[os.path.join(ROOT, "dev"), "run"])
        server.environment |= {name: os.environ[name] for name in ("HOME", "CCACHE_DIR") if name in os.environ}
        server.start(wait=False)
        self.addCleanup(server.kill)
        server.wait_ready(600)  # it may build first
        home = server.home
        env = harness.client_environment(home)
        aws = ["aws", "--endpoint-url", server.endpoint, "s3"]
        with open(os.path.join(home, "hello"), "w") as file:
            file.write("hello\n")
        harness.run([*aws, "mb", "s3://my-bucket"], env=env)
        harness.run([*aws, "cp", os.path.join(home, "hello"), "s3://my-bucket/hello"], env=env)
        self.assertEqual(b"hello\n", harness.run([*aws, "cp", "s3://my-bucket/hello", "-"], env=env).stdout)
        self.assertIn(b"hello", harness.run([*aws, "ls", "s3://my-bucket"], env=env).stdout)
        self.assertEqual(0, server.stop(), server.output())

    def test_dev_help(self):
        said = harness.run([os.path.join(ROOT, "dev"), "help"]).stdout.decode()
        for command in ("run", "build", "test", "sim", "e2e", "bench", "fmt", "lint", "soak", "fuzz", "setup"):
            self.assertIn(f"  {command} ", said)
            self.assertTrue(harness.run([os.path.join(ROOT, "dev"), "help", command]).stdout.strip())

# SPDX-License-Identifier: Apache-2.0
"""Runs js/suite.mjs: @aws-sdk/client-s3 pinned by its lock file, which speaks today's default checksums."""
import os
import shutil
import subprocess

import harness
from harness import S3Case

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "js")


class JavaScriptSdk(S3Case):
    def test_suite(self):
        private = os.path.join(harness.ROOT, "tools", "node", "bin", "node")
        node = private if os.access(private, os.X_OK) else shutil.which("node")
        self.assertTrue(node and os.path.isdir(os.path.join(FOLDER, "node_modules")), "./dev setup test installs what this needs")
        env = {"PATH": os.environ["PATH"], "HOME": self.folder(), "FB_E2E_ENDPOINT": self.endpoint.url, "FB_E2E_BUCKET": self.bucket,
               "FB_E2E_ACCESS_KEY": harness.ACCESS_KEY, "FB_E2E_SECRET_KEY": harness.SECRET_KEY, "AWS_EC2_METADATA_DISABLED": "true",
               **({"NODE_EXTRA_CA_CERTS": self.endpoint.ca} if self.endpoint.ca else {})}
        done = subprocess.run([node, "--test-reporter=spec", "suite.mjs"], cwd=FOLDER, env=env, timeout=600)
        self.assertEqual(0, done.returncode)


class JavaScriptSdkTls(JavaScriptSdk):
    tls = True

# SPDX-License-Identifier: Apache-2.0
"""`fractalbits df`: of a server that runs, of one that is stopped; it agrees with the metrics, and adds up."""
import json
import subprocess
import unittest

import harness
from harness import Server, endpoint_of, needs_own_server


def df(*arguments):
    done = subprocess.run([harness.BINARY, "df", *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@needs_own_server
class Df(unittest.TestCase):
    def usage(self, *arguments):
        status, text, said = df(*arguments, "--json")
        self.assertEqual((0, ""), (status, said), text)
        usage = json.loads(text)
        parts = ("used", "garbage", "unwritten", "free", "unallocated", "lost")
        self.assertEqual(usage["blob_capacity_bytes"], sum(usage[f"blob_{part}_bytes"] for part in parts))
        return usage

    def test_running_and_stopped(self):
        with Server() as server:
            s3 = endpoint_of(server).boto3()
            s3.create_bucket(Bucket="bucket")
            for i in range(20):
                s3.put_object(Bucket="bucket", Key=f"key-{i}", Body=b"x" * 100_000)
            management = f"http://127.0.0.1:{server.management_port}"
            running = self.usage("--mgmt-url", management)
            # 25 blocks each; the checksums of the two pieces stand in the last one.
            self.assertEqual(20 * 25 * 4096, running["blob_used_bytes"])
            self.assertEqual(20, running["blob_live_blobs"])
            for name in ("blob_capacity_bytes", "blob_used_bytes", "blob_garbage_bytes", "blob_free_bytes", "blob_segments",
                         "namespace_pages", "journal_bytes", "disk_bytes"):
                self.assertEqual(running[name], server.metric("fractalbits_" + name), name)
            status, table, _ = df("--mgmt-url", management)
            self.assertEqual(0, status)
            self.assertIn("20 live in ", table)
            self.assertIn(f" {running['blob_used_bytes']}  with padding\n", table)
            status, _, said = df("--data-dir", server.data_dir)
            self.assertEqual(1, status)
            self.assertIn("in use", said)
            for i in range(10):
                s3.delete_object(Bucket="bucket", Key=f"key-{i}")
            server.stop()
            stopped = self.usage("--data-dir", server.data_dir)
            again = self.usage("--data-dir", server.data_dir)
            self.assertIn(stopped["blob_live_blobs"], range(10, 21))  # what is deleted is freed a little later
            self.assertEqual(stopped["blob_used_bytes"], stopped["blob_live_blobs"] * 25 * 4096)
            self.assertEqual(stopped["blob_used_bytes"], again["blob_used_bytes"])
            self.assertEqual(stopped["blob_segments"], again["blob_segments"])

    def test_usage(self):
        status, _, said = df("--data-dir", "/nonexistent/store")
        self.assertEqual(1, status)
        self.assertIn("holds no store", said)
        status, _, said = df("--mgmt-url", f"http://127.0.0.1:{harness.free_port()}")
        self.assertEqual(1, status)
        self.assertIn("is the server running there?", said)
        self.assertEqual(2, df("--mgmt-url", "nowhere")[0])
        self.assertEqual(2, df("--data-dir", "a", "--mgmt-url", "http://127.0.0.1:1")[0])


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""`fractalbits dump-segment`: of a segment that is intact, of one that is damaged, of what is none."""
import glob
import os
import subprocess
import unittest

import harness
from harness import Server, endpoint_of, needs_own_server


def dump(*arguments):
    done = subprocess.run([harness.BINARY, "dump-segment", *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@needs_own_server
class DumpSegment(unittest.TestCase):
    def test_intact_and_damaged(self):
        with Server() as server:
            s3 = endpoint_of(server).boto3()
            s3.create_bucket(Bucket="bucket")
            body = os.urandom(300_000)
            s3.put_object(Bucket="bucket", Key="key", Body=body)
            server.stop()
            for path in glob.glob(os.path.join(server.data_dir, "blobs", "shard-*", "segment-*")):
                with open(path, "rb") as file:
                    at = file.read().find(body[:64])
                if at >= 0:
                    break
            status, text, said = dump(path)
            self.assertEqual((0, ""), (status, said), text)
            self.assertIn("300000 bytes, checksum ", text)
            self.assertIn("\nintact: 1 batches, 1 entries; ", text)
            with open(path, "r+b") as file:
                file.seek(at + 70_000)
                file.write(bytes([body[70_000] ^ 1]))
                file.seek(20)
                file.write(b"?")
            status, text, _ = dump(path)
            self.assertEqual(4, status, text)
            self.assertIn(": damaged\n", text)
            self.assertIn("\ndamaged: 1 batches, 1 entries; 1 headers, 1 payloads ", text)
            os.truncate(path, at + 100_001)
            status, text, said = dump(path)
            self.assertEqual((4, ""), (status, said), text)
            self.assertIn("bytes, less than a block\n", text)
            os.truncate(path, 100)
            self.assertEqual(4, dump(path)[0])

    def test_usage(self):
        self.assertEqual(2, dump()[0])
        status, _, said = dump("/nonexistent")
        self.assertEqual(1, status)
        self.assertIn("/nonexistent", said)
        self.assertEqual(1, dump("/")[0])


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""`fractalbits fsck`: of a server that runs, of a store at rest, of one that is damaged."""
import glob
import os
import subprocess
import unittest

import harness
from harness import Server, endpoint_of, needs_own_server


def fsck(*arguments, **environment):
    env = {"HOME": "/nonexistent", "AWS_ACCESS_KEY_ID": harness.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": harness.SECRET_KEY, **environment}
    done = subprocess.run([harness.BINARY, "fsck", *arguments], env=env, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


@needs_own_server
class Fsck(unittest.TestCase):
    def fill(self, client):
        client.create_bucket(Bucket="bucket")
        for number in range(300):
            client.put_object(Bucket="bucket", Key=f"dir-{number % 7}/key-{number}", Body=b"x" * number)
        upload = client.create_multipart_upload(Bucket="bucket", Key="unfinished")["UploadId"]
        client.upload_part(Bucket="bucket", Key="unfinished", UploadId=upload, PartNumber=1, Body=b"part")
        for number in range(0, 300, 3):
            client.delete_object(Bucket="bucket", Key=f"dir-{number % 7}/key-{number}")

    def test_running_and_stopped(self):
        with Server() as server:
            self.fill(endpoint_of(server).boto3())
            management = f"http://127.0.0.1:{server.management_port}"
            status, report, said = fsck("--mgmt-url", management)
            self.assertEqual((0, ""), (status, said), report)
            self.assertTrue(report.startswith("sound: "), report)
            self.assertIn("buckets          1\n", report)
            status, report, said = fsck("--mgmt-url", management, AWS_SECRET_ACCESS_KEY="wrong")
            self.assertEqual((1, ""), (status, report))
            self.assertIn("answers 403", said)
            status, _, said = fsck("--data-dir", server.data_dir)
            self.assertEqual(1, status)
            self.assertIn("in use", said)
            server.stop()
            for _ in range(2):
                status, report, said = fsck("--data-dir", server.data_dir)
                self.assertEqual(0, status, report + said)
            self.assertIn("without a name   0", report)

    def test_damage_is_named(self):
        with Server() as server:
            self.fill(endpoint_of(server).boto3())
            server.stop()
            pages = glob.glob(os.path.join(server.data_dir, "namespace", "pages", "pages"))[0]
            with open(pages, "r+b") as file:
                content = file.read(1 << 22)
                # Every page of the namespace: a byte in each slot that holds one.
                for slot in range(0, len(content), 16384):
                    if any(content[slot + 64:slot + 128]):
                        file.seek(slot + 70)
                        file.write(bytes([content[slot + 70] ^ 0xff]))
            status, report, said = fsck("--data-dir", server.data_dir)
            self.assertEqual(4, status, report + said)
            self.assertTrue(report.startswith("damaged: "), report)

    def test_usage(self):
        status, _, said = fsck("--data-dir", "/nonexistent/store")
        self.assertEqual(1, status)
        self.assertIn("holds no store", said)
        status, _, said = fsck("--mgmt-url", f"http://127.0.0.1:{harness.free_port()}")
        self.assertEqual(1, status)
        self.assertIn("is the server running there?", said)
        self.assertEqual(2, fsck("--mgmt-url", "nowhere")[0])
        status, report, _ = fsck("--help")
        self.assertEqual(0, status)
        self.assertIn("Exit status", report)


if __name__ == "__main__":
    unittest.main()

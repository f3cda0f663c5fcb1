# SPDX-License-Identifier: Apache-2.0
"""POST /scrub: everything is read; what is damaged is named, and only who has the root key may."""
import glob
import os
import time
import unittest

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
import http.client

import harness
from harness import Server, endpoint_of, needs_own_server


def scrub(server, secret=harness.SECRET_KEY):
    url = f"http://127.0.0.1:{server.management_port}/scrub"
    request = AWSRequest(method="POST", url=url, data=b"", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    SigV4Auth(Credentials(harness.ACCESS_KEY, secret), "s3", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", server.management_port, timeout=60)
    try:
        connection.request("POST", "/scrub", body=b"", headers=dict(request.headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@needs_own_server
class Scrub(unittest.TestCase):
    def test_damage_is_named(self):
        with Server() as server:
            s3 = endpoint_of(server).boto3()
            s3.create_bucket(Bucket="bucket")
            bodies = {f"dir/key-{i}": os.urandom(9_000 + 40_000 * i) for i in range(12)}
            for key, body in bodies.items():
                s3.put_object(Bucket="bucket", Key=key, Body=body)
            status, report = scrub(server)
            self.assertEqual(200, status, report)
            self.assertTrue(report.startswith("sound: "), report)
            self.assertEqual(403, scrub(server, "wrong" * 8)[0])
            self.assertGreaterEqual(server.metric("fractalbits_blob_scrub_payloads_total"), 12)
            self.assertEqual(0, server.metric("fractalbits_blob_scrub_damaged_total"))
            server.stop()
            part = bodies["dir/key-7"][5000:5064]
            hits = 0
            for path in glob.glob(os.path.join(server.data_dir, "blobs", "shard-*", "segment-*")):
                with open(path, "r+b") as file:
                    at = file.read().find(part)
                    if at >= 0:
                        hits += 1
                        file.seek(at)
                        file.write(bytes([part[0] ^ 1]))
            self.assertEqual(1, hits)
            server.start()
            status, report = scrub(server)
            self.assertEqual(200, status, report)
            self.assertTrue(report.startswith("damaged: "), report)
            self.assertIn("damaged payloads     1\n", report)
            self.assertIn("dir/key-7\n", report)
            self.assertEqual(1, server.metric("fractalbits_blob_scrub_damaged_total"))
            self.assertIn("damaged payload: ", server.output())

    def test_by_the_clock(self):
        with Server(arguments=["--scrub-period", "1s"]) as server:
            s3 = endpoint_of(server).boto3()
            s3.create_bucket(Bucket="bucket")
            s3.put_object(Bucket="bucket", Key="key", Body=b"x" * 9_000)
            for _ in range(100):
                if server.metric("fractalbits_blob_scrubs_total") >= 32:
                    break
                time.sleep(0.1)
            self.assertGreaterEqual(server.metric("fractalbits_blob_scrubs_total"), 32)
            self.assertEqual(0, server.metric("fractalbits_blob_scrub_damaged_total"))


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""boto3 as programs use it: the resource interface, transfer manager, waiters, threads, each payload setting."""
import concurrent.futures
import hashlib
import io
import os

from checksums import checksum
from harness import MIB, S3Case


class Boto3(S3Case):
    def test_transfer_manager(self):
        data = os.urandom(30 * MIB + 17)
        self.s3.upload_fileobj(io.BytesIO(data), self.bucket, "big", ExtraArgs={"Metadata": {"k": "v"}, "ContentType": "text/x"})
        head = self.s3.head_object(Bucket=self.bucket, Key="big")
        self.assertEqual(({"k": "v"}, "text/x", len(data)), (head["Metadata"], head["ContentType"], head["ContentLength"]))
        self.assertTrue(head["ETag"].endswith('-4"'), head["ETag"])
        out = io.BytesIO()
        self.s3.download_fileobj(self.bucket, "big", out)
        self.assertTrue(data == out.getvalue())
        self.s3.copy({"Bucket": self.bucket, "Key": "big"}, self.bucket, "copy")
        self.assertTrue(data == self.body("copy"))

    def test_checksum_algorithms(self):
        for algorithm in ("CRC32", "SHA1", "SHA256"):
            with self.subTest(algorithm=algorithm):
                data = os.urandom(100000)
                answer = self.put("a", data, ChecksumAlgorithm=algorithm)
                self.assertEqual(checksum(algorithm.lower(), data), answer[f"Checksum{algorithm}"])
                got = self.s3.get_object(Bucket=self.bucket, Key="a", ChecksumMode="ENABLED")
                self.assertEqual(checksum(algorithm.lower(), data), got[f"Checksum{algorithm}"])
                self.assertEqual(data, got["Body"].read())

    def test_transfer_manager_with_checksums(self):
        data = os.urandom(20 * MIB)
        self.s3.upload_fileobj(io.BytesIO(data), self.bucket, "big", ExtraArgs={"ChecksumAlgorithm": "SHA256"})
        self.assertTrue(data == self.body("big"))

    def test_payload_signing_on_and_off(self):
        for signing in (True, False):
            client = self.endpoint.boto3(s3={"addressing_style": "path", "payload_signing_enabled": signing})
            data = os.urandom(5000)
            client.put_object(Bucket=self.bucket, Key="a", Body=data)
            self.assertEqual(data, self.body("a"))

    def test_many_threads(self):
        def trip(index):
            data = os.urandom(index * 100)
            self.put(f"k{index}", data)
            return hashlib.md5(self.body(f"k{index}")).digest() == hashlib.md5(data).digest()
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            self.assertTrue(all(pool.map(trip, range(300))))
        self.assertEqual(300, len(self.keys()))

    def test_waiters_and_paginators(self):
        self.put("a")
        self.s3.get_waiter("object_exists").wait(Bucket=self.bucket, Key="a", WaiterConfig={"Delay": 1, "MaxAttempts": 2})
        self.s3.get_waiter("bucket_exists").wait(Bucket=self.bucket, WaiterConfig={"Delay": 1, "MaxAttempts": 2})
        self.s3.delete_object(Bucket=self.bucket, Key="a")
        self.s3.get_waiter("object_not_exists").wait(Bucket=self.bucket, Key="a", WaiterConfig={"Delay": 1, "MaxAttempts": 2})

    def test_last_writer_wins_whole(self):
        bodies = [bytes([i]) * (200000 + i) for i in range(16)]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda body: self.put("contended", body), bodies * 4))
        self.assertTrue(self.body("contended") in bodies, "parts of several writes")

    def test_a_reader_sees_one_version(self):
        """While a key is overwritten, each read is one of the bodies, whole."""
        bodies = [bytes([i]) * 300000 for i in range(4)]
        self.put("moving", bodies[0])
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            writes = [pool.submit(self.put, "moving", bodies[i % 4]) for i in range(60)]
            reads = [pool.submit(self.body, "moving") for _ in range(120)]
            for read in reads:
                self.assertTrue(read.result() in bodies, "parts of several writes")
            for write in writes:
                write.result()


class Boto3Tls(Boto3):
    tls = True

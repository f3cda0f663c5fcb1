# SPDX-License-Identifier: Apache-2.0
"""rclone: sync both ways with checksums, multipart, server-side copies."""
import os

import harness
import trees
from harness import S3Case


class Rclone(S3Case):
    def setUp(self):
        super().setUp()
        self.home = self.folder()
        self.config = os.path.join(self.home, "rclone.conf")
        with open(self.config, "w") as file:
            file.write(f"""[fb]
type = s3
provider = Other
access_key_id = {harness.ACCESS_KEY}
secret_access_key = {harness.SECRET_KEY}
endpoint = {self.endpoint.url}
region = us-east-1
force_path_style = true
""")

    def rclone(self, *arguments, **options):
        ca = ["--ca-cert", self.endpoint.ca] if self.endpoint.ca else []
        environment = {"PATH": os.environ["PATH"], "HOME": self.home, "LANG": "C.UTF-8"}
        return harness.run(["rclone", "--config", self.config, *ca, "--retries", "1", "--low-level-retries", "1", *arguments],
                           env=environment, **options)

    def round_trip(self, source, remote):
        self.rclone("sync", source, remote, timeout=1800)
        self.rclone("check", source, remote, timeout=1800)
        back = os.path.join(self.home, "back")
        self.rclone("sync", remote, back, timeout=1800)
        harness.diff_trees(source, back)

    def test_sync_of_a_real_tree(self):
        source = os.path.join(self.home, "source")
        print(f"{trees.copy_real_tree(source)} files of {trees.REAL_TREE}", flush=True)
        self.round_trip(source, f"fb:{self.bucket}/tree")

    def test_sync_of_sizes_and_names(self):
        self.round_trip(trees.make_tree(os.path.join(self.home, "source")), f"fb:{self.bucket}/tree")

    def test_multipart(self):
        source = os.path.join(self.home, "big")
        trees.write_random(source, 33 << 20, 1)
        self.rclone("copyto", "--s3-upload-cutoff", "8M", "--s3-chunk-size", "5M", source, f"fb:{self.bucket}/big")
        self.assertTrue(self.s3.head_object(Bucket=self.bucket, Key="big")["ETag"].endswith('-7"'))
        self.rclone("copyto", f"fb:{self.bucket}/big", os.path.join(self.home, "back"))
        harness.run(["cmp", source, os.path.join(self.home, "back")])

    def test_server_side_copy_and_move(self):
        self.put("d/a", b"data")
        self.rclone("copy", f"fb:{self.bucket}/d", f"fb:{self.bucket}/e")
        self.rclone("move", f"fb:{self.bucket}/d", f"fb:{self.bucket}/f")
        self.assertEqual(["e/a", "f/a"], self.keys())

    def test_listing_and_purge(self):
        for i in range(30):
            self.put(f"d{i % 3}/f{i}", b"x")
        self.assertEqual(30, len(self.rclone("lsf", "-R", "--files-only", f"fb:{self.bucket}").stdout.split()))
        self.assertEqual(b"d0/\nd1/\nd2/\n", self.rclone("lsf", f"fb:{self.bucket}").stdout)
        self.rclone("purge", f"fb:{self.bucket}")
        with self.refused("404", 404):
            self.s3.head_bucket(Bucket=self.bucket)

    def test_streams(self):
        self.rclone("rcat", f"fb:{self.bucket}/stream", input=b"from a pipe" * 1000)
        self.assertEqual(b"from a pipe" * 1000, self.rclone("cat", f"fb:{self.bucket}/stream").stdout)


class RcloneTls(Rclone):
    tls = True

    def test_sync_of_a_real_tree(self):
        self.skipTest("once is enough: done over plain HTTP")

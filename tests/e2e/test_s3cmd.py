# SPDX-License-Identifier: Apache-2.0
"""s3cmd, path style."""
import os

import harness
import trees
from harness import S3Case


class S3cmd(S3Case):
    def setUp(self):
        super().setUp()
        self.home = self.folder()
        self.config = os.path.join(self.home, "s3cfg")
        with open(self.config, "w") as file:
            file.write(f"""[default]
access_key = {harness.ACCESS_KEY}
secret_key = {harness.SECRET_KEY}
host_base = {self.endpoint.netloc}
host_bucket = {self.endpoint.netloc}
bucket_location = us-east-1
use_https = {self.tls}
ca_certs_file = {self.endpoint.ca or ''}
signature_v2 = False
guess_mime_type = False
""")

    def s3cmd(self, *arguments, **options):
        return harness.run(["s3cmd", "-c", self.config, "--no-progress", *arguments], env=harness.client_environment(self.home), **options)

    def test_buckets(self):
        name = f"{self.bucket}-s3cmd"
        self.s3cmd("mb", f"s3://{name}")
        self.assertIn(name.encode(), self.s3cmd("ls").stdout)
        self.s3cmd("rb", f"s3://{name}")

    def test_sync_both_ways(self):
        source = trees.make_tree(os.path.join(self.home, "source"), sizes=("0B", "1B", "5MiB", "100MiB"))
        self.s3cmd("sync", source + "/", f"s3://{self.bucket}/tree/")
        back = os.path.join(self.home, "back")
        os.mkdir(back)
        self.s3cmd("sync", f"s3://{self.bucket}/tree/", back + "/")
        harness.diff_trees(source, back)
        again = self.s3cmd("sync", source + "/", f"s3://{self.bucket}/tree/").stdout
        self.assertNotIn(b"upload:", again, "MD5s agree, so nothing is sent again")

    def test_copy_move_info_delete(self):
        self.put("a", b"data")
        self.s3cmd("cp", f"s3://{self.bucket}/a", f"s3://{self.bucket}/b")
        self.s3cmd("mv", f"s3://{self.bucket}/b", f"s3://{self.bucket}/c")
        self.assertEqual(["a", "c"], self.keys())
        self.s3cmd("del", "--recursive", "--force", f"s3://{self.bucket}/")
        self.assertEqual([], self.keys())

    def test_multipart_copies(self):
        source = os.path.join(self.home, "big")
        trees.write_random(source, 40 << 20, 1)
        self.s3cmd("put", "--multipart-chunk-size-mb=6", source, f"s3://{self.bucket}/big")
        back = os.path.join(self.home, "back")
        self.s3cmd("get", f"s3://{self.bucket}/big", back)
        harness.run(["cmp", source, back])


class S3cmdTls(S3cmd):
    tls = True

# SPDX-License-Identifier: Apache-2.0
"""restic (minio-go: streaming signatures): init, backup, check --read-data, restore, forget and prune."""
import os

import harness
import trees
from harness import S3Case


class Restic(S3Case):
    def setUp(self):
        super().setUp()
        self.home = self.folder()

    def restic(self, *arguments):
        ca = ["--cacert", self.endpoint.ca] if self.endpoint.ca else []
        env = harness.client_environment(self.home, RESTIC_PASSWORD="correct horse", RESTIC_REPOSITORY=f"s3:{self.endpoint.url}/{self.bucket}/repo")
        return harness.run(["restic", *ca, "--no-cache", *arguments], env=env, timeout=1200)

    def test_backup_and_restore(self):
        source = trees.make_tree(os.path.join(self.home, "source"))
        self.restic("init")
        self.restic("backup", source)
        trees.write_random(os.path.join(source, "added"), 3 << 20, 99)
        self.restic("backup", source)
        self.restic("check", "--read-data")
        back = os.path.join(self.home, "back")
        self.restic("restore", "latest", "--target", back)
        harness.diff_trees(source, back + source)
        self.restic("forget", "--keep-last", "1", "--prune")
        self.restic("check", "--read-data")


class ResticTls(Restic):
    tls = True

# SPDX-License-Identifier: Apache-2.0
"""s3fs, where the machine has FUSE: a mounted bucket takes a tree and gives it back."""
import os
import subprocess
import time

import harness
import trees
from harness import S3Case


class S3fs(S3Case):
    def setUp(self):
        super().setUp()
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            self.skipTest("no /dev/fuse here")
        self.home, self.mount = self.folder(), self.folder()
        password = os.path.join(self.home, "passwd")
        with open(os.open(password, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(f"{harness.ACCESS_KEY}:{harness.SECRET_KEY}")
        options = f"passwd_file={password},url={self.endpoint.url},use_path_request_style,sigv4"
        log = open(os.path.join(self.home, "log"), "wb")  # noqa: SIM115 - lives as long as the mount
        self.addCleanup(log.close)
        process = subprocess.Popen(["s3fs", "-f", self.bucket, self.mount, "-o", options], stdout=log, stderr=log,
                                   env={"PATH": os.environ["PATH"], "HOME": self.home})
        self.addCleanup(self.unmount, process)
        deadline = time.monotonic() + 15
        while not os.path.ismount(self.mount):
            with open(log.name, errors="replace") as said:
                text = said.read()
            if process.poll() is not None and ("fuse: device not found" in text or "Operation not permitted" in text):
                self.skipTest(f"mounting is not allowed here: {text.strip()[-200:]}")
            self.assertIsNone(process.poll(), text)
            self.assertLess(time.monotonic(), deadline, "the bucket is not mounted")
            time.sleep(0.1)

    def unmount(self, process):
        subprocess.run(["umount", "-l", self.mount], capture_output=True)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()

    def test_a_tree_goes_in_and_comes_back(self):
        source = trees.make_tree(os.path.join(self.home, "source"), sizes=("0B", "1B", "5MiB"))
        target = os.path.join(self.mount, "tree")
        harness.run(["cp", "-r", source, target])
        harness.diff_trees(source, target)
        os.rename(os.path.join(target, "size-1B"), os.path.join(target, "renamed"))
        self.assertEqual(1, os.path.getsize(os.path.join(target, "renamed")))
        harness.run(["rm", "-r", target])
        self.assertEqual([], [key for key in self.keys() if key.startswith("tree/")])

# SPDX-License-Identifier: Apache-2.0
"""kill -9 does not notice a missing flush, for the page cache survives it: here the device's own count is asked."""
import os
import unittest

import harness
from disks import mount_disk
from harness import Server, needs_own_server

PUTS = 100
DISK_MIB = 2048
FLUSHES_FIELD = 15  # of /sys/dev/block/M:m/stat, from 0: flush requests completed


def read(path):
    with open(path) as file:
        return file.read().split()


@needs_own_server
class Durability(unittest.TestCase):
    def test_the_device_sees_a_flush_for_durable_puts(self):
        # A disk that nobody else flushes, where mounting is allowed.
        data_dir = os.path.join(mount_disk(self, DISK_MIB), "data") if os.geteuid() == 0 else None
        with Server(data_dir=data_dir) as server:
            number = os.stat(server.data_dir).st_dev
            device = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
            disk = device if os.path.exists(f"{device}/queue") else f"{device}/.."
            if not os.path.exists(f"{device}/stat") or len(read(f"{device}/stat")) <= FLUSHES_FIELD:
                self.skipTest("the data directory's file system has no block device that counts flushes")
            if read(f"{disk}/queue/write_cache") != ["write", "back"]:
                self.skipTest("the device has no volatile cache, so the kernel sends it no flushes")
            if read(f"{disk}/queue/fua") == ["1"]:
                self.skipTest("the device takes FUA writes, which are not counted as flushes")
            client = harness.boto3_client(server.endpoint)
            client.create_bucket(Bucket="durable")
            before = int(read(f"{disk}/stat")[FLUSHES_FIELD])
            for i in range(PUTS):
                client.put_object(Bucket="durable", Key=f"k{i}", Body=b"x" * 4096)
            flushes = int(read(f"{disk}/stat")[FLUSHES_FIELD]) - before
        print(f"{flushes} flushes of the device for {PUTS} sequential puts", flush=True)
        self.assertGreaterEqual(flushes, PUTS)

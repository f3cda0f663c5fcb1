# SPDX-License-Identifier: Apache-2.0
"""A full disk: puts are refused with 507, reads and deletes go on, and space that is freed is used again."""
import os
import time
import unittest

import harness
import raw as http
from disks import mount_disk
from harness import MIB, Server, needs_own_server, needs_root

DISK_MIB = int(os.environ.get("FB_E2E_DISK_MIB", "1024"))
RECOVERY_SECONDS_MAX = 60
SHARE_STORED_MIN = 0.4  # segments of a small disk are small: three objects of 1 MiB in 4 MiB, and three a shard are a reserve


@needs_own_server
@needs_root
class FullDisk(unittest.TestCase):
    def fill(self, raw, prefix, size, limit=100000):
        """Puts until one is refused; answers the bodies stored and the refusal."""
        stored = {}
        with raw.connect(timeout=120) as connection:
            for i in range(limit):
                data = os.urandom(16) * (size // 16)
                connection.send(raw.build("PUT", f"/full/{prefix}{i:06}", body=data))
                answer = connection.response("PUT")
                if answer.status != 200:
                    return stored, answer
                stored[f"{prefix}{i:06}"] = data
        self.fail("the disk does not fill")

    def test_full(self):
        disk = mount_disk(self, DISK_MIB)
        with Server(data_dir=os.path.join(disk, "data")) as server:
            raw = http.Requester(harness.endpoint_of(server))
            self.assertEqual(200, raw("PUT", "/full").status)
            stored = {}
            for size in (MIB, MIB // 4, MIB // 64, 4096):  # each fits into what the one before has left
                more, answer = self.fill(raw, f"size-{size:07}-", size)
                self.assertEqual((507, "InsufficientStorage"), (answer.status, answer.code))
                stored |= more
            print(f"full after {len(stored)} objects of {sum(map(len, stored.values())) // MIB} MiB", flush=True)
            # One connection is served by one core: the other cores' shards take what its own cannot.
            self.assertGreater(sum(map(len, stored.values())), DISK_MIB * MIB * SHARE_STORED_MIN)
            self.verify(raw, stored)
            self.assertEqual(len(stored), self.count(server))

            server.stop()
            server.start()  # a full disk does not keep a server from starting
            self.verify(raw, stored)

            victims = sorted(stored)[::2]
            for key in victims:
                self.assertEqual(204, raw("DELETE", f"/full/{key}").status)
                del stored[key]
            self.verify(raw, stored)
            self.wait_for_room(raw)
            self.verify(raw, stored)

    def verify(self, raw, stored):
        with raw.connect(timeout=60) as connection:
            for key, data in stored.items():
                connection.send(raw.build("GET", f"/full/{key}"))
                answer = connection.response()
                self.assertEqual(200, answer.status, answer)
                self.assertTrue(data == answer.body, key)

    def count(self, server):
        client = harness.boto3_client(server.endpoint)
        return sum(page["KeyCount"] for page in client.get_paginator("list_objects_v2").paginate(Bucket="full"))

    def wait_for_room(self, raw):
        deadline = time.monotonic() + RECOVERY_SECONDS_MAX
        while (answer := raw("PUT", "/full/again", body=bytes(MIB))).status == 507:
            self.assertLess(time.monotonic(), deadline, "half of the objects are deleted and there is still no room")
            time.sleep(0.5)
        self.assertEqual(200, answer.status)

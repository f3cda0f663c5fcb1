# SPDX-License-Identifier: Apache-2.0
"""A store on a device: a file always, a loop device where the machine gives one."""
import json
import os
import random
import shutil
import subprocess
import tempfile
import unittest

import harness
import test_crash
from harness import SLOW, Server, endpoint_of, needs_own_server, needs_root

SIZE = 1 << 30


def fractalbits(*arguments):
    done = subprocess.run([harness.BINARY, *arguments], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


class DeviceCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="device-", dir=harness.scratch_folder())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.device = os.path.join(self.folder, "device")

    def format(self, *arguments, device=None):
        status, out, said = fractalbits("format", "--device", device or self.device, *arguments)
        self.assertEqual(0, status, said)
        return out

    def server(self, *arguments, device=None, **options):
        return Server(arguments=["--device", device or self.device, *arguments], **options)

    def refused(self, server):
        """How a start ends that must not succeed."""
        server.start(wait=False)
        # A device in use is waited for as long as a killed process may have writes in flight: a minute.
        self.assertEqual(1, server.wait_exit(120), server.output())
        return server.output()


@needs_own_server
class Format(DeviceCase):
    def test_what_is_found_is_left_alone(self):
        status, _, said = fractalbits("format", "--device", self.device)
        self.assertEqual(1, status)
        self.assertIn("--size makes a file", said)
        self.assertEqual(1, fractalbits("format", "--device", self.device, "--size", "1MiB")[0])
        self.assertFalse(os.path.exists(self.device))
        out = self.format("--size", "1GiB")
        self.assertIn("a file of 1.0 GiB", out)
        self.assertIn(f"fractalbits server --device {self.device}", out)
        self.assertEqual(SIZE, os.path.getsize(self.device))
        status, _, said = fractalbits("format", "--device", self.device)
        self.assertEqual(1, status)
        self.assertIn("it holds a device of FractalBits; --force destroys that", said)
        self.format("--force", "--no-zero")
        with open(self.device, "r+b") as file:
            file.truncate(0)
            file.truncate(SIZE)
            file.seek(1080)
            file.write(b"\x53\xef")
        status, _, said = fractalbits("format", "--device", self.device)
        self.assertEqual(1, status)
        self.assertIn("a file system (ext2, ext3 or ext4)", said)
        self.assertEqual(2, fractalbits("format")[0])
        self.assertEqual(1, fractalbits("format", "--device", self.folder)[0])

    def test_a_device_in_use_is_refused(self):
        self.format("--size", "1GiB", "--no-zero")
        with self.server():
            status, _, said = fractalbits("format", "--device", self.device, "--force")
            self.assertEqual(1, status)
            self.assertIn("in use by another process", said)
            self.assertIn("in use by another process", self.refused(self.server()))


@needs_own_server
class OnDevice(DeviceCase):
    def test_first_steps_and_tools(self):
        server = self.server()
        self.assertIn("cannot be used as a device", self.refused(server))
        with open(self.device, "wb") as file:
            file.truncate(SIZE)
        self.assertIn(f"run `fractalbits format --device {self.device}` first", self.refused(server))
        self.format()
        bodies = {f"dir-{i % 3}/key-{i}": random.Random(i).randbytes(i * 9000 + 1) for i in range(60)}
        with server:
            s3 = endpoint_of(server).boto3()
            s3.create_bucket(Bucket="bucket")
            for key, body in bodies.items():
                s3.put_object(Bucket="bucket", Key=key, Body=body)
            self.assertGreater(server.metric("fractalbits_device_tables_total"), 0)
            self.assertLess(server.metric("fractalbits_disk_bytes"), SIZE)
            self.assertIn(f"device        {self.device}", server.output())
        # The data directory has nothing but what belongs to it.
        self.assertEqual({"STORE", "LOCK", "DEVICE"}, set(os.listdir(server.data_dir)) - {"credentials"})
        with server:
            s3 = endpoint_of(server).boto3()
            for key, body in bodies.items():
                self.assertEqual(body, s3.get_object(Bucket="bucket", Key=key)["Body"].read(), key)
        place = ("--data-dir", server.data_dir, "--device", self.device)
        status, out, said = fractalbits("df", "--json", *place)
        self.assertEqual(0, status, said)
        usage = json.loads(out)
        self.assertEqual(60, usage["blob_live_blobs"])
        self.assertLess(usage["disk_bytes"], SIZE)
        status, out, said = fractalbits("fsck", *place)
        self.assertEqual(0, status, out + said)
        self.assertIn("sound: ", out)
        segments = 0
        for shard in range(16):
            status, out, _ = fractalbits("dump-segment", "--device", self.device, f"blobs/shard-{shard:04}/segment-00000000")
            self.assertIn(status, (0, 1))
            segments += status == 0 and "intact: " in out
        self.assertGreater(segments, 0)

    def test_store_and_device_belong_together(self):
        self.format("--size", "1GiB", "--no-zero")
        with self.server() as server:
            endpoint_of(server).boto3().create_bucket(Bucket="bucket")
        self.assertIn(f"give it with --device {self.device}", self.refused(Server(data_dir=server.data_dir)))
        self.assertIn("holds another store", self.refused(self.server()))
        other = self.device + "-2"
        self.format("--size", "1GiB", "--no-zero", device=other)
        self.assertIn("is not the device", self.refused(self.server(device=other, data_dir=server.data_dir)))
        with Server() as plain:
            pass
        self.assertIn("start it without --device", self.refused(self.server(device=other, data_dir=plain.data_dir)))

    def test_what_is_damaged_twice_is_made_good_or_refused(self):
        self.format("--size", "1GiB", "--no-zero")
        with self.server() as server:
            endpoint_of(server).boto3().create_bucket(Bucket="bucket")
        table = 64 << 10
        with open(self.device, "r+b") as file:
            for offset in (0, table):
                file.seek(offset)
                file.write(os.urandom(4096))
        with server:
            self.assertIn("a copy of the superblock is damaged", server.output())
            self.assertIn("a copy of the table is damaged", server.output())
            self.assertEqual("bucket", endpoint_of(server).boto3().list_buckets()["Buckets"][0]["Name"])
        with open(self.device, "r+b") as file:
            for offset in (0, SIZE - 4096):
                file.seek(offset)
                file.write(os.urandom(4096))
        self.assertIn("not formatted", self.refused(server))


@needs_own_server
class KillOnDevice(test_crash.Crash):
    """kill -9 under load, with everything on a device."""
    rounds = 200 if SLOW else 6

    def make_server(self):
        device = os.path.join(tempfile.mkdtemp(prefix="device-", dir=harness.scratch_folder()), "device")
        self.addCleanup(os.remove, device)
        # Two or three uploads a round stay unfinished, of 5 MiB each.
        status, _, said = fractalbits("format", "--device", device, "--size", str((8 if SLOW else 2) * SIZE), "--no-zero")
        self.assertEqual(0, status, said)
        return Server(arguments=["--device", device])


@needs_own_server
@needs_root
class OnLoopDevice(DeviceCase):
    def setUp(self):
        super().setUp()
        with open(self.device, "wb") as file:
            file.truncate(SIZE)
        done = subprocess.run(["losetup", "--find", "--show", self.device], capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f"no loop device here: {done.stderr.strip()}")
        self.loop = done.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", self.loop])

    def test_a_block_device(self):
        self.assertIn("a block device of 1.0 GiB", self.format(device=self.loop))
        server = self.server("--durability", "plp", device=self.loop)
        bodies = {f"key-{i}": os.urandom(i * 3000 + 1) for i in range(40)}
        with server:
            s3 = endpoint_of(server).boto3()
            s3.create_bucket(Bucket="bucket")
            for key, body in bodies.items():
                s3.put_object(Bucket="bucket", Key=key, Body=body)
            status, _, said = fractalbits("format", "--device", self.loop, "--force")
            self.assertEqual(1, status)
            self.assertIn("it is mounted, or in use by another process", said)
            self.assertIn("mounted, or in use by another process", self.refused(self.server(device=self.loop)))
            server.kill()
        with server:
            s3 = endpoint_of(server).boto3()
            for key, body in bodies.items():
                self.assertEqual(body, s3.get_object(Bucket="bucket", Key=key)["Body"].read(), key)

    def test_a_mounted_one_is_refused(self):
        if subprocess.run(["mkfs.ext4", "-q", "-F", self.loop], capture_output=True).returncode != 0:
            self.skipTest("no mkfs.ext4 here")
        status, _, said = fractalbits("format", "--device", self.loop)
        self.assertEqual(1, status)
        self.assertIn("a file system (ext2, ext3 or ext4)", said)
        place = os.path.join(self.folder, "mount")
        os.mkdir(place)
        if subprocess.run(["mount", self.loop, place], capture_output=True).returncode != 0:
            self.skipTest("no mounting here")
        self.addCleanup(subprocess.run, ["umount", "-l", place])
        status, _, said = fractalbits("format", "--device", self.loop, "--force")
        self.assertEqual(1, status)
        self.assertIn("it is mounted", said)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""`fractalbits mv`."""
import os
import subprocess

import harness
from harness import S3Case


class Mv(S3Case):
    def setUp(self):
        super().setUp()
        self.home = self.folder()
        self.credentials = {"AWS_ACCESS_KEY_ID": harness.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": harness.SECRET_KEY}

    def mv(self, source, destination, *flags, **environment):
        ca = {"AWS_CA_BUNDLE": self.endpoint.ca} if self.endpoint.ca else {}
        env = {"HOME": self.home, "AWS_ENDPOINT_URL": self.endpoint.url, **ca, **self.credentials, **environment}
        command = [harness.BINARY, "mv", f"s3://{self.bucket}/{source}", f"s3://{self.bucket}/{destination}", *flags]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def test_objects(self):
        self.put("from", b"new")
        self.put("a b+ü%41", b"odd")
        self.assertEqual((0, f"renamed s3://{self.bucket}/from to s3://{self.bucket}/to\n", ""), self.mv("from", "to"))
        self.assertEqual((0, "", ""), self.mv("a b+ü%41", "x/ö +%", "--quiet"))
        self.assertEqual((b"new", b"odd"), (self.body("to"), self.body("x/ö +%")))
        status, _, said = self.mv("x/ö +%", "to", "--no-clobber")
        self.assertEqual((4, f"fractalbits: s3://{self.bucket}/to exists; leave out --no-clobber to replace it\n"), (status, said))
        self.assertEqual(0, self.mv("x/ö +%", "to")[0])
        self.assertEqual((["to"], b"odd"), (self.keys(), self.body("to")))

    def test_directories(self):
        for key in ("job/_temporary/part-0", "job/_temporary/sub/part-1", "table/old"):
            self.put(key, key.encode())
        self.assertEqual(0, self.mv("job/_temporary/", "job/done/")[0])
        self.assertEqual(["job/done/part-0", "job/done/sub/part-1", "table/old"], self.keys())
        self.assertEqual((3, "", f"fractalbits: there is nothing under s3://{self.bucket}/job/_temporary/\n"),
                         self.mv("job/_temporary/", "job/done/"))
        status, _, said = self.mv("job/done/", "table/")
        self.assertEqual(4, status)
        self.assertIn("something lies under", said)

    def test_credentials_from_files(self):
        self.put("from", b"new")
        os.mkdir(os.path.join(self.home, ".aws"))
        with open(os.path.join(self.home, ".aws", "credentials"), "w") as file:
            file.write(f"[test]\naws_access_key_id = {harness.ACCESS_KEY}\naws_secret_access_key = {harness.SECRET_KEY}\n")
        with open(os.path.join(self.home, ".aws", "config"), "w") as file:
            file.write(f"[profile test]\nendpoint_url = {self.endpoint.url}\n")
        self.credentials = {}
        self.assertEqual(0, self.mv("from", "to", "--profile", "test", AWS_ENDPOINT_URL="")[0])
        self.assertEqual(0, self.mv("to", "from", AWS_PROFILE="test", AWS_ENDPOINT_URL="")[0])

    def test_what_goes_wrong_is_said_in_a_line(self):
        for environment, arguments, status, words in (
                ({}, ("none", "to/"), 2, "end both names with '/'"),
                ({"AWS_SECRET_ACCESS_KEY": "wrong"}, ("none", "to"), 1, "SignatureDoesNotMatch"),
                ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, ("none", "to"), 2, "no credentials"),
                ({"AWS_ENDPOINT_URL": "nowhere"}, ("none", "to"), 2, "http://HOST:PORT"),
                ({"AWS_ENDPOINT_URL": "http://nowhere.invalid"}, ("none", "to"), 1, "cannot find the host"),
                ({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{harness.free_port()}"}, ("none", "to"), 1, "is the server running there?"),
                ({"AWS_PROFILE": "none"}, ("none", "to"), 2, "no profile 'none'")):
            with self.subTest(words=words):
                code, out, said = self.mv(*arguments, **environment)
                self.assertEqual((status, ""), (code, out), said)
                self.assertTrue(said.startswith("fractalbits: ") and said.count("\n") == 1, said)
                self.assertIn(words, said)

    def test_help(self):
        done = subprocess.run([harness.BINARY, "mv", "--help"], capture_output=True, text=True, timeout=60)
        self.assertEqual(0, done.returncode)
        self.assertIn("exit status", done.stdout)
        done = subprocess.run([harness.BINARY, "mv", "s3://b/only-one"], capture_output=True, text=True, timeout=60)
        self.assertEqual(2, done.returncode)
        self.assertIn("fractalbits mv --help", done.stderr)


class MvTls(Mv):
    tls = True

    def test_an_authority_that_is_not_trusted(self):
        code, _, said = self.mv("from", "to", AWS_CA_BUNDLE=harness.certificate("second")[0])
        self.assertEqual(1, code)
        self.assertIn("no TLS with https://", said)
        code, _, said = self.mv("from", "to", AWS_CA_BUNDLE="/nonexistent")
        self.assertEqual(1, code)
        self.assertIn("/nonexistent", said)

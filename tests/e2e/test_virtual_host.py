# SPDX-License-Identifier: Apache-2.0
"""Virtual-host style addresses with --domain, beside path style."""
import os
import time
import unittest

import harness
import raw as http
from harness import Server, needs_own_server

DOMAIN = "s3.fractalbits.test"


@needs_own_server
class VirtualHost(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(arguments=["--domain", DOMAIN]).start()
        cls.raw = http.Requester(harness.endpoint_of(cls.server))
        for bucket in ("bucket-one", "with.dots.here"):
            assert cls.raw("PUT", f"/{bucket}").status == 200

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_objects(self):
        for bucket in ("bucket-one", "with.dots.here"):
            for suffix in ("", f":{self.server.port}"):
                host, data = f"{bucket}.{DOMAIN}{suffix}", os.urandom(10)
                self.assertEqual(200, self.raw("PUT", "/key/with/slashes", host=host, body=data).status)
                self.assertEqual(data, self.raw("GET", "/key/with/slashes", host=host).body)
                self.assertEqual(data, self.raw("GET", f"/{bucket}/key/with/slashes").body)
                self.assertEqual("key/with/slashes", self.raw("GET", "/", query=[("list-type", "2")], host=host).xml.findtext("Contents/Key"))

    def test_hosts_in_capitals(self):
        self.assertEqual(200, self.raw("GET", "/", host=f"bucket-one.{DOMAIN.upper()}").status)

    def test_create_and_delete(self):
        host = f"bucket-new.{DOMAIN}"
        self.assertEqual(200, self.raw("PUT", "/", host=host).status)
        self.assertEqual(204, self.raw("DELETE", "/", host=host).status)

    def test_the_domain_itself_is_path_style(self):
        self.assertEqual("ListAllMyBucketsResult", self.raw("GET", "/", host=DOMAIN).xml.tag)
        self.assertEqual(200, self.raw("GET", "/bucket-one", host=DOMAIN).status)

    def test_other_hosts_are_path_style(self):
        self.assertEqual(200, self.raw("GET", "/bucket-one", host="elsewhere.example").status)

    def test_version_2_signs_the_bucket(self):
        expires = int(time.time()) + 60
        self.raw("PUT", "/bucket-one/k", body=b"one")
        query = self.raw.signer.presign_v2("GET", "/bucket-one/k", expires)
        for target, host, status in (("/k", f"bucket-one.{DOMAIN}", 200), ("/bucket-one/k", DOMAIN, 200), ("/k", DOMAIN, 403),
                                     ("/k", f"with.dots.here.{DOMAIN}", 403), ("/bucket-one/k", f"with.dots.here.{DOMAIN}", 403)):
            answer = self.raw.exchange(http.render("GET", f"{target}?{query}", {"host": host}))
            self.assertEqual(status, answer.status, (target, host))

    def test_hosts_that_are_no_buckets(self):
        self.assertEqual(404, self.raw("GET", "/", host=f"missing-bucket.{DOMAIN}").status)
        self.assertIn(self.raw("GET", "/", host=f"Bad_Name.{DOMAIN}").status, (400, 404))


@needs_own_server
class BehindAProxy(unittest.TestCase):
    """--external-url with --domain: the name that a request is signed for is the name that chooses its bucket."""

    def test_an_url_is_good_for_its_bucket_only(self):
        for external in ("http://s3.example.com", "https://s3.example.com:8443/"):
            with Server(arguments=["--external-url", external, "--domain", DOMAIN]) as server:
                raw = http.Requester(harness.endpoint_of(server))
                for bucket in ("abc", "victim"):
                    self.assertEqual(200, raw("PUT", f"/{bucket}").status)
                raw("PUT", "/abc/k", body=b"public")
                raw("PUT", "/victim/abc/k", body=b"secret")
                name = external.split("//")[1].rstrip("/")
                for signed in (name, name.split(":")[0]):
                    for method, body in (("GET", b""), ("PUT", b"evil"), ("DELETE", b"")):
                        target = "/abc/k" if method == "GET" else "/abc/other"
                        query = raw.signer.presign(method, target, [], {"host": signed}, 60)
                        for sent in (f"127.0.0.1:{server.port}", f"victim.{DOMAIN}", f"victim.{DOMAIN}:80", "elsewhere.example"):
                            headers = {"host": sent, "x-forwarded-host": f"victim.{DOMAIN}", "content-length": str(len(body))}
                            answer = raw.exchange(http.render(method, f"{target}?{query}", headers, body), method)
                            self.assertLess(answer.status, 300)
                            if method == "GET":
                                self.assertEqual(b"public", answer.body)
                keys = raw("GET", "/victim", query=[("list-type", "2")]).xml.findall("Contents/Key")
                self.assertEqual(["abc/k"], [key.text for key in keys])

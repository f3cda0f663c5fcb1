# SPDX-License-Identifier: Apache-2.0
"""Virtual-host style addresses with --domain, beside path style."""
import os
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

    def test_hosts_that_are_no_buckets(self):
        self.assertEqual(404, self.raw("GET", "/", host=f"missing-bucket.{DOMAIN}").status)
        self.assertIn(self.raw("GET", "/", host=f"Bad_Name.{DOMAIN}").status, (400, 404))

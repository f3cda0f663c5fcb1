# SPDX-License-Identifier: Apache-2.0
"""The management port: health, readiness, metrics; nothing there changes anything without credentials."""
import datetime
import unittest

import harness
from harness import Server, needs_own_server
import raw as http


@needs_own_server
class Management(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(arguments=["--access-log"]).start()
        cls.s3 = harness.boto3_client(cls.server.endpoint)
        cls.s3.create_bucket(Bucket="bucket-one")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_health_and_ready(self):
        for path in ("/health", "/ready"):
            self.assertEqual(200, self.server.management(path).status)
        self.assertEqual(404, self.server.management("/other").status)

    def test_metrics_are_prometheus(self):
        answer = self.server.management("/metrics")
        self.assertEqual(200, answer.status)
        self.assertIn("text/plain", answer.getheader("content-type"))
        described = {line.split()[2] for line in answer.text.split("\n") if line.startswith("# TYPE ")}
        for line in filter(None, answer.text.split("\n")):
            if not line.startswith("#"):
                self.assertRegex(line, r"^[a-z_][a-z0-9_]*(\{[^}]*\})? [-+0-9.eE]+(nan|inf)?$")
                name = line.split("{")[0].split(" ")[0]
                self.assertTrue(any(name.startswith(base) for base in described), f"{name} has no TYPE")

    def test_counters_move(self):
        before = {name: self.server.metric(name) for name in ("fractalbits_http_requests_total", "fractalbits_io_enters_total")}
        for i in range(10):
            self.s3.put_object(Bucket="bucket-one", Key=f"k{i}", Body=b"x")
        for name, value in before.items():
            self.assertGreater(self.server.metric(name), value)
        self.assertGreaterEqual(self.server.metric("fractalbits_http_requests_total"), before["fractalbits_http_requests_total"] + 10)

    def test_measures_of_the_hot_path_exist(self):
        for name in ("fractalbits_allocations_total", "fractalbits_io_enters_total", "fractalbits_bytes_copied_total", "fractalbits_http_requests_total"):
            self.assertGreaterEqual(self.server.metric(name), 0)

    def test_the_durability_in_effect_is_shown(self):
        self.assertIn('durability="strict"', self.server.management("/metrics").text)
        server = Server(arguments=["--durability", "plp"]).start()
        try:
            # On a file system that moves what is written again the server is stricter than it was told to be.
            mode = "strict" if "strict is used" in server.output() else "plp"
            self.assertIn(f'durability="{mode}"', server.management("/metrics").text)
            s3 = harness.boto3_client(server.endpoint)
            s3.create_bucket(Bucket="bucket-plp")
            for i in range(40):
                s3.put_object(Bucket="bucket-plp", Key=f"k{i}", Body=b"x" * 5000 * i)
            server.kill()
            server.start()
            for i in range(40):
                self.assertEqual(b"x" * 5000 * i, s3.get_object(Bucket="bucket-plp", Key=f"k{i}")["Body"].read())
        finally:
            server.stop()

    def test_errors_are_counted_by_code(self):
        http.Requester(harness.endpoint_of(self.server))("GET", "/bucket-one/missing")
        self.assertIn("NoSuchKey", self.server.management("/metrics").text)

    def test_secrets_are_nowhere(self):
        self.assertNotIn(harness.SECRET_KEY, self.server.management("/metrics").text)
        self.assertNotIn(harness.SECRET_KEY, self.server.output())

    def order(self, host, path="/fsck", when=None, presigned=False, replay=0):
        """The status of a POST signed for `host`, after `replay` more of the same bytes were sent."""
        raw = http.Requester(harness.Endpoint(f"http://127.0.0.1:{self.server.management_port}"))
        if presigned:
            query = raw.signer.presign("POST", path, [], {"host": host}, 60)
            request = http.render("POST", f"{path}?{query}", {"host": host, "content-length": "0"})
        else:
            request = raw.build("POST", path, host=host, headers={"x-nonce": harness.uuid.uuid4().hex}, when=when)
        for _ in range(replay):
            raw.exchange(request, "POST")
        return raw.exchange(request, "POST").status

    def test_orders_are_signed_for_this_port_and_count_once(self):
        own = f"127.0.0.1:{self.server.management_port}"
        self.assertEqual((200, 200), (self.order(own), self.order(own)))
        self.assertEqual(200, self.order(f"localhost:{self.server.management_port}"))
        for path in ("/fsck", "/scrub"):
            self.assertEqual(403, self.order(own, path, replay=1))
            self.assertEqual(403, self.order(f"127.0.0.1:{self.server.port}", path), "signed for S3")
            self.assertEqual(403, self.order("127.0.0.1", path), "the same, by a client that leaves the port out")
            self.assertEqual(403, self.order(own, path, presigned=True))
            for seconds in (-400, -14 * 60, 60):
                self.assertEqual(403, self.order(own, path, when=http.sigv4.now() + datetime.timedelta(seconds=seconds)))

    def test_names_of_others(self):
        """A page of another name that resolves to this address reads nothing."""
        for host in ("evil.example", f"evil.example:{self.server.management_port}", "127.0.0.1.evil.example"):
            self.assertEqual(421, self.server.management("/metrics", {"host": host}).status)
            self.assertEqual(421, self.order(host))
            self.assertEqual(200, self.server.management("/health", {"host": host}).status)
        for host in ("localhost", "10.1.2.3:9090", f"[::1]:{self.server.management_port}"):
            self.assertEqual(200, self.server.management("/metrics", {"host": host}).status)
        with Server(arguments=["--mgmt-host", "metrics.example"]) as server:
            self.assertEqual(200, server.management("/metrics", {"host": "metrics.example:80"}).status)
            self.assertEqual(421, server.management("/metrics", {"host": "other.example"}).status)

    def test_the_management_port_serves_no_objects(self):
        for path in ("/bucket-one", "/bucket-one/k0", "/../bucket-one"):
            self.assertIn(self.server.management(path).status, (400, 401, 403, 404))

    def test_the_object_port_serves_no_metrics(self):
        raw = http.Requester(harness.endpoint_of(self.server))
        for path in ("/metrics", "/health", "/ready"):
            self.assertIn(raw.anonymous("GET", path).status, (400, 403, 404))

    def test_the_access_log_is_structured(self):
        raw = http.Requester(harness.endpoint_of(self.server))
        request_id = raw("GET", "/bucket-one/missing").header("x-amz-request-id")
        for _ in range(50):
            if request_id in self.server.output():
                return
            harness.time.sleep(0.1)
        self.fail("the access log does not name the request")

    def line_of(self, text):
        for _ in range(50):
            for line in self.server.output().split("\n"):
                if text in line and "access" in line:
                    return line
            harness.time.sleep(0.1)
        raise AssertionError(f"no line of the access log has {text}")

    def test_refused_requests_have_their_names_in_the_log(self):
        raw = http.Requester(harness.endpoint_of(self.server))
        answer = raw.anonymous("PUT", "/bucket-one/refused%20key", body=b"x")
        line = self.line_of(answer.header("x-amz-request-id"))
        self.assertIn("bucket-one", line)
        self.assertIn("refused key", line)

    def test_a_get_that_its_client_breaks_off_is_no_error(self):
        raw = http.Requester(harness.endpoint_of(self.server))
        self.s3.put_object(Bucket="bucket-one", Key="broken-off", Body=bytes(64 << 20))
        with raw.connect() as connection:
            connection.send(raw.build("GET", "/bucket-one/broken-off"))
            connection._until(b"\r\n\r\n")
        line = self.line_of("ClientDisconnected")
        self.assertIn("broken-off", line)
        self.assertIn("200", line)
        metrics = self.server.management("/metrics").text
        self.assertNotIn('code="IncompleteBody"', metrics)
        self.assertIn("fractalbits_s3_responses_cut_total 1", metrics)

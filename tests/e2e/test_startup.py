# SPDX-License-Identifier: Apache-2.0
"""The process: credentials, start-up refusals, readiness, graceful stop, certificates reloaded."""
import os
import re
import signal
import ssl
import stat
import subprocess
import threading
import time
import unittest

import harness
import raw as http
from harness import MIB, Server, needs_own_server

READY_SECONDS_WARM_MAX = 0.3
IDLE_BYTES_MAX = 100 * MIB


@needs_own_server
class Startup(unittest.TestCase):
    def refused(self, server, *words):
        """The server must end by itself, unsuccessfully, and say why."""
        server.start(wait=False)
        status = server.wait_exit(15)
        self.assertGreater(status, 0, server.output())
        for word in words:
            self.assertIn(word.lower(), server.output().lower())
        return server.output()

    def test_credentials_from_the_environment(self):
        with Server() as server:
            harness.boto3_client(server.endpoint).list_buckets()
            self.assertNotIn(harness.SECRET_KEY, server.output())

    def test_credentials_made_at_the_first_start(self):
        with Server(credentials=False) as server:
            first = server.output()
            files = [os.path.join(folder, name) for folder, _, names in os.walk(server.home) for name in names if "credential" in name]
            self.assertEqual(1, len(files), files)
            self.assertEqual(0o600, stat.S_IMODE(os.stat(files[0]).st_mode))
            with open(files[0]) as file:
                text = file.read()
            access, secret = (re.search(rf'{name}["\s:=]+([^\s"\',]+)', text, re.IGNORECASE)[1] for name in ("access_key", "secret_key"))
            harness.boto3_client(server.endpoint, access_key=access, secret_key=secret).list_buckets()
            server.stop()
            with open(server.log, "w"):
                pass
            server.start()
            harness.boto3_client(server.endpoint, access_key=access, secret_key=secret).list_buckets()
            self.assertNotIn(secret, server.output())
            self.assertIn(os.path.basename(files[0]), server.output())
        self.assertIn(os.path.basename(files[0]), first)

    def test_made_credentials_differ(self):
        texts = set()
        for _ in range(2):
            with Server(credentials=False) as server:
                path = next(os.path.join(folder, name) for folder, _, names in os.walk(server.home) for name in names if "credential" in name)
                with open(path) as file:
                    texts.add(file.read())
        self.assertEqual(2, len(texts))

    def test_half_of_the_credentials_is_refused(self):
        self.refused(Server(credentials=False, environment={"FRACTALBITS_ACCESS_KEY": "only-this"}), "FRACTALBITS_SECRET_KEY")

    def test_buckets_made_at_start(self):
        with Server(environment={"FRACTALBITS_BUCKETS": "first-bucket,second.bucket"}) as server:
            client = harness.boto3_client(server.endpoint)
            self.assertEqual(["first-bucket", "second.bucket"], [bucket["Name"] for bucket in client.list_buckets()["Buckets"]])
            client.put_object(Bucket="first-bucket", Key="a", Body=b"x")
            server.stop()
            server.start()
            self.assertEqual(b"x", client.get_object(Bucket="first-bucket", Key="a")["Body"].read())
        self.refused(Server(environment={"FRACTALBITS_BUCKETS": "Not_A_Bucket"}), "Not_A_Bucket")

    def test_a_port_in_use(self):
        with Server(split=None) as server:
            self.refused(Server(port=server.port, split=None), str(server.port), "in use")

    def test_a_second_process_on_the_same_data(self):
        with Server() as server:
            self.refused(Server(data_dir=server.data_dir), server.data_dir)
            harness.boto3_client(server.endpoint).list_buckets()

    def test_a_data_directory_that_is_not_ours(self):
        server = Server()
        os.makedirs(server.data_dir)
        path = os.path.join(server.data_dir, "thesis.tex")
        with open(path, "w") as file:
            file.write("years of work")
        self.refused(server, server.data_dir)
        self.assertEqual(["thesis.tex"], os.listdir(server.data_dir))
        with open(path) as file:
            self.assertEqual("years of work", file.read())

    def modes(self, folder):
        found = {folder: stat.S_IMODE(os.stat(folder).st_mode)}
        for at, folders, files in os.walk(folder):
            found |= {os.path.join(at, name): stat.S_IMODE(os.lstat(os.path.join(at, name)).st_mode) for name in folders + files}
        return found

    def assert_private(self, folder):
        for path, mode in self.modes(folder).items():
            self.assertEqual(0o700 if os.path.isdir(path) else 0o600, mode, path)

    def test_the_store_is_the_owners_only(self):
        for backend in ("auto", "portable"):
            old = os.umask(0)
            try:
                server = Server(arguments=["--io-backend", backend], credentials=False).start()
            finally:
                os.umask(old)
            with open(os.path.join(server.data_dir, "credentials")) as file:
                access, secret = re.findall(r"^(?:access|secret)_key (\S+)", file.read(), re.MULTILINE)
            client = harness.boto3_client(server.endpoint, access_key=access, secret_key=secret)
            client.create_bucket(Bucket="bucket-one")
            client.put_object(Bucket="bucket-one", Key="k", Body=os.urandom(3 * MIB))
            self.assert_private(server.data_dir)
            server.stop()
            self.assert_private(server.data_dir)

    def test_an_open_store_is_tightened(self):
        with Server() as server:
            harness.boto3_client(server.endpoint).create_bucket(Bucket="bucket-one")
            server.stop()
            for path in self.modes(server.data_dir):
                os.chmod(path, 0o777 if os.path.isdir(path) else 0o666)
            server.start()
            self.assert_private(server.data_dir)
            self.assertEqual(1, server.output().count("were open to others"))
            server.stop()
            server.start()
            self.assertEqual(1, server.output().count("were open to others"))

    def test_planted_links_are_refused(self):
        for name in ("LOCK", "STORE.new", "STORE"):
            server = Server()
            os.makedirs(server.data_dir)
            victim = os.path.join(server.home, "victim")
            with open(victim, "w") as file:
                file.write("precious")
            os.symlink(victim, os.path.join(server.data_dir, name))
            self.refused(server, name, "symbolic link")
            with open(victim) as file:
                self.assertEqual("precious", file.read())

    @harness.needs_root
    def test_a_directory_of_somebody_else_is_refused(self):
        server = Server()
        os.makedirs(server.data_dir)
        os.chown(server.data_dir, 4321, 4321)
        self.refused(server, server.data_dir, "belongs to user 4321")

    def test_credentials_that_others_may_change_are_refused(self):
        for mode in (0o666, 0o644, 0o660):
            server = Server(credentials=False).start()
            server.stop()
            path = os.path.join(server.data_dir, "credentials")
            os.chmod(path, mode)
            self.refused(server, path, f"{mode:04o}", "chmod 600")
            os.chmod(path, 0o600)
            server.start()
            server.stop()

    def test_exposure_is_warned_of(self):
        def listening(address, **options):
            server = Server(split=None, **options)
            server.command[server.command.index("--listen") + 1] = f"{address}:{server.port}"
            with server:
                return server.output()
        warning = "beyond this machine without TLS"
        self.assertIn(warning, listening("0.0.0.0"))
        self.assertNotIn(warning, listening("127.0.0.1"))
        self.assertNotIn(warning, listening("0.0.0.0", tls=True))

    def test_a_data_directory_that_is_a_file(self):
        server = Server()
        with open(server.data_dir, "w"):
            pass
        self.refused(server, server.data_dir)

    def test_flags_that_are_wrong(self):
        for arguments in (["--no-such-flag"], ["--listen", "nonsense"], ["--threads", "-3"], ["--config", "/nonexistent.toml"],
                          ["--tls-cert", "/nonexistent"], ["--domain", "bad domain"]):
            with self.subTest(arguments=arguments):
                self.refused(Server(arguments=arguments))

    def test_help_teaches(self):
        said = harness.run([harness.BINARY, "server", "--help"]).stdout.decode()
        for word in ("--data-dir", "--listen", "--mgmt-listen", "--config", "--threads", "--tls-cert", "--tls-key", "--domain", "--external-url",
                     "FRACTALBITS_ACCESS_KEY", "FRACTALBITS_SECRET_KEY", "FRACTALBITS_BUCKETS", "127.0.0.1:8080", "fractalbits-data"):
            self.assertIn(word, said)
        self.assertIn("server", harness.run([harness.BINARY, "--help"]).stdout.decode())

    def test_a_configuration_file(self):
        server = Server()
        path = os.path.join(server.home, "config.toml")
        with open(path, "w") as file:
            file.write("this is = = not toml")
        server.command += ["--config", path]
        self.refused(server, "config.toml")
        with open(path, "w") as file:
            file.write("unknown_setting = 1\n")
        self.refused(server, "unknown_setting")

    def test_loopback_unless_told(self):
        defaults = harness.run([harness.BINARY, "server", "--print-config"]).stdout.decode()
        self.assertIn('listen = "127.0.0.1:8080"', defaults)
        self.assertIn('mgmt_listen = "127.0.0.1:18080"', defaults)

    def test_ready_quickly_and_small_when_idle(self):
        server = Server()
        with server:
            server.stop()
            times = []
            for _ in range(3):
                server.start()
                times.append(server.ready_seconds)
                time.sleep(0.3)
                resident = server.resident_bytes()
                server.stop()
            server.start()
        print(f"ready after {min(times) * 1000:.0f} ms, {resident / MIB:.0f} MiB resident when idle", flush=True)
        self.assertLess(min(times), READY_SECONDS_WARM_MAX)
        if not harness.SANITIZED:  # a sanitizer keeps notes of all memory
            self.assertLess(resident, IDLE_BYTES_MAX)

    def test_sigterm_lets_requests_finish(self):
        with Server() as server:
            endpoint = harness.endpoint_of(server)
            raw = http.Requester(endpoint)
            self.assertEqual(200, raw("PUT", "/bucket-one").status)
            body = os.urandom(3 * MIB)
            request = raw.build("PUT", "/bucket-one/slow", body=body)
            with raw.connect() as connection:
                connection.send(request[:-MIB])
                time.sleep(0.3)
                server.process.send_signal(signal.SIGTERM)
                time.sleep(0.5)
                with self.assertRaises((ConnectionError, http.Disconnected, OSError)):
                    raw("GET", "/")
                connection.send(request[-MIB:])
                self.assertEqual(200, connection.response("PUT").status)
            self.assertEqual(0, server.wait_exit())
            server.start()
            self.assertTrue(body == raw("GET", "/bucket-one/slow").body)

    def test_idle_connections_do_not_delay_the_stop(self):
        with Server() as server:
            raw = http.Requester(harness.endpoint_of(server))
            connections = [raw.connect() for _ in range(20)]
            start = time.monotonic()
            self.assertEqual(0, server.stop())
            self.assertLess(time.monotonic() - start, 5)
            for connection in connections:
                connection.close()
            server.start()

    def test_sigint_stops_too(self):
        with Server() as server:
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(0, server.wait_exit())
            server.start()

    def test_sighup_reloads_the_certificate(self):
        first, second = harness.certificate("first"), harness.certificate("second")
        with Server(tls=True) as server:
            paths = [os.path.join(server.home, name) for name in ("tls.crt", "tls.key")]
            server.stop()
            command = server.command
            server.command = [paths[0] if part == first[0] else paths[1] if part == first[1] else part for part in command]

            def install(pair):
                for source, path in zip(pair, paths):
                    with open(source) as file, open(path, "w") as out:
                        out.write(file.read())

            def served():
                return ssl.get_server_certificate(("127.0.0.1", server.port)).strip()

            install(first)
            server.start()
            with open(first[0]) as file:
                self.assertEqual(file.read().strip(), served())
            install(second)
            server.process.send_signal(signal.SIGHUP)
            with open(second[0]) as file:
                expected = file.read().strip()
            deadline = time.monotonic() + 5
            while served() != expected and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertEqual(expected, served())
            with open(paths[0], "w") as out:
                out.write("not a certificate")
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            self.assertEqual(expected, served())

    def test_each_number_of_threads(self):
        for threads in (1, 2, 4):
            with self.subTest(threads=threads), Server(arguments=["--threads", str(threads)]) as server:
                client = harness.boto3_client(server.endpoint)
                client.create_bucket(Bucket="bucket-one")
                workers = [threading.Thread(target=lambda i=i: client.put_object(Bucket="bucket-one", Key=f"k{i}", Body=os.urandom(5000)))
                           for i in range(32)]
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()
                self.assertEqual(32, client.list_objects_v2(Bucket="bucket-one")["KeyCount"])

    def test_data_survives_a_change_of_threads(self):
        server = Server(arguments=["--threads", "1"])
        with server:
            client = harness.boto3_client(server.endpoint)
            client.create_bucket(Bucket="bucket-one")
            bodies = {f"k{i}": os.urandom(3000) for i in range(64)}
            for key, body in bodies.items():
                client.put_object(Bucket="bucket-one", Key=key, Body=body)
            for threads in ("3", "2"):
                server.stop()
                server.command[-1] = threads
                server.start()
                for key, body in bodies.items():
                    self.assertEqual(body, client.get_object(Bucket="bucket-one", Key=key)["Body"].read())

    def test_the_binary_without_a_command(self):
        done = subprocess.run([harness.BINARY], capture_output=True, text=True, timeout=10)
        self.assertIn("server", done.stdout + done.stderr)
        self.assertNotEqual(0, subprocess.run([harness.BINARY, "no-such-command"], capture_output=True, timeout=10).returncode)

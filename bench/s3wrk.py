#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Load any S3 endpoint with wrk and presigned requests, and print one JSON line.

    s3wrk.py get|put --endpoint http://127.0.0.1:8080 --access-key K --secret-key S
             [--size 4096] [--objects 10000] [--connections 64] [--seconds 10] [--cpu 1] [--bucket bench]

Every request carries a valid SigV4 presigned URL, so the server authenticates each one; wrk is a load
generator that no store's author wrote. Pin the server with `taskset -c 0` and leave `--cpu 1` to wrk.
`get` first uploads the objects; `put` writes to --objects distinct keys in turn.
wrk cannot measure HEAD (it waits for a body). Needs: wrk (Debian), boto3. Any non-2xx answer is counted in "errors"; a run with errors is no result.
"""
import argparse, concurrent.futures, json, os, re, subprocess, sys, tempfile
from urllib.parse import urlsplit

os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")  # before boto3; older versions ignore it
os.environ.pop("AWS_CA_BUNDLE", None)
import boto3
from botocore.config import Config

LUA = """
local paths, n = {}, 0
for line in io.lines("%(paths)s") do n = n + 1; paths[n] = line end
local body = %(body)s
local i = 0
wrk.headers["Host"] = "%(host)s"
request = function()
  i = i %% n + 1
  return wrk.format("%(method)s", paths[i], nil, body)
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %%d %%d %%d %%.1f %%.1f %%.1f %%.1f\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("op", choices=["get", "put"])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--access-key", required=True)
    parser.add_argument("--secret-key", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--bucket", default="bench")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--objects", type=int, default=10000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--cpu", default="1", help="core(s) for wrk, as taskset takes them")
    parser.add_argument("--skip-upload", action="store_true", help="the objects of a get are already there")
    args = parser.parse_args()

    s3 = boto3.client("s3", endpoint_url=args.endpoint, aws_access_key_id=args.access_key,
                      aws_secret_access_key=args.secret_key, region_name=args.region,
                      config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, max_pool_connections=64))
    try:
        s3.create_bucket(Bucket=args.bucket)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
    keys = [f"dir-{i % 100:03d}/object-{i:08d}.bin" for i in range(args.objects)]
    payload = os.urandom(args.size)  # the same for every put; distinct for every object of a get
    if args.op != "put" and not args.skip_upload:
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda key: s3.put_object(Bucket=args.bucket, Key=key, Body=os.urandom(args.size)), keys))
    method = {"get": "get_object", "put": "put_object"}[args.op]

    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/paths", "w") as out:
            for key in keys:
                url = urlsplit(s3.generate_presigned_url(method, Params={"Bucket": args.bucket, "Key": key}, ExpiresIn=86400))
                out.write(f"{url.path}?{url.query}\n")
        with open(f"{folder}/body", "wb") as out:
            out.write(payload)
        body = f'io.open("{folder}/body", "rb"):read("*a")' if args.op == "put" else "nil"
        with open(f"{folder}/load.lua", "w") as out:
            out.write(LUA % {"paths": f"{folder}/paths", "body": body, "host": urlsplit(args.endpoint).netloc, "method": args.op.upper()})
        command = ["taskset", "-c", args.cpu, "wrk", "-t1", f"-c{args.connections}", f"-d{args.seconds}s", "--timeout", "10s",
                   "-s", f"{folder}/load.lua", args.endpoint]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+)", output)
    if not found:
        sys.exit(f"wrk printed no result:\n{output}")
    requests, micros, errors = (int(found[i]) for i in (1, 2, 3))
    print(json.dumps({"op": args.op, "size": args.size, "connections": args.connections, "rps": round(requests / (micros / 1e6)),
                      "p50_us": float(found[4]), "p99_us": float(found[5]), "p999_us": float(found[6]), "max_us": float(found[7]),
                      "errors": errors}))


if __name__ == "__main__":
    main()

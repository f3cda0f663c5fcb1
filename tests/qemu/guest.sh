#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The first process of the guest that run.sh starts: a server on an NVMe drive with poll queues, objects up and down.
# The last line says how it went.
export PATH=/bin LD_LIBRARY_PATH=/lib
/bin/busybox --install -s /bin
finish() {
  echo "GUEST: $*"
  poweroff -f
}
fail() {
  cat /tmp/log
  finish "FAILED: $*"
}
mkdir -p /proc /sys /dev /tmp /data
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
ip link set lo up
touch /tmp/log
[ "$(cat /sys/block/nvme0n1/queue/io_poll)" = 1 ] || fail "the drive has no poll queues"
mount -t ext4 /dev/nvme0n1 /data || fail "no file system on the drive"

export FRACTALBITS_ACCESS_KEY=guest FRACTALBITS_SECRET_KEY=guest-secret
start() {
  fractalbits server --data-dir /data/store --listen 127.0.0.1:9000 --mgmt-listen 127.0.0.1:9001 --threads 2 >>/tmp/log 2>&1 &
  server=$!
  for _ in $(seq 600); do
    curl -sf http://127.0.0.1:9001/ready >/dev/null && return
    kill -0 $server 2>/dev/null || fail "the server ended"
    sleep 0.1
  done
  fail "the server is not ready"
}
s3() { curl -sSf -m 30 --aws-sigv4 aws:amz:us-east-1:s3 -u guest:guest-secret -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" "$@"; }

start
grep -q "by polling" /tmp/log || fail "the server does not poll"
s3 -X PUT http://127.0.0.1:9000/bucket || fail "no bucket"
for size in 1 4096 70000 3000000; do
  echo "GUEST: objects of $size bytes"
  head -c $size /dev/urandom >/tmp/$size
  for i in $(seq 20); do
    s3 -T /tmp/$size http://127.0.0.1:9000/bucket/$size/$i || fail "put of $size bytes"
  done
done
check() {
  for size in 1 4096 70000 3000000; do
    for i in 1 7 20; do
      s3 -o /tmp/back http://127.0.0.1:9000/bucket/$size/$i || fail "get of $size bytes, $1"
      cmp /tmp/$size /tmp/back || fail "$size bytes came back as others, $1"
    done
  done
}
check "while it ran"
kill -9 $server
wait $server
start
check "after a kill"
kill $server
wait $server || fail "the server did not stop in order"
grep "by polling" /tmp/log
finish "passed"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Polled I/O (IORING_SETUP_IOPOLL) on an emulated NVMe drive with poll queues, in a QEMU guest with Debian's cloud kernel:
# what a machine without such a drive cannot show. Needs the section `qemu` of tools/packages.txt and a release build.
# The guest is emulated, which takes some minutes; FB_QEMU_KVM=1 uses /dev/kvm.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=${FB_E2E_BINARY:-$here/../../build/fractalbits}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/bin" "$root/lib" "$root/lib64" "$work/kernel"

# Unpacked, not installed: this machine keeps its own kernel.
package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
(cd "$work" && apt-get -o APT::Sandbox::User=root download -qq "$package" >&2 && dpkg -x "$package"_*.deb kernel)
kernel=$(echo "$work"/kernel/boot/vmlinuz-*)

cp /bin/busybox "$root/bin/busybox"
cp "$here/guest.sh" "$root/init"
for program in "$(readlink -f "$binary")" /usr/bin/curl; do
  cp "$program" "$root/bin/"
  ldd "$program" | awk '$3 ~ /^\// { print $3 }' | while read -r library; do cp -Ln "$library" "$root/lib/"; done
done
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
chmod +x "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$work/initrd"
truncate -s 2G "$work/drive"
/usr/sbin/mke2fs -q -t ext4 "$work/drive"

# Emulated unless asked otherwise: within a virtual machine /dev/kvm may be there and not work.
accelerate=(-cpu max)
[[ ${FB_QEMU_KVM:-0} == 0 ]] || accelerate=(-enable-kvm -cpu host)
timeout "${FB_QEMU_SECONDS:-900}" qemu-system-x86_64 "${accelerate[@]}" -smp 2 -m 2048 -nographic -no-reboot -net none \
  -kernel "$kernel" -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1 nvme.poll_queues=2" \
  -drive "if=none,id=drive,format=raw,cache=none,file=$work/drive" -device nvme,serial=poll,drive=drive,max_ioqpairs=8 \
  </dev/null | tee "$work/console"
grep -q "GUEST: passed" "$work/console"

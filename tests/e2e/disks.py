# SPDX-License-Identifier: Apache-2.0
"""A disk of a test's own, where the machine allows mounting."""
import os
import subprocess
import tempfile

import harness


def mount_disk(case, size_mib):
    """Mounts an ext4 image on a loop device, else a tmpfs, until the test ends; skips where neither is allowed."""
    folder = tempfile.mkdtemp(prefix="disk-", dir=harness.scratch_folder())
    image = folder + ".img"
    with open(image, "wb") as file:
        file.truncate(size_mib * harness.MIB)
    attempts = [(["mkfs.ext4", "-q", "-F", "-m", "0", image], ["mount", "-o", "loop", image, folder]),
                (["true"], ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", folder])]
    said = []
    for prepare, mount in attempts:
        try:
            harness.run(prepare)
            harness.run(mount)
        except (AssertionError, OSError) as error:
            said.append(str(error).strip().replace("\n", " ")[-200:])
            continue
        case.addCleanup(lambda: os.path.exists(image) and os.remove(image))
        case.addCleanup(subprocess.run, ["umount", "-l", folder])
        print(f"disk of {size_mib} MiB: {' '.join(mount[:4])}", flush=True)
        return folder
    case.skipTest(f"no mounting here: {said}")

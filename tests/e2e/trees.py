# SPDX-License-Identifier: Apache-2.0
"""Trees of files that clients carry up and down again."""
import os
import random
import shutil
import time

from harness import MIB, SLOW

REAL_TREE = os.environ.get("FB_E2E_TREE", "/usr/include")
AGE_SECONDS = 60  # S3 keeps whole seconds: a file made in the second of its upload is newer than its object, and is sent again
REAL_FILES_MAX = int(os.environ.get("FB_E2E_TREE_FILES", "4000" if SLOW else "2000"))
SIZES = {"0B": 0, "1B": 1, "5MiB": 5 * MIB, "8MiB+1": 8 * MIB + 1, "100MiB": 100 * MIB, **({"2GiB": 2048 * MIB} if SLOW else {})}
NAMES = ("sp ace", "pl+us", "ünï", "日本語", "a&b", "per%cent", "[brackets]", "it's", "comma,colon:", "UPPER", "dir with space/file", "deep/er/and/deeper/x")


def write_random(path, size, seed):
    dice = random.Random(seed)
    with open(path, "wb") as file:
        while size > 0:
            piece = dice.randbytes(min(size, 4 * MIB))
            file.write(piece)
            size -= len(piece)
    age(path)


def age(path):
    then = int(time.time()) - AGE_SECONDS
    os.utime(path, (then, then))


def make_tree(folder, sizes=tuple(SIZES), names=NAMES):
    """Files of each size, and small ones with names that need care."""
    os.makedirs(folder, exist_ok=True)
    for seed, name in enumerate(sizes):
        write_random(os.path.join(folder, f"size-{name}"), SIZES[name], seed)
    for seed, name in enumerate(names):
        path = os.path.join(folder, "names", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_random(path, 100 + seed, seed)
    return folder


def copy_real_tree(folder):
    """The first thousands of regular files of a real tree, links left out: object stores have none."""
    count = 0
    for source, folders, names in os.walk(REAL_TREE):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(source, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            target = os.path.join(folder, os.path.relpath(path, REAL_TREE))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(path, target)
            age(target)
            count += 1
            if count == REAL_FILES_MAX:
                return count
    return count


def count_files(folder):
    return sum(len(names) for _, _, names in os.walk(folder))

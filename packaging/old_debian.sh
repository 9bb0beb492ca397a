#!/bin/sh
# Makes a Debian in a folder with the C++ compiler and the C library of that release (bullseye: GCC 10, glibc 2.31),
# which the wheel is compiled with: `packaging/old_debian.sh build/bullseye`. Needs root and the program debootstrap.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 FOLDER [RELEASE]" >&2; exit 2; }
command -v debootstrap > /dev/null || { echo "$0: install debootstrap first: apt-get install debootstrap" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "$0: needs root, for chroot" >&2; exit 2; }
mkdir -p "$(dirname "$1")"
rm -rf "$1.part"  # of a run that was interrupted
debootstrap --variant=minbase --include=g++,libc6-dev "${2:-bullseye}" "$1.part" \
    "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
mv "$1.part" "$1"

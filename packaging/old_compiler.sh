#!/bin/sh
# The C++ compiler of an older Debian in $OLD_DEBIAN (made by `packaging/old_debian.sh`), c++ or $OLD_COMPILER, on files
# where they are: each folder in $SHARED_FOLDERS is seen in there under its own name. Needs root, for chroot and mounts.
set -eu
# shellcheck disable=SC2016  # the inner shell expands it, in mounts of its own
exec unshare --mount sh -euc '
    here=$PWD
    for folder in $SHARED_FOLDERS; do
        mkdir -p "$OLD_DEBIAN$folder"
        mount --rbind "$folder" "$OLD_DEBIAN$folder"
    done
    exec chroot "$OLD_DEBIAN" /usr/bin/env -u LD_LIBRARY_PATH -C "$here" "${OLD_COMPILER:-c++}" "$@"
' c++ "$@"

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A sandbox of bubblewrap that reads its role from its host. As root, with a root file system that has cat:
#
#     # start.sh web1 /srv/web1
#     frontend
#
# bubblewrap makes no cgroup, so whoever has the directory is web1. Started by a plain user (--unshare-user --uid 0 --gid 0) it
# needs root: {uid: UID, gid: GID} of that user in the record. One that runs can be given a cgroup, and be recognised by
# that: devlxdfs attach web1 --pid PID, where PID is the child-pid that --info-fd tells.
set -eu
name=$1 root=$2

devlxdfs create "$name" --mount -c user.role=frontend
bwrap --unshare-pid --unshare-net --ro-bind "$root" / --dev /dev --proc /proc \
	--bind "/run/devlxdfs/tree/$name" /dev/lxd \
	cat /dev/lxd/config/user.role

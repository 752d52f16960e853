#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A plain LXC container that reads its role from its host. As root, with a root file system that has /bin/sleep:
#
#     # start.sh web1 /srv/web1
#     frontend
#
# The record comes first: its directory is there from then on, and LXC mounts it. Whoever is in the cgroup
# /lxc.payload.web1, which LXC makes, is web1.
set -eu
name=$1 root=$2
here=$(dirname "$0")
lxcpath=$(lxc-config lxc.lxcpath)

devlxdfs create "$name" --lxc -c user.role=frontend
mkdir -p "$lxcpath/$name"
sed "s|NAME|$name|; s|ROOT|$root|" "$here/container.conf" >"$lxcpath/$name/config"
lxc-start -n "$name"
lxc-attach -n "$name" -- cat /dev/lxd/config/user.role

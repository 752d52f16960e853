#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A container of systemd-nspawn that reads its role from its host. As root, with a root file system that has cat:
#
#     # start.sh web1 /srv/web1
#     frontend
#
# The directory comes from web1.nspawn. With systemd, leave --register and --keep-unit away; a container that `machinectl start`
# runs is better recognised by its cgroup:
#
#     # devlxdfs create web1 --cgroup /machine.slice/systemd-nspawn@web1.service/payload
#
# With --private-users the record needs root: {uid: FIRST, gid: FIRST} too, when it is recognised by its mount.
set -eu
name=$1 root=$2
here=$(dirname "$0")

devlxdfs create "$name" --mount -c user.role=frontend
mkdir -p /etc/systemd/nspawn
sed "s|web1|$name|" "$here/web1.nspawn" >"/etc/systemd/nspawn/$name.nspawn"
systemd-nspawn --quiet --register=no --keep-unit --as-pid2 --settings=yes -M "$name" -D "$root" \
	cat /dev/lxd/config/user.role

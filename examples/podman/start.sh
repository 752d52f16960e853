#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A podman container that reads its role from its host, with nothing but a volume. As root, with an image that has sleep and cat:
#
#     # start.sh web1 debian
#     frontend
#
# Whoever has the directory is web1 (match: {mount: true}), so give it to that container alone. A user's own podman does the
# same when the record says who root in the container is for the host, which is that user:
#
#     # devlxdfs config edit web1       match: {mount: true}, root: {uid: 1000, gid: 1000}
#     $ podman run -d --name web1 -v /run/devlxdfs/tree/web1:/dev/lxd debian sleep infinity
set -eu
name=$1 image=$2

devlxdfs create "$name" --mount -c user.role=frontend
podman run -d --name "$name" --network none -v "/run/devlxdfs/tree/$name:/dev/lxd" \
	"$image" sleep 2147483647 >/dev/null
podman exec "$name" cat /dev/lxd/config/user.role

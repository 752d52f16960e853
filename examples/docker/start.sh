#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A Docker container that runs is given its directory, and is web1 from then on. As root, with an image that has sleep and cat:
#
#     # start.sh web1 debian
#     frontend
#
# It is recognised by its cgroup, whatever driver Docker makes that with. Nothing is left when it stops; attach it again when it
# has been started again.
set -eu
name=$1 image=$2

devlxdfs create "$name" -c user.role=frontend
docker run -d --name "$name" --network none "$image" sleep 2147483647 >/dev/null
devlxdfs attach "$name" --pid "$(docker inspect -f '{{.State.Pid}}' "$name")"
docker exec "$name" cat /dev/lxd/config/user.role

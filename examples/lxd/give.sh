#!/bin/sh
# give.sh [--instead] CONTAINER: a container of LXD is served by devlxdfs.
#
# Once; it holds for every later start, and the container may be running. Needs jq.
#
#   host# ./give.sh web1
#   web1: created
#   Device files added to web1
#   host# lxc exec web1 -- cat /dev/lxd-files/config/user.role
#   frontend
#
# LXD's own socket stays at /dev/lxd; with --instead it goes, and /dev/lxd is our directory, so that cloud-init
# and other clients of DevLXD ask devlxdfs. RUN is devlxdfsd's --run-dir.
set -eu

run=${RUN:-/run/devlxdfs} path=/dev/lxd-files
if [ "${1-}" = --instead ]; then
    path=/dev/lxd
    shift
fi
[ $# = 1 ] || { echo "usage: give.sh [--instead] CONTAINER" >&2; exit 2; }
name=$1

# The records: a copy of what LXD says of it now. From here on `devlxdfs config` changes what the guest sees.
record=$(lxc query "/1.0/instances/$name")
for profile in $(printf %s "$record" | jq -r '.profiles[]'); do
    [ "$profile" = default ] || devlxdfs profile show "$profile" >/dev/null 2>&1 ||
        devlxdfs profile create "$profile"
    lxc query "/1.0/profiles/$profile" | devlxdfs profile edit "$profile"
done
# Containers of other projects than "default" have cgroups called lxc.payload.PROJECT_NAME.
printf %s "$record" |
    jq '.match.cgroup = "/lxc.payload." + if .project == "default" then "" else .project + "_" end + .name' |
    devlxdfs import -

# The device line, which is all that LXD is told. required=false: the container starts without the daemon, too.
if [ "$path" = /dev/lxd ]; then
    devlxdfs config set "$name" security.devlxd=true # what it is in LXD was copied, and would be heeded
    lxc config set "$name" security.devlxd=false
fi
lxc config device add "$name" files disk source="$run/tree/$name" path="$path" required=false

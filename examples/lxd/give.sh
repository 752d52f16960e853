#!/bin/sh
# give.sh [--instead] [--project PROJECT] CONTAINER: a container of LXD is served by devlxdfs.
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

run=${RUN:-/run/devlxdfs} path=/dev/lxd-files project=default
while :; do
    case ${1-} in
    --instead) path=/dev/lxd ;;
    --project) project=$2 && shift ;;
    *) break ;;
    esac
    shift
done
[ $# = 1 ] || { echo "usage: give.sh [--instead] [--project PROJECT] CONTAINER" >&2; exit 2; }
name=$1 cgroup=/lxc.payload.$1
[ "$project" = default ] || cgroup=/lxc.payload.${project}_$1

# The record: a copy of what LXD says of it now, profiles included, and how it is recognised. From here on
# `devlxdfs config` changes what the guest sees. security.devlxd is for LXD's own, and would be heeded.
lxc query "/1.0/instances/$name?project=$project" |
    jq --arg cgroup "$cgroup" '.config = .expanded_config | .devices = .expanded_devices | .profiles = [] |
        .match.cgroup = $cgroup | del(.config."security.devlxd")' |
    devlxdfs import -

# The device line, which is all that LXD is told. required=false: the container starts without the daemon, too.
[ "$path" != /dev/lxd ] || lxc --project "$project" config set "$name" security.devlxd=false
lxc --project "$project" config device add "$name" files disk \
    source="$run/tree/$name" path="$path" required=false

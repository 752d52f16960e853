#!/bin/sh
# A guest asks, the host answers: the whole way in one sitting.
#
# Run as root on Debian 12. Installs what is missing, builds, and then works in a temporary
# directory with two guests made of nothing but namespaces and a cgroup each. Everything is gone
# when it ends, also after Ctrl-C; what is mounted is seen nowhere else.
set -eu

repo=$(cd "$(dirname "$0")/.." && pwd)
[ "$(id -u)" = 0 ] || { echo "run as root: guests are made of namespaces and cgroups" >&2; exit 1; }
hierarchy=$(awk '$4 == "/" && / - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
[ -w "$hierarchy" ] || { echo "no writable cgroup2 hierarchy here" >&2; exit 1; }
[ "${1-}" = --unshared ] || exec unshare --mount "$0" --unshared

if [ -t 1 ]; then bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
else bold='' dim='' plain=''; fi
say() { printf '\n%s%s%s\n' "$dim" "$*" "$plain"; }

# --- cleaning up: what was made here and nothing else

tmp=$(mktemp -d) daemon_pid='' groups=''
cleanup() {
    trap '' INT TERM
    for group in $groups; do
        echo 1 >"$group/cgroup.kill" 2>/dev/null || continue
        while grep -q 'populated 1' "$group/cgroup.events"; do :; done
        rmdir "$group"
    done
    [ -z "$daemon_pid" ] || kill "$daemon_pid" 2>/dev/null || :
    wait 2>/dev/null
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- building

"$repo/tests/packages.sh"
build() {
    [ -e "$repo/build/build.ninja" ] || meson setup "$repo/build" "$repo" || return
    meson compile -C "$repo/build"
}
say "Building in $repo/build ..."
build >"$tmp/build.log" 2>&1 || { cat "$tmp/build.log" >&2; exit 1; }

# --- the daemon, in directories of its own

dirs="--conf-dir $tmp/conf --state-dir $tmp/state --run-dir $tmp/run"
devlxdfs() {
    # shellcheck disable=SC2086 # a list of words
    "$repo/build/hostapi/ctl/devlxdfs" $dirs "$@"
}
# host COMMAND...: shows it, runs it.
host() {
    printf '%shost#%s %s\n' "$bold" "$plain" "$*"
    "$@"
}

say "The daemon, in a temporary directory (${tmp}) instead of /etc, /var/lib and /run:"
printf '%shost#%s devlxdfsd &\n' "$bold" "$plain"
mkfifo "$tmp/ready"
# shellcheck disable=SC2086
"$repo/build/fsd/devlxdfsd" $dirs --ready-fd 9 9>"$tmp/ready" 2>"$tmp/log" &
daemon_pid=$!
read -r _ <"$tmp/ready" || { cat "$tmp/log" >&2; exit 1; }

# --- guests

# boot NAME: a guest's first process, in namespaces and in a cgroup of its own. Its /dev and its
# /tmp are not the machine's, and /dev/lxd is its directory of the daemon's tree.
boot() {
    group=$hierarchy/devlxdfs-demo-$$-$1
    mkdir "$group"
    groups="$groups $group"
    mkfifo "$tmp/$1.booted"
    (
        echo 0 >"$group/cgroup.procs"
        exec unshare --mount --pid --uts --ipc --fork sh -eu -c '
            read -r pid _ </proc/self/stat # as the host numbers it: /proc is still that of the host
            mount -t proc proc /proc
            mount -t tmpfs -o mode=755 guest /mnt
            mkdir /mnt/lxd
            for node in null urandom; do
                : >"/mnt/$node"
                mount --bind "/dev/$node" "/mnt/$node"
            done
            mount --bind "$2/run/tree/$1" /mnt/lxd
            mount -n --move /mnt /dev
            hostname "$1"
            mount -t tmpfs -o mode=1777 guest /tmp
            echo "$pid" >&8
            exec tail -f /dev/null 8>&-' sh "$1" "$tmp" 8>"$tmp/$1.booted"
    ) &
    read -r pid <"$tmp/$1.booted"
    echo "$pid" >"$tmp/$1.pid"
}

# guest NAME COMMAND: shows it, runs it inside. One that fails is there to be seen.
guest() {
    printf '%s%s#%s %s\n' "$bold" "$1" "$plain" "$2"
    inside "$1" sh -c "$2" 2>&1 || :
}
# service NAME COMMAND: the same as www-data.
service() {
    printf '%s%s, www-data$%s %s\n' "$bold" "$1" "$plain" "$2"
    inside "$1" setpriv --reuid 33 --regid 33 --clear-groups sh -c "$2" 2>&1 || :
}
inside() (
    group=$hierarchy/devlxdfs-demo-$$-$1
    read -r first <"$tmp/$1.pid"
    shift
    echo 0 >"$group/cgroup.procs"
    exec nsenter --target "$first" --mount --pid --uts --ipc --wdns=/ "$@"
)

say "Two guests. A record says which cgroup is which guest; the guest gets its directory at /dev/lxd:"
host devlxdfs create web1 --cgroup "/devlxdfs-demo-$$-web1" -c user.role=frontend
host devlxdfs create web2 --cgroup "/devlxdfs-demo-$$-web2" -c user.role=database -c user.db=secret
boot web1
boot web2
host ls "$tmp/run/tree"

say "What a guest finds there:"
guest web1 'ls -l /dev/lxd'
guest web1 'ls /dev/lxd/config'

say "A guest reads a key. It does not say who it is; the kernel does:"
guest web1 'cat /dev/lxd/config/user.role'
echo

say "The host changes it; the next read sees the new value:"
host devlxdfs config set web1 user.role=backend
guest web1 'cat /dev/lxd/config/user.role'
echo

say "The other guest has a password. It is there for that guest and for nobody else:"
guest web2 'cat /dev/lxd/config/user.db'
echo
guest web1 'cat /dev/lxd/config/user.db'

say "Inside, it is root's, until the host says who else may read it:"
service web2 'cat /dev/lxd/config/user.db'
host devlxdfs files set web2 config/user.db 0440 0:33
service web2 'cat /dev/lxd/config/user.db'
echo
guest web2 'ls -l /dev/lxd/config'

say "The guest says that it is ready; the host knows:"
guest web1 'echo Ready > /dev/lxd/state'
host devlxdfs list

say "The same over HTTP, for programs that speak the DevLXD API, on a socket in the same directory:"
guest web1 'curl -s --unix-socket /dev/lxd/sock http://lxd/1.0/config/user.role'
echo
guest web1 'curl -s --unix-socket /dev/lxd/sock http://lxd/1.0/config/user.db'
host curl -s --unix-socket "$tmp/run/sock" http://lxd/1.0/config/user.role

if [ -e /usr/lib/python3/dist-packages/cloudinit/sources/DataSourceLXD.py ]; then
    say "cloud-init, as Debian ships it, takes its data from the same socket:"
    printf '#cloud-config\npackages: [nginx]\n' >"$tmp/user-data"
    printf '%shost#%s devlxdfs config set web1 cloud-init.user-data - <user-data\n' "$bold" "$plain"
    devlxdfs config set web1 cloud-init.user-data - <"$tmp/user-data"
    guest web1 '/usr/bin/python3 -m cloudinit.sources.DataSourceLXD'
fi

say "That was all: guests, daemon, mount and directory are gone now."

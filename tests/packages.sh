#!/bin/sh
# Installs what packages.txt names and this machine lacks; silent when there is nothing to do.
# Services of new packages are not started: policy-rc.d says no for the time of the installation.
set -eu

list=$(dirname "$0")/packages.txt
missing=
for package in $(sed 's/#.*//' "$list"); do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "missing packages:$missing; run as root to install them" >&2; exit 1; }

policy=/usr/sbin/policy-rc.d
log=$(mktemp)
made_policy=
cleanup() {
    rm -f "$log"
    [ -z "$made_policy" ] || rm -f "$policy"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
if [ ! -e "$policy" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
install() {
    # shellcheck disable=SC2086 # a list of words
    apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing >"$log" 2>&1
}
# A fresh machine has no package lists yet. Another apt may hold the lock for a while.
install || { apt-get update >"$log" 2>&1 && install; } || { cat "$log" >&2; exit 1; }

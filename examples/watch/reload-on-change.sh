#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs a command in a guest each time one key of its configuration has another value:
#
#     reload-on-change.sh user.role systemctl reload nginx
#
# The events file keeps history, so it is opened first: what changes from then on is in it. Then the key is read and
# acted upon. Then each line about the key only says "read it again", so old lines, and lines that come
# twice, are harmless, and no change falls in between.
set -u
key=$1
shift
dir=${DEVLXD:-/dev/lxd}
before=
is_first=yes

look() {
	value=$(cat "$dir/config/$key" 2>/dev/null && echo .) || value=unset
	if [ "$is_first" = yes ] || [ "$value" != "$before" ]; then
		before=$value is_first=no
		"$@"
	fi
}

exec 3<"$dir/events" || exit 1
look "$@"
while IFS= read -r line <&3; do
	case $line in
	*'"key":"'"$key"'"'* | *'"type":"lost"'*) look "$@" ;;
	esac
done
exit 1 # the host has taken the file away; the unit starts this again

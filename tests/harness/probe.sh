# The life of the package on a machine with systemd: prints NAME=VALUE, which test_package.py compares.
unit=devlxdfsd.service
key=/mnt/web1/config/user.role

show() { systemctl show --property="$1" --value $unit; }
await() { until "$@"; do :; done; }
guest() { bash -c 'echo $$ >/sys/fs/cgroup/web1/cgroup.procs; "$@"' guest "$@"; }
is_mounted() { grep -q ' /run/devlxdfs/tree ' /proc/self/mountinfo; }
has_another_pid() { [ "$(show MainPID)" != "$pid" ] && systemctl --quiet is-active $unit; }
has_upgraded() { journalctl --unit $unit | grep -q ': upgraded$'; }

systemctl daemon-reload
rm -f /var/lib/man-db/auto-update # indexing manuals takes longer than all else
dpkg --install /given/1.deb >/given/dpkg 2>&1
echo "installed=$?"
echo "active=$(systemctl is-active $unit) enabled=$(systemctl is-enabled $unit)"
echo "user=$(id --user --name devlxdfs)"
echo "modes=$(stat --format='%a:%U:%G' /var/lib/devlxdfs /var/lib/devlxdfs/volatile /etc/devlxdfs/instances | tr '\n' ' ')"

mkdir /sys/fs/cgroup/web1 /mnt/web1
devlxdfs create web1 --cgroup /web1 -c user.role=frontend >&2
mount --bind /run/devlxdfs/tree/web1 /mnt/web1
echo "read=$(guest cat $key)"
inode=$(stat --format=%i $key)
guest bash -c "while :; do [ \"\$(cat $key)\" = frontend ] || echo failed; done" >/given/reads 2>&1 &
reader=$!

pid=$(show MainPID)
systemctl restart $unit
has_another_pid && echo "restarted=$(show NFileDescriptorStore)"
pid=$(show MainPID)
kill -9 "$pid"
await has_another_pid
echo "killed=$(show NFileDescriptorStore)"
pid=$(show MainPID)
dpkg --install /given/2.deb >>/given/dpkg 2>&1
echo "upgraded=$?"
await has_upgraded
[ "$(show MainPID)" = "$pid" ] && echo "keeper=same"
[ "$(stat --format=%i $key)" = "$inode" ] && echo "inode=same"
kill $reader
wait $reader
for process in $(cat /sys/fs/cgroup/web1/cgroup.procs); do kill -9 "$process"; done
echo "reads=$(grep -c . /given/reads)"

systemctl stop $unit
is_mounted || echo "stopped=unmounted"
ls /run/devlxdfs/sock 2>/dev/null
systemctl start $unit
is_mounted && echo "started=mounted"
dpkg --remove devlxdfs >>/given/dpkg 2>&1
echo "removed=$?"
is_mounted || echo "without=unmounted"
ls -d /var/lib/devlxdfs
dpkg --purge devlxdfs >>/given/dpkg 2>&1
echo "purged=$?"
find /etc /var/lib /usr/bin /usr/sbin /usr/lib/systemd /usr/lib/sysusers.d /usr/lib/tmpfiles.d -maxdepth 3 -name '*devlxdfs*'
echo "end"
journalctl --unit $unit >/given/journal 2>&1

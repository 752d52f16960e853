#!/bin/sh
# Boots systemd on what is on this machine's disk, none of which it can change: boot.sh DIRECTORY.
# Run in new pid, mount, cgroup, ipc and uts namespaces. DIRECTORY is at /given in there, and its
# script `probe`, run as a service, ends it.
set -e
given=$1
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root
mount -t proc proc proc
# What of the kernel is everybody's stays as it is.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for place in run dev tmp mnt; do
	mount -t tmpfs tmpfs $place
done
for device in null zero full random urandom tty fuse; do
	: >dev/$device
	mount --bind /dev/$device dev/$device
done
mkdir -p given run/lock old
mount --bind "$given" given
rm -rf etc/systemd/system etc/machine-id usr/sbin/policy-rc.d etc/devlxdfs var/lib/devlxdfs
: >etc/machine-id
mkdir -p etc/systemd/system/probe.target.wants
cat >etc/systemd/system/probe.target <<-END
	[Unit]
	DefaultDependencies=no
END
cat >etc/systemd/system/probe.service <<-END
	[Unit]
	DefaultDependencies=no
	[Service]
	Type=oneshot
	ExecStart=/bin/bash /given/probe
	ExecStopPost=/bin/systemctl --no-block exit
	StandardOutput=file:/given/out
	StandardError=file:/given/error
END
ln -s ../probe.service etc/systemd/system/probe.target.wants
pivot_root . old
umount -l old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/usr/lib/systemd/systemd --unit=probe.target --log-target=null

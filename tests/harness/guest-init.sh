# shellcheck shell=sh
# The life of a test guest's first process, root in its new namespaces; started by guest.py.
# It says "ready" and lives until its input ends. The root is the host's, with a /dev and a /tmp of
# its own, so that nothing done here reaches the machine's.
set -eu

mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /mnt
for node in null zero full random urandom tty; do
    : >"/mnt/$node"
    echo "/dev/$node /mnt/$node none bind"
done >/mnt/fstab
mount --all --fstab /mnt/fstab
mkdir /mnt/lxd /mnt/shm /mnt/build
ln -s /proc/self/fd /mnt/fd
rm /mnt/fstab
mount -n --move /mnt /dev
mount -t tmpfs -o mode=1777 tmpfs /tmp
hostname "$GUEST_NAME"

echo ready
read -r _ || exit 0

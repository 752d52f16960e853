# SPDX-License-Identifier: GPL-2.0-or-later
"""Images in the tree: one node and one copy for all guests that may have them, and no other bytes."""

import hashlib
import json
import os
import random
import signal
import stat
import subprocess

import pytest

from daemon import wait_until
from here import TAKE_OVERS, cannot
from images import describe_image, image_path, make_image, remove_image
from inside import Inside

META, ROOT = "metadata.tar.xz", "rootfs.squashfs"
ON = {"security.devlxd.images": "true"}
MIB = 1 << 20


@pytest.fixture(params=[[], ["--no-passthrough"]], ids=["passthrough", "cached"])
def daemon(new_daemon, request):
    """The kernel reads images by itself, or a worker does and the kernel keeps what was read."""
    return new_daemon(options=request.param).start()


def tree_status(daemon):
    return daemon.admin("GET", "/1.0/status")[1]["tree"]


def noise(n, seed=1):
    return random.Random(seed).randbytes(n)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read_on(inside):
    """What was read of `held`, with what there is yet, up to an error."""
    inside.run("""
while True:
    try:
        more = held.read(1 << 20)
    except OSError:
        break
    start += more
    if not more:
        break
""")
    return inside("start")


@pytest.fixture
def image(daemon):
    """(fingerprint, {name: bytes})"""
    parts = {META: noise(5001), ROOT: noise(3 * MIB + 17, 2)}
    return make_image(daemon, parts, aliases=["debian-12"]), parts


def place(daemon, guest, config=None, **members):
    """Gives the guest its directory, and what looks at it from inside."""
    daemon.guest_record(guest, ON if config is None else config, **members)
    guest.attach_tree(daemon)
    return Inside(guest)


@pytest.fixture
def pair(daemon, new_guest):
    """What looks from inside of a privileged and of a mapped guest."""
    return [place(daemon, new_guest("web1")), place(daemon, new_guest("web2", mapped=True))]


def test_what_is_there(daemon, image, pair):
    fingerprint, parts = image
    for inside in pair:
        assert sorted(inside("os.listdir('images')")) == sorted([fingerprint, "debian-12"])
        for name in fingerprint, "debian-12":
            assert sorted(inside(f"os.listdir('images/{name}')")) == sorted(parts)
            assert inside(f"oct(os.stat('images/{name}').st_mode)") == oct(stat.S_IFDIR | 0o555)
            for part, data in parts.items():
                path = f"images/{name}/{part}"
                on_disk = os.stat(image_path(daemon, fingerprint, part))
                mode, size, mtime = inside(f"[getattr(os.stat({path!r}), 'st_' + n)"
                                           " for n in ('mode', 'size', 'mtime_ns')]")
                assert (mode, size, mtime) == (stat.S_IFREG | 0o444, len(data),
                                               on_disk.st_mtime_ns)
                assert sha256(inside(f"read({path!r})")) == sha256(data)
    seen = os.stat(daemon.tree("web2", "images", fingerprint, ROOT))
    assert (seen.st_uid, seen.st_gid) == (0, 0)


def test_users_may_read(daemon, image, new_guest):
    """0444: also who is not the guest's root."""
    fingerprint, parts = image
    guest = new_guest("web1", mapped=True)
    place(daemon, guest)
    user = Inside(guest, uid=1000)
    assert user(f"read('images/{fingerprint}/{META}')") == parts[META]
    for attempt in "open({!r}, 'w')", "os.unlink({!r})", "os.chmod({!r}, 0o600)", \
            "os.truncate({!r}, 0)":
        assert user.error(attempt.format(f"images/{fingerprint}/{META}")) in ("EROFS", "EACCES", "EPERM")


def test_one_node_for_all(image, pair):
    fingerprint, _ = image
    numbers = {inside(f"os.stat('images/{name}/{ROOT}').st_ino")
               for inside in pair for name in (fingerprint, "debian-12")}
    assert len(numbers) == 1
    directories = {inside(f"os.stat('images/{name}').st_ino")
                   for inside in pair for name in (fingerprint, "debian-12")}
    assert len(directories) == 4


def test_one_copy_for_all(daemon, image, pair):
    """What one guest has read the other has without a request for bytes."""
    fingerprint, parts = image
    path = f"images/{fingerprint}/{ROOT}"
    assert len(pair[0](f"read({path!r})")) == len(parts[ROOT])
    pair[1](f"os.stat({path!r}).st_size")
    before = tree_status(daemon)["requests"]
    assert pair[1](f"read({path!r})") == parts[ROOT]
    assert tree_status(daemon)["requests"] - before < 10


def test_the_kernel_reads_by_itself(daemon, image, pair):
    """No request for a byte, so no worker is needed; the next one opens it in the same way."""
    fingerprint, parts = image
    path = f"images/{fingerprint}/{ROOT}"
    if "--no-passthrough" in daemon.options:
        pair[0](f"len(read({path!r}))")
        assert not tree_status(daemon)["passthrough"]
        assert tree_status(daemon)["passed_through"] == 0
        return
    if not tree_status(daemon)["passthrough"]:
        cannot("this kernel has no FUSE passthrough")
    before = tree_status(daemon)["requests"]
    pair[0].run(f"held = open({path!r}, 'rb', 0); start = held.read(MIB)".replace("MIB", "1 << 20"))
    assert tree_status(daemon)["requests"] - before < 10
    assert tree_status(daemon)["passed_through"] == 1
    worker = daemon.worker_pid
    os.kill(worker, signal.SIGSTOP)
    assert read_on(pair[0]) == parts[ROOT]
    os.kill(worker, signal.SIGCONT)
    daemon.kill_worker()
    assert pair[1](f"read({path!r})") == parts[ROOT]
    assert tree_status(daemon)["passed_through"] == 1


def test_backings_go_with_images(daemon, image, pair):
    """The kernel gives up the files of images that are deleted, once nobody has them open."""
    fingerprint, parts = image
    if not tree_status(daemon)["passthrough"]:
        return
    for name in META, ROOT:
        pair[0].run(f"{name[:4]} = open('images/{fingerprint}/{name}', 'rb', 0)")
    assert tree_status(daemon)["passed_through"] == 2
    pair[0].run("meta.close()")
    pair[0]("len(os.listdir('images'))")  # answered after that
    wait_until(lambda: tree_status(daemon)["passed_through"] == 2, "both are kept")
    remove_image(daemon, fingerprint)
    wait_until(lambda: tree_status(daemon)["passed_through"] == 1, "one is given up")
    pair[0].run("start = b''; held = root")
    assert read_on(pair[0]) == parts[ROOT]
    pair[0].run("root.close(); held.close()")
    wait_until(lambda: tree_status(daemon)["passed_through"] == 0, "both are given up")


def test_file_systems_that_cannot(new_daemon, new_guest, tmp_path):
    """One that is itself made of others: a worker reads it, before and after another has come."""
    daemon = new_daemon()
    state = daemon.dirs["state"]
    for name in "lower", "upper", "work":
        (tmp_path / name).mkdir()
    os.mkdir(state)
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                    f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work",
                    state], check=True)
    try:
        daemon.start()
        data = noise(3 * MIB)
        path = f"images/{make_image(daemon, {ROOT: data})}/{ROOT}"
        inside, other = place(daemon, new_guest("web1")), place(daemon, new_guest("web2"))
        inside.run(f"held = open({path!r}, 'rb', 0); start = held.read(4096)")
        daemon.kill_worker()
        assert other(f"read({path!r})") == data
        assert read_on(inside) == data
        assert tree_status(daemon)["passed_through"] == 0
        inside.close(), other.close()
        daemon.stop()
    finally:
        subprocess.run(["umount", state], check=True)


def test_by_its_mount(daemon, image, pair, new_guest):
    """Such an instance cannot be told when it opens: it has nodes of its own."""
    fingerprint, parts = image
    path = f"images/{fingerprint}/{ROOT}"
    guest = new_guest("mounted")
    daemon.record("mounted", config=ON, match={"mount": True})
    guest.attach_tree(daemon)
    inside = Inside(guest)
    assert sha256(inside(f"read({path!r})")) == sha256(parts[ROOT])
    assert inside(f"read('images/debian-12/{META}')") == parts[META]
    assert inside(f"os.stat({path!r}).st_ino") != pair[0](f"os.stat({path!r}).st_ino")
    daemon.record("mounted", config={}, match={"mount": True})
    assert inside.error(f"open({path!r})") == "ENOENT"


def test_off_by_default(daemon, image, new_guest):
    inside = place(daemon, new_guest("web1"), {})
    assert "images" not in inside("os.listdir('.')")
    assert inside.error("os.stat('images')") == "ENOENT"


def test_who_holds_another_directory(daemon, image, pair, new_guest):
    """Neither a guest without the flag, nor one that is shown nothing, nor what is no instance."""
    fingerprint, _ = image
    path = f"images/{fingerprint}/{META}"
    pair[0](f"read({path!r})")  # names and bytes are in the kernel
    for config in {}, {"security.devlxd": "false", **ON}:
        other = new_guest("other")
        daemon.guest_record(other, config)
        other.attach_tree(daemon, "web1")
        inside = Inside(other)
        assert inside.error(f"open({path!r})") == "EACCES"
        other.close()
    stranger = new_guest("stranger")
    stranger.attach_tree(daemon, "web1")
    assert Inside(stranger).error(f"open({path!r})") == "EACCES"
    with open(daemon.tree("web1", path), "rb") as file:  # the host's root
        assert len(file.read()) == len(image[1][META])


def test_flag_off_and_on(daemon, image, pair, new_guest):
    fingerprint, parts = image
    inside, guest = pair[0], "web1"
    path = f"images/{fingerprint}/{ROOT}"
    inside.run(f"held = open({path!r}, 'rb', 0); start = held.read(4096); os.listdir('images')")
    os.stat(daemon.tree(guest, path))
    with open(daemon.record_path(guest)) as file:
        on = json.load(file)
    daemon.record(guest, **dict(on, config={}))
    assert "images" not in inside("os.listdir('.')")
    assert inside.error("os.stat('images')") == "ENOENT"
    assert inside.error(f"os.stat({path!r})") == "ENOENT"
    assert inside.error(f"open({path!r})") == "ENOENT"
    # A descriptor is a right that was given.
    assert read_on(inside) == parts[ROOT]
    assert sha256(pair[1](f"read({path!r})")) == sha256(parts[ROOT])
    daemon.record(guest, **on)
    assert sha256(inside(f"read({path!r})")) == sha256(parts[ROOT])


@pytest.mark.parametrize("how", ["unpublish", "delete"])
def test_image_goes(daemon, image, pair, how):
    """Its names go at once in every guest, who has it open reads on, and it may come back."""
    fingerprint, parts = image
    path = f"images/{fingerprint}/{ROOT}"
    for inside in pair:
        inside.run(f"held = open({path!r}, 'rb', 0); start = held.read(70000); os.listdir('images')")
        inside(f"os.stat('images/debian-12/{META}').st_size")
        inside.run(f"place = os.open('images/{fingerprint}', os.O_PATH)")
    if how == "delete":
        remove_image(daemon, fingerprint)
    else:
        describe_image(daemon, fingerprint, public=False)
    for inside in pair:
        assert inside("os.listdir('images')") == []
        for gone in path, f"images/{fingerprint}", f"images/debian-12/{META}", "images/debian-12":
            assert inside.error(f"os.stat({gone!r})") == "ENOENT", gone
        assert inside.error(f"open({path!r})") == "ENOENT"
        assert inside.error(f"os.open({ROOT!r}, os.O_RDONLY, dir_fd=place)") in ("ENOENT", "ESTALE")
        assert read_on(inside) == parts[ROOT]
    if how == "delete":
        make_image(daemon, parts, aliases=["debian-12"])
    else:
        describe_image(daemon, fingerprint, public=True)
    for inside in pair:
        assert sha256(inside(f"read({path!r})")) == sha256(parts[ROOT])


def test_deleted_ones_are_let_go(daemon, image, pair):
    """What nobody has open any more the worker has not open either."""
    fingerprint, _ = image

    def held():
        fds = f"/proc/{daemon.worker_pid}/fd"
        return [fd for fd in os.listdir(fds) if "/images/" in os.readlink(f"{fds}/{fd}")
                and "deleted" in os.readlink(f"{fds}/{fd}")]

    pair[0].run(f"held = open('images/{fingerprint}/{META}', 'rb'); held.read(10)")
    remove_image(daemon, fingerprint)
    assert held()
    pair[0].run("held.close()")
    assert pair[0]("os.listdir('images')") == []
    wait_until(lambda: not held(), "the descriptor is closed")


def test_alias_moves(daemon, image, pair):
    fingerprint, parts = image
    path = f"images/debian-12/{META}"
    for inside in pair:
        assert inside(f"read({path!r})") == parts[META]
    describe_image(daemon, fingerprint, aliases=[])
    other = make_image(daemon, {META: b"newer", ROOT: noise(999, 7)}, aliases=["debian-12"])
    assert other != fingerprint
    for inside in pair:
        assert inside(f"read({path!r})") == b"newer"
        assert inside(f"os.stat({path!r}).st_size") == 5
        assert inside(f"read('images/{fingerprint}/{META}')") == parts[META]


def test_only_offered_ones(daemon, pair):
    hidden = make_image(daemon, {"image.tar.gz": b"hidden"}, public=False)
    cached = make_image(daemon, {"image.tar.gz": b"cached"}, public=False, cached=True)
    for inside in pair:
        assert inside("os.listdir('images')") == [cached]
        assert inside.error(f"os.stat('images/{hidden}')") == "ENOENT"
        assert inside(f"read('images/{cached}/image.tar.gz')") == b"cached"


@pytest.mark.parametrize("how", ["truncated", "longer", "replaced", "touched", "missing"])
def test_file_is_another(daemon, image, pair, how):
    """It cannot be opened, the log says which image, and what is open never gives other bytes."""
    fingerprint, parts = image
    path, on_disk = f"images/{fingerprint}/{ROOT}", image_path(daemon, fingerprint, ROOT)
    pair[0].run(f"held = open({path!r}, 'rb', 0); start = held.read(4096)")
    if how == "truncated":
        os.truncate(on_disk, 1000)
    elif how == "longer":
        with open(on_disk, "ab") as file:
            file.write(b"more")
    elif how == "replaced":
        with open(on_disk, "r+b") as file:
            file.write(b"x" * len(parts[ROOT]))
    elif how == "touched":
        os.utime(on_disk)
    else:
        os.unlink(on_disk)
    fresh = pair[1].error(f"open({path!r})")
    if how == "missing":  # the daemon has it open, and it is what it was
        assert fresh is None
    else:
        assert fresh == "EIO"
        assert f"image {fingerprint[:12]}: " in daemon.log()
    if tree_status(daemon)["passthrough"]:
        return  # who has it open reads what is there
    got = read_on(pair[0])
    assert got == parts[ROOT][:len(got)]
    assert (len(got) == len(parts[ROOT])) == (how == "missing")
    assert pair[1](f"read('images/{fingerprint}/{META}')") == parts[META]


READER = """
import hashlib
digest, at = hashlib.sha256(), 0

def go(n):
    "Reads on, in pieces."
    global at
    while n > 0:
        more = os.pread(fd, 65536, at)
        if not more:
            return
        digest.update(more)
        at += len(more)
        n -= len(more)
"""


@TAKE_OVERS
def test_workers_die_while_reading(new_daemon, new_guest, options):
    """Whoever reads notices nothing, also of an image that is not offered any more."""
    daemon = new_daemon(options=options).start()
    data = noise(48 * MIB)
    fingerprint = make_image(daemon, {"image.tar.gz": data})
    path = f"images/{fingerprint}/image.tar.gz"
    guest = new_guest("web1", mapped=True)
    inside = place(daemon, guest)
    inside.run(f"fd = os.open({path!r}, os.O_RDONLY)\n{READER}\ngo(8 << 20)")
    daemon.kill_worker()
    inside.run("go(8 << 20)")
    describe_image(daemon, fingerprint, public=False)
    daemon.kill_worker()
    inside.run("go(1 << 30)")
    assert inside("digest.hexdigest()") == sha256(data)
    describe_image(daemon, fingerprint, public=True)
    inside.run("os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED); os.close(fd)")
    children = [guest.popen(["sha256sum", f"/dev/lxd/{path}"]) for _ in range(3)]
    for _ in range(3):
        daemon.kill_worker()
    for child in children:
        said, error = child.communicate()
        assert (said.split()[:1], error) == ([sha256(data)], "")


@TAKE_OVERS
def test_change_while_no_worker_serves(new_daemon, new_guest, options):
    """The next one shows what is offered now, under names that the kernel knew already."""
    daemon = new_daemon(options=options).start()
    first = make_image(daemon, {META: b"1", ROOT: b"first"}, aliases=["debian-12"])
    inside = place(daemon, new_guest("web1"))
    assert inside(f"read('images/debian-12/{ROOT}')") == b"first"
    os.kill(daemon.worker_pid, signal.SIGSTOP)
    process, daemon.process = daemon.process, None  # nobody is to be told
    second = make_image(daemon, {META: b"2", ROOT: b"second"}, aliases=["debian-12"])
    describe_image(daemon, first, public=False)
    daemon.process = process
    daemon.kill_worker()
    assert inside(f"read('images/debian-12/{ROOT}')") == b"second"
    assert inside.error(f"os.stat('images/{first}/{ROOT}')") == "ENOENT"
    assert sorted(inside("os.listdir('images')")) == sorted([second, "debian-12"])


@pytest.fixture
def squashfs(daemon, tmp_path):
    """(fingerprint, directory that the image's root file system was made of)"""
    source = tmp_path / "source"
    (source / "etc").mkdir(parents=True)
    (source / "etc" / "os-release").write_text("ID=test\n")
    (source / "noise").write_bytes(noise(2 * MIB))
    made = tmp_path / ROOT
    try:
        subprocess.run(["mksquashfs", source, made, "-quiet", "-no-progress"], check=True)
    except FileNotFoundError:
        cannot("needs mksquashfs (squashfs-tools)")
    return make_image(daemon, {META: b"meta", ROOT: made.read_bytes()}, aliases=["test"]), source


def test_unsquashfs(daemon, squashfs, new_guest):
    _, source = squashfs
    guest = new_guest("web1", mapped=True)
    place(daemon, guest)
    guest.run(["unsquashfs", "-quiet", "-no-progress", "-no-xattrs", "-dest", "/tmp/out",
               f"/dev/lxd/images/test/{ROOT}"])
    done = guest.run(["sha256sum", "/tmp/out/etc/os-release", "/tmp/out/noise"])
    assert [line.split()[0] for line in done.stdout.splitlines()] == \
        [sha256((source / name).read_bytes()) for name in ("etc/os-release", "noise")]


def test_loop_mount(daemon, squashfs, new_guest):
    """By the kernel of a guest that may mount; what is mounted goes on when a worker dies."""
    _, source = squashfs
    if not os.path.exists("/dev/loop-control"):
        cannot("needs loop devices")
    guest = new_guest("web1")
    place(daemon, guest)
    for node in ["loop-control", *(name for name in os.listdir("/dev") if name[4:].isdigit()
                                   and name.startswith("loop"))]:
        guest.run(["sh", "-c", f"touch /dev/{node}"])
        guest.mount(f"/dev/{node}", f"/dev/{node}")
    guest.run(["mkdir", "/tmp/root"])
    guest.run(["mount", "-t", "squashfs", "-o", "loop,ro", f"/dev/lxd/images/test/{ROOT}",
               "/tmp/root"])
    try:
        assert guest.run(["cat", "/tmp/root/etc/os-release"]).stdout == "ID=test\n"
        daemon.kill_worker()
        done = guest.run(["sha256sum", "/tmp/root/noise"])
        assert done.stdout.split()[0] == sha256((source / "noise").read_bytes())
    finally:
        guest.run(["umount", "/tmp/root"])

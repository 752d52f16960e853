# SPDX-License-Identifier: GPL-2.0-or-later
"""The store of images: what is imported is what was there, and what goes wrong leaves nothing."""

import csv
import fcntl
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess

import pytest

from account import ID
from daemon import wait_until
from here import cannot
from imagefiles import METADATA, PACKERS, ImageFiles, fingerprint_of

DONE, REFUSED, USAGE, NOT_LOADED = range(4)
# Leaks cannot be looked for in a process that is traced.
TRACED = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")


class Store:
    """The command with directories of its own, and no daemon."""

    def __init__(self, build, directory):
        self.binary = f"{build}/hostapi/ctl/devlxdfs"
        self.state = directory / "state"
        self.images = self.state / "images"
        self.argv = [self.binary, "--state-dir", str(self.state),
                     "--run-dir", str(directory / "run"), "image"]

    def run(self, *args, **options):
        done = subprocess.run([*self.argv, *args], capture_output=True, text=True, timeout=60,
                              **options)
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done

    def ok(self, *args):
        """Without a daemon, what changes something ends with a status of its own."""
        done = self.run(*args)
        assert done.returncode in (DONE, NOT_LOADED), (args, done)
        return done.stdout

    def add(self, *args):
        """Imports; the fingerprint."""
        done = self.run("import", *args)
        assert done.returncode == NOT_LOADED and "imported, not loaded" in done.stderr, done
        return re.fullmatch("Image imported with fingerprint: ([0-9a-f]{64})\n", done.stdout)[1]

    def fails(self, words, *args, status=REFUSED):
        """It must fail so, say these words in one line, and change nothing."""
        before = self.listing()
        done = self.run(*args)
        assert done.returncode == status, (args, done)
        assert re.search(words, done.stderr), (words, done.stderr)
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("devlxdfs: "), done.stderr
        assert self.listing() == before
        return done.stderr

    def listing(self):
        """All that is there, whatever it is."""
        return {str(path.relative_to(self.images)) for path in self.images.rglob("*")} - {".lock"} \
            if self.images.exists() else set()

    def list(self):
        return json.loads(self.ok("list", "-f", "json"))

    def described(self, fingerprint):
        return json.loads((self.images / fingerprint / "image.json").read_text())

    def traced(self, inject, *args):
        """Imports with an accident, which must happen: strace's --inject says which."""
        log = self.state.parent / "strace"
        done = subprocess.run(["strace", "-o", str(log), "-e", f"trace={inject.partition(':')[0]}",
                               "-e", f"inject={inject}", *self.argv, "import", *args],
                              capture_output=True, text=True, timeout=60, env=TRACED)
        happened = r"\(INJECTED\)|^(---|\+\+\+ killed by) SIG"
        assert re.search(happened, log.read_text(), re.M), (inject, done)
        return done


@pytest.fixture
def store(build, tmp_path):
    return Store(build, tmp_path)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "files").mkdir()
    return ImageFiles(tmp_path / "files")


def sha256sum(*paths):
    """What people compare a fingerprint with."""
    joined = subprocess.run(["cat", *paths], check=True, stdout=subprocess.PIPE).stdout
    return subprocess.run(["sha256sum"], input=joined, check=True,
                          stdout=subprocess.PIPE).stdout.decode().split()[0]


# --- what is imported

@pytest.mark.parametrize("suffix", PACKERS)
def test_unified(store, files, suffix):
    path = files.unified(suffix)
    fingerprint = store.add(path)
    assert fingerprint == sha256sum(path)
    directory = store.images / fingerprint
    assert sorted(os.listdir(directory)) == ["image.json", f"image{suffix}"]
    stored = directory / f"image{suffix}"
    with open(path, "rb") as file:
        assert stored.read_bytes() == file.read()
    image = store.described(fingerprint)
    assert image["parts"] == [{"name": f"image{suffix}", "suffix": suffix,
                               "size": os.path.getsize(path),
                               "mtime_ns": os.stat(stored).st_mtime_ns}]
    assert image["type"] == "container" and image["aliases"] == []
    assert not image["public"] and not image["cached"]
    assert image["architecture"] == "x86_64" and image["creation_date"] == 1700000000
    assert image["properties"] == {"description": "Debian bookworm amd64", "os": "Debian",
                                   "serial": "20240101"}
    for name in os.listdir(directory):
        assert os.stat(directory / name).st_mode & 0o7777 == 0o640


@pytest.mark.parametrize("make, suffix, kind", [
    ("squashfs", ".squashfs", "container"), ("qcow2", ".qcow2", "virtual-machine"),
    ("metadata", ".tar.xz", "container")])
def test_split(store, files, make, suffix, kind):
    metadata, rootfs = files.metadata(), getattr(files, make)()
    aliases = ["--alias", "x", "--alias", "b", "--alias", "x"]
    fingerprint = store.add(metadata, rootfs, "--public", *aliases)
    assert fingerprint == sha256sum(metadata, rootfs)
    image = store.described(fingerprint)
    assert [part["name"] for part in image["parts"]] == ["metadata.tar.xz", f"rootfs{suffix}"]
    assert image["type"] == kind and image["public"] and not image["cached"]
    assert sorted(image["aliases"]) == ["b", "x"]
    stored = [store.images / fingerprint / part["name"] for part in image["parts"]]
    assert fingerprint_of(*stored) == fingerprint


def test_virtual_machines(store, files):
    told = store.add(files.metadata(), files.squashfs(), "--vm")
    assert store.described(told)["type"] == "virtual-machine"
    tree = files.tree(rootfs=False)
    with open(os.path.join(tree, "rootfs.img"), "wb") as file:
        file.write(os.urandom(100))
    assert store.described(store.add(files.tar(tree)))["type"] == "virtual-machine"


def test_metadata_may_come_last(store, files):
    """And with the "./" that tar puts before names."""
    path = files.tar(files.tree(megabytes=3), ".tar.gz", ["./rootfs", "./metadata.yaml"])
    assert store.described(store.add(path))["architecture"] == "x86_64"


def test_who_may_have_it_is_said(store, files):
    done = store.run("import", files.unified())
    assert "no guest may have it yet; devlxdfs image set" in done.stderr
    for option in "--public", "--cached":
        assert "no guest may" not in store.run("import", files.unified(), option).stderr


# --- what is refused

@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("n", [1, 2000])
def test_truncated_archives(store, files, suffix, n):
    path = files.cut(files.unified(suffix, megabytes=1), n)
    store.fails("complete", "import", path)
    metadata = files.metadata()
    store.fails(f"{os.path.basename(path)}: .*complete", "import", metadata, path)


def test_truncated_disks(store, files):
    metadata = files.metadata()
    store.fails("not complete", "import", metadata, files.cut(files.squashfs(1), 5000))
    store.fails("not complete", "import", metadata, files.cut(files.qcow2()))


def test_what_is_no_image(store, files, tmp_path):
    metadata, squashfs = files.metadata(), files.squashfs()
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    refused = {
        "it is empty": [files.write(b"")],
        "it is no image: expected a tar archive": [files.write(b"#!/bin/sh\n")],
        "it is a directory": [files.directory],
        "it is no file": [fifo],
        "No such file": [str(tmp_path / "absent")],
        "there is no metadata.yaml in it": [files.unified(metadata=None)],
        "there is no root file system in it; name that after it": [metadata],
        "a root file system without metadata": [squashfs],
        "no root file system: expected squashfs": [metadata, files.write(b"hello, world")],
        "damaged": [files.write(b"\x1f\x8b" + os.urandom(1000))],
        "larger than 1 MiB": [files.metadata(text=METADATA + "#" * (1 << 20)), squashfs],
        "metadata.yaml: architecture: expected":
            [files.metadata(text="creation_date: 1\n"), squashfs],
        "metadata.yaml: creation_date: expected":
            [files.metadata(text="architecture: a\n"), squashfs],
        "metadata.yaml:1:": [files.metadata(text="[s3cret\n"), squashfs],
    }
    for words, paths in refused.items():
        said = store.fails(re.escape(words), "import", *paths)
        assert "s3cret" not in said
        assert said.startswith(tuple(f"devlxdfs: {path}: " for path in paths))
    store.fails("not an alias", "import", metadata, squashfs, "--alias", "../x")
    store.fails("not an alias", "import", metadata, squashfs, "--alias", "0" * 64)
    store.fails("expected META", "import", status=USAGE)
    store.fails("too many words", "import", metadata, squashfs, squashfs, status=USAGE)
    assert store.list() == []


def test_a_disk_that_needs_another_file(store, files):
    with open(files.qcow2(), "rb") as file:
        disk = bytearray(file.read())
    disk[8:20] = (0x1000).to_bytes(8, "big") + (11).to_bytes(4, "big")
    disk[0x1000:0x100b] = b"/etc/shadow"
    store.fails("needs another file", "import", files.metadata(), files.write(disk))


def test_a_bomb(store, files):
    """A small file that unpacks to a lot is given up, with nothing of it written."""
    tree = files.tree(rootfs=False)
    os.mkdir(os.path.join(tree, "rootfs"))
    with open(os.path.join(tree, "rootfs", "zeros"), "wb") as file:
        os.truncate(file.fileno(), 1400 << 20)
    path = files.path(".tar.zst")
    subprocess.run(f"tar -C {tree} -cf - rootfs metadata.yaml | zstd -q -1 -c >{path}",
                   shell=True, check=True)
    assert os.path.getsize(path) < 1 << 20
    store.fails("unpacks to more", "import", path)


def test_the_same_again(store, files):
    path = files.unified()
    fingerprint = store.add(path, "--alias", "first")
    store.fails(f"it is there already: {fingerprint[:12]}", "import", path)
    other = files.unified()
    store.fails('has the alias "first"', "import", other, "--alias", "first")
    store.add(other, "--alias", "second")


# --- looking and changing

def test_list_and_show(store, files):
    assert store.ok("list", "-f", "csv") == "" and store.list() == []
    path = files.unified(".tar.gz")
    fingerprint = store.add(path, "--alias", "debian", "--cached")
    [image] = store.list()
    assert image["fingerprint"] == fingerprint and image["size"] == os.path.getsize(path)
    [row] = csv.reader(io.StringIO(store.ok("ls", "-f", "csv")))
    assert row[:5] == ["debian", fingerprint[:12], "no", "yes", "Debian bookworm amd64"]
    assert store.ok("list", "-f", "csv", "-c", "F,t") == f"{fingerprint},container\n"
    assert "| debian " in store.ok("list")
    for word in "debian", fingerprint, fingerprint[:12], fingerprint[:1]:
        for command in "show", "info":
            shown = store.ok(command, word)
            assert re.search(f'^fingerprint: "?{fingerprint}"?$', shown, re.M)
            assert "\n  os: Debian\n" in shown
            assert f"directory: {store.images}/{fingerprint}" in shown
    store.fails("no such image", "show", "alpine")
    store.fails("no such image", "show", fingerprint + "0")
    store.fails('no column is called "x"', "list", "-c", "x", status=USAGE)
    store.fails("none of table", "list", "-f", "xml", status=USAGE)


def test_a_beginning_that_several_have(store, files):
    by_first = {}
    while not any(len(found) > 1 for found in by_first.values()):
        fingerprint = store.add(files.unified())
        by_first.setdefault(fingerprint[0], []).append(fingerprint)
    first = next(first for first, found in by_first.items() if len(found) > 1)
    for command in ["show"], ["delete"]:
        store.fails("several fingerprints begin so", *command, first)
    store.fails("several fingerprints begin so", "set", first, "public=true")


def test_set(store, files):
    fingerprint = store.add(files.unified())
    before = store.described(fingerprint)
    store.ok("set", fingerprint[:8], "public=true", "cached=yes")
    assert store.described(fingerprint) == before | {"public": True, "cached": True}
    store.ok("set", fingerprint[:8], "public", "false")
    assert store.described(fingerprint) == before | {"cached": True}
    store.fails("expected true or false", "set", fingerprint, "public=s3cret")
    store.fails('no "publik" that can be set', "set", fingerprint, "publik=true")
    store.fails("expected true or false", "set", fingerprint, "public=true", "cached=2")
    assert store.described(fingerprint) == before | {"cached": True}


def test_aliases(store, files):
    one, two = store.add(files.unified()), store.add(files.unified(), "--alias", "two")
    store.ok("alias", "create", "one", one[:10])
    store.ok("alias", "create", "uno", "one")
    assert sorted(store.described(one)["aliases"]) == ["one", "uno"]
    assert store.ok("alias", "list", "-f", "csv").count("\n") == 3
    store.fails("there is such an alias already", "alias", "create", "two", one)
    store.fails("not an alias", "alias", "create", "a/b", one)
    store.fails("no such alias", "alias", "delete", two)
    store.ok("alias", "rm", "one")
    assert store.described(one)["aliases"] == ["uno"] and store.described(two)["aliases"] == ["two"]


def test_delete(store, files):
    made = [store.add(files.unified(), "--alias", f"a{i}") for i in range(3)]
    store.fails("no such image", "delete", "a0", "absent")
    store.ok("delete", "a0", made[1][:20], made[0])
    assert [image["fingerprint"] for image in store.list()] == [made[2]]
    assert store.listing() == {made[2], f"{made[2]}/image.json", f"{made[2]}/image.tar"}
    store.ok("rm", "a2")
    assert store.listing() == set()


def test_an_image_that_cannot_be_used(store, files):
    fingerprint = store.add(files.unified())
    (store.images / fingerprint / "image.json").write_text('{"fingerprint": 1}')
    assert store.list()[0]["type"] == "REJECTED"
    assert "64 hex digits" in store.ok("show", fingerprint)
    store.fails("delete it and import it again", "set", fingerprint, "public=true")
    store.fails("delete it and import it again", "alias", "create", "x", fingerprint)
    store.ok("delete", fingerprint)
    assert store.listing() == set()


def test_completion(store, files, tmp_path):
    """Fingerprints and aliases, of the store that there is."""
    fingerprint = store.add(files.unified(), "--alias", "debian", "--alias", "stable")
    script, program = tmp_path / "completion", tmp_path / "devlxdfs"
    script.write_text(subprocess.run([store.binary, "completion", "bash"], check=True,
                                     capture_output=True, text=True).stdout)
    program.write_text('#!/bin/sh\nexec ' + " ".join(store.argv[:-1]) + ' "$@"\n')
    program.chmod(0o755)
    ask = """source "$1"; COMP_WORDS=(devlxdfs image "$2" ""); COMP_CWORD=3
        _devlxdfs; echo "${COMPREPLY[@]}" """
    environment = dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}")
    for command in "show", "info", "delete", "rm", "set":
        done = subprocess.run(["bash", "-c", ask, "bash", str(script), command], text=True,
                              capture_output=True, env=environment, check=True)
        assert sorted(done.stdout.split()) == sorted(["debian", "stable", fingerprint]), done


# --- accidents

KILLED_AT = ["mkdirat:when=2", "flock:when=2", "copy_file_range:when=1",
             "copy_file_range:when=2", "fsync:when=1", "fsync:when=2", "fsync:when=3",
             "fsync:when=4", "fsync:when=5", "renameat:when=1", "renameat2:when=1"]


def test_killed(store, files):
    """At several moments of it: nothing is there, and the next import removes what is left."""
    metadata, squashfs = files.metadata(), files.squashfs(2)
    leftovers = 0
    for when in KILLED_AT:
        call, _, n = when.partition(":")
        done = store.traced(f"{call}:signal=KILL:{n}", metadata, squashfs)
        assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), (when, done)
        assert store.list() == [], when
        leftovers += any(name.startswith(".import-") for name in store.listing())
    assert leftovers, "none of them was killed in the midst of it"
    fingerprint = store.add(metadata, squashfs)
    assert store.listing() == {fingerprint, *(f"{fingerprint}/{name}" for name in
                                              ("image.json", "metadata.tar.xz", "rootfs.squashfs"))}
    assert sha256sum(metadata, squashfs) == fingerprint


def test_killed_after_the_last_step(store, files):
    """The rename was made: it is there, whole."""
    path = files.unified()
    done = store.traced("fsync:signal=KILL:when=5", path)
    assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done
    assert [image["fingerprint"] for image in store.list()] == [sha256sum(path)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted(store, files, number):
    done = store.traced(f"copy_file_range:signal={number.name}:when=1",
                        files.metadata(), files.squashfs(2))
    assert "interrupted; nothing of it is left" in done.stderr
    assert done.returncode in (-number, 128 + number)
    assert store.listing() == set()


ERRORS = ["copy_file_range:error=ENOSPC:when=1", "fsync:error=ENOSPC:when=1",
          "fsync:error=ENOSPC:when=2", "fsync:error=EDQUOT:when=3", "fsync:error=ENOSPC:when=4",
          "fsync:error=ENOSPC:when=6", "mkdirat:error=ENOSPC:when=2",
          "renameat2:error=ENOSPC:when=1"]
FULL = "cannot store it: (No space left on device|Disk quota exceeded); nothing of it is left, "


@pytest.mark.parametrize("inject", ERRORS)
def test_every_step_can_fail(store, files, inject):
    done = store.traced(inject, files.metadata(), files.squashfs())
    assert done.returncode == REFUSED, done
    assert re.search(FULL, done.stderr), done
    assert store.listing() == set()


@pytest.mark.parametrize("inject", ["ioctl:error=EOPNOTSUPP", "copy_file_range:error=EXDEV:when=1+",
                                    "copy_file_range:error=ENOSYS:when=1+"])
def test_ways_to_copy(store, files, inject):
    path = files.unified(megabytes=2)
    done = store.traced(inject, path)
    assert done.returncode == NOT_LOADED and sha256sum(path) in done.stdout, done
    assert fingerprint_of(store.images / sha256sum(path) / "image.tar") == sha256sum(path)


@pytest.fixture
def sharing(tmp_path):
    """A directory on a file system where files can share blocks."""
    disk, place = str(tmp_path / "disk"), tmp_path / "xfs"
    place.mkdir()
    with open(disk, "wb") as file:
        file.truncate(320 << 20)
    subprocess.run(["mkfs.xfs", "-q", disk], check=True)
    done = subprocess.run(["mount", "-o", "loop", disk, str(place)], capture_output=True, text=True)
    if done.returncode:
        cannot(f"needs loop devices and xfs: {done.stderr}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_blocks_are_shared(build, sharing):
    store, files = Store(build, sharing), ImageFiles(sharing)
    path = files.unified(megabytes=32)

    def used():
        os.sync()
        st = os.statvfs(sharing)
        return (st.f_blocks - st.f_bfree) * st.f_frsize

    before = used()
    fingerprint = store.add(path)
    assert used() - before < 4 << 20
    os.unlink(path)
    assert fingerprint_of(store.images / fingerprint / "image.tar") == fingerprint


@pytest.fixture
def small_state(store):
    """STATE with room for 8 MiB."""
    store.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=750", "tmpfs", str(store.state)],
                   check=True)
    yield store
    subprocess.run(["umount", str(store.state)], check=True)


def test_disk_full(small_state, files):
    store = small_state
    small = store.add(files.unified(megabytes=2))
    for paths in [files.unified(megabytes=20)], [files.metadata(), files.squashfs(20)]:
        store.fails(FULL, "import", *paths)
    assert [image["fingerprint"] for image in store.list()] == [small]
    store.add(files.unified(megabytes=4))


# --- several at once

def start(store, *args):
    return subprocess.Popen([*store.argv, "import", *args], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def end(running):
    """Exit statuses, sorted, and what was said."""
    said = [process.communicate(timeout=60)[1] for process in running]
    return sorted(process.returncode for process in running), said


def test_two_at_once(store, files):
    paths = [files.unified(".tar.gz", megabytes=8) for _ in range(4)]
    running = [start(store, path) for path in paths]
    statuses, said = end(running)
    assert statuses == [NOT_LOADED] * 4, said
    assert {image["fingerprint"] for image in store.list()} == {sha256sum(path) for path in paths}
    assert not any(name.startswith(".import-") for name in store.listing())


def test_the_same_at_once(store, files):
    """One of them makes it. An alias is given once, too."""
    path = files.unified(megabytes=8)
    running = [start(store, path) for _ in range(4)]
    statuses, said = end(running)
    assert statuses == [REFUSED, REFUSED, REFUSED, NOT_LOADED], said
    assert sum("it is there already" in words for words in said) == 3, said
    paths = [files.unified(megabytes=8) for _ in range(3)]
    statuses, said = end([start(store, path, "--alias", "mine") for path in paths])
    assert statuses == [REFUSED, REFUSED, NOT_LOADED], said
    assert not any(name.startswith(".import-") for name in store.listing())


# --- at a terminal

def test_progress(store, files):
    """A line that is drawn over, and taken away; nothing of it elsewhere."""
    path = files.unified(".tar.gz", megabytes=4)
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*store.argv, "import", path, "--public"],
                               stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == NOT_LOADED and out.startswith(b"Image imported")
    for stage in b"copying", b"checking", b"hashing":
        line = rb"\r\x1b\[K" + stage + rb" +\[[# ]{20}\] +\d+%  [\d.]+ (B|KiB|MiB) of "
        assert re.search(line, shown), shown
    assert b"100%" in shown and b"\r\x1b[Kdevlxdfs: " in shown
    assert "\r" not in store.run("import", files.unified(megabytes=1)).stderr


# --- with a daemon

@pytest.fixture
def ctl(daemon):
    def call(*args, status=DONE):
        return daemon.ctl("image", *args, status=status)
    return call


def changed(daemon):
    """Whether the daemon finds anything that it has not loaded."""
    status, answer = daemon.admin("POST", "/1.0/images/load")
    assert status == 200
    return answer["changed"]


def group_and_mode(path):
    st = os.stat(path)
    return st.st_gid, st.st_mode & 0o7777


def assert_the_accounts(path):
    for directory, names, entries in os.walk(path):
        assert group_and_mode(directory) == (ID, 0o2750), directory
        for entry in entries:
            if entry != ".lock":
                assert group_and_mode(os.path.join(directory, entry)) == (ID, 0o640), entry


def test_the_daemon_has_it_at_once(daemon, ctl, files):
    path = files.unified()
    ctl("import", path, "--public", "--alias", "debian")
    assert not changed(daemon)
    directory = os.path.join(daemon.dirs["state"], "images", sha256sum(path))
    assert_the_accounts(os.path.dirname(directory))
    for change in ["set", "debian", "public=false"], ["alias", "create", "x", "debian"], \
            ["alias", "delete", "x"], ["set", "debian", "cached=true"]:
        ctl(*change)
        assert not changed(daemon), change
        assert_the_accounts(directory)
    ctl("delete", "debian")
    assert not changed(daemon)
    assert "left out" not in daemon.log()
    path = files.unified()
    ctl("import", path)
    shutil.rmtree(os.path.join(daemon.dirs["state"], "images", sha256sum(path)))
    assert changed(daemon), "it was not loaded before"


def test_imported_before_the_daemon_started(new_daemon, files):
    """Its keeper gives the account what was there, and follows no link."""
    daemon = new_daemon()
    path = files.unified()
    daemon.ctl("image", "import", path, "--public", status=NOT_LOADED)
    images = os.path.join(daemon.dirs["state"], "images")
    elsewhere = os.path.join(files.directory, "elsewhere")
    os.mkdir(elsewhere, 0o700)
    with open(os.path.join(elsewhere, "secret"), "w") as file:
        os.chmod(file.name, 0o600)
    os.symlink(elsewhere, os.path.join(images, "0" * 64))
    os.symlink(os.path.join(elsewhere, "secret"), os.path.join(images, sha256sum(path), "link"))
    daemon.start()
    os.unlink(os.path.join(images, sha256sum(path), "link"))
    assert_the_accounts(os.path.join(images, sha256sum(path)))
    assert group_and_mode(elsewhere) == (0, 0o700)
    assert group_and_mode(os.path.join(elsewhere, "secret")) == (0, 0o600)
    assert f"the image {sha256sum(path)} is left out" not in daemon.log()
    os.unlink(os.path.join(images, "0" * 64))
    shutil.rmtree(os.path.join(images, sha256sum(path)))
    assert changed(daemon), "it was not loaded before"


def test_the_daemon_starts_during_an_import(new_daemon, files):
    """Which had begun when nobody had given the account its part."""
    daemon = new_daemon()
    path = files.unified(".tar.gz", megabytes=16)
    images = os.path.join(daemon.dirs["state"], "images")
    process = daemon.ctl_popen("image", "import", path, "--public")
    wait_until(lambda: os.path.isdir(images) and any(
        name.startswith(".import-") for name in os.listdir(images)), "the import's directory")
    with open(os.path.join(images, ".lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # it waits for this at its end
        assert not os.path.exists(os.path.join(images, sha256sum(path)))
        [staging] = [name for name in os.listdir(images) if name.startswith(".import-")]
        daemon.start()
        assert group_and_mode(os.path.join(images, staging)) == (0, 0o700)
    assert process.wait(60) == DONE, process.stderr.read()
    process.communicate()
    assert_the_accounts(os.path.join(images, sha256sum(path)))
    assert not changed(daemon) and "left out" not in daemon.log()


def test_the_account_cannot_hold_the_lock(daemon, ctl, files):
    """Who can open a file can flock it, and have every import wait."""
    ctl("import", files.unified(), "--alias", "debian")
    images = os.path.join(daemon.dirs["state"], "images")
    daemon.stop()
    daemon.start()
    assert group_and_mode(os.path.join(images, ".lock"))[1] == 0o600
    [fingerprint] = [name for name in os.listdir(images) if not name.startswith(".")]
    directory = os.open(os.path.join(images, fingerprint), os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    ctl("delete", "debian")
    os.close(directory)


def test_guests_are_served_during_an_import(daemon, new_guest, files):
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.role": "frontend"})
    guest.attach(daemon)
    path = files.unified(".tar.gz", megabytes=30)
    process = daemon.ctl_popen("image", "import", path, "--public")
    asked = 0
    while process.poll() is None:
        assert guest.curl("/1.0/config/user.role") == (200, "frontend")
        asked += 1
    assert process.wait() == DONE and asked > 0, process.stderr.read()
    process.communicate()


def test_another_owner_of_the_store(store, files):
    """Who runs a daemon without root reads what root has imported."""
    if os.getuid() != 0:
        cannot("needs root")
    store.state.mkdir()
    os.chown(store.state, 12345, 12345)
    fingerprint = store.add(files.unified(), "--public")
    store.ok("set", fingerprint, "cached=true")
    for path in [store.images, *store.images.rglob("*")]:
        assert os.stat(path).st_uid == 12345, path

# SPDX-License-Identifier: GPL-2.0-or-later
"""The tools that people have for files, over a directory with a thousand keys: GNU's, busybox's, Python.

What each of them finds, counts or copies is compared with the values on the host.
"""

import ast
import hashlib
import shutil

import pytest

from here import cannot
from standing import Standing

CONFIG = {f"user.key-{i:03}": f"value {i}\n" * (i % 50 + 1) for i in range(998)}
CONFIG.update({"user.binary": "\0\1\2" * 50000, "user.a/b c%": "strange"})
DEVICES = {f"disk{i:02}": {"type": "disk", **{f"key{j}": f"{i} {j}" for j in range(19)}}
           for i in range(50)}
FILES = {f"config/{key.replace('%', '%25').replace('/', '%2F')}": value.encode()
         for key, value in CONFIG.items()}
FILES.update({f"devices/{name}/{key}": value.encode()
              for name, config in DEVICES.items() for key, value in config.items()})
KEYS = sorted(path for path in FILES if path.startswith("config/"))
SIZE = sum(map(len, FILES.values()))
PLAIN = "config/user.key-007"
NEEDLE = "config/user.key-777"


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    with Standing(str(tmp_path_factory.mktemp("many")), mapped=True) as standing:
        standing.record(CONFIG, devices=DEVICES)
        yield standing


@pytest.fixture(params=["", "busybox "], ids=["gnu", "busybox"])
def tool(request, many):
    """Runs a tool in /dev/lxd; what it prints. It may complain of nothing."""
    if request.param and not shutil.which("busybox"):
        cannot("needs the package busybox-static")

    def run(command):
        done = many.guest.run(["sh", "-c", "cd /dev/lxd && " + request.param + command], text=False)
        assert done.stderr == b"", command
        return done.stdout

    run.is_busybox = bool(request.param)
    return run


@pytest.fixture
def scratch(many, request):
    """A directory in the guest that nobody else uses."""
    many.inside.run("import tempfile")
    return many.inside("tempfile.mkdtemp()")


def lines(output):
    return output.decode().splitlines()


def found_in(many, directory):
    """{path: bytes} of all files below a directory of the guest."""
    return many.inside(f"""{{os.path.relpath(os.path.join(d, f), {directory!r}): read(os.path.join(d, f))
                            for d, _, files in os.walk({directory!r}) for f in files}}""")


# --- looking

def test_ls(tool):
    assert ["config/" + name for name in lines(tool("ls config"))] == KEYS
    assert sorted(lines(tool("ls devices"))) == sorted(DEVICES)
    assert tool("ls -d config devices") == b"config\ndevices\n"


def test_ls_long_and_recursive(tool):
    """Every file once, each with its size."""
    sizes = {}
    for line in lines(tool("ls -lR config devices")):
        if line.endswith(":"):
            directory = line[:-1]
        elif line.startswith("-r--------"):
            fields = line.split(None, 8)
            assert fields[1:4] == ["1", "root", "root"]
            assert sizes.setdefault(f"{directory}/{fields[8]}", int(fields[4])) == int(fields[4])
    assert sizes == {path: len(value) for path, value in FILES.items()}


def test_find(tool):
    assert sorted(tool("find config devices -type f -print0").decode().split("\0")[:-1]) == sorted(FILES)
    assert tool("find config -size +100k") == b"config/user.binary\n"
    assert lines(tool("find . -type s")) == ["./sock"]
    assert sorted(lines(tool("find . -type d")))[:4] == [".", "./config", "./devices",
                                                         "./devices/disk00"]
    assert tool("find config -newer config") == b""
    assert len(lines(tool("find devices -name key7 -exec cat {} +").replace(b" ", b"\n"))) == 51


def test_grep(tool):
    assert tool("grep -rl 'value 777' config") == NEEDLE.encode() + b"\n"
    assert len(lines(tool("grep -r '^49 ' devices"))) == 19
    assert tool("grep -c . " + PLAIN) == b"8\n"


def test_wc_head_tail(tool):
    value = FILES[PLAIN]
    assert tool("wc -c " + PLAIN).split()[0] == str(len(value)).encode()
    assert tool("cat config/user.binary | wc -c") == b"150000\n"
    assert tool("head -n1 " + PLAIN) == value[:8]
    assert tool("head -c5 " + PLAIN) == value[:5]
    assert tool("tail -n1 " + PLAIN) == value[-8:]
    assert tool("tail -c3 " + PLAIN) == value[-3:]
    assert tool("tail -c +60001 config/user.binary | wc -c") == b"90000\n"
    assert tool("cat config/user.binary") == FILES["config/user.binary"]


def test_checksums(tool):
    sums = dict(reversed(line.split("  ")) for line in lines(tool("sha256sum config/*")))
    assert sums == {path: hashlib.sha256(FILES[path]).hexdigest() for path in KEYS}


def test_test(tool):
    yes = ["-e", "-f", "-r", "-s"]
    tool(" && ".join(f"test {flag} {PLAIN}" for flag in yes))
    tool("test -d config && test -x config && test -S sock && ! test -L name && ! test -e config/x")
    tool("test -w state && ! test -s config/user.none && test config -ef ./devices/../config")


def test_stat(tool):
    assert tool(f"stat -c '%s %F %a %U %h' {PLAIN}") == b"64 regular file 400 root 1\n"
    assert tool("stat -c '%F %a' config sock state") == (
        b"directory 555\nsocket 666\nregular file 600\n")
    assert tool("stat -f -c '%l %b %f' .") == b"255 0 0\n"


def test_du_and_df(tool):
    blocks = sum((len(value) + 511) // 512 for value in FILES.values())
    counted = sum(int(line.split()[0]) for line in lines(tool("du -s config devices")))
    assert abs(counted - blocks / 2) <= 2  # each line is rounded
    assert b"devlxdfs" in tool("df .")
    if not tool.is_busybox:
        assert sum(int(line.split()[0]) for line in lines(tool("du -sb config devices"))) == SIZE


# --- copying

def test_tar(many, tool, scratch):
    """No file changes as it is read, and what is unpacked is what was there."""
    tool(f"tar -cf {scratch}/archive.tar config devices")
    tool(f"tar -C {scratch} -xf {scratch}/archive.tar")
    many.inside(f"os.unlink('{scratch}/archive.tar')")
    assert found_in(many, scratch) == FILES


@pytest.mark.parametrize("options", ["-r", "-a"])
def test_cp(many, tool, scratch, options):
    tool(f"cp {options} config devices {scratch}")
    assert found_in(many, scratch) == FILES


def test_cp_of_everything(many, tool, scratch):
    """Nothing under /dev/lxd but the log of events keeps a copy from coming to its end."""
    tool(f"cp -a $(ls -d /dev/lxd/* | grep -v /events) {scratch}")
    copied = found_in(many, scratch + "/config")
    assert copied == {path.removeprefix("config/"): FILES[path] for path in KEYS}
    assert many.inside(f"read('{scratch}/name')") == b"web1\n"


def test_rsync(many, scratch):
    """A second time it finds nothing to do, and after a change just that."""
    if not shutil.which("rsync"):
        cannot("needs the package rsync")

    def rsync(*options):
        return many.guest.run(["rsync", "-a", "--itemize-changes", *options, "/dev/lxd/config",
                               "/dev/lxd/devices", scratch]).stdout

    assert len([line for line in rsync().splitlines() if line.startswith(">f")]) == len(FILES)
    assert found_in(many, scratch) == FILES
    assert rsync() == rsync("--checksum") == ""
    try:
        many.record({**CONFIG, "user.key-007": "other"}, devices=DEVICES)
        changed = [line.split()[1] for line in rsync().splitlines() if line.startswith(">f")]
        assert changed == [PLAIN]
        assert many.inside(f"read('{scratch}/{PLAIN}')") == b"other"
    finally:
        many.record(CONFIG, devices=DEVICES)


def test_dd_and_redirections(many, scratch):
    done = many.guest.run(["bash", "-c", f"""set -e; cd /dev/lxd
        dd if=config/user.binary bs=7k skip=2 count=3 status=none | sha256sum
        [ "$(<{PLAIN})" = "$(cat {PLAIN})" ]
        mapfile -t all <{PLAIN}; echo "${{#all[@]}}"
        while read -r a b; do last=$b; done <{PLAIN}; echo "$last"
        cat <{PLAIN} >{scratch}/copy; cmp {PLAIN} {scratch}/copy
        ln -s /dev/lxd/{PLAIN} {scratch}/link; cmp {PLAIN} {scratch}/link"""])
    expected = hashlib.sha256(FILES["config/user.binary"][2 * 7168:5 * 7168]).hexdigest()
    assert done.stdout.split() == [expected, "-", "8", "7"] and done.stderr == ""


# --- attributes

def test_no_extended_attributes(many):
    if not shutil.which("getfattr"):
        cannot("needs the package attr")
    for command in ["getfattr", "-d"], ["getfattr", "-d", "-m", "-"]:
        done = many.guest.run([*command, "/dev/lxd/name", "/dev/lxd/config"], check=False)
        assert done.stdout == "", command
    for name in "name", "config", PLAIN, "state":
        done = many.guest.run(["setfattr", "-n", "user.x", "-v", "1", f"/dev/lxd/{name}"], check=False)
        assert done.returncode == 1 and "Read-only file system" in done.stderr, name


# --- Python

PYTHON = r"""
import ast, mmap, os, pathlib, shutil, sys
root = pathlib.Path("/dev/lxd")
found = {str(path.relative_to(root)): path.read_bytes()
         for part in ("config", "devices") for path in (root / part).rglob("*") if path.is_file()}
scanned = {}
for entry in os.scandir(root / "config"):
    assert entry.is_file() and not entry.is_dir() and not entry.is_symlink(), entry.name
    scanned["config/" + entry.name] = entry.stat().st_size
mapped = {}
for name in ("user.binary", "user.key-049"):
    with open(root / "config" / name, "rb") as file, \
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        mapped["config/" + name] = memory[:]
shutil.copytree(root / "devices", "/tmp/python-copy")
copied = {str(path.relative_to("/tmp/python-copy")): path.read_bytes()
          for path in pathlib.Path("/tmp/python-copy").rglob("*") if path.is_file()}
with open(root / "config/user.key-049") as file:
    lines = sum(1 for line in file)
print((found, scanned, mapped, copied, lines, (root / "sock").is_socket()))
"""


def test_python(many):
    done = many.guest.run(["/usr/bin/python3", "-c", PYTHON])
    found, scanned, mapped, copied, lines, is_socket = ast.literal_eval(done.stdout)
    assert found == FILES
    assert scanned == {path: len(FILES[path]) for path in KEYS}
    assert mapped == {path: FILES[path] for path in mapped} and len(mapped) == 2
    assert {f"devices/{path}": value for path, value in copied.items()} == {
        path: value for path, value in FILES.items() if path.startswith("devices/")}
    assert lines == 50 and is_socket

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures what it takes to attach a guest, and by how much hooks slow the start of a container.

    BUILD=build tests/bench/attach.py [--quick] [PART...]

Parts: attach (guests that run), start (with the hook and without, in turn). All by default.
Everything is in a mount namespace of its own; writes nothing but its tables.
"""

import contextlib
import json
import os
import statistics
import sys
import time

from rounds import QUICK

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "managers"))

import account  # noqa: E402
from bwrap import Bwrap  # noqa: E402
from daemon import Daemon  # noqa: E402
from docker import Docker, Dockerd  # noqa: E402
from here import BUILD  # noqa: E402
from hooked import command  # noqa: E402
from lab import Lab  # noqa: E402
from lxc import Lxc  # noqa: E402
from mounting import make_private  # noqa: E402
from nspawn import Nspawn  # noqa: E402
from podman import Podman  # noqa: E402
from tree import new_directory  # noqa: E402

N_ATTACHED = 20 if QUICK else 100
N_STARTED = 5 if QUICK else 30


def took_ms(action):
    began = time.monotonic_ns()
    action()
    return (time.monotonic_ns() - began) / 1e6


def summary(values):
    """The least is what a machine that does nothing else takes."""
    return f"{statistics.median(values):.1f} | {min(values):.1f}"


def new_daemon(held):
    daemon = Daemon(BUILD, new_directory(held)).start()
    held.callback(daemon.stop)
    return daemon


def create(daemon, name):
    daemon.ctl("create", name, "-c", "user.role=frontend")


def attach(held, lab):
    daemon = new_daemon(held)
    print("\n| the command | median, ms | least |\n| --- | --- | --- |")
    create(daemon, "none")
    get = [took_ms(lambda: daemon.ctl("config", "get", "none", "user.role"))
           for _ in range(N_ATTACHED)]
    print(f"| `devlxdfs config get`, for comparison | {summary(get)} |")
    for manager in Lxc, Podman, Docker, Nspawn, Bwrap:
        for kind in manager.KINDS:
            name = f"{manager.__name__.lower()}-{kind}"
            create(daemon, name)
            guest = manager(lab, name, kind, way="attach").up()
            held.callback(guest.close)
            first, again = [], []
            for _ in range(N_ATTACHED):
                words = ("attach", name, "--pid", str(guest.pid))
                first.append(took_ms(lambda: daemon.ctl(*words)))
                again.append(took_ms(lambda: daemon.ctl(*words)))
                daemon.ctl("detach", name)
            print(f"| `attach`, {name} | {summary(first)} |")
            print(f"| the same again | {summary(again)} |", flush=True)


def lxc_pair(held, lab, daemon, name):
    words = " ".join([*command(daemon), "hook lxc"])
    lines = [f"lxc.hook.{stage} = {words}" for stage in ("start-host", "post-stop")]
    return Lxc(lab, name, options=lines), Lxc(lab, name + "-plain")


def podman_pair(held, lab, daemon, name):
    with open(f"{BUILD}/hostapi/attach/devlxdfs.json") as file:
        hook = json.load(file)
    program, *options = command(daemon)
    hook["hook"]["path"] = program
    hook["hook"]["args"][1:1] = options
    directory = new_directory(held)
    with open(f"{directory}/devlxdfs.json", "w") as file:
        json.dump(hook, file)

    class Hooked(Podman):
        def command(self, *args):
            words = super().command(*args)
            return [words[0], "--hooks-dir", directory, *words[1:]]

    annotation = ["--annotation", f"org.devlxdfs.instance={lab.prefix}-{name}"]
    return (Hooked(lab, name, way="attach", options=annotation),
            Podman(lab, name + "-plain", way="attach"))


def docker_pair(held, lab, daemon, name):
    program, *options = command(daemon)
    config = f"{new_directory(held)}/daemon.json"
    with open(config, "w") as file:
        json.dump({"runtimes": {"devlxdfs": {"path": program,
                                             "runtimeArgs": [*options, "oci-runtime"]}}}, file)
    dockerd = Dockerd(lab, "hooked", ["--config-file", config])
    pair = (Docker(lab, name, way="attach", options=["--runtime", "devlxdfs"]),
            Docker(lab, name + "-plain", way="attach"))
    for container in pair:
        container.dockerd = dockerd
        container.mounts.append((daemon.tree(f"{lab.prefix}-{name}"), "/dev/lxd"))
    return pair


def start(held, lab):
    daemon = new_daemon(held)
    print("\n| start of a container | with the hook, median, ms | least | without | least | "
          "difference, median | of the least |\n" + "| --- " * 7 + "|")
    for pair_of in lxc_pair, podman_pair, docker_pair:
        name = pair_of.__name__.removesuffix("_pair")
        create(daemon, f"{lab.prefix}-{name}")
        with_hook, without = pair_of(held, lab, daemon, name)
        took = {with_hook: [], without: []}
        for i in range(N_STARTED + 1):
            for container, values in took.items():
                ms = took_ms(container.up)
                if container is with_hook:
                    found = container.cat("config/user.role")
                    assert found == "frontend", found
                container.down()
                if i:  # the first one finds nothing in any cache
                    values.append(ms)
        # What else the machine did in a round, it did to both.
        differences = [a - b for a, b in zip(took[with_hook], took[without])]
        print(f"| {name} | {summary(took[with_hook])} | {summary(took[without])} | "
              f"{statistics.median(differences):+.1f} | "
              f"{min(took[with_hook]) - min(took[without]):+.1f} |", flush=True)


def main():
    make_private()
    parts = [arg for arg in sys.argv[1:] if not arg.startswith("-")] or ["attach", "start"]
    with contextlib.ExitStack() as held:
        account.put_over(new_directory(held))
        lab = held.enter_context(Lab(new_directory(held)))
        for part in parts:
            with contextlib.ExitStack() as inner:
                {"attach": attach, "start": start}[part](inner, lab)


if __name__ == "__main__":
    main()

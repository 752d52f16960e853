# SPDX-License-Identifier: GPL-2.0-or-later
"""cloud-init's own LXD datasource, as Debian ships it, reading the socket in a guest."""

import json
import os

import pytest
import yaml

from here import PYTHON, cannot

USER_DATA = "#cloud-config\npackages: [nginx]\nruncmd:\n- echo %h ${x} é\n"
NETWORK = "version: 2\nethernets: {eth0: {dhcp4: true}}\n"
NIC = {"type": "nic", "network": "br0", "hwaddr": "00:16:3e:00:00:01"}
PROXIES = {"no proxy": {}, "http_proxy": {"http_proxy": "http://proxy.invalid:3128"}}


@pytest.fixture(autouse=True)
def cloud_init():
    if not os.path.exists("/usr/lib/python3/dist-packages/cloudinit/sources/DataSourceLXD.py"):
        cannot("needs the package cloud-init")


def crawl(guest, environment={}, **options):
    return guest.run([PYTHON, "-m", "cloudinit.sources.DataSourceLXD"],
                     env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environment}, **options)


@pytest.mark.parametrize("proxy", PROXIES)
def test_datasource_reads_exact_values(guest, daemon, proxy):
    config = {"cloud-init.user-data": USER_DATA, "cloud-init.network-config": NETWORK,
              "user.meta-data": "extra: yes\n", "user.role": "frontend", "user.a b%c+é": "x"}
    daemon.guest_record(guest, config, devices={"eth0": NIC})
    done = crawl(guest, PROXIES[proxy])
    seen = json.loads(done.stdout)
    assert seen["config"] == config
    assert seen["user-data"] == USER_DATA
    assert seen["network-config"] == NETWORK
    assert seen["devices"] == {"eth0": NIC}
    meta = yaml.safe_load(seen["meta-data"])
    assert meta["local-hostname"] == "web1" and meta["extra"] is True
    assert len(meta["instance-id"]) == 36


def test_platform_is_viable(guest):
    done = guest.run([PYTHON, "-c", "from cloudinit.sources.DataSourceLXD import "
                                    "is_platform_viable as f; print(f())"])
    assert done.stdout == "True\n"


def test_empty_record_is_enough(guest, daemon):
    daemon.guest_record(guest, {})
    seen = json.loads(crawl(guest).stdout)
    assert seen["config"] == {} and seen["devices"] == {}


def test_empty_network_config_does_not_kill_it(guest, daemon):
    daemon.guest_record(guest, {"cloud-init.network-config": "", "user.role": "x"})
    assert json.loads(crawl(guest).stdout)["config"] == {"user.role": "x"}


def test_ssh_keys_are_merged(guest, daemon):
    daemon.guest_record(guest, {"cloud-init.user-data": "#cloud-config\npackages: [nginx]\n",
                                "cloud-init.ssh-keys.me": "root:ssh-ed25519 AAAA me",
                                "cloud-init.ssh-keys.gh": "admin:gh:someone"})
    seen = json.loads(crawl(guest).stdout)
    assert not any("ssh-keys" in key for key in seen["config"])
    # Without `users` in the user-data the keys go to the vendor-data.
    vendor = yaml.safe_load(seen["config"]["cloud-init.vendor-data"])
    users = {user["name"]: user for user in vendor["users"]}
    assert users["root"]["ssh_authorized_keys"] == ["ssh-ed25519 AAAA me"]
    assert users["admin"]["ssh_import_id"] == ["gh:someone"]
    assert seen["config"]["cloud-init.vendor-data"].startswith("#cloud-config\n")
    assert yaml.safe_load(seen["user-data"])["packages"] == ["nginx"]


def test_hidden_when_off(guest, daemon):
    daemon.guest_record(guest, {"security.devlxd": "false", "user.role": "x"})
    done = crawl(guest, check=False)
    assert done.returncode != 0 and "403" in done.stderr


def test_instance_id_follows_the_seed(guest, daemon):
    def instance_id():
        return yaml.safe_load(guest.curl("/1.0/meta-data")[1])["instance-id"]

    first = instance_id()
    daemon.guest_record(guest, {"user.role": "other"})
    assert instance_id() == first
    daemon.guest_record(guest, {"user.role": "other", "cloud-init.user-data": USER_DATA})
    second = instance_id()
    assert second != first
    daemon.stop()
    daemon.start()
    guest.attach(daemon)
    assert instance_id() == second

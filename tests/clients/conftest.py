# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients are tried in the guest that most people have: root inside, somebody else outside."""

import pytest


@pytest.fixture
def guest(daemon, new_guest):
    guest = new_guest("web1", mapped=True)
    daemon.guest_record(guest, {"user.role": "frontend"})
    return guest.attach(daemon)

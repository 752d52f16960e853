# SPDX-License-Identifier: GPL-2.0-or-later
"""What people will copy parses: scripts by sh, units by systemd where that is installed."""
import re
import shutil
import subprocess

from common import main


def check_script(tree, path):
    done = subprocess.run(['sh', '-n', path], capture_output=True, text=True)
    for number, text in re.findall(r'(?m)^\S+: (?:line )?(\d+): (?:\S+: )?(.*)$', done.stderr):
        yield tree.finding(path, number, text)


def check_unit(tree, path):
    """systemd looks at what the unit pulls in as well; what it says of others is not ours."""
    done = subprocess.run(['systemd-analyze', 'verify', '--man=no', path], capture_output=True,
                          text=True)
    for line in done.stderr.splitlines():
        place = re.match(rf'(?:{re.escape(str(path))}:(\d+)|{re.escape(path.name)}): *(.*)', line)
        if place:
            yield tree.finding(path, place[1] or 1, place[2])


def check(tree, build):
    for path in tree.files('.sh', under=['examples']):
        yield from check_script(tree, path)
    for path in tree.files('.service', '.mount', '.socket', under=['examples']):
        if shutil.which('systemd-analyze'):
            yield from check_unit(tree, path)
        else:
            yield tree.finding(path, 1, 'warning: not looked at, systemd-analyze is missing')


main(check)

# SPDX-License-Identifier: GPL-2.0-or-later
"""What an object of ours offers to others is named after its file, the header it implements, or a
type that this header defines, so that a reader knows where to look; and no object keeps writable
data."""
import re
import subprocess

from common import includes, main

# symbol -> why it may be
NAMES = {
    'now_us': 'a file of its own would hold these two functions',
    'now_ns': 'the same',
    'setsockopt': "nonip.c takes the place of libc's on purpose",
    'query_get': 'a query is the raw text in struct target, without a type of its own',
}
DATA = {
    ('log', 'sink'): 'the log is for the whole process',
}
TOOLS = re.compile(r'__(odr_)?[a-z]*san|__gcov|__llvm|\.L|_sub_[DI]_|__start_|__stop_')


def symbols(archive):
    """(object's file name, symbol, nm class, section)"""
    run = subprocess.run(['nm', '--format=sysv', archive], capture_output=True, text=True,
                         check=True)
    source = ''
    for line in run.stdout.split('\n'):
        match = re.match(r'Symbols from .*[\[/]([^/\]]+)\.o\]?:', line)
        source = match.group(1) if match else source
        cells = [cell.strip() for cell in line.split('|')]
        if len(cells) == 7 and not TOOLS.match(cells[0]):
            yield source, cells[0], cells[2], cells[6]


def prefixes(path):
    names = [path.stem]
    for _, name in list(includes(path))[:1]:
        header = path.parent / name.rpartition('/')[2]
        names.append(header.stem)
        if header.exists():
            names += re.findall(r'^(?:struct|enum) (\w+) \{', header.read_text(), re.M)
    return [name.removesuffix('-none').replace('-', '_') for name in names]


def is_ours(name, allowed):
    return any(name == prefix or name.startswith(prefix + '_') for prefix in allowed)


def check(tree, build):
    archives = sorted(a for a in build.rglob('*.a') if a.parent.name != 'tests')
    if not archives:
        yield f'{build}: no library is built; run meson compile'
    for archive in archives:
        folder = tree.root / archive.parent.relative_to(build)
        for source, name, kind, section in symbols(archive):
            path = folder / source
            if not path.exists():
                continue # an object of a file that is gone
            if kind in 'TDBRV' and name not in NAMES and not is_ours(name, prefixes(path)):
                yield tree.finding(path, 1, f'"{name}" is visible to others; make it static or '
                                   f'start its name with {prefixes(path)[0]}_')
            variable = re.sub(r'\.\d+$', '', name)
            if kind in 'bBdD' and not section.startswith('.data.rel.ro') \
                    and (path.stem, variable) not in DATA:
                yield tree.finding(path, 1, f'"{variable}" is writable data of the whole process; '
                                   'pass it in, or make it const')


main(check)

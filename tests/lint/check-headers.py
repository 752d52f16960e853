# SPDX-License-Identifier: GPL-2.0-or-later
"""Every file opens with its licence and a comment that says what it is for. A header has #pragma
once, compiles alone, keeps no data, and has a comment right above each prototype or its group."""
import re
import subprocess

from common import code, lines, main

HEAD = {'.h': ['#pragma once'], '.c': []}
SPDX = '/* SPDX-License-Identifier: GPL-2.0-or-later */'


def prototypes(path):
    """The line of each prototype outside braces: a statement with '(' that is no typedef."""
    depth, statement, start = 0, '', 0
    for number, line in enumerate(code(path), 1):
        if re.match(r'\s*#', line) or (number > 1 and lines(path)[number - 2].endswith('\\')):
            continue
        if depth == 0 and not statement.strip():
            start = number
        statement += line + ' ' if depth == 0 else ''
        depth += line.count('{') - line.count('}')
        if depth == 0 and line.rstrip().endswith((';', '}')):
            if re.match(r'(?!\s*(typedef|static|DEFINE_))[^{]*\(', statement):
                yield start
            statement = ''


def has_comment(text, number):
    """On line @number or in the run of lines without a blank one above it."""
    for line in reversed(text[:number]):
        if not line.strip():
            return False
        if line.rstrip().endswith('*/'):
            return True
    return False


def flags_of(package):
    """Where a library keeps its headers when that is not where all do."""
    run = subprocess.run(['pkg-config', '--cflags', package], capture_output=True, text=True)
    return run.stdout.split()


def check(tree, build):
    for path in tree.files('.c', '.h'):
        text = lines(path)
        head = [*HEAD[path.suffix], SPDX]
        if text[:len(head)] != head:
            yield tree.finding(path, 1, f'the file must open with {" and ".join(head)}')
        elif not text[len(head)].startswith('/*'):
            yield tree.finding(path, len(head) + 1, 'no comment that says what the file is for')
    for path in tree.files('.h'):
        text = lines(path)
        for number, line in enumerate(code(path), 1):
            if re.match(r'extern [^()]*;', line):
                yield tree.finding(path, number, 'data in a header; offer a function')
        for number in prototypes(path):
            if not has_comment(text, number):
                yield tree.finding(path, number, 'no comment above it; state the contract')
        command = ['cc', '-std=gnu17', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Wno-unused-parameter',
                   '-Werror', *flags_of('fuse3'), '-fsyntax-only', '-I', tree.root / 'hostapi', '-I', tree.root,
                   *(['-I', build] if build else []), '-x', 'c', '-']
        run = subprocess.run(command, input=f'#include "{path}"\n', capture_output=True, text=True)
        if run.returncode:
            error = re.search(r'error: .*', run.stderr)
            yield tree.finding(path, 1, 'does not compile alone; include what it uses: ' +
                               (error.group() if error else run.stderr))


main(check)

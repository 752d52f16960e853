# SPDX-License-Identifier: GPL-2.0-or-later
"""Every check passes a tree that is good, and names file and line when one thing in it is bad."""
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).parent
SPDX = '/* SPDX-License-Identifier: GPL-2.0-or-later */\n'
ABOUT = '/*\n * A sample\n */\n'
GOOD = {
    'hostapi/base/a.h': f'#pragma once\n{SPDX}{ABOUT}#include <stddef.h>\n\n'
                        '/* Returns @n, or 0. */\nsize_t a_get(size_t n);\n',
    'hostapi/base/a.c': f'{SPDX}{ABOUT}#include "base/a.h"\n\nsize_t a_get(size_t n)\n{{\n'
                        '\treturn n;\n}\n',
    'hostapi/api/shared.h': f'#pragma once\n{SPDX}{ABOUT}/* Does nothing. */\nvoid b_do(void);\n',
    'hostapi/api/b.c': f'{SPDX}{ABOUT}#include "api/shared.h"\n\n#include "base/a.h"\n\n'
                       'void b_do(void)\n{\n\ta_get(1);\n}\n',
}
A_C = GOOD['hostapi/base/a.c']
A_H = GOOD['hostapi/base/a.h']
BODY = '\treturn n;\n' # line 9 of a.c


def body(text):
    return {'hostapi/base/a.c': A_C.replace(BODY, text)}


def declare(text):
    return {'hostapi/base/a.h': A_H + text}


# check -> (what is changed in the good tree, what the finding begins with)
BAD = {
    'layers': [
        ({'hostapi/base/a.c': A_C.replace('\n\n', '\n#include "api/shared.h"\n\n', 1)},
         'hostapi/base/a.c:6: base includes "api/shared.h"'),
        ({'fsd/x.h': A_H.replace('<stddef.h>', '"ctl/c.h"'), 'hostapi/ctl/c.h': A_H},
         'fsd/x.h:6: fsd includes "ctl/c.h"'),
        ({'hostapi/base/x.h': A_H.replace('<stddef.h>', '"base/y.h"'),
          'hostapi/base/y.h': A_H.replace('<stddef.h>', '"x.h"')},
         'hostapi/base/y.h:6: circle: x.h -> y.h -> x.h'),
        ({'hostapi/base/a.c': A_C.replace('base/a.h', 'base/o.h'), 'hostapi/base/o.h': A_H},
         'hostapi/base/a.c:5: include "a.h" first'),
        ({'hostapi/base/a-none.c': SPDX + ABOUT}, 'hostapi/base/a-none.c:1: include "a.h" first'),
        ({'hostapi/base/z.c': SPDX + ABOUT}, 'hostapi/base/z.c:1: no z.h'),
        ({'hostapi/base/a.c': A_C + '#include "nowhere.h"\n'},
         'hostapi/base/a.c:11: "nowhere.h" is not ours'),
    ],
    'sizes': [
        (body('\n' * 79), 'hostapi/base/a.c:7: the function has 82 lines'),
        ({'hostapi/base/a.c': A_C + '\n' * 600}, 'hostapi/base/a.c:1: the file has 610 lines'),
        (declare('\n' * 200), 'hostapi/base/a.h:1: the file has 209 lines'),
    ],
    'format': [
        (body('    return n;\n'), 'hostapi/base/a.c:8: not as the formatter has it'),
    ],
    'headers': [
        ({'hostapi/base/a.c': 'int a_x;\n'}, 'hostapi/base/a.c:1: the file must open with'),
        ({'hostapi/base/a.h': A_H.replace('#pragma once\n', '')}, 'hostapi/base/a.h:1: the file'),
        ({'hostapi/base/a.c': A_C.replace(ABOUT, '')}, 'hostapi/base/a.c:2: no comment that says'),
        (declare('\nint a_x(int x,\n\t\tint y);\n'), 'hostapi/base/a.h:11: no comment above'),
        (declare('\n/* Yes. */\nint a_x(void);\nint a_y(void);\n\nint a_z(void);\n'),
         'hostapi/base/a.h:15: no comment above'),
        (declare('extern int a_x;\n'), 'hostapi/base/a.h:10: data in a header'),
        (declare('/* Uses it. */\nFILE *a_x(void);\n'), 'hostapi/base/a.h:1: does not compile'),
    ],
    'names': [
        ({'hostapi/base/a.c': A_C + 'void other(void)\n{\n}\n'}, 'hostapi/base/a.c:1: "other" is'),
        ({'hostapi/base/a.c': A_C + 'void ab_x(void)\n{\n}\n'}, 'hostapi/base/a.c:1: "ab_x" is'),
        (body('\tstatic size_t last;\n\treturn last += n;\n'), 'hostapi/base/a.c:1: "last" is'),
        ({'hostapi/base/a.c': A_C + 'int a_x = 1;\n'}, 'hostapi/base/a.c:1: "a_x" is writable'),
    ],
    'manuals': [
        ({'fsd/options.c': '\t{"quiet", NULL, "say less", set},\n', 'docs/devlxdfsd.8.scd': ''},
         'fsd/options.c:1: "quiet" is not in docs/devlxdfsd.8.scd'),
        ({'fsd/options.c': '\t{"quiet", NULL, "say less", set},\n',
          'docs/devlxdfsd.8.scd': '*--quiet*\n\n*--loud*\n'},
         'docs/devlxdfsd.8.scd:3: "loud" is not in fsd/options.c'),
        ({'fsd/tree.c': '\t{.path = "key",\n\t .mode = 0400,\n\t .by_rules = true},\n',
          'docs/devlxdfs-tree.7.scd': '*key* (0400)\n'},
         'fsd/tree.c:1: "key 0400 rules" is not in docs/devlxdfs-tree.7.scd'),
        ({'fsd/tree.c': '\t{.path = "key",\n\t .mode = 0400},\n',
          'docs/devlxdfs-tree.7.scd': '*key* (0400)\n\n*lock* (0400, or by rules)\n'},
         'docs/devlxdfs-tree.7.scd:3: "lock 0400 rules" is not in fsd/tree.c'),
        ({'fsd/options.c': 'none\n', 'docs/devlxdfsd.8.scd': ''},
         'fsd/options.c:1: no table found'),
    ],
    'examples': [
        ({'examples/x.sh': '#!/bin/sh\nif true; then\n'}, 'examples/x.sh:3: '),
        *([({'examples/x.service': '[Service]\nExecStat=/bin/x\nExecStart=/bin/true\n'},
            "examples/x.service:2: Unknown key")]
          if shutil.which('systemd-analyze') else []),
    ],
    'habits': [
        (body('\texit(1);\n'), 'hostapi/base/a.c:9: exit: '),
        (body('\treturn atoi("1");\n'), 'hostapi/base/a.c:9: atoi: '),
        (body('\treturn strtoull("1", 0, 0);\n'), 'hostapi/base/a.c:9: strtoull: '),
        (body('\treturn sscanf("1", "%d", 0);\n'), 'hostapi/base/a.c:9: sscanf: '),
        (body('\treturn strncmp("a", "b", 1);\n'), 'hostapi/base/a.c:9: strncmp: '),
        (body('\tstrcpy(0, 0);\n'), 'hostapi/base/a.c:9: strcpy: '),
        (body('\tusleep(1);\n'), 'hostapi/base/a.c:9: usleep: '),
        (body('\treturn n; /* TODO */\n'), 'hostapi/base/a.c:9: TODO: '),
        (body('#if 1\n\treturn n;\n#endif\n'), 'hostapi/base/a.c:9: #if in a function'),
        (body('\treturn SO_PEERCRED;\n'), 'hostapi/base/a.c:9: SO_PEERCRED: '),
        (body('\treturn dup(1);\n'), 'hostapi/base/a.c:9: dup: '),
        (body('\treturn open("x",\n\t\t    O_RDONLY);\n'), 'hostapi/base/a.c:9: open() without'),
        (body('\tlog_warn("x");\n'), 'hostapi/base/a.c:9: log_warn: '),
        ({'hostapi/base/a.c': '#include <inotifytools/inotifytools.h>\n'},
         'hostapi/base/a.c:1: #include <inotifytools: '),
        ({'hostapi/api/b.c': 'int b = 404;\n'}, 'hostapi/api/b.c:1: 404: '),
    ],
    'tidy': [
        (body('\tchar *p = 0;\n\n\treturn n ? n : (size_t)*p;\n'), 'hostapi/base/a.c:11: error: '),
    ],
}
# what looks bad and is not
FINE = [
    body('\treturn n; /* exit(1), atoi(), strncmp() and 404 in words */\n'),
    body('\treturn sizeof("exit(1) sleep(1) SO_PEERCRED");\n'),
    body('\treturn open("x", O_RDONLY | O_CLOEXEC) + !fopen("x", "re");\n'),
    {'hostapi/api/reply.c': 'int reply = 404;\n'},
    {'hostapi/store/dir.c': '#include <inotifytools/inotifytools.h>\n'},
    {'hostapi/base/a.c': 'int main(void)\n{\n\texit(1);\n}\n'},
]


def build_tree(root):
    """What meson leaves: a library per layer and the commands that compile it."""
    build = root / 'build'
    commands = []
    for source in sorted(root.glob('hostapi/*/*.c')):
        layer = build / source.parent.relative_to(root)
        target = layer / f'lib{layer.name}.a.p' / f'{source.name}.o'
        target.parent.mkdir(parents=True, exist_ok=True)
        command = ['cc', '-w', '-fPIE', '-I', str(root / 'hostapi'), '-c', str(source)]
        subprocess.run([*command, '-o', target], check=True)
        subprocess.run(['ar', 'csrDT', layer / f'lib{layer.name}.a', target], check=True)
        commands.append({'directory': str(build), 'file': str(source), 'arguments': command})
    (build / 'compile_commands.json').write_text(repr(commands).replace("'", '"'))
    return build


def run(check, changes):
    with tempfile.TemporaryDirectory() as path:
        root = Path(path)
        for name, text in {**GOOD, **changes}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        for name in ('.clang-format', '.clang-tidy'):
            shutil.copy(HERE.parents[1] / name, root)
        build = [build_tree(root)] if check in ('names', 'tidy') else []
        return subprocess.run([sys.executable, '-B', HERE / f'check-{check}.py', root, *build],
                              capture_output=True, text=True)


class Checks(unittest.TestCase):
    def judge(self, check, changes, status, expected):
        result = run(check, changes)
        if result.returncode == 77:
            self.skipTest(result.stdout)
        with self.subTest(check=check, expected=expected):
            self.assertEqual(result.stderr, '')
            self.assertTrue(any(line.startswith(expected) for line in result.stdout.split('\n')),
                            f'{expected!r} not in {result.stdout!r}')
            self.assertEqual(result.returncode, status)

    def test_fine(self):
        for changes in FINE:
            self.judge('habits', changes, 0, '')
        self.judge('names', {'hostapi/base/a.h': A_H + 'struct t {\n\tint x;\n};\n',
                             'hostapi/base/a.c': A_C + 'void t_do(void)\n{\n}\n'}, 0, '')
        self.judge('sizes', body('\n' * 60), 0, 'hostapi/base/a.c:7: warning: ')

    def test_all_are_tested(self):
        names = {path.name for path in HERE.glob('check-*')}
        self.assertEqual({f'check-{name}.py' for name in BAD}, names)


def add_tests():
    for check, samples in BAD.items():
        def test(self, check=check, samples=samples):
            self.judge(check, {}, 0, '')
            for changes, expected in samples:
                self.judge(check, changes, 1, expected)
        setattr(Checks, f'test_{check}', test)


add_tests()
unittest.main()

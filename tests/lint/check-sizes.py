# SPDX-License-Identifier: GPL-2.0-or-later
"""A .c has at most 600 lines, a .h 200, a function 80; warns above 400 and 50."""
from common import functions, lines, main

WALLS = {'.c': (400, 600), '.h': (200, 200)}


def judge(tree, path, line, what, n, target, wall):
    if n > wall:
        yield tree.finding(path, line, f'{what} has {n} lines, the wall is {wall}; split it')
    elif n > target:
        yield tree.finding(path, line, f'warning: {what} has {n} lines, the aim is {target}')


def check(tree, build):
    for path in tree.files('.c', '.h'):
        yield from judge(tree, path, 1, 'the file', len(lines(path)) - 1, *WALLS[path.suffix])
        for first, last in functions(path):
            yield from judge(tree, path, first, 'the function', last - first + 1, 50, 80)


main(check)

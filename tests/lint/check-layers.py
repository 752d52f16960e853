# SPDX-License-Identifier: GPL-2.0-or-later
"""Includes point down: base < core < store < api < front < attach < images < ctl, and fsd above attach.
Headers do not include each other in a circle. A .c includes its own header first, so that nothing
before it helps it (files that share one header: that one)."""
from common import LAYERS, includes, is_main, main

ALLOWED = {layer: LAYERS[:i + 1] for i, layer in enumerate(LAYERS)}
ALLOWED['fsd'] = [*LAYERS[:LAYERS.index('attach') + 1], 'fsd']


def layer_of(tree, path):
    parts = path.relative_to(tree.root).parts
    return parts[0] if parts[0] == 'fsd' else parts[1]


def resolve(tree, path, name):
    for base in (path.parent, tree.root / 'hostapi', tree.root):
        if (base / name).is_file():
            return (base / name).resolve()
    return None


def own_header(path):
    """log-journal-none.c is another log-journal.c, whose header it shares."""
    stem = path.stem
    while not (path.parent / f'{stem}.h').exists() and '-' in stem:
        stem = stem.rpartition('-')[0]
    own = path.parent / f'{stem}.h'
    return own if own.exists() else None


def circles(tree):
    graph = {h: [(n, resolve(tree, h, name)) for n, name in includes(h)] for h in tree.files('.h')}
    done = set()

    def visit(header, trail):
        for line, target in graph.get(header, []):
            if target in trail:
                names = ' -> '.join(p.name for p in [*trail[trail.index(target):], target])
                yield tree.finding(header, line, f'circle: {names}; forward-declare instead')
            elif target and target not in done:
                yield from visit(target, [*trail, target])
        done.add(header)

    for header in graph:
        if header not in done:
            yield from visit(header, [header])


def check(tree, build):
    for path in tree.files('.c', '.h'):
        layer = layer_of(tree, path)
        found = list(includes(path))
        for line, name in found:
            target = resolve(tree, path, name)
            if not target and name != 'config.h':
                yield tree.finding(path, line, f'"{name}" is not ours; write <{name}>')
            elif target and layer_of(tree, target) not in ALLOWED.get(layer, []):
                yield tree.finding(path, line, f'{layer} includes "{name}" above it; move what '
                                   'both need down, or pass it in')
        if path.suffix == '.h' or is_main(path):
            continue
        first = resolve(tree, path, found[0][1]) if found else None
        own = own_header(path)
        if own and first != own.resolve():
            yield tree.finding(path, found[0][0] if found else 1, f'include "{own.name}" first')
        elif not own and (not first or first.parent != path.parent):
            yield tree.finding(path, 1, f'no {path.stem}.h, and no header of its layer comes first')
    yield from circles(tree)


main(check)

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Damage logs and see what alist replay and cost make of them.

Usage: damage.py ALIST COPIES LOG...

A copy is cut, has lost lines, or has lines in another order. It has to be refused with a
message that names the line, or replayed: then nothing is stale (the log cannot show that
something was), and every command that is left in it is counted, by both. SEED=N repeats a run.
"""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import count

WORDS = re.compile(rb'entries-in-buffer')


def cut(rng, lines):
    text = b''.join(lines)
    return text[:rng.randrange(len(text))]


def piece(rng, lines):
    start = rng.randrange(len(lines))
    return b''.join(lines[start:start + rng.randrange(1, 400)])


def lossy(rng, lines):
    share = rng.choice((0.001, 0.01, 0.1, 0.5))
    return b''.join(line for line in lines
                    if rng.random() > share and not WORDS.search(line))


def hole(rng, lines):
    start = rng.randrange(len(lines))
    del lines[start:start + rng.randrange(1, 60)]
    lines.insert(start, b'CPU:1 [LOST 12 EVENTS]\n')
    return b''.join(line for line in lines if not WORDS.search(line))


def swapped(rng, lines):
    """Neighbours change places, with the times of each other."""
    for _ in range(rng.randrange(1, 50)):
        i = rng.randrange(len(lines) - 1)
        a, b = (re.search(rb' [0-9]+\.[0-9]+: ', line) for line in lines[i:i + 2])
        if a and b:
            lines[i], lines[i + 1] = (
                lines[i + 1].replace(b[0], a[0], 1), lines[i].replace(a[0], b[0], 1))
    return b''.join(lines)


def bytes_changed(rng, lines):
    text = bytearray(b''.join(lines))
    for _ in range(rng.randrange(1, 5)):
        text[rng.randrange(len(text))] = rng.randrange(256)
    return bytes(text)


KINDS = (cut, piece, lossy, hole, swapped, bytes_changed)


def look(alist, path):
    out = subprocess.run([alist, 'replay', '--json', path], capture_output=True)
    if out.returncode == 2:
        if out.stdout or not re.match(rb'alist: .*:[0-9]+: ', out.stderr):
            return f'refused with {out.stderr!r}'
        return None
    if out.returncode not in (0, 1):
        return f'exit {out.returncode}: {out.stderr[-300:]!r}'
    told = json.loads(out.stdout)
    out = subprocess.run([alist, 'cost', '--json', path], capture_output=True)
    if out.returncode:
        return f'replayed, but cost exits {out.returncode}: {out.stderr[-300:]!r}'
    counted = json.loads(out.stdout)['commands']
    if counted != told['recorded']:
        return f'replay counts {told["recorded"]}, cost {counted}'
    if told['stale'] or told['faults']:
        return f'{told["stale"]} stale, {told["faults"]} refused by the model'
    return count.check(alist, path)


def one(job):
    alist, log, seed, directory = job
    rng = random.Random(seed)
    kind = rng.choice(KINDS)            # of its own: each log meets each kind
    lines = open(log, 'rb').read().splitlines(keepends=True)
    if len(lines) > 1500:
        start = rng.randrange(len(lines) - 1500)
        lines = lines[start:start + 1500]
    path = os.path.join(directory, f'{seed}.txt')
    with open(path, 'wb') as out:
        out.write(kind(rng, lines))
    what = look(alist, path)
    if what:
        return f'seed {seed}, {kind.__name__} of {log}: {what}'
    os.unlink(path)
    return None


def main():
    alist, copies, *logs = sys.argv[1:]
    seed = int(os.environ.get('SEED', 1))
    print('KTAP version 1')
    print('1..1')
    print(f'# SEED={seed}')
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(2) as pool:
        jobs = [(alist, logs[i % len(logs)], seed + i, directory) for i in range(int(copies))]
        bad = [what for what in pool.map(one, jobs) if what]
    for what in bad[:20]:
        print(f'# {what}')
    print(f'{"not " if bad else ""}ok 1 {copies} damaged logs')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())

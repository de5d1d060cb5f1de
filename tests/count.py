#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Count the commands of a log with nothing of alist's, and see that alist agrees.

Usage: count.py ALIST LOG...
       count.py --print LOG

A command is a line with its event; what it is depends on a few bits. 'alist replay' has to
have the same numbers for the log, and its lines by purpose have to add up to them.
"""
import json
import lzma
import re
import subprocess
import sys

WORD = r'(0x[0-9a-fA-F]+)'
# What is before the name of an event; its system may be, too.
AT = r'[ \t:/]'
QI = re.compile(rf'{AT}qi_submit: +[^ ]+ [^ ]+: {WORD} {WORD} {WORD} {WORD}')
AMD = re.compile(rf'{AT}amdcmd: .*\bd0={WORD} d1={WORD}')
# Several, with a completion wait behind them or what is there already.
AMDS = re.compile(rf'{AT}amdcmd: .*\biommu={WORD} .*\bn=(\d+) wait={WORD} c={{(.*)}}')
SMMU = re.compile(rf'{AT}smmucmd: .*\bop=(\d+) n=(\d+) sync=(\d)')
RISCV = re.compile(rf'{AT}riscvcmd: .*\bd0={WORD} d1={WORD}')
KINDS = ('iotlb', 'atc', 'config', 'other', 'sync')


def vtd(word):
    """VT-d, 6.5.2: the type is in bits 11:9 and 3:0."""
    return {1: 'config', 2: 'iotlb', 3: 'atc', 5: 'sync', 6: 'iotlb', 7: 'config',
            8: 'atc'}.get((word >> 9 & 7) << 4 | word & 15, 'other')


def amd(d1):
    return {1: 'sync', 2: 'config', 3: 'iotlb', 4: 'atc', 8: 'iotlb'}.get(d1 >> 28, 'other')


def smmu(op):
    if op in (3, 4, 5, 6):
        return 'config'
    if op in (0x10, 0x11, 0x12, 0x13, 0x20, 0x21, 0x22, 0x23, 0x28, 0x2a, 0x30):
        return 'iotlb'
    return {0x40: 'atc', 0x46: 'sync'}.get(op, 'other')


def riscv(word):
    opcode, func = word & 0x7f, word >> 7 & 7
    if opcode == 4 and func:
        return 'other'
    return {1: 'iotlb', 2: 'sync', 3: 'config', 4: 'atc'}.get(opcode, 'other')


def count(path):
    counts = dict.fromkeys(KINDS, 0)
    waits = True
    unwaited = {}
    for line in (lzma.open if path.endswith('.xz') else open)(path, 'rt', errors='replace'):
        if ' cache_tag_' in line:
            waits = False
        if m := QI.search(line):
            counts[vtd(int(m[1], 16))] += 1
            waits = False
        elif m := AMD.search(line):
            counts[amd(int(m[2], 16))] += 1
        elif m := AMDS.search(line):
            n, wait, words = int(m[2]), int(m[3], 16), m[4].split(',')
            for i in range(n):
                counts[amd(int(words[2 * i], 16) >> 32)] += 1
            if wait and (n or unwaited.get(m[1])):
                counts['sync'] += 1
            if wait or n:
                unwaited[m[1]] = not wait
        elif m := SMMU.search(line):
            if int(m[2]):
                counts[smmu(int(m[1]))] += int(m[2])
            counts['sync'] += int(m[3])
        elif m := RISCV.search(line):
            counts[riscv(int(m[1], 16))] += 1
    return counts, waits


def check(alist, path):
    out = subprocess.run([alist, 'replay', '--json', path], capture_output=True, text=True)
    if out.returncode == 2:
        return f'refused: {out.stderr.strip()}'
    told = json.loads(out.stdout)
    mine, waits = count(path)
    purposes = dict.fromkeys(KINDS, 0)
    for purpose in told['purposes'].values():
        for kind in KINDS:
            purposes[kind] += purpose['driver'].get(kind, 0)
    for kind in KINDS:
        if kind == 'sync' and not waits:
            continue                    # VT-d logs have none: alist infers them
        if told['recorded'][kind] != mine[kind]:
            return f'{kind}: {mine[kind]} in the log, alist says {told["recorded"][kind]}'
        if purposes[kind] != mine[kind]:
            return f'{kind}: {mine[kind]} in the log, {purposes[kind]} by purpose'
    if told['syncs_inferred'] == waits:
        return 'whether the log has the waits: alist says otherwise'
    return None


def main():
    alist, *logs = sys.argv[1:]
    if alist == '--print':
        print(json.dumps(count(logs[0])[0]))
        return 0
    bad = 0
    print('KTAP version 1')
    print(f'1..{len(logs)}')
    for i, path in enumerate(logs, 1):
        what = check(alist, path)
        bad += bool(what)
        print(f'{"not " if what else ""}ok {i} {path}{" # " + what if what else ""}')
    return 1 if bad or not logs else 0


if __name__ == '__main__':
    sys.exit(main())

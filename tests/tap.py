# SPDX-License-Identifier: GPL-2.0-only
"""What test programs print: a line for each case, and how many there were."""
import sys

results = []


def check(name, good, what=''):
    results.append(good)
    print(f'{"" if good else "not "}ok {len(results)} {name}')
    if not good:
        print(f'# {what}')


def skipped(name, why):
    results.append(True)
    print(f'ok {len(results)} {name} # SKIP {why}')


def end():
    print(f'1..{len(results)}')
    sys.exit(not all(results))

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The library has what its header declares, and nothing that clashes with a program.

symbols.py SHARED STATIC: the functions of lib/iommu-alist.h are those of the version
script, and those that the shared library exports, under that version. The static
library has them, too, and everything else that a program's linker sees begins with
__iommu_alist_ or __iommu_attach_. Of an allocator, which may be the program's, neither needs
more than every one has.
"""
import re
import subprocess
import sys

import public


def run_nm(*args):
    lines = subprocess.run(('nm',) + args, check=True, text=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    return [line.split() for line in lines]


def nm(*args):
    return [words for words in run_nm('--defined-only', *args) if len(words) == 3]


def needed(*args):
    return {words[-1].partition('@')[0] for words in run_nm('--undefined-only', *args)
            if len(words) == 2}


def differ(what, names, declared):
    for name in sorted(names - declared):
        print(f'{what}: {name} is not declared in iommu-alist.h')
    for name in sorted(declared - names):
        print(f'{what}: {name} is missing')
    return names != declared


def main():
    declared = set(public.functions())
    script = (public.TOP / 'lib/iommu-alist.map').read_text()
    versions = re.findall(r'^([\w.]+) \{', script, re.M)
    listed = set(re.findall(r'^\t(iommu_\w+);$', script, re.M))
    exported = {name for _, kind, name in nm('-D', sys.argv[1]) if kind != 'A'}
    archived = {name for _, kind, name in nm('-g', sys.argv[2])}
    # What AddressSanitizer, probes and unwinding add is their own.
    archived = {name for name in archived
                if not name.startswith(('__odr_asan', 'DW.ref.')) and name != '_.stapsdt.base'}

    wrong = not declared
    wrong |= differ('iommu-alist.map', listed, declared)
    wrong |= differ(sys.argv[1], {name.split('@@')[0] for name in exported}, declared)
    for name in sorted(exported):
        if name.partition('@@')[2] not in versions:
            print(f'{sys.argv[1]}: {name} has no version of {versions}')
            wrong = True
    archived = {name for name in archived if not name.startswith(('__iommu_alist_', '__iommu_attach_'))}
    wrong |= differ(sys.argv[2], archived, declared)
    for path, names in ((sys.argv[1], needed('-D', sys.argv[1])),
                        (sys.argv[2], needed(sys.argv[2]))):
        for name in sorted(names):
            # A sanitizer's own has nothing to do with the program's.
            if 'alloc' in name and name not in ('malloc', 'calloc', 'realloc') \
               and not name.startswith(('__iommu_', '__asan_', '__tsan_')):
                print(f'{path}: needs {name}')
                wrong = True
    for name in sorted(archived - declared):
        print(f'lib/names.h: rename {name} to __iommu_alist_..., or make it static')
    return wrong


if __name__ == '__main__':
    sys.exit(main())

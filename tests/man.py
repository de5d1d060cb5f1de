#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The manual pages say what the header and the tool say.

man.py INSTALLED: each function and each macro of lib/iommu-alist.h is named by one
page, which has its prototype; each of these names is installed, if pages are; pages
name no function and no page that there is not, and all errors that lib/lib.c returns;
structures have the members that the header has; if the tool is installed, the options of
"alist VERB" are those of its --help; the probes are those that the test data was recorded with.
"""
import pathlib
import re
import subprocess
import sys

import public

MAN = public.TOP / 'doc/man'
errors = []


def check(good, what):
    if not good:
        errors.append(what)


def sections(text):
    """{heading: text} of a page."""
    parts = re.split(r'^# (.+)$', text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def names(page):
    return re.split(r', ?', public.squeeze(re.split(r'\s-\s', page['NAME'])[0]))


def code(text):
    return '\n'.join(re.findall(r'^```\n(.*?)^```$', text, re.M | re.S))


def macro_heads():
    """Each macro with its arguments, as a synopsis has it."""
    return {match[1]: public.squeeze(match[0]) for match in
            re.finditer(r'(?<=^#define )(iommu_attach_\w+)\([^)]*\)', public.header(), re.M)}


def structures(text):
    """{name: set of members}."""
    return {name: {public.squeeze(member) for member in body.split(';') if member.strip()}
            for name, body in re.findall(r'^struct (\w+) {\n(.*?)^}', text, re.M | re.S)}


def check_functions(pages):
    declared = public.functions() | macro_heads()
    header = structures(public.header())
    named = {}
    for path, page in pages.items():
        if not path.endswith('.3'):
            continue
        synopsis = code(page['SYNOPSIS'])
        check(names(page)[0] + '.3' == path, f'{path}: does not begin with its own name')
        for name in names(page):
            check(name not in named, f'{path}: {name} is on {named.get(name)}, too')
            named[name] = path
            check(name in declared, f'{path}: {name} is not in the header')
            check(declared.get(name, name) in public.squeeze(synopsis),
                  f'{path}: expected {declared.get(name)}')
        for name, members in structures(re.sub(r'/\*.*?\*/', '', synopsis)).items():
            real = {member for member in header[name] if 'opaque' not in member}
            check(members == real, f'{path}: struct {name} has {members ^ real}')
    for name in sorted(declared.keys() - named.keys()):
        check(False, f'{name} has no page')
    check(named, 'no functions')
    return named


def errors_returned():
    """{function: errors that lib/lib.c returns from it, or from a static one that it calls}."""
    text = (public.TOP / 'lib/lib.c').read_text()
    bodies = {name: body for name, body in
              re.findall(r'^[\w ]*?\*?(\w+)\([^;{}#]*?\)\n{\n(.*?)^}', text, re.M | re.S)}
    found = {}

    def errors_of(name):
        if name not in found:
            found[name] = set(re.findall(r'-(E[A-Z]+)\b', bodies[name]))
            for other in re.findall(r'(?<![\w(])(\w+)\(', bodies[name]):
                if other in bodies and not other.startswith('iommu_attach_'):
                    found[name] |= errors_of(other)
        return found[name]

    return {name: errors_of(name) for name in bodies if name.startswith('iommu_attach_')}


def check_errors(pages, named):
    returned = errors_returned()
    check(any(returned.values()), 'lib/lib.c returns no errors')
    for name, codes in returned.items():
        text = '\n'.join(pages[named[name]].values()) if name in named else ''
        for code in sorted(codes):
            check(f'_-{code}_' in text, f'{named.get(name)}: {name}() returns -{code}')


def check_references(pages, named):
    known = {path.rpartition('.')[0] for path in pages} | set(named)
    for path, page in pages.items():
        text = '\n'.join(page.values())
        for name in re.findall(r'\*(iommu_attach_\w+|alist[-\w]*|libiommu[-\w]*)\*\(', text):
            check(name in known, f'{path}: {name} has no page')


def check_options(pages, alist):
    for path, page in pages.items():
        if not path.endswith('.1'):
            continue
        verb = path[:-len('.1')].split('-')[1:]
        text = subprocess.run([alist, *verb, '--help'], check=True, text=True,
                              stdout=subprocess.PIPE).stdout
        option = re.compile(r'(?<![-\w])--?[a-zA-Z?][a-z]*')
        helps = {name for line in text.splitlines() if re.match(r' +-', line)
                 for name in option.findall(line.split('   ')[0] if line[2] == '-'
                                            else line.strip().split('  ')[0])}
        heads = {name for line in re.findall(r'^\*-.*', page['OPTIONS'], re.M)
                 for name in option.findall(line)}
        check(helps, f'{path}: --help has no options')
        check(heads == helps, f'{path}: options {sorted(heads ^ helps)}')


def check_probes(pages):
    readme = (public.TOP / 'tests/data/README.md').read_text()
    probes = [line.strip() for line in readme.splitlines() if line.startswith('    p:')]
    recording = ' '.join(pages['alist-replay.1']['RECORDING A LOG'].split())
    check(probes, 'tests/data/README.md has no probes')
    for probe in probes:
        check(probe in recording, f'alist-replay.1: expected {probe}')


def check_installed(pages, named, installed, with_tool):
    found = {path.name for path in pathlib.Path(installed).glob('**/man/man?/*')}
    expected = {path for path in pages if with_tool or not path.endswith('.1')}
    expected |= {name + '.3' for name in named}
    check(not found or found == expected, f'installed: {sorted(found ^ expected)}')


def main():
    pages = {path.stem: sections(path.read_text()) for path in MAN.glob('*.scd')}
    named = check_functions(pages)
    check_references(pages, named)
    check_errors(pages, named)
    tools = list(pathlib.Path(sys.argv[1]).glob('**/bin/alist'))
    for tool in tools:
        check_options(pages, tool)
    check_probes(pages)
    check_installed(pages, named, sys.argv[1], tools)
    print('\n'.join(errors) or f'{len(pages)} pages, {len(named)} functions and macros')
    return bool(errors)


if __name__ == '__main__':
    sys.exit(main())

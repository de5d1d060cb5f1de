#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Small logs, each of a kind that was once read wrong, and what is right for each.

Usage: cases.py ALIST DATA

Each kind has the log it was found with, in DATA/cases, and variants of it that are made
here: other vendors, other numbers, the other side of the rule.
"""
import fcntl
import gzip
import json
import lzma
import os
import pty
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import termios

from lines import (AMD_WAIT, amd, amd_all, amd_atc, amd_pages, attach, dev, dsi, mapped, psi, riscv, smmu, unmapped,
                   vtd)
from tap import check, end, skipped

alist, data = os.path.abspath(sys.argv[1]), sys.argv[2]
cases = os.path.join(data, 'cases')
traces = os.path.join(data, 'traces')
tmp = tempfile.mkdtemp()


def text_of(name):
    return open(os.path.join(cases, name + '.txt')).read()


def trace(name):
    return open(os.path.join(traces, name + '.txt')).read()


def run(text, *args, verb='replay', name='log.txt', stdin=False, pipe=False, env=None):
    path = os.path.join(tmp, name)
    with open(path, 'wb') as out:
        out.write(text if isinstance(text, bytes) else text.encode('utf-8', 'surrogateescape'))
    if pipe:
        cat = subprocess.Popen(['cat', path], stdout=subprocess.PIPE)
        return subprocess.run([alist, verb, *args, '-'], capture_output=True, stdin=cat.stdout,
                              env={**os.environ, **(env or {})})
    return subprocess.run(
        [alist, verb, *args, '-' if stdin else path], capture_output=True,
        stdin=open(path, 'rb') if stdin else subprocess.DEVNULL,
        env={**os.environ, **(env or {})})


def replays(name, text, expression, code=0, **kwargs):
    """The log is replayed with this exit code, and the expression holds of the JSON, d."""
    out = run(text, '--json', **kwargs)
    if out.returncode != code:
        return check(name, False, f'exit {out.returncode}: {out.stderr}')
    d = json.loads(out.stdout.decode())
    reasons = [x['reason'] for x in d['differences']]
    check(name, eval(expression, {'d': d, 'reasons': reasons}), f'{expression}: {d}')
    return d


def refused(name, text, pattern, *args, **kwargs):
    out = run(text, *args, **kwargs)
    check(name, out.returncode == 2 and not out.stdout and
          re.search(pattern, out.stderr.decode('utf-8', 'replace')),
          f'exit {out.returncode}: {out.stderr}')


def shows(name, text, expression, *args, verb='show'):
    out = run(text, '--json', *args, verb=verb)
    d = json.loads(out.stdout.decode()) if not out.returncode else None
    check(name, d and eval(expression, {'d': d}), f'{out.returncode} {out.stderr} {d}')


MAP, UNMAP = mapped(0x10000), unmapped(0x10000)


def log(*lines, task=' t-1 [000] d....', step=0.01):
    """Lines with a time each; one that begins with '@' has a task of its own."""
    out, now = [], 1.0
    for line in lines:
        now += step
        who = task
        if line.startswith('@'):
            who, line = line[1:].split('@', 1)
        out.append(f'{who} {now:.6f}: {line}\n')
    return ''.join(out)


def type_numbers():
    replays('tag types as numbers', text_of('type-numbers'),
            'd["attachments"] == 1 and d["vendor"] == "vtd"')
    full = trace('vtd-vfio-ats-1-2-4-8dev')
    for form, numbers in (('0x', ('0x0', '0x1')), ('decimal', ('0', '1'))):
        text = re.sub(r' type (iotlb|devtlb) ',
                      lambda m, n=numbers: f' type {n[m[1] == "devtlb"]} ', full)
        replays(f'tag types as numbers, {form}: the same as by name', text,
                'd["driver"] == {"iotlb": 171, "atc": 135, "sync": 171} and d["same"] == 171')
    for number, nesting in (('0x2', 'nesting iotlb'), ('0x3', 'nesting devtlb')):
        replays(f'tag type {number} is {nesting}',
                log(f'cache_tag_assign: dmar0/dmar0 type {number} did 5 pasid 0 ref 1', dsi(5)),
                'd["vendor"] == "vtd"')
    refused('tag type 0x4 is none', log('cache_tag_assign: dmar0/dmar0 type 0x4 did 5 pasid 0 ref 1'),
            r':1: .*cache_tag_assign')


def merges():
    replays('flushes seconds apart, no tags', text_of('lazy-no-tags'),
            'd["flushes"] == 3 and d["list"] == d["driver"] and d["same"] == 3')
    for step in (0.00001, 0.001, 1.0):
        replays(f'two domains in turn, {step} s apart', log(dsi(4), dsi(5), dsi(4), dsi(5), step=step),
                'd["flushes"] == 4 and d["list"] == d["driver"]')
        replays(f'pages of one domain, {step} s apart',
                log(psi(4, 0x10000), psi(4, 0x20000), psi(4, 0x90000), step=step),
                'd["flushes"] == 3 and d["list"]["iotlb"] == 3')
        replays(f'two IOMMUs, {step} s apart', log(dsi(4), dsi(4, 1), dsi(4), dsi(4, 1), step=step),
                'd["flushes"] == 4 and d["list"]["sync"] == 4')
        replays(f'AMD domains, {step} s apart',
                log(amd_all(4), AMD_WAIT, amd_all(5), AMD_WAIT, amd_all(4), AMD_WAIT, step=step),
                'd["flushes"] == 3 and d["list"] == d["driver"]')
        replays(f'AMD pages, {step} s apart',
                log(*[x for i in range(5) for x in (amd_pages(4, 0x10000 + i * 0x7000), AMD_WAIT)],
                    step=step), 'd["flushes"] == 5 and d["list"]["iotlb"] == 5')
        replays(f'SMMUv3 ASIDs, {step} s apart',
                log(*[smmu(0x11, asid << 48) for asid in (1, 2, 1, 2)], step=step),
                'd["flushes"] == 4')
        replays(f'ATCs alone, {step} s apart', log(*[dev(0x300, 0x10000)] * 3, step=step),
                'd["flushes"] == 3 and d["driver"]["atc"] == 3')
    replays('AMD commands before one wait are one flush',
            log(amd_pages(4, 0x10000), amd_pages(4, 0x11000), AMD_WAIT), 'd["flushes"] == 1')
    replays('a flush of a domain on two IOMMUs that an unmap shows',
            log(MAP, UNMAP, psi(4, 0x10000), psi(4, 0x10000, 1), 'tracing_mark_write: x', step=1e-5),
            'd["flushes"] == 1 and d["list"]["sync"] == 2')
    replays('a flush long after an unmap and its flush is another one',
            log(MAP, UNMAP, psi(4, 0x10000), psi(4, 0x10000), step=2.0), 'd["flushes"] == 2')
    # VT-d tells no waits: what another domain maps at these addresses does not end a flush.
    def tags(what, did, name, ref=1):
        return [f'cache_tag_{what}: dmar0/dmar0 type iotlb did {did} pasid 0 ref {ref}',
                f'cache_tag_{what}: dmar0/{name} type devtlb did {did} pasid 0 ref 1']
    two = [x for did, name in ((4, '0000:03:00.0'), (5, '0000:04:00.0')) for x in (*tags('assign', did, name), attach(name))]
    for name, between in (('maps', [MAP]), ('unmaps', [UNMAP, psi(5, 0x10000), dev(0x400, 0x10000)]),
                          ('gets a device', [*tags('assign', 5, '0000:05:00.0', 2), attach('0000:05:00.0')])):
        replays(f'VT-d: another domain {name} between a flush and its ATC command',
                log(*two, MAP, UNMAP, psi(4, 0x10000), *['@ u-2 [001] d....@' + x for x in between], dev(0x300, 0x10000),
                    *[x for a in (0x20000, 0x30000) for x in (mapped(a), unmapped(a), psi(4, a), dev(0x300, a))]),
                f'd["flushes"] == d["same"] == {4 if name == "unmaps" else 3} and not reasons')
    for name, here, there in (
            ('VT-d', lambda a: psi(4, a), lambda a: psi(7, a, 1)),
            ('SMMUv3', lambda a: smmu(0x12, 4 << 48, a | 0x701), lambda a: smmu(0x12, 4 << 48, a | 0x701, iommu=13))):
        def flush(a, between=(), here=here, there=there):
            return (mapped(a), unmapped(a), here(a),
                    *['@ u-2 [001] d....@' + x for x in between], there(a))
        replays(f'{name}: another domain maps between the commands for two IOMMUs', log(
            *flush(0x20000), *flush(0x10000, [MAP]), *flush(0x30000), 'tracing_mark_write: x'),
            'd["flushes"] == d["same"] == 3 and not reasons')
    replays('VT-d: the first flush of all, of whom is not known yet',
            log(MAP, UNMAP, psi(4, 0x10000), '@ u-2 [001] d....@' + MAP, dev(0x300, 0x10000),
                *[x for _ in range(4) for x in (MAP, UNMAP, psi(4, 0x10000), dev(0x300, 0x10000))]),
            'd["flushes"] == d["same"] == 5 and not reasons')
    # No event says that an attachment is over.
    for name, start, flush in (
            ('VT-d', [vtd(0x300 << 32 | 4 << 16 | 0x31, kind='cc_inv')], lambda a: [psi(4, a) if a else dsi(4)]),
            ('VT-d with tags', ['cache_tag_assign: dmar0/dmar0 type iotlb did 4 pasid 0 ref 1'], lambda a: [psi(4, a) if a else dsi(4)]),
            ('AMD', [amd(2 << 60 | 0x300, 0), AMD_WAIT], lambda a: [amd_pages(4, a) if a else amd_all(4), AMD_WAIT]),
            ('SMMUv3', [smmu(5, 0x300 << 32 | 1 << 12)], lambda a: [smmu(0x12, 9 << 48, a | 1) if a else smmu(0x11, 9 << 48)]),
            ('RISC-V', [riscv(3 | 1 << 33 | 0x300 << 40), riscv(2)],
             lambda a: [riscv(1 | (1 << 10 if a else 0) | 7 << 12 | 1 << 32, a >> 2), riscv(2)])):
        for what, pages in (('of pages', range(0x10000, 0x16000, 0x1000)), ('of everything', [0] * 6)):
            for step in (0.0001, 1):
                replays(f'{name}: flushes {what} after an attachment, {step} s apart', log(
                    *start, *[x for a in pages for x in flush(a)], step=step), 'd["flushes"] == 6')
    replays('VT-d: one device, two entries', log(*[x for rid in (0x300, 0x301) for x in (
        vtd(rid << 32 | 4 << 16 | 0x31, kind='cc_inv'), dsi(4))], attach('0000:03:00.0')), 'd["flushes"] == 1')
    atc = amd_atc(0x300, 0x7ffffffffffff001)
    replays('AMD: the ATC is emptied twice', log(amd(2 << 60 | 0x300, 0), atc, AMD_WAIT, atc, AMD_WAIT, amd_all(4), AMD_WAIT,
                                                 attach('0000:03:00.0')), 'd["flushes"] == 1 and d["driver"]["atc"] == 2')
    # Shared virtual addresses: all of one DID, and a PASID each.
    def sva(pasid, a):
        return ([f'cache_tag_flush_range: dmar0 {name}[{pasid}] type {kind} did 1 [0x{a:x}-0x{a + 4095:x}] addr 0x{a:x} '
                 'pages 0x1 mask 0x0' for name, kind in (('dmar0', 'iotlb'), ('0000:03:00.0', 'devtlb'))] +
                [vtd(pasid << 32 | 1 << 16 | 0x36, a, kind='p_iotlb_inv'),
                 vtd(pasid << 32 | 0x300 << 16 | 8, a, kind='p_dev_tlb_inv')])
    flushes = [f'@ t-{pasid} [000] d....@{x}' for a in range(0x10000, 0x18000, 0x1000) for pasid in (1, 2) for x in sva(pasid, a)]
    replays('VT-d: PASIDs under the DID that they share', log(*flushes),
            'd["flushes"] == 16 and d["list"] == d["driver"] and set(reasons) == {"tag-taken"}')
    replays('VT-d: PASIDs whose attachment no event ends', log(*[f'@ t-{pasid} [000] d....@{x}' for pasid in (1, 2) for x in (
        f'cache_tag_assign: dmar0/dmar0 type iotlb did 1 pasid {pasid} ref 1',
        f'cache_tag_assign: dmar0/0000:03:00.0 type devtlb did 1 pasid {pasid} ref 1')], *flushes),
            'd["flushes"] == 16 and d["purposes"]["attach"]["flushes"] == 0 and d["list"] == d["driver"] '
            'and not d["unknowns"]["attachments"]')
    # Of several ATC commands, the log has the first one. The IOTLB's say what they are about.
    replays('SMMUv3: an unmap of another domain before one with ATC commands', log(
        *[x for rid in (0x100, 0x101) for x in (smmu(3, rid << 32), attach(f'0000:01:00.{rid & 1}'))],
        unmapped(0x30000), unmapped(0x20000),
        smmu(0x12, 7 << 48, 0x20001), smmu(0x40, 0x100 << 32, 0x20000, n=2)),
        'd["driver"] == {"iotlb": 1, "atc": 2, "sync": 2} == d["list"] and "wider-range" not in reasons')
    out = run(log(*[amd_pages(4, 0x1000 * i) for i in range(200000)], step=1e-6), '--json')
    check('commands without a wait do not pile up', out.returncode in (0, 1), out.stderr)


def atc_on_map():
    replays('ATC commands on a map', text_of('amd-atc-on-map'), 'reasons == ["atc-on-map"]')
    atc = amd_atc(0x100, 0x10000)
    replays('two of them', log(attach('0000:01:00.0'), MAP, amd_pages(20, 0x10000), atc, atc,
                               AMD_WAIT, UNMAP, amd_pages(20, 0x10000), atc, AMD_WAIT),
            '"unexplained" not in reasons and "atc-on-map" in reasons')
    keeps = amd(3 << 60 | 20 << 32, 0x10000)
    replays('AMD keeps cached walks in 7.3', log(MAP, UNMAP, keeps, AMD_WAIT, 'tracing_mark_write: x'),
            'reasons == ["walks-kept"]')
    replays('ATC commands that are missing on an unmap are no such thing',
            log(attach('0000:01:00.0'), MAP, amd_pages(20, 0x10000), atc, AMD_WAIT,
                UNMAP, amd_pages(20, 0x10000), AMD_WAIT, 'tracing_mark_write: x'),
            '"unexplained" in reasons', code=1)


def every_command():
    replays('commands at an attach', text_of('commands-at-attach'),
            'd["driver"] == {"iotlb": 0, "atc": 1, "sync": 1} and d["recorded"]["config"] == 1 '
            'and d["purposes"]["attach"]["driver"]["atc"] == 1')
    replays('a global flush', text_of('global-flush'),
            'd["purposes"]["global"]["driver"]["iotlb"] == 1 and d["recorded"]["iotlb"] == 1')
    replays('AMD: everything of an IOMMU', log(amd(8 << 60, 0), AMD_WAIT),
            'd["purposes"]["global"]["driver"]["iotlb"] == 1 and '
            'd["purposes"]["global"]["driver"]["sync"] == 1')
    replays('SMMUv3: everything of a VM, prefetches, a wait for nothing',
            log(smmu(0x30), smmu(1), 'smmucmd: (x) op=70 n=0 sync=1 smmu=0xb c0=0x46 c1=0x0'),
            'd["recorded"] == {"iotlb": 1, "atc": 0, "sync": 3, "config": 0, "other": 1}')
    replays('VT-d: interrupt entries and PASID entries',
            log(vtd(0x14, kind='iec_inv'), vtd(0x37, kind='pc_inv')),
            'd["recorded"]["other"] == 1 and d["recorded"]["config"] == 1')
    replays('RISC-V', log(riscv(3 | 1 << 33 | 0x18 << 40), riscv(2), attach('0000:00:03.0'), MAP, UNMAP,
                          riscv(1 | 1 << 10 | 7 << 12 | 1 << 32, 0x10 << 10), riscv(2)),
            'd["vendor"] == "riscv" and d["driver"] == {"iotlb": 1, "atc": 0, "sync": 1} and '
            'd["list"] == d["driver"] and d["recorded"]["config"] == 1 and d["recorded"]["sync"] == 2')
    replays('two waits where one would do are both counted',
            log(MAP, UNMAP, amd_pages(4, 0x10000), AMD_WAIT, AMD_WAIT),
            'd["purposes"]["unmap"]["driver"]["sync"] == 2 and reasons == ["fewer-waits"]')
    replays('and before the event of the unmap', text_of('waits-before-unmap'),
            'd["recorded"]["sync"] == 2 and d["purposes"]["unmap"]["driver"]["sync"] == 2 and '
            'reasons == ["fewer-waits"]')
    other = [x.replace('0x10000 - 0x11000', '0x20000 - 0x21000') for x in (MAP, UNMAP)]
    for waits in (1, 2, 3):
        replays(f'{waits} waits before the second of two unmaps are of its flush',
                log(*other, amd_pages(4, 0x20000), AMD_WAIT, amd_pages(4, 0x10000), *[AMD_WAIT] * waits, UNMAP,
                    'tracing_mark_write: x'),
                f'd["purposes"]["unmap"]["driver"]["sync"] == {waits + 1} and '
                f'[x["line"] for x in d["differences"]] == {[6 + waits] * (waits > 1)}')
    # VT-d: a driver that has its attachments on a list submits nine at most, and waits at last.
    commands = (psi(4, 0x10000), *[dev(rid, 0x10000) for rid in range(0x100, 0x10d)])
    begin, end = 'flush_begin: (cache_tag_flush_range+0x0/0x10)', 'flush_end: (f <- cache_tag_flush_range)'
    replays('14 commands of a VT-d driver that has a list', log(MAP, UNMAP, begin, *commands, end),
            'd["recorded"]["sync"] == 2 and reasons == ["fewer-waits"]')
    replays('14 commands of the driver that has none',
            log(MAP, UNMAP, begin, 'wait_begin: (qi_submit_sync+0x0/0x10) name="dmar0"', *commands,
                'wait_end: (f <- qi_submit_sync)', end),
            'd["recorded"]["sync"] == 1 and not reasons')


def guesses():
    everyone = '[a["guessed"] for x in d["domains"] for g in x["groups"] for a in g["attachments"]]'
    shows('devices of a boot log that nothing tells apart', text_of('boot-log'),
          f'{everyone} == [True, True]')
    shows('the same by one task', text_of('boot-log').replace('<idle>-0 [001] d.h..', 'swapper/0-1 [000] .....'),
          f'{everyone} == [True, True]')
    shows('one device only', log(attach('0000:01:00.0'), '@ <idle>-0 [001] d.h..@' + amd_all(5), AMD_WAIT),
          f'{everyone} == [True]')
    shows('a command names the device', log(
        attach('0000:01:00.0'), attach('0000:02:00.0'), MAP, UNMAP, amd_pages(5, 0x10000),
        amd_atc(0x100, 0x10000), AMD_WAIT), f'sorted({everyone}) == [False, True]')
    # A guess is given up for what a command says; before 6.10, VT-d has no other word for it.
    for vendor, flush in (('VT-d', lambda tag, rid, a: [psi(tag, a), dev(rid, a)]),
                          ('AMD', lambda tag, rid, a: [amd_pages(tag, a), amd_atc(rid, a), AMD_WAIT])):
        body = log(attach('0000:01:00.0'), attach('0000:02:00.0'), *[x for tag, rid in ((5, 0x100), (6, 0x200)) * 2
                                                                     for x in (MAP, UNMAP, *flush(tag, rid, 0x10000))])
        shows(f'{vendor}: commands name both devices', body,
              f'{everyone} == [False, False] and sorted(g["tag"] for x in d["domains"] for g in x["groups"]) == [5, 6]')
        replays(f'{vendor}: the list is not to flush for a guess', body,
                'd["same"] == d["flushes"] == 4 and d["attachments"] == 2 and not reasons '
                'and not d["unknowns"]["attachments"]')
    shows('VT-d says it', text_of('type-numbers').replace('type 0x0 did 21', 'type 0x1 did 21').replace(
        'dmar2/dmar2', 'dmar2/dmar2'), 'True')


def lazy():
    replays('a lazy unmap is seen', text_of('lazy-seen-unmap'),
            'd["unknowns"]["unmaps"] == 0 and d["purposes"]["lazy"]["flushes"] == 1')
    irq, soft = '@ dd-9 [000] d.h..@', '@ <idle>-0 [001] d.s..@'
    replays('by another CPU', log(irq + MAP, irq + UNMAP, soft + dsi(4)),
            'd["unknowns"]["unmaps"] == 0 and d["purposes"]["lazy"]["flushes"] == 1')
    replays('on AMD', log(irq + MAP, irq + UNMAP, soft + amd_all(4), soft + AMD_WAIT),
            'd["unknowns"]["unmaps"] == 0 and d["purposes"]["lazy"]["flushes"] == 1')
    replays('of two domains', log(irq + MAP, irq + UNMAP, irq + MAP, irq + UNMAP, soft + dsi(4), soft + dsi(5)),
            'd["unknowns"]["unmaps"] == 0')
    for name, flushes in (('two domains', (dsi(4), dsi(5))), ('two IOMMUs', (dsi(4), dsi(4, 1))),
                          ('two domains of AMD', (amd_all(4), AMD_WAIT, amd_all(5), AMD_WAIT))):
        replays(f'{name}, again and again', log(*[x for _ in range(4) for x in (
            irq + MAP, irq + UNMAP, *[soft + flush for flush in flushes])]),
            'd["unknowns"]["unmaps"] == 0 and d["flushes"] == 8')
    # Without flags, a softirq is taken for the task that it interrupts.
    def plain(*lines):
        return log(*lines).replace(' d....', '')
    for name, flushes in (('VT-d', lambda *dids: [dsi(did) for did in dids]),
                          ('AMD', lambda *dids: [x for did in dids for x in (amd_all(did), AMD_WAIT)]),
                          ('SMMUv3', lambda *dids: [smmu(0x11, did << 48) for did in dids])):
        replays(f'{name}, no flags: two domains are not one', plain(*[x for _ in range(4) for x in (
            MAP, UNMAP, *flushes(4, 5))]), 'd["flushes"] == 8 and d["recorded"]["iotlb"] == 8 and '
            'not set(reasons) - {"narrower-range", "tag-already-clean"}')
        replays(f'{name}, no flags: a flush after a map is none of the map', plain(*[x for _ in range(4) for x in (
            MAP, UNMAP, '@ u-2 [001]@' + MAP, '@ u-2 [001]@' + UNMAP, MAP, *flushes(4))]),
            'd["purposes"]["map"]["flushes"] == 0 and d["purposes"]["lazy"]["flushes"] == 4 and not reasons')
        replays(f'{name}, no flags: nor one that nothing waits for', plain(*[x for _ in range(4) for x in (MAP, *flushes(4))]),
                'd["flushes"] == 4 and d["purposes"]["map"]["flushes"] == 0 and not set(reasons) - {"tag-already-clean"}')
        replays(f'{name}, no flags: nor are two of two domains', plain(*[x for _ in range(4) for x in (
            MAP, UNMAP, MAP, *flushes(4, 5))]),
            'd["flushes"] == 8 and d["purposes"]["map"]["flushes"] == 0 and not set(reasons) - {"tag-already-clean"}')
    replays('no flags: two domains on two IOMMUs are not one', plain(*[x for _ in range(4) for x in (
        MAP, UNMAP, dsi(4), dsi(4, 1), MAP, UNMAP, psi(4, 0x10000), MAP, UNMAP, psi(4, 0x10000, 1))]),
        'd["flushes"] == 16 and not set(reasons) - {"narrower-range"} and d["list"] == d["driver"]')
    replays('flags: one that waits for no softirq is', log('@ <idle>-0 [001] d.s..@sched_switch: x', *[x for _ in range(4) for x in (
        MAP, UNMAP, dsi(4), dsi(4, 1))], 'tracing_mark_write: x'), 'd["flushes"] == 4 and d["list"] == d["driver"]')
    keep = [x for _ in range(4) for x in (MAP, amd_pages(4, 0x10000), AMD_WAIT, UNMAP, MAP, amd_pages(4, 0x10000), AMD_WAIT,
                                          amd_all(4), AMD_WAIT)]
    replays('AMD, no flags: maps are flushed, and what was unmapped is after one', plain(*keep),
            'd["purposes"]["map"]["flushes"] == 8 and d["flushes"] == 12 and d["recorded"]["iotlb"] == 12 and not reasons')
    replays('the second domain, without another unmap', log(irq + MAP, irq + UNMAP, soft + dsi(4), soft + dsi(5),
                                                            soft + dsi(4), soft + dsi(5)), 'd["unknowns"]["unmaps"] == 2')
    replays('many unmaps, one flush', log(*[x for i in range(100) for x in (irq + MAP, irq + UNMAP)], soft + dsi(4)),
            'd["unknowns"]["unmaps"] == 0 and d["flushes"] == 1')
    replays('a flush without any unmap is still not seen unmapped', log(soft + dsi(4)),
            'd["unknowns"]["unmaps"] == 1')
    replays('the last ones wait when the log ends', log(irq + MAP, irq + UNMAP, soft + dsi(4),
                                                        soft + 'tracing_mark_write: x', irq + MAP, irq + UNMAP,
                                                        irq + 'tracing_mark_write: x'),
            'd["unknowns"]["flushes"] == 1')


def lost(text, nth, line):
    """The same, but a line says that events were lost before the NTH unmap."""
    parts = text.split(' unmap: ')
    before = ' unmap: '.join(parts[:nth])
    cut = before.rindex('\n') + 1
    return before[:cut] + line + '\n' + text[cut:]


def missing():
    for name, of in (('vtd-vfio-ats-1-2-4-8dev', 'qi_submit'), ('amd-nvme-strict', 'amdcmd'),
                     ('smmuv3-nvme-strict', 'smmucmd'), ('vtd-nvme-strict', 'qi_submit')):
        lines = [x for x in trace(name).splitlines(keepends=True) if 'entries-in' not in x]
        for nth in (1, 5, 13, 21):
            unmaps, out, done = 0, [], False
            for line in lines:
                unmaps += ' unmap: ' in line
                if unmaps == nth and f' {of}: ' in line and ' map: ' not in line and not done:
                    continue
                done = unmaps > nth or (unmaps == nth and ' map: ' in line)
                out.append(line)
            replays(f'{name}: the flush of unmap {nth} is missing', ''.join(out),
                    'reasons.count("flush-missing") == 1', code=1)
            for line in ('CPU:1 [LOST 3 EVENTS]', '# alist record: 3 events lost'):
                replays(f'{name}: unless events were lost: {line}', lost(''.join(out), nth, line),
                        '"flush-missing" not in reasons and "lost-events" in reasons and d["unknowns"]["events"] == 3')


    # A large unmap, a map that frees tables and a domain that is freed flush everything, too.
    for name, text in (('smmuv3-vfio', trace('smmuv3-vfio-1-2-4-8dev')),
                       ('riscv-unmap', lzma.open(os.path.join(data, 'record/riscv-unmap.txt.xz'), 'rt').read())):
        lines = [x for x in text.splitlines(keepends=True) if 'entries-in' not in x]
        unmaps = [i for i, x in enumerate(lines) if ' unmap: ' in x]
        for nth in (0, 1, 2, 12, 21):
            end = next(i for i, x in enumerate(lines) if i > unmaps[nth] and re.search(' (un)?map: |tracing_mark', x))
            out = [x for i, x in enumerate(lines) if not unmaps[nth] < i < end or 'cmd: ' not in x]
            replays(f'{name}: the flush of unmap {nth} is missing', ''.join(out),
                    'reasons.count("flush-missing") == 1', code=1)
    pages = [0x10000 + i * 0x1000 for i in range(9)]
    flushes = {'VT-d': lambda a: [psi(4, a)], 'AMD': lambda a: [amd_pages(4, a), AMD_WAIT],
               'SMMUv3': lambda a: [smmu(0x12, 9 << 48, a | 1)],
               'RISC-V': lambda a: [riscv(1 | 1 << 10 | 7 << 12 | 1 << 32, a >> 2), riscv(2)]}
    for name, flush in flushes.items():
        def unmaps(without, end=(), flush=flush):
            return log(*[x for a in pages for x in (
                mapped(a), unmapped(a),
                *(flush(a) if a != without else []))], *end)
        replays(f'{name}: none is missing', unmaps(None), '"flush-missing" not in reasons and not d["unknowns"]["flushes"]')
        for nth in (0, 1, 4):
            replays(f'{name}: the flush of unmap {nth} is missing, nobody was seen attached', unmaps(pages[nth]),
                    'reasons.count("flush-missing") == 1', code=1)
        replays(f'{name}: the log ends before the last', unmaps(pages[-1]),
                '"flush-missing" not in reasons and d["unknowns"]["flushes"] == 1')
        replays(f'{name}: the last is missing, and the log goes on for others',
                unmaps(pages[-1], ['@ u-2 [001] d....@' + MAP] * 20),
                'reasons.count("flush-missing") == 1', code=1)

    # Scalable mode: the commands at a detach name no device, and a replacement has no event between.
    def tag(what, did):
        return f'cache_tag_{what}: dmar0/dmar0 type iotlb did {did} pasid 0 ref 1'
    strict = ['@ u-2 [001] d....@' + x for x in (tag('assign', 4), attach('0000:01:00.0'), *[MAP, UNMAP, psi(4, 0x10000)] * 20)]
    freed = [unmapped(a) for a in pages]
    replays('VT-d: the only user of a tag leaves, and its domain is unmapped', log(
        *strict[:5], tag('assign', 5), attach('0000:02:00.0'),
        *[mapped(a) for a in pages],
        tag('unassign', 5), vtd(5 << 16 | 0x37, kind='pc_inv'), vtd(5 << 16 | 0x26, kind='p_iotlb_inv'),
        tag('assign', 7), attach('0000:02:00.0'), *freed, *strict[5:]),
        'd["purposes"]["detach"]["flushes"] == 1 and not reasons and not d["unknowns"]["attachments"]')


def short():
    """Flushes that leave out a part of what was unmapped."""
    def case(vendor, name, flush, *reasons, pages=8, code=1, mapped=None):
        end = 0x100000 + pages * 4096
        one = [f'map: IOMMU: iova=0x100000 - 0x{end:x} paddr=0x80000 size={pages * 4096}']
        replays(f'{vendor}: {name}', log(
            *(one if mapped is None else mapped),
            f'unmap: IOMMU: iova=0x100000 - 0x{end:x} size={pages * 4096} unmapped_size={pages * 4096}',
            *flush, 'tracing_mark_write: x', MAP, UNMAP, *end_of[vendor]),
            f'{{x["reason"] for x in d["differences"] if x["line"] <= 2}} == {set(reasons)}', code=code)
    page = {'VT-d': lambda a: [psi(4, a)], 'AMD': lambda a: [amd_pages(4, a)],
            'SMMUv3': lambda a: [smmu(0x12, 4 << 48, a | 0x701, sync=0)]}
    wait = {'VT-d': [], 'AMD': [AMD_WAIT], 'SMMUv3': [smmu(0x46, n=0)]}
    end_of = {v: page[v](0x10000) + wait[v] for v in page}
    for vendor, of in page.items():
        def some(pages, vendor=vendor, of=of):
            return [x for i in pages for x in of(0x100000 + i * 4096)] + wait[vendor]
        case(vendor, 'one page of eight', some([0]), 'unexplained')
        case(vendor, 'the last page of eight', some([7]), 'unexplained')
        case(vendor, 'the first and the last', some([0, 7]), 'unexplained')
        case(vendor, 'all but one', some([0, 1, 2, 4, 5, 6, 7]), 'unexplained')
        case(vendor, 'all', some(range(8)), 'ranges-merged', code=0)
        case(vendor, 'all, in another order', some(reversed(range(8))), 'ranges-merged', code=0)
        if vendor != 'SMMUv3':
            atc = {'VT-d': lambda a: [dev(0x300, a)],
                   'AMD': lambda a: [amd_atc(0x300, a)]}[vendor]
            case(vendor, 'one page of eight in the ATC', some(range(8))[:8] + atc(0x100000) + wait[vendor],
                 'unexplained', 'ranges-merged')
            case(vendor, 'all, in the ATC', some(range(8))[:8] + [x for i in range(8) for x in atc(0x100000 + i * 4096)] +
                 wait[vendor], 'ranges-merged', code=0)
        case(vendor, 'of what was never seen mapped', some([0]), 'wider-range', code=0, mapped=[])


def formats():
    one = 'd["flushes"] == 1 and d["driver"]["iotlb"] == 1 and d["unknowns"]["mappings"] == 0'
    replays('map before 5.17', text_of('old-map'), one)
    replays('perf script', text_of('perf-script'), one)
    replays('ftrace_dump in the log of the kernel', text_of('dmesg-dump'),
            'd["flushes"] == 1 and d["driver"]["iotlb"] == 1')
    body = log(MAP, UNMAP, psi(4, 0x10000))
    lines = body.splitlines()
    raw = (' t-1 [000] 1.01: map: iova=0x10000 paddr=0x80000 size=0x1000\n'
           ' t-1 [000] 1.02: unmap: iova=65536 size=4096 unmapped_size=4096\n'
           ' t-1 [000] 1.03: qi_submit: qw0=0x400f2 qw1=0x10040 qw2=0x0 qw3=0 iommu=dmar0\n')
    prefixed = re.sub(r': (map|unmap|qi_submit):',
                      lambda m: f': {"intel_iommu" if m[1] == "qi_submit" else "iommu"}:{m[1]}:', body)
    latency = ''.join(f'     t-1       0d....  {1000 + i}us!: {x.split(": ", 1)[1]}\n' for i, x in enumerate(lines))
    perf = ''.join(f't         1/1     [000]     1.00000{i}:          1  '
                   f'{"intel_iommu" if "qi_" in x else "iommu"}:{x.split(": ", 1)[1]}\n'
                   '\tffffffff81234567 iommu_unmap+0x10 ([kernel.kallsyms])\n\n' for i, x in enumerate(lines))
    variants = {
        'raw fields': raw,
        'system:event': prefixed,
        'system/event': re.sub(r'iommu:(map|unmap|qi_submit)', r'iommu/\1', prefixed),
        'latency format': latency,
        'latency format of trace-cmd': ''.join(
            f'     t-1       0d.... {x.split("d.... ")[1]}\n' for x in lines),
        'perf script with call chains': perf,
        'quoted in a mail': 'On Monday, A wrote:\n\n' + ''.join(f'> {x}\n' for x in lines) + '\nLooks slow.\n',
        'in a mail that was saved, not quoted': 'From: A <a@example.org>\nSubject: Slow\n\nHello,\n\n' +
        ''.join(f'  {x}\n' for x in lines) + '\n-- \nA\n',
        'in a mailbox': 'From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: A <a@example.org>\n\n' +
        ''.join(f'> {x}\n' for x in lines),
        'quoted twice': ''.join(f'> > {x}\n' for x in lines),
        'in dmesg, with callers': 'Dumping ftrace buffer:\n'.join(('[    1.000000][   T12] ', '')) + ''.join(
            f'[    1.00000{i}][   T12] {x}\n' for i, x in enumerate(latency.splitlines())),
        'in dmesg -t': 'Oops: 0000 [#1] SMP\nDumping ftrace buffer:\n' + '-' * 33 + f'\n{latency}' + '-' * 33 +
        '\nModules linked in: ext4\n',
        'an instance in dmesg -t': 'Oops: 0000 [#1] SMP\nDumping ftrace instance alist buffer:\n' + '-' * 33 +
        f'\n{latency}' + '-' * 33 + '\nModules linked in: ext4\n',
        "ftrace's option fields": log('map: iova=0x10000 (65536) paddr=0x80000 (524288) size=0x1000 (4096)',
                                      'unmap: iova=0x10000 (65536) size=0x1000 (4096) unmapped_size=0x1000 (4096)',
                                      'qi_submit: qw0=0x400f2 (262386) qw1=0x10040 (65600) qw2=0x0 (0) '
                                      'qw3=0xffffffffffffffff (-1) iommu=dmar0'),
        "ftrace's option fields, SMMUv3": log(
            'map: iova=0x10000 (65536) paddr=0x80000 (524288) size=0x1000 (4096)',
            'unmap: iova=0x10000 (65536) size=0x1000 (4096) unmapped_size=0x1000 (4096)',
            'smmucmd: __probe_ip=arm_smmu_cmdq_issue_cmdlist+0x0/0x6b0 (-140698) op=0x12 (18) n=0x1 (1) sync=(1) '
            'smmu=0xb (11) c0=0x9000000000012 (2533274790395922) c1=0x10701 (67329)'),
        'in the journal': ''.join(f'Nov 28 12:00:00 host kernel: {x}\n' for x in latency.splitlines()),
        'in the journal, quoted in a mail': ''.join(
            f'> Nov 28 12:00:00 host kernel: {x}\n' for x in latency.splitlines()),
        'with levels': ''.join(f'<6>[    1.0] {x}\n' for x in latency.splitlines()),
        'timestamps in ns': re.sub(r'(\d\.\d{6}):', r'\g<1>123:', body),
        'x86-tsc': re.sub(r'\d\.(\d{6}):', r'77123\1:', body),
        'the largest counts': ''.join(re.sub(r'\d\.\d{6}:', f'{2 ** 64 - 10 + i}:', x) + '\n'
                                      for i, x in enumerate(lines)),
        'counter': ''.join(re.sub(r'\d\.\d{6}:', f'{i + 1}:', x) + '\n' for i, x in enumerate(lines)),
        'time differences': re.sub(r'(\d\.\d{6}:)', r'\1 (+10000)', body),
        'with TGIDs': body.replace('t-1 [000]', 't-1 (    1) [000]'),
        'without flags': body.replace(' d....', ''),
        'a byte order mark': '\ufeff' + body,
        'CRLF': body.replace('\n', '\r\n'),
        'of a serial line': '\r' + body.replace('\n', '\r\r\n\r'),
        'tabs between columns': re.sub(r' t-1 \[000\] d.... ([0-9.]+): ', r't-1\t[000]\td....\t\1:\t', body),
        'tabs for blanks': body.replace(' ', '\t'),
        'tabs, quoted': ''.join('>\t' + x.replace(' ', '\t') + '\n' for x in lines),
        'no newline at the end': body[:-1],
        'no newline at the end, CRLF': body.replace('\n', '\r\n')[:-1],
        'a task whose name begins with #': body.replace(' t-1', '#t-1'),
        'print formats that trace-cmd does not understand': ''.join(
            x.replace(': ', ': [FAILED TO PARSE] ', 2).replace(': [FAILED TO PARSE] ', ': ', 1) + '\n'
            for x in raw.splitlines()),
        'in /dev/kmsg': ''.join(f'4,12{i},100000{i},-,caller=T9;{x}\n' for i, x in enumerate(latency.splitlines())),
        'by netconsole': ''.join(f'4,12{i},100000{i},-;{x}\n' for i, x in enumerate(latency.splitlines())),
        'no pages in flush events': log(MAP, UNMAP,
                                        'cache_tag_flush_range: dmar0 dmar0[0] type iotlb did 4 '
                                        '[0x10000-0x10fff] addr 0x10000 mask 0x0', psi(4, 0x10000)),
        'a DID in flush events': log(MAP, UNMAP, 'cache_tag_flush_range: dmar0 0x4[0x0] type 0x0 '
                                     '[0x10000-0x10fff] addr 0x10000 mask 0x0', psi(4, 0x10000)),
    }
    for name, text in variants.items():
        replays(name, text, one)
    # Several logs in one file.
    report = 'cpus=2\n' + body.replace(' d....', '')
    for name, text in (('trace-cmd report', report), ('the text of trace', '# tracer: nop\n#\n' + body),
                       ('alist record', '# alist record: kernel=7.3.4 arch=x86_64 iommus=dmar0\n' + body),
                       ('trace-cmd report, of several files', ''.join(f'trace.dat: {x}\n' for x in report.splitlines()))):
        replays(f'{name}, twice', text + text, 'd["runs"] == d["flushes"] == 2 and d["recorded"]["iotlb"] == 2')
    for name, text in (('perf script', perf), ('trace_pipe', body), ('x86-tsc', variants['x86-tsc'])):
        refused(f'{name}, twice: says what to do', text + text,
                rf':{len(text.splitlines()) + 1}: expected a time not before .*files of their own')
    # What is in front of a line is no part of a task's name.
    for name, prefix in {
            'quoted with initials': 'JD> ', 'quoted by a bar': '> | ', 'dmesg -d': '[    1.0{} <    0.000001>] ',
            'dmesg -e': '[Nov28 12:00] [  +0.0{}] ', 'dmesg -T': '[Sat Nov 28 12:00:0{} 2026] ',
            'dmesg -x': 'kern  :warn  : [    1.0{}] ', 'dmesg with ISO dates': '2026-11-28T12:00:00,12345{}+01:00 ',
            'dmesg -T in German': '[Sa Mär 28 12:00:0{} 2026] ', 'dmesg of Amlogic': '[    1.0{}@3] ',
            'ts': 'Nov 28 12:00:0{} ', 'ts of dmesg': 'Nov  8 12:00:0{} [    1.0{}] ', 'a terminal': '12:00:0{} ',
            'a terminal, with fractions': '12:00:00.00{} ', 'grep -n of two files': 'a/log.txt:{}:',
            'RFC 5424': '<4>1 2026-11-28T12:00:00Z host kernel - - - [    1.0{}] ',
            'a log of the console': '2026-11-28 12:00:00.12{} | [    1.0{}] ', 'grep -n': '{}:',
            'several files of trace-cmd': '     trace.dat: ', 'several buffers of trace-cmd': 'alist:          ',
            'dmesg --color': '\x1b[32m[    1.0{}] \x1b[0m\x1b[1m',
            'syslog with priorities': '<4>Nov 28 12:00:00 host kernel: [    1.0{}] '}.items():
        text = ''.join(prefix.replace('{}', str(i)) + x + '\n' for i, x in enumerate(lines))
        shows(name, text, '[x["name"] for x in d["by"]["task"]] == ["t"] and d["commands"]["iotlb"] == 1',
              verb='cost')
    shows('a task with a colon in its name', body.replace(' t-1', ' tmux: server-1'),
          '[x["name"] for x in d["by"]["task"]] == ["tmux: server"]', verb='cost')
    out = run(body[:-1])
    check('no newline at the end: a warning', out.returncode == 0 and
          re.search(rb':3: expected a newline at the end, or the log is truncated', out.stderr), out)
    # What is cut is refused, or said to be, wherever the log ends.
    for name, text in (('plain', body), ('quoted', ''.join(f'> {x}\n' for x in lines)),
                       ('perf script', text_of('perf-script'))):
        ends = [text[:n].rsplit('\n', 1)[-1] for n in range(1, len(text))]
        quiet = [end for n, end in enumerate(ends, 1) if end.strip('> ') and
                 (out := run(text[:n])).returncode != 2 and b'truncated' not in out.stderr]
        check(f'a log that is cut anywhere: {name}', not quiet, quiet)
    replays('gzip', gzip.compress(body.encode()), one)
    replays('gzip from a pipe', gzip.compress(body.encode()), one, pipe=True)
    replays('gzip on standard input', gzip.compress(body.encode()), one, stdin=True)
    replays('xz', lzma.compress(body.encode()), one)
    replays('lzma', lzma.compress(body.encode(), format=lzma.FORMAT_ALONE), one)
    for name, pack in (('gzip', gzip.compress), ('xz', lzma.compress)):
        replays(f'{name}: two files in one', pack(lines[0].encode() + b'\n') + pack('\n'.join(lines[1:] + ['']).encode()), one)
        refused(f'{name}: two files in one, the second is cut',
                pack(lines[0].encode() + b'\n') + pack('\n'.join(lines[1:] + ['']).encode())[:-9], f'{name} failed')
    replays('text from a pipe', body, one, pipe=True)
    replays('text on standard input', body, one, stdin=True)
    big = trace('amd-vfio-1-2-4-8dev')
    replays('a long gzip from a pipe', gzip.compress(big.encode()), 'd["flushes"] == 1356', pipe=True)
    if shutil.which('zstd'):
        packed = subprocess.run(['zstd', '-c'], input=body.encode(), capture_output=True).stdout
        replays('zstd', packed, one)
        replays('pzstd', b'\x50\x2a\x4d\x18\4\0\0\0abcd' + packed, one)
    refused('gzip that is cut', gzip.compress(trace('vtd-nvme-strict').encode())[:5000], r':[0-9]+: gzip failed')
    refused('gzip without gzip', gzip.compress(body.encode()), r':1: .*gzip', env={'PATH': '/nonexistent'})
    refused('trace.dat without trace-cmd', b'\x17\x08\x44tracing6\0', r':1: .*trace\.dat.*trace-cmd report',
            env={'PATH': '/nonexistent'})
    programs = os.path.join(tmp, 'bin')
    os.mkdir(programs)
    with open(os.path.join(programs, 'trace-cmd'), 'w') as out:
        out.write('#!/bin/sh\n[ "$1 $2 $3" = "report -t -i" ] && [ -f "$4" ] || exit 1\n'
                  f"cat <<'END'\ncpus=1\n{body}END\n")
    os.chmod(out.name, 0o755)
    replays('trace.dat by trace-cmd', b'\x17\x08\x44tracing6\0', one,
            env={'PATH': programs + ':' + os.environ['PATH']})
    replays('trace.dat on standard input', b'\x17\x08\x44tracing6\0', one, stdin=True,
            env={'PATH': programs + ':' + os.environ['PATH']})
    refused('trace.dat from a pipe', b'\x17\x08\x44tracing6\0', r':1: .*pipe', pipe=True,
            env={'PATH': programs + ':' + os.environ['PATH']})
    packed = gzip.compress(body.encode())
    for name, script, pattern in (
            ('prints all of it, and fails', f"#!/bin/sh\ncat <<'END'\n{body}END\nexit 1\n", 'gzip failed'),
            ('is killed', f"#!/bin/sh\ncat <<'END'\n{body}END\nkill -9 $$\n", 'gzip failed'),
            ('prints what is no log', '#!/bin/sh\nhead -c 1000 /dev/zero\n', 'NUL'),
            ('is none', '\x7fELF', 'cannot run gzip')):
        with open(os.path.join(programs, 'gzip'), 'w') as out:
            out.write(script)
        os.chmod(out.name, 0o755)
        for pipe in (False, True):
            refused(f'a gzip that {name}{", from a pipe" if pipe else ""}', packed, pattern,
                    pipe=pipe, env={'PATH': programs + ':' + os.environ['PATH']})
    # It is not waited for, nor left behind, if what it prints is refused.
    with open(out.name, 'w') as out:
        out.write(f"#!/bin/sh\necho $$ >{tmp}/gzip.pid\ncat <<'END'\n{body * 2}END\nexec sleep 1000\n")
    refused('a gzip that goes on', packed, ':4: expected a time', env={'PATH': programs + ':' + os.environ['PATH']})
    pid = open(os.path.join(tmp, 'gzip.pid')).read().strip()
    check('what unpacks ends, too', not os.path.exists(f'/proc/{pid}'))
    refused('perf.data on standard input', b'PERFILE2' + bytes(100), r'<stdin>:1: ', stdin=True)
    dat = b'\x17\x08\x44tracing6\0' + bytes(100)
    for name, packed, inner in (('gzip of xz', gzip.compress(lzma.compress(body.encode())), 'an xz file'),
                                ('xz of trace.dat', lzma.compress(dat), 'a trace.dat'),
                                ('gzip of perf.data', gzip.compress(b'PERFILE2' + bytes(100)), 'a perf.data')):
        refused(name, packed, f':1: expected text, found {inner}')
    refused('gzip of nothing', gzip.compress(b''), r':1: .*gzip printed nothing')
    refused('zip', b'PK\x03\x04' + bytes(100), r':1: .*unzip -p')
    refused('what was not written before a crash', body + '\0' * 4096, r':4: .*NUL')
    refused('lz4', b'\x04\x22\x4d\x18' + bytes(100), r':1: .*lz4 -d')
    refused('perf.data', b'PERFILE2' + bytes(100), r':1: .*perf\.data.*perf script -i')
    refused('a line that is none, in a plain log, after a marker that says kernel:',
            log('tracing_mark_write: of this kernel: x', MAP) + 'what\n' + body, r':3: expected')
    refused('a line that is none, in a plain log', body + 'what\n' + lines[0] + '\n', r':4: expected')
    refused('text that is no log', 'hello\n' + body, r':1: expected')
    for i, line in enumerate(lines):
        for end in ('', ' ', '\x1f'):
            glued = '\n'.join(lines[:i + 1]) + end + '\n'.join(lines[i:]) + '\n'
            refused(f'line {i + 1} goes on with another event, by {end!r}', glued, f':{i + 1}: expected')
        for what in ('sched_switch: prev_comm=a', 'io_page_fault: IOMMU:a 0x1', 'flush_begin: (f+0x0/0x10',
                     'flush_end: (f', 'flush_end: (f <- g)', 'wait_end: (f', 'wait_begin: (f) iommu=0x1'):
            refused(f'{what}, and the newline before line {i + 1} is lost',
                    ' t-1 [000] 1.0: ' + what + body.split('\n', i)[-1], r':1: expected')
        for before, name in (('> ', 'in a mail'), ('[    1.0] ', 'in dmesg'),
                             (' t-1 [001] 1.0: sched_switch: a\n', 'after an event of others'),
                             (' t-1 [001] 1.0: tracing_mark_write: a\n', 'after a marker')):
            refused(f'line {i + 1} without its frame, {name}',
                    f'{before}{lines[i]}\n{before}{lines[i].replace("[000]", "[0?0]")}\n', r'expected .TASK-PID')
    dmesg = variants['in dmesg, with callers'].splitlines(keepends=True)
    for name, line, n in (('a console', '** 44 printk messages dropped **', 44),
                          ('journald', 'Nov 28 12:00:00 host systemd-journald[1]: Missed 5 kernel messages', 5),
                          ('the ring of kmsg', '[    1.1] systemd-journald[1]: /dev/kmsg buffer overrun, some messages lost.', 1)):
        replays(f'lines that {name} lost', ''.join(dmesg[:-1]) + line + '\n' + dmesg[-1], f'd["unknowns"]["events"] == {n}')
        replays(f'lines that {name} lost before anything was dumped', line + '\n' + ''.join(dmesg),
                'd["unknowns"]["events"] == 0')
    # A line that was cut in the middle of a log is no other line of it.
    for name, of in (('in dmesg', dmesg[1:]), ('quoted', [f'> {x}\n' for x in lines]),
                     ('quoted, in latency format', [f'> {x}\n' for x in latency.splitlines()])):
        whole = of[1]
        for n in range(whole.index('-1') + 3, len(whole) - 1):
            out = run(of[0] + whole[:n] + '\n' + of[2])
            if out.returncode != 2 and not re.fullmatch(r'.*(-1 *(\[0?0?0?|0d?\.{0,2})?|unmapped_size=\d+)', whole[:n]):
                check(f'{name}: a line that is cut after {n} bytes', False, f'{whole[:n]!r} {out}')
                break
        else:
            check(f'{name}: a line that is cut anywhere', True)
    replays('raw fields of probes', log('flush_begin: __probe_ip=0x1', MAP, UNMAP, psi(4, 0x10000),
                                        'flush_end: __probe_func=0x1 __probe_ret_ip=0x2'), one)
    replays('perf script --show-lost-events',
            variants['perf script with call chains'] + 'swapper 0 [000] 1.1: PERF_RECORD_LOST lost 5\n',
            'd["unknowns"]["events"] == 5')
    for name, text, hint in (
            ('perf script without the CPU', re.sub(r'\[000\]', '', variants['perf script with call chains']), 'perf script -F'),
            ('events without context', ''.join(x.split(': ', 1)[1] + '\n' for x in lines), 'echo context-info'),
            ('option raw', '9 0 438308478000 type: 1234\n', 'echo noraw'),
            ('perf trace', '     0.001 ( 0.000 ms): dd/12 iommu:map(iova: 1, paddr: 2, size: 3)\n', 'perf script -F'),
            ('function_graph', f' 0)               |  /* {MAP} */\n', 'nop tracer'),
            ('verbose latency format', f'              dd       9   0 1 00000000 [000001a4] 1.234ms (+0.001ms): {MAP}\n', 'noverbose'),
            ('UTF-16', body.encode('utf-16'), 'iconv'),
            ('UTF-16, the other way', body.encode('utf-16-be'), 'iconv'),
            ('no-break spaces', body.replace(' ', '\xa0'), 'no-break spaces'),
            ('perf script without the task', re.sub(r'^t +', '', perf, flags=re.M).replace('1/1', ''), 'perf script -F'),
            ('perf script without times', re.sub(r'1\.00000\d: ', '', perf), 'perf script -F'),
            ('a mail that is not decoded', body.replace('=', '=3D'), 'Save its text'),
            ('a line that a mail has wrapped', '> ' + lines[0].replace(' paddr', '\n> paddr') + '\n', 'wrapped')):
        refused(f'{name}: says what it is', text, f':[0-9]+: expected .*{hint}')
    refused('two vendors', body + log(amd_all(4), AMD_WAIT, step=2.0), r'one vendor')
    refused('two vendors, by tags', log(amd_all(4), AMD_WAIT, 'cache_tag_assign: dmar0/dmar0 type iotlb did 4 pasid 0 ref 1'),
            r'one vendor')
    out = run(log(MAP, UNMAP), verb='show')
    check('show of iommu events alone', out.returncode == 0, out)
    refused('iommu events alone', log(MAP, UNMAP), r'expected qi_submit.*alist cost')
    replays('a ring that was overwritten is lost events',
            '# entries-in-buffer/entries-written: 3/99999   #P:2\n' + body, 'd["unknowns"]["events"] == 99996')
    header = ('# tracer: nop\n#\n# nop latency trace v1.1.5 on 6.1.0\n# ' + '-' * 68 + '\n'
              '# latency: 0 us, #{}, CPU#0 | (M:preempt VP:0, KP:0, SP:0 HP:0 #P:2)\n')
    replays('the same in latency format', header.format('3/99999') + latency, 'd["unknowns"]["events"] == 99996')
    replays('a ring that was not, in latency format', header.format('3/3') + latency, 'not d["unknowns"]["events"]')
    refused('latency format, cut between two lines', header.format('4/4') + latency, r':8: expected 4 events.*truncated')
    refused('a header of latency format that is damaged', header.format('4') + latency, r':5: expected .latency')


def costs(name, path, expression):
    out = subprocess.run([alist, 'cost', '--json', path], capture_output=True)
    d = json.loads(out.stdout.decode()) if not out.returncode else None
    check(name, d and eval(expression, {'d': d}), f'{out.returncode} {out.stderr} {d}')


def recorded():
    """Logs of alist record: the numbers are those that QEMU's IOMMU was given meanwhile."""
    record = os.path.join(data, 'record')
    for name, iommu, iotlb, sync in (('amd-nvme-btf', 'ivhd0', 1662, 1122),
                                     ('smmuv3-nvme-btf', 'smmu3.0x0000000009050000', 564, 564)):
        path = os.path.join(record, name + '.txt.xz')
        text = lzma.open(path, 'rt').read()
        costs(f'{name}: what QEMU was given', path,
              f'd["commands"] == dict(iotlb={iotlb}, atc=0, sync={sync}, config=0, other=0)')
        costs(f'{name}: named by BTF', path, f'[x["name"] for x in d["by"]["IOMMU"]] == ["{iommu}"]')
        page = subprocess.run([alist, 'cost', '--html', path], capture_output=True, text=True).stdout
        ends = [float(x) + 7.5 * len(label) for x, label in
                re.findall(r'<text x=([\d.]+) y=\d+>([^<]*)<', page)]
        check(f'{name}: no label goes over the edge of its chart', ends and max(ends) <= 560, ends)
        replays(f'{name}: replayed', text,
                f'd["recorded"]["iotlb"] == {iotlb} and d["stale"] == 0 and not d["differences"]')
        out = subprocess.run([alist, 'cost', path], capture_output=True, text=True).stdout
        table = re.search(r'  by IOMMU.*\n.*\n', out)[0].splitlines()
        check(f'{name}: columns stand in line', len(table[0]) == len(table[1]), table)
        check(f'{name}: which IOMMU a flush is of, the log does not tell',
              table[1].split()[-7:-4] == [str(iotlb), '0', '-'], table)
        # A kernel without BTF: the same, and the IOMMU has a number for a name.
        plain = os.path.join(tmp, 'plain.txt')
        with open(plain, 'w') as out:
            out.write(re.sub(r' name="[^"]*"', '', text))
        costs(f'{name}: without BTF', plain,
              f'd["commands"]["iotlb"] == {iotlb} and d["wait"]["number"] == {sync} and '
              f'len(d["by"]["IOMMU"]) == 1 and "{iommu}" not in d["by"]["IOMMU"][0]["name"]')
    # Its probes are breakpoints, whose events say that they are in an NMI.
    whole = 'd["flush"]["number"] == 64 and d["wait"]["number"] == 77 and d["strict"] == d["unmaps"] == 48'
    path = os.path.join(record, 'riscv-unmap.txt.xz')
    costs('riscv-unmap: what QEMU was given', path,
          'd["commands"] == dict(iotlb=317, atc=0, sync=77, config=12, other=0)')
    costs('riscv-unmap: each flush and wait begins and ends', path, whole)
    # A map frees tables and flushes in its middle: before the map is told, and after an unmap.
    replays('riscv-unmap: the flush of a map is none of the unmap before it', lzma.open(path, 'rb').read(),
            'd["flushes"] == 68 and d["recorded"]["sync"] == 77 and "nest-not-in-log" not in reasons')
    # One of an interrupt, in the middle of a flush, is no part of it.
    text = lzma.open(path, 'rt').read().splitlines(keepends=True)
    at = next(i for i, x in enumerate(text) if ' unmap: ' in x) + 2
    time = re.search(r' ([0-9.]+): ', text[at])[1]
    text.insert(at, f' init-53 [001] d.h.. {time}: unmap: IOMMU: iova=0x1000 - 0x2000 size=4096 unmapped_size=4096\n')
    shows('riscv-unmap: with an unmap in an interrupt', ''.join(text),
          'd["unmaps"] == 49 and d["by"]["task"][0]["name"] == "init"', verb='cost')
    if not shutil.which('trace-cmd'):
        return skipped('a trace.dat of trace-cmd', 'there is no trace-cmd')
    path = os.path.join(record, 'vtd-nvme.trace.dat')
    costs('a trace.dat of trace-cmd', path,
          'd["vendor"] == "vtd" and d["unmaps"] == 560 and d["commands"]["iotlb"] == 560 and d["maps"] > 2000')
    replays('and replayed', open(path, 'rb').read(), 'd["flushes"] == d["same"] == 560 and d["stale"] == 0')
    for option in ([], ['-t'], ['-R'], ['-r', 'iommu:map'], ['-l'], ['-w'], ['-N'], ['-V'], ['-G'], ['--raw-ts'],
                   ['--ts-diff'], ['--ts-check'], ['--align-ts'], ['--nodate'], ['--debug'], ['-R', '--debug']):
        text = subprocess.run(['trace-cmd', 'report', *option, '-i', path], capture_output=True).stdout
        if text:
            replays(f'as the text of trace-cmd report {" ".join(option)}', text,
                    'd["flushes"] == d["same"] == 560')
    refused('a trace.dat that is cut', open(path, 'rb').read()[:100000], r'trace-cmd|expected')


def counts():
    """Clocks that count what is not known: no seconds, and no share of them."""
    text = re.sub(r' (\d+)\.(\d{6}): ', r' \1\2: ', trace('vtd-nvme-strict'))
    for args in ([], ['--html']):
        out = run(text, *args, verb='cost')
        check(f'a clock that counts: cost {" ".join(args)}', out.returncode == 0 and
              re.search(rb'117205 ticks of log', out.stdout) and
              not re.search(rb'[0-9.]+ (us|ms|s of)\b|[0-9] per second|[0-9]%.*wall', out.stdout), out.stdout)
    path = os.path.join(tmp, 'log.txt')
    costs('a clock that counts: cost --json', path,
          'd["clock"] == "counts" and d["wall_ns"] == 117205 and '
          'd["unmap_to_last_command"]["share_of_wall"] is None')
    out = subprocess.run([alist, 'compare', path, os.path.join(traces, 'vtd-nvme-strict.txt')], capture_output=True,
                         text=True)
    check('a clock that counts: compare', re.search(r'unmaps per second +- +1296\.9 +- +not in both', out.stdout), out)


    ticks = log(*['sched_switch: x'] * 3, MAP, UNMAP, psi(4, 0x10000)).replace(' 1.', ' 77')
    refused('a clock that counts: a time that goes back is told in ticks',
            ''.join(reversed(ticks.splitlines(keepends=True))), ':2: expected a time not before 77060000:')
    refused('a clock that counts, after another', log(MAP) + ticks, ':2: expected a time in seconds')
    refused('another clock, after one that counts', ticks + '### RUN b\n' + log(MAP), ':8: expected a time in ticks')


def contradictions():
    """Logs of which a part cannot be: neither a crash nor another reason for the exit."""
    # The domain turns out to be of the first stage by the command that empties it.
    gn = amd(3 << 60 | 5 << 32 | 7, 0x7ffffffffffff007)
    replays('a detach tells the stage', log(
        '@ t-1 [000] d....@' + attach('0000:02:00.1'), amd_all(5), AMD_WAIT,
        *['@ u-2 [000] d....@' + x for x in (amd(2 << 60 | 0x201, 0), gn, AMD_WAIT, attach('0000:02:00.1'))]),
        'd["purposes"]["detach"]["flushes"] == 1')
    replays('SMMUv3: a PASID beside a second stage', log(
        smmu(0x40, 0x300 << 32 | 1 << 11 | 5 << 12, 0x10000, sync=0), smmu(0x2a, 9 << 32, 0x10401)),
        'd["recorded"]["atc"] == 1 and d["recorded"]["iotlb"] == 1')
    replays('RISC-V: a PASID beside a second stage', log(
        riscv(4 | 1 << 32 | 1 << 33 | 3 << 40 | 5 << 12, 0x10000), riscv(1 | 1 << 7 | 1 << 10 | 1 << 33 | 9 << 44, 0x4000),
        riscv(2)), 'd["recorded"]["atc"] == 1 and d["recorded"]["iotlb"] == 1')


def unknowns():
    """What a log does not have is not 0, and what is a guess is said to be one."""
    vtd_log = os.path.join(traces, 'vtd-nvme-strict.txt')
    path = os.path.join(tmp, 'log.txt')
    with open(path, 'w') as out:
        out.write(''.join(x for x in open(vtd_log).readlines() if re.search(r' (un)?map: ', x)))
    out = subprocess.run([alist, 'compare', path, vtd_log], capture_output=True, text=True)
    check('no commands in one log: they are not compared',
          re.search(r'IOTLB commands per unmap +- +1\.00 +- +not in both', out.stdout), out)
    out = subprocess.run([alist, 'cost', path], capture_output=True, text=True)
    check('no commands in the log: none by task', re.search(r'\(interrupts\) +152 +- +- +- +-', out.stdout), out)
    def per_second(a, b):
        for text, where in ((a, path), (b, path + '.b')):
            with open(where, 'w') as out:
                out.write(text)
        out = subprocess.run([alist, 'compare', '--json', path, path + '.b'], capture_output=True)
        return json.loads(out.stdout)['measures']['unmaps_per_second']['verdict']
    many = log(*[MAP, UNMAP, psi(4, 0x10000)] * 100)
    check('one unmap is too few to compare', per_second(log(MAP, MAP), log(MAP, UNMAP)) == 'too short to tell')
    check('two are, too', per_second(many, log(MAP, UNMAP, MAP, UNMAP)) == 'too short to tell')
    check('none are not, in a log that has many maps', per_second(log(*[MAP] * 300), many) == 'beyond noise')
    costs('VT-d without waits: inferred', vtd_log, 'd["waits_inferred"]')
    costs('VT-d by alist record: not inferred', os.path.join(data, 'cost/vtd-nvme.txt.xz'), 'not d["waits_inferred"]')
    costs('AMD-Vi: not inferred', os.path.join(traces, 'amd-nvme-strict.txt'), 'not d["waits_inferred"]')
    out = subprocess.run([alist, 'cost', vtd_log], capture_output=True, text=True)
    check('inferred waits are marked', re.search(r'completion waits +\d+ .*inferred', out.stdout) and
          re.search(r'driver .* waits \(inferred\)', out.stdout), out)
    out = subprocess.run([alist, 'cost', '--html', vtd_log], capture_output=True, text=True)
    check('and in the page', 'completion waits (inferred)' in out.stdout and 'waits (inferred) ' in out.stdout, out)
    out = subprocess.run([alist, 'replay', '--iommus=2', vtd_log], capture_output=True, text=True)
    check('spread over IOMMUs: nothing is the same', re.search(r'total( +\d+){7} +-$', out.stdout, re.M), out)
    out = subprocess.run([alist, 'compare', '-', '-'], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    check('standard input cannot be compared with itself', out.returncode == 2 and 'only once' in out.stderr, out)


def huge():
    """The largest numbers that an event can have, and larger ones."""
    def unmap(size, unmapped=None):
        return f'unmap: IOMMU: iova=0x0 - 0x{size:x} size={size} unmapped_size={unmapped or size}'
    for size, upto in ((2 ** 63, 2 ** 63), (2 ** 63 + 4096, 2 ** 64), (2 ** 64 - 4096, 2 ** 64)):
        text = log(unmap(size), dsi(4))
        shows(f'an unmap of {size} bytes', text,
              f'd["unmap_bytes"] == {size} and d["unmaps_up_to"] == {{"{upto}": 1}} and d["commands"]["iotlb"] == 1',
              verb='cost')
        for args in ([], ['--html']):
            out = run(text, *args, verb='cost')
            check(f'an unmap of {size} bytes is in the table {args}', out.returncode == 0 and
                  re.search(rb'>16 EiB<|^ +16 EiB +1 100' if upto == 2 ** 64 else rb'>8 EiB<|^ +8 EiB +1 100',
                            out.stdout, re.M), out)
    replays('of a large page, more is unmapped than was asked for', log(MAP, UNMAP.replace('d_size=4096', 'd_size=2097152'),
                                                                        psi(4, 0x10000)), 'd["flushes"] == 1')
    refused('more is unmapped than there are addresses', log(MAP, UNMAP.replace('d_size=4096', f'd_size={2 ** 64 - 4096}')),
            r':2: expected .unmap')
    for field, most in (('did', 0xffff), ('pasid', 0xfffff)):
        line = 'cache_tag_assign: dmar0/dmar0 type iotlb did 5 pasid 0 ref 1'
        last, more = (re.sub(rf'{field} \d', f'{field} {n}', line) for n in (most, most + 1))
        replays(f'the last {field}', log(last, dsi(5)), 'd["vendor"] == "vtd"')
        refused(f'more than the last {field}', log(more, dsi(5)), r':1: expected .cache_tag_assign')
        flush = log(f'cache_tag_flush_range: dmar0 dmar0[0] type iotlb did 5 [0x10000-0x10fff] addr 0x10000 mask 0x0')
        refused(f'{field} of a flush', flush.replace('did 5' if field == 'did' else '[0]',
                                                     'did 65536' if field == 'did' else '[4294967295]'),
                r':1: expected .cache_tag_flush_range')
    # Two domains of one tag, if nothing says that they are the same: the second has another one.
    replays('the last tag, twice', log(*[x.replace('iommu=0xa', f'iommu=0x{i}') for i in (1, 2)
                                         for x in (amd_all(0xffff), AMD_WAIT)]),
            'reasons == ["tag-taken"]')
    replays('so many events are lost', 'CPU:1 [LOST 18446744073709551614 EVENTS]\n' + log(dsi(4)),
            'd["unknowns"]["events"] == 2 ** 64 - 2')


def names():
    body = log(f'cache_tag_assign: dmar\x1b[31m/dmar\x1b[31m type iotlb did 4 pasid 0 ref 1',
               'cache_tag_assign: dmar\x1b[31m/0000:\udcff\udce4:00 type devtlb did 4 pasid 0 ref 1',
               attach('0000:\udcff\udce4:00'))
    for args in (['--json'], []):
        out = run(body, *args, verb='show')
        check(f'names are safe: show {args}', out.returncode == 0 and b'\x1b' not in out.stdout and
              out.stdout.decode() and b'\\x' in out.stdout, out)
    shows('and JSON is JSON', body, 'r"\\xff" in d["domains"][0]["groups"][0]["attachments"][0]["device"]')
    for verb in ('replay', 'show', 'cost'):
        out = run(body + log(dsi(4), step=1), '--json', verb=verb, name='x\udcff.txt')
        check(f'names of files, too: {verb}', out.returncode == 0 and
              json.loads(out.stdout.decode())['file'].endswith('x\\xff.txt'), out)
    out = run('### RUN a\x1b]0;b\n' + log(dsi(4)), name='x\x1b[1m.txt')
    check('a run and a file of such a name', out.returncode == 0 and b'\x1b' not in out.stdout, out)
    out = run('x', name='x\x1b[1m.txt')
    check('and in a message', out.returncode == 2 and b'\x1b' not in out.stderr, out)
    out = run(log(amd_all(4), AMD_WAIT), verb='show')
    check('no pointers for names', b'iommu0' in out.stdout and b'0xa' not in out.stdout, out.stdout)


def manners():
    good = os.path.join(tmp, 'good.txt')
    with open(good, 'w') as out:
        out.write(log(dsi(4)))
    out = subprocess.run([alist, 'replay', good, os.path.join(tmp, 'none'), good], capture_output=True)
    check('one bad file of three: nothing is printed, and that is said', out.returncode == 2 and
          not out.stdout and b'cannot replay all 3 files' in out.stderr, out)
    out = run(trace('vtd-vfio-ats-1-2-4-8dev'), '-v')
    numbers = [int(x) for x in re.findall(rb'^  line (\d+) ', out.stdout, re.M)]
    check('-v in the order of the log', len(numbers) == 171 and numbers == sorted(numbers), numbers[:20])
    out = run(trace('smmuv3-vfio-1-2-4-8dev'), '-v')
    numbers = [int(x) for x in re.findall(rb'^  line (\d+) ', out.stdout, re.M)]
    check('-v in the order of the log, SMMUv3', len(numbers) > 40 and numbers == sorted(numbers), numbers)
    for closed in ('>&-', '<&- >&-', '>&- 2>&-'):
        for verb in ('replay', 'cost --html', 'show', 'demo', '--help'):
            file = good if verb not in ('demo', '--help') else ''
            out = subprocess.run(['sh', '-c', f'exec "$0" {verb} {file} {closed}', alist], capture_output=True)
            check(f'alist {verb} {closed}', out.returncode == 2 and (b'cannot write' in out.stderr or '2>' in closed),
                  out)
    out = subprocess.run(['sh', '-c', 'exec "$0" replay - <&-', alist], capture_output=True)
    check('standard input is closed', out.returncode == 2 and b'cannot open' in out.stderr, out)
    out = run(log(dsi(4))[:-1])
    quiet = subprocess.run(['sh', '-c', 'exec "$0" replay "$1" 2>&-', alist, os.path.join(tmp, 'log.txt')],
                           capture_output=True)
    check('standard error is closed: messages are in no file', quiet.stdout == out.stdout and out.stderr, quiet)
    out = subprocess.run(['sh', '-c', 'trap "" PIPE; "$0" replay -v "$1"; echo $? >&2', alist,
                          os.path.join(traces, 'amd-vfio-1-2-4-8dev.txt')], stdout=os.open(os.path.join(tmp, 'log.txt'), 0),
                         stderr=subprocess.PIPE)
    check('what cannot be written is told once', out.stderr.count(b'cannot write') == 1 and out.stderr.endswith(b'2\n'), out)
    for directory in ('/nonexistent', '/proc'):
        out = run(log(dsi(4)), env={'TMPDIR': directory})
        check(f'TMPDIR={directory}', out.returncode == 2 and not out.stdout, out)
    # A place that is full, without root rights: no file may be larger than this.
    for args in (['-v'], ['--json']):
        out = subprocess.run(['sh', '-c', 'ulimit -f 4; trap "" XFSZ; exec "$@"', 'sh', alist, 'replay', *args,
                              os.path.join(traces, 'amd-vfio-1-2-4-8dev.txt')], capture_output=True)
        check(f'no place for temporary files: {args}', out.returncode == 2 and not out.stdout and
              b'full?' in out.stderr, out)
    refused('show --at of a log without anything of ours', log('sched_switch: x'), r'the log has none', verb='show')
    refused('--at in seconds, of a log in ticks', log(dsi(4)).replace('1.', '77'), r'expected --at in ticks',
            '--at', '1.5', verb='show')
    for at, what in (('0.5', 'begins after'), ('1.5', 'ends before')):
        out = run(log(dsi(4)), '--json', '--at', at, verb='show')
        check(f'--at {at}: the log {what} it', out.returncode == 0 and json.loads(out.stdout) and
              re.search(rf'warning: .*log.txt: the log {what} --at {at}'.encode(), out.stderr), out)
    tagged = re.sub(r'\d\.(\d{6}):', r'77\1:', log(*[attach('0000:01:00.0'), amd_all(4), AMD_WAIT, amd_all(5), AMD_WAIT]))
    out = run(tagged, '--json', '--at', '77035000', verb='show')
    check('--at by the clock of the log', out.returncode == 0 and len(json.loads(out.stdout)['domains']) == 1, out)
    seconds = log(attach('0000:01:00.0'), amd_all(4), AMD_WAIT, amd_all(5), AMD_WAIT)
    out = run(seconds, '--json', '--at', '1.035', verb='show')
    check('--at in seconds', out.returncode == 0 and len(json.loads(out.stdout)['domains']) == 1, out)
    for args in (['--help'], ['replay', '--help'], ['--version']):
        with open('/dev/full', 'w') as full:
            out = subprocess.run([alist, *args], stdout=full, stderr=subprocess.PIPE)
        check(f'alist {" ".join(args)} checks its output', out.returncode == 2, out)


def linear():
    times = {}

    def good():
        return times and times[2000] < 16 * max(times[500], 0.05)

    # The fastest of some tries: a busy machine takes longer at times.
    for _ in range(3):
        if good():
            break
        for n in (500, 2000):
            lines = []
            for did in range(1, n + 1):
                lines += [f'cache_tag_assign: dmar0/dmar0 type iotlb did {did} pasid 0 ref 1',
                          attach(f'0000:{did >> 8:02x}:{did >> 3 & 31:02x}.{did & 7}')]
            for did in range(1, n + 1):
                lines += [MAP, UNMAP, psi(did, 0x10000)]
            text = log(*lines, step=1e-5)
            start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            replays(f'{n} domains', text, f'd["same"] == {n}')
            took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start
            times[n] = min(took, times.get(n, took))
    check('in linear time', good(), times)


def many():
    """More tasks than a table has rows, and names that are longer than a row's."""
    total = 'sum(x["unmaps"] for x in d["by"]["task"])'
    for n, name in ((1500, 't{}'), (3, 'a' * 100 + '{}')):
        text = log(*[x for _ in range(n) for x in (UNMAP, psi(4, 0x10000))], step=1e-5).splitlines()
        text = ''.join(x.replace(' t-1 ', f' {name.format(i // 2)}-{i // 2 + 1} ') + '\n'
                       for i, x in enumerate(text))
        shows(f'{n} tasks {name}', text, f'{total} == d["unmaps"] == {n} and len(d["by"]["task"]) <= 1024 '
              f'and ({n} < 1024 or d["by"]["task"][0]["name"] == "(others)") '
              'and all(x["name"] for x in d["by"]["task"])', '--top', '1024', verb='cost')


def examples():
    """What the manual pages show is what is printed, if not all of it."""
    logs = {'alist.txt': 'cost/vtd-nvme.txt.xz', '7.3.txt.xz': 'cost/vtd-nvme.txt.xz',
            '6.12.txt': 'traces/vtd-nvme-strict.txt', 'vfio.txt': 'traces/vtd-vfio-ats-1-2-4-8dev.txt'}
    for name, log in logs.items():
        shutil.copy(os.path.join(data, log), os.path.join(tmp, name))
        if log.endswith('.xz') and not name.endswith('.xz'):
            with open(os.path.join(tmp, name), 'wb') as out:
                out.write(lzma.open(os.path.join(data, log)).read())
    for verb in ('cost', 'compare', 'replay', 'show', 'demo'):
        page = open(os.path.join(data, f'../../doc/man/alist-{verb}.1.scd')).read()
        blocks = re.findall(r'^\$ alist (.*)\n((?:(?![$`]).*\n)+)', page, re.M)
        for args, text in blocks:
            out = subprocess.run([alist, *args.split()], capture_output=True, text=True, cwd=tmp).stdout
            printed = iter(x.rstrip() for x in out.splitlines())
            missing = [x for x in text.splitlines() if x != '...' and x not in printed]
            check(f'alist-{verb}(1) shows what alist {args} prints', out and not missing, f'{missing} of {out}')
        check(f'alist-{verb}(1) has an example', f'alist {verb}' in page and blocks)


def narrow():
    """A terminal of 80 columns is enough for what is printed of each shipped log."""
    old = os.path.join(traces, 'vtd-nvme-strict.txt')
    found = [os.path.join(where, x) for where, _, names in os.walk(data) for x in sorted(names)
             if x.endswith(('.txt', '.txt.xz'))]
    check('logs are shipped', len(found) > 15, found)
    for path in found:
        for args in (['cost'], ['replay'], ['show'], ['compare', old]):
            out = subprocess.run([alist, *args, path], capture_output=True, text=True)
            wide = [x for x in out.stdout.splitlines() if len(x) > 80 and path not in x and old not in x]
            check(f'alist {args[0]} {os.path.basename(path)} is narrow', out.stdout and not wide, f'{out.stderr} {wide}')
    long = log(*[x.replace('dmar0', 'dmar' + '0123456789' * 5) for x in (MAP, UNMAP, psi(4, 0x10000))])
    for verb in ('cost', 'replay'):
        out = run('### RUN ' + 'a run of a long name ' * 4 + '\n' + long, verb=verb)
        wide = [x for x in out.stdout.decode().splitlines()[1:] if len(x) > 80]
        check(f'alist {verb}: long names are shortened', out.returncode == 0 and not wide and
              (b'dmar01..' if verb == 'cost' else b'a run o..') in out.stdout, out)


def bounded():
    """Mappings that are never unmapped: the oldest are forgotten, in no time that grows."""
    for name, step in (('of one address', 0), ('of new addresses', 0x2000)):
        lines = [f'map: IOMMU: iova=0x{a:x} - 0x{a + 4096:x} paddr=0x80000 size=4096'
                 for a in (0x100000 + i * step for i in range(150000))]
        a = 0x100000 + 149999 * step
        replays(f'many mappings {name}', log(
            *lines, f'unmap: IOMMU: iova=0x{a:x} - 0x{a + 4096:x} size=4096 unmapped_size=4096', psi(4, a), step=1e-6),
            'd["same"] == 1 and not d["unknowns"]["mappings"]')


def terminals():
    """The bar of a long log fits in a line; what cannot go back to its beginning gets none."""
    path = os.path.join(tmp, 'a-log-of-a-long-name.txt')
    with open(path, 'w') as out:
        out.write(trace('amd-vfio-1-2-4-8dev') * 20)

    def shown(columns, term='xterm'):
        mine, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
        process = subprocess.Popen([alist, 'cost', path], stdout=subprocess.DEVNULL, stderr=its,
                                   env={**os.environ, 'TERM': term})
        os.close(its)
        text = b''
        try:
            while some := os.read(mine, 4096):
                text += some
        except OSError:
            pass
        os.close(mine)
        return process.wait(), text
    for columns in (0, 200, 80, 60, 40, 20, 5):
        code, text = shown(columns)
        widest = max(map(len, text.replace(b'\033[K', b'').split(b'\r')))
        check(f'the bar in {columns} columns', code == 0 and b'%' in text and widest < (columns or 80), text)
    code, text = shown(80, 'dumb')
    check('no bar in a terminal that is dumb', code == 0 and not text, text)


print('KTAP version 1')
try:
    for kind in (type_numbers, merges, atc_on_map, every_command, guesses, lazy, missing, short, formats, recorded, counts, contradictions, unknowns, huge, names,
                 manners, terminals, examples, narrow, many, linear, bounded):
        kind()
finally:
    shutil.rmtree(tmp)
end()

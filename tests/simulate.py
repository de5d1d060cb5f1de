#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Logs of simulated machines, whose drivers forget nothing: alist explains all of it, and counts what
count.py counts. Then one unmap goes without its flush: alist names that one.

A machine has CPUs that map and unmap at the same time, in domains that use the same addresses,
behind several IOMMUs, strict or lazy, with interrupts on top; its log has flags, attachments and
tags, or not.

Usage: simulate.py ALIST [NUMBER [FIRST-SEED]]
"""
import collections
import json
import os
import random
import subprocess
import sys
import tempfile

import count
from lines import (amd, amd_all, amd_atc, amd_pages, amd_wait, attach, dev, dsi, mapped, psi, riscv,
                   smmu, unmapped)
from tap import check, end

PAGE = 4096
# Addresses come from here, from the top on, as the kernel's do; they are used again.
FIRST_PAGE, LAST_PAGE = 0xff000, 0xfffff

Device = collections.namedtuple('Device', 'name rid iommu')


class Domain:
    """With devices behind some of the machine's IOMMUs."""

    def __init__(self, number, rng, several):
        self.tag = 10 + number
        self.iommus = sorted(rng.sample(range(3), rng.choice((1, 2)))) if several else [0]
        self.devices = [Device(f'0000:{number + 1:02x}:00.{i}', number + 1 << 8 | i,
                               self.iommus[i % len(self.iommus)])
                        for i in range(max(len(self.iommus), rng.choice((1, 1, 2))))]
        self.free = list(range(FIRST_PAGE, LAST_PAGE))
        self.lazy = False
        self.queue = []         # what has been unmapped and not been flushed: pages

    def allocate(self, rng, number):
        """Addresses of pages in a row, or None."""
        i = rng.randrange(len(self.free) - number)
        pages = self.free[i:i + number]
        if pages[-1] - pages[0] != number - 1:
            return None
        del self.free[i:i + number]
        return pages

    def release(self, pages):
        self.free = sorted(self.free + pages)


def covering(first, number):
    """The smallest aligned power of two of pages with these: where it begins, and its order."""
    order = 0
    while first >> order != first + number - 1 >> order:
        order += 1
    return first >> order << order, order


def pieces(first, number):
    """The same pages in aligned powers of two."""
    while number:
        order = 0
        while number >> order + 1 and not first & (2 << order) - 1:
            order += 1
        yield first, 1 << order
        first += 1 << order
        number -= 1 << order


def by_order(first, order, bits=0):
    """An address whose low bits tell the size, as VT-d's and AMD-Vi's ATC commands have it."""
    return first * PAGE | ((1 << order - 1) - 1) * PAGE | 1 | bits if order else \
        first * PAGE | bits


class Vendor:
    """What a driver sends; each returns lines."""

    def __init__(self, rng):
        self.ats = rng.random() < 0.4

    def attach(self, domain, device):
        """At the attachment of a device, before its event."""

    def flush(self, domain, first, number):
        """Pages of a domain."""

    def flush_all(self, domain):
        """All of a domain."""


class Vtd(Vendor):
    """With the events of cache tags, since 6.10, or without. Its log has no waits."""

    def __init__(self, rng):
        super().__init__(rng)
        self.tags = rng.random() < 0.6

    def attach(self, domain, device):
        if not self.tags:
            return []
        users = sum(other.iommu == device.iommu and other <= device for other in domain.devices)
        tags = [(f'dmar{device.iommu}', 'iotlb', users)] + [(device.name, 'devtlb', 1)] * self.ats
        return [f'cache_tag_assign: dmar{device.iommu}/{who} type {kind} did {domain.tag} '
                f'pasid 0 ref {users}' for who, kind, users in tags]

    def _send(self, domain, tag, iotlb, atc):
        for iommu in domain.iommus:
            devices = [device for device in domain.devices if device.iommu == iommu] * self.ats
            if self.tags:
                yield tag(iommu, f'dmar{iommu}', 'iotlb')
                yield from (tag(iommu, device.name, 'devtlb') for device in devices)
            yield iotlb(iommu)
            yield from (atc(device) for device in devices)

    def flush(self, domain, first, number):
        base, order = covering(first, number)
        where = (f'[0x{first * PAGE:x}-0x{(first + number) * PAGE - 1:x}] addr 0x{base * PAGE:x} '
                 f'pages 0x{1 << order:x} mask 0x{order:x}')
        return list(self._send(
            domain, lambda iommu, who, kind: f'cache_tag_flush_range: dmar{iommu} {who}[0] type '
                                             f'{kind} did {domain.tag} {where}',
            lambda iommu: psi(domain.tag, base * PAGE, iommu, order),
            lambda device: dev(device.rid, by_order(base, order), device.iommu)))

    def flush_all(self, domain):
        return list(self._send(
            domain, lambda iommu, who, kind: f'cache_tag_flush_all: dmar{iommu}/{who} type {kind} '
                                             f'did {domain.tag} pasid 0 ref 1',
            lambda iommu: dsi(domain.tag, iommu),
            lambda device: dev(device.rid, 0x7ffffffffffff001, device.iommu)))


class Amd(Vendor):
    """A guest flushes at each map, too, if there is NpCache."""

    def attach(self, domain, device):
        return [amd(2 << 60 | device.rid, 0, 10 + device.iommu), amd_wait(10 + device.iommu)]

    def _send(self, domain, parts):
        """parts: what the IOTLB is sent for an IOMMU, and each ATC, of each."""
        lines = []
        for iotlb, atc in parts:
            lines += [iotlb(10 + iommu) for iommu in domain.iommus]
            lines += [amd_atc(device.rid, atc, 10 + device.iommu)
                      for device in domain.devices if self.ats]
        return lines + [amd_wait(10 + iommu) for iommu in domain.iommus]

    def _part(self, domain, first, number):
        where = by_order(*covering(first, number))
        return lambda iommu: amd_pages(domain.tag, where, iommu), where

    def flush(self, domain, first, number):
        return self._send(domain, [self._part(domain, first, number)])

    def flush_all(self, domain):
        return self._send(domain, [(lambda iommu: amd_all(domain.tag, iommu), 0x7ffffffffffff001)])


class AmdGuest(Amd):
    """With NpCache: its driver flushes exactly what was mapped or unmapped."""

    def flush(self, domain, first, number):
        return self._send(domain, [self._part(domain, *piece) for piece in pieces(first, number)])


class Smmuv3(Vendor):
    """A command a page. Of several ATC commands in one submission, the log has the first one."""

    def attach(self, domain, device):
        return [smmu(3, device.rid << 32, iommu=11 + device.iommu)]

    def _atc(self, domain, where):
        for iommu in domain.iommus if self.ats else []:
            devices = [device for device in domain.devices if device.iommu == iommu]
            yield smmu(0x40, devices[0].rid << 32, where, n=len(devices), iommu=11 + iommu)

    def flush(self, domain, first, number):
        base, order = covering(first, number)
        return [smmu(0x12, domain.tag << 48, page * PAGE | 1, int(page == first + number - 1),
                     iommu=11 + iommu)
                for iommu in domain.iommus for page in range(first, first + number)] + \
            list(self._atc(domain, base * PAGE | order))

    def flush_all(self, domain):
        return [smmu(0x11, domain.tag << 48, iommu=11 + iommu) for iommu in domain.iommus] + \
            list(self._atc(domain, 52))


class Riscv(Vendor):
    """A command a page, and a fence for each IOMMU behind all of them."""

    def attach(self, domain, device):
        return [riscv(3 | 1 << 33 | device.rid << 40, iommu=12 + device.iommu),
                riscv(2, iommu=12 + device.iommu)]

    @staticmethod
    def _send(domain, words):
        return [riscv(*word, 12 + iommu) for iommu in domain.iommus for word in words] + \
            [riscv(2, iommu=12 + iommu) for iommu in domain.iommus]

    def flush(self, domain, first, number):
        return self._send(domain, [(1 | 1 << 10 | domain.tag << 12 | 1 << 32, page << 10)
                                   for page in range(first, first + number)])

    def flush_all(self, domain):
        return self._send(domain, [(1 | domain.tag << 12 | 1 << 32, 0)])


Flush = collections.namedtuple('Flush', 'first last unmap commands')


class Work:
    """Something that a CPU does: it prints lines, and then has an effect."""

    def __init__(self, context, lines, then=lambda printed: None):
        self.context = context  # as the flags show it
        self.lines = collections.deque(lines)
        self.then = then
        self.printed = []       # numbers of the lines


class Cpu:
    """What is on top of the stack has interrupted what is below."""

    def __init__(self, number, idle):
        self.number = number
        self.idle = idle        # all that it does is done by interrupts
        self.task = '<idle>-0' if idle else f'dd-{100 + number}'
        self.stack = []
        self.mapped = []        # domains and pages


class Machine:
    """One log: lines, and which of them are the flushes of strict unmaps."""

    def __init__(self, seed):
        self.rng = rng = random.Random(seed)
        self.vendor = rng.choice((Vtd, Vtd, Amd, AmdGuest, Smmuv3, Riscv))(rng)
        self.flags = rng.random() < 0.8
        # Linux 7.3 has each domain behind one SMMU.
        several = rng.random() < 0.3 and not isinstance(self.vendor, Smmuv3)
        self.domains = [Domain(i, rng, several) for i in range(rng.choice((1, 2, 3, 5)))]
        # Without flags, a guest's lazy flush may be the one of a map.
        if self.flags or not isinstance(self.vendor, AmdGuest):
            for domain in self.domains:
                domain.lazy = rng.random() < 0.4
        self.attached = rng.random() < 0.7
        self.cpus = [Cpu(i, self.flags and rng.random() < 0.3)
                     for i in range(rng.choice((1, 2, 4, 8)))]
        self.left = rng.choice((50, 200, 600))
        self.now = 1.0
        self.lines = []
        self.flushes = []
        if self.attached:
            self._attach()
        while self.left or any(cpu.stack for cpu in self.cpus):
            self._step(rng.choice(self.cpus))
        # A timer flushes what is left in the queues.
        self.now += 0.01
        for domain in self.domains:
            for line in self.vendor.flush_all(domain) if domain.queue else []:
                self._print(self.cpus[0].task, 0, 's', line)
        # No flush is still to come.
        self.now += 1
        self._print('swapper/0-1', 0, '.', mapped((FIRST_PAGE - 1) * PAGE))

    def __str__(self):
        domains = ', '.join(('lazy' if domain.lazy else 'strict') +
                            f', {len(domain.devices)} devices, {len(domain.iommus)} IOMMUs'
                            for domain in self.domains)
        return (f'{type(self.vendor).__name__} {vars(self.vendor)}, {len(self.cpus)} CPUs, '
                f'flags: {self.flags}, attached: {self.attached}; {domains}')

    def _print(self, task, cpu, context, line):
        self.now += self.rng.choice((0, 1e-6, 2e-6, 1e-5, 1e-4))
        flags = f' d.{context}..' if self.flags else ''
        self.lines.append(f'{task} [{cpu:03d}]{flags} {self.now:.6f}: {line}\n')
        return len(self.lines)

    def _attach(self):
        for domain in self.domains:
            for device in domain.devices:
                for line in self.vendor.attach(domain, device) + [attach(device.name)]:
                    self._print('swapper/0-1', 0, '.', line)

    def _map(self, cpu):
        domain = self.rng.choice(self.domains)
        pages = domain.allocate(self.rng, self.rng.choice((1, 1, 1, 2, 4, 8, 16)))
        if not pages:
            return
        cpu.mapped.append((domain, pages))
        lines = [mapped(pages[0] * PAGE, len(pages) * PAGE)]
        if isinstance(self.vendor, AmdGuest):
            lines += self.vendor.flush(domain, pages[0], len(pages))
        cpu.stack.append(Work('.', lines))

    def _unmap(self, cpu, which, context):
        domain, pages = cpu.mapped.pop(which)
        self.left -= 1
        lines = [unmapped(pages[0] * PAGE, len(pages) * PAGE)]

        def queue(_):
            domain.queue += pages

        def release(printed):
            domain.release(pages)
            self.flushes.append(Flush(pages[0], pages[-1], printed[0], printed[1:]))

        if domain.lazy:
            cpu.stack.append(Work(context, lines, queue))
        else:
            cpu.stack.append(Work(context, lines + self.vendor.flush(domain, pages[0], len(pages)),
                                  release))

    def _flush_queue(self, cpu):
        domain = self.rng.choice(self.domains)
        pages, domain.queue = domain.queue, []
        if pages:
            cpu.stack.append(Work('s', self.vendor.flush_all(domain),
                                  lambda _: domain.release(pages)))

    def _step(self, cpu):
        """What is on top of the stack goes on, or something begins."""
        rng, what = self.rng, self.rng.random()
        if cpu.stack:
            work = cpu.stack[-1]
            # Without flags, nothing tells an interrupt's commands from those of the task.
            if self.flags and work.context == '.' and work.printed and cpu.mapped and self.left \
                    and what < 0.03:
                self._unmap(cpu, 0, 'h')
                return
            work.printed.append(self._print(cpu.task, cpu.number, work.context,
                                            work.lines.popleft()))
            if not work.lines:
                cpu.stack.pop()
                work.then(work.printed)
        elif not self.left:
            pass
        elif what < 0.45:
            self._map(cpu)
        elif what < 0.9 and cpu.mapped:
            hard = cpu.idle or (self.flags and rng.random() < 0.3)
            self._unmap(cpu, rng.randrange(len(cpu.mapped)), 'h' if hard else '.')
        else:
            self._flush_queue(cpu)

    def forgettable(self):
        """A flush that no other one stands in for, or None."""
        if isinstance(self.vendor, AmdGuest) or any(domain.lazy for domain in self.domains):
            return None

        def stands_in(other, flush):
            base, order = covering(other.first, other.last - other.first + 1)
            return other.commands[-1] > flush.unmap and other is not flush and \
                base <= flush.last and flush.first < base + (1 << order)
        alone = [flush for flush in self.flushes
                 if not any(stands_in(other, flush) for other in self.flushes)]
        return self.rng.choice(alone) if alone else None


def replay(alist, lines, path):
    """Return: the exit code, what alist says, and its lines by reason."""
    with open(path, 'w', encoding='utf-8') as file:
        file.write(''.join(lines))
    reasons = collections.defaultdict(list)
    out = subprocess.run([alist, 'replay', '--json', path], capture_output=True, text=True,
                         check=False)
    if out.returncode > 1:
        reasons['refused'] = [out.stderr]
        return out.returncode, None, reasons
    told = json.loads(out.stdout)
    for difference in told['differences']:
        reasons[difference['reason']].append(difference['line'])
    return out.returncode, told, reasons


def main():
    """Two cases a machine, or one where no flush can be left out."""
    alist = os.path.abspath(sys.argv[1])
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, 'log.txt')
        for seed in range(first, first + number):
            machine = Machine(seed)
            code, told, reasons = replay(alist, machine.lines, path)
            wrong = {reason: lines[:3] for reason, lines in reasons.items()
                     if reason in ('refused', 'flush-missing', 'unexplained')}
            good = not code and not wrong and not told['stale'] and not told['faults']
            counted = good and count.check(alist, path)
            check(f'nothing is wrong with machine {seed}', good and not counted,
                  f'{machine}: exit {code}, {wrong}, {counted}')
            flush = machine.forgettable()
            if not flush:
                continue
            left_out = set(flush.commands)
            code, _, reasons = replay(alist, [line for i, line in enumerate(machine.lines, 1)
                                              if i not in left_out], path)
            # Commands behind the unmap have gone, the lines before it are where they were.
            check(f'an unmap of machine {seed} without a flush',
                  code == 1 and reasons['flush-missing'] == [flush.unmap],
                  f'{machine}: line {flush.unmap}: exit {code}, {dict(reasons)}')
    end()


if __name__ == '__main__':
    main()

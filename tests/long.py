#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Long logs: how fast they are read, and that memory does not grow with them.

Usage: long.py ALIST MIB LOG...

A log is repeated, with times that go on, into a pipe to replay and to cost; one of more mappings
than are remembered; and one of an attachment that nothing ends. Each may take 8 MiB and has to
exit with 0. Speed, in megabytes of log per second of CPU, is printed and not judged: 1024 MIB on a
machine that does nothing else is what doc/cost.md has.
"""
import ctypes
import lzma
import os
import re
import subprocess
import sys
import tempfile

from lines import AMD_WAIT, amd, amd_atc

PEAK_KIB = 8192
TIME = re.compile(rb' (\d+)\.(\d{6}): ')
PR_SET_THP_DISABLE = 41
prctl = ctypes.CDLL(None).prctl


def copies(path, size):
    """The events of a log, again and again, until there is so much; its runs stay runs."""
    lines = []
    for line in (lzma.open if path.endswith('.xz') else open)(path, 'rb'):
        at = TIME.search(line)
        if at:
            lines.append((line[:at.start()], int(at[1]) * 1000000 + int(at[2]), line[at.end():]))
        elif line.startswith(b'### RUN'):
            lines.append((line, None, None))
    times = [time for _, time, _ in lines if time is not None]
    span = max(times) - min(times) + 1000
    done = shift = 0
    while done < size:
        text = b''.join(before if time is None else
                        b'%s %d.%06d: %s' % (before, (time + shift) // 1000000, (time + shift) % 1000000, after)
                        for before, time, after in lines)
        yield text
        done += len(text)
        shift += span


def run(alist, verb, path, size):
    """Megabytes, seconds of CPU, peak in KiB, exit code."""
    # Meson asks malloc() to fill what it returns: pages that are never used count then.
    env = {name: value for name, value in os.environ.items() if name != 'MALLOC_PERTURB_'}
    # Where the kernel gives huge pages to all who do not mind, one counts that is used in part.
    process = subprocess.Popen([alist, verb, '-'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=env,
                               preexec_fn=lambda: prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
    done = 0
    for text in copies(path, size):
        process.stdin.write(text)
        done += len(text)
    process.stdin.flush()
    status = open(f'/proc/{process.pid}/status').read()
    process.stdin.close()
    _, code, usage = os.wait4(process.pid, 0)
    process.returncode = code
    return done / 1e6, usage.ru_utime + usage.ru_stime, int(re.search(r'VmHWM:\s*(\d+)', status)[1]), code


def mappings(path):
    """A log of mappings of which only the last is unmapped."""
    with open(path, 'w') as out:
        for i in range(80000):
            at = 0x100000 + i * 0x2000
            out.write(f' t-1 [000] d.... 1.{i:06d}: map: IOMMU: iova=0x{at:x} - 0x{at + 4096:x} '
                      f'paddr=0x{at ^ 0x3000:x} size=4096\n')
        out.write(f' t-1 [000] d.... 1.080001: unmap: IOMMU: iova=0x{at:x} - 0x{at + 4096:x} size=4096 '
                  f'unmapped_size=4096\n t-1 [000] d.... 1.080002: qi_submit: iotlb_inv dmar0: '
                  f'0x400f2 0x{at | 0x40:x} 0x0 0x0\n')
    return path


def attachment(path):
    """A device entry, and commands to the device's ATC from there on."""
    with open(path, 'w') as out:
        for i in range(0, 80000, 2):
            command = amd_atc(0x300, 0x10000) if i else amd(2 << 60 | 0x300, 0)
            for us, line in (i, command), (i + 1, AMD_WAIT):
                out.write(f' t-1 [000] d.... 1.{us:06d}: {line}\n')
    return path


def main():
    alist, mib, *logs = sys.argv[1:]
    directory = tempfile.TemporaryDirectory()
    logs.append(mappings(os.path.join(directory.name, 'mappings.txt')))
    logs.append(attachment(os.path.join(directory.name, 'attachment.txt')))
    bad = number = 0
    print('KTAP version 1')
    print(f'1..{2 * len(logs)}')
    for path in logs:
        for verb in ('replay', 'cost'):
            megabytes, seconds, peak, code = run(alist, verb, path, int(mib) << 20)
            good = peak <= PEAK_KIB and code == 0
            bad += not good
            number += 1
            print(f'{"" if good else "not "}ok {number} {verb} {os.path.basename(path)} # '
                  f'{megabytes:.0f} MB, {megabytes / seconds:.0f} MB/s of CPU, {peak} KiB, exit {code >> 8}')
    return bad > 0


if __name__ == '__main__':
    sys.exit(main())

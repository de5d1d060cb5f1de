#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""alist record as a program: what it refuses, how it ends, and that it leaves nothing behind.

Usage: record.py ALIST

In a mount namespace with the tracefs of the kernel at hand and an IOMMU by name only: what is
recorded is of no interest here, lab/record looks at that. Takes root; else there is little.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from tap import check, end, skipped

alist = os.path.abspath(sys.argv[1])
tmp = tempfile.mkdtemp()
LOG = os.path.join(tmp, 'log.txt')
TRACING = '/sys/kernel/tracing'


def namespace(mounts, command):
    """The command after the mounts, which end with it."""
    return ['unshare', '-m', 'sh', '-c', mounts + '\nexec "$@"', 'sh', *command]


IOMMU = f'mkdir -p {tmp}/iommu/dmar0 && mount --bind {tmp}/iommu /sys/class/iommu'
TRACEFS = f'mount -t tracefs nodev {TRACING}'


def record(*args, mounts=f'{IOMMU} && {TRACEFS}', **kwargs):
    """The run, and what is in tracefs and beside the log after it."""
    done = subprocess.run(namespace(mounts, [alist, 'record', *args]), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd=tmp, timeout=60, check=False, **kwargs)
    done.stderr = done.stderr.decode('utf-8', 'replace')
    return done


def left():
    """Instances and unfinished logs."""
    there = subprocess.run(namespace(TRACEFS, ['ls', TRACING + '/instances']), capture_output=True, text=True,
                           check=False).stdout.split()
    return [x for x in there if x.startswith('alist-')] + [x for x in os.listdir(tmp) if x.startswith('log.txt.')]


def refused(name, pattern, *args, **kwargs):
    if os.path.exists(LOG):
        os.unlink(LOG)
    done = record('-o', LOG, *args, **kwargs)
    check(f'{name}: refused', done.returncode == 2 and re.search(pattern, done.stderr) and
          not os.path.exists(LOG) and not left(), (done, left()))


def refusals():
    plain = subprocess.run(['setpriv', '--reuid', '65534', '--clear-groups', alist, 'record', '-t', '1', '-o', LOG],
                           capture_output=True, text=True, check=False)
    check('not root: refused', plain.returncode == 2 and 'must be root' in plain.stderr, plain)
    empty = f'mkdir -p {tmp}/empty && mount --bind {tmp}/empty'
    refused('no IOMMU', r'no IOMMU: ', '-t', '1', mounts=f'{empty} /sys/class/iommu && {TRACEFS}')
    refused('no tracefs', r'tracefs is not mounted: mount -t tracefs', '-t', '1', mounts=f'{IOMMU} && {empty} {TRACING}')
    refused('tracefs that is empty, as in a kernel that is locked down', rf'{TRACING} is empty .*locked down', '-t', '1',
            mounts=f'{IOMMU} && {TRACEFS} && mount --bind {TRACING}/options {TRACING}')
    below = subprocess.run(namespace(f'{IOMMU} && {TRACEFS}', [
        'setpriv', '--reuid', '65534', '--clear-groups', 'unshare', '-Ur', alist, 'record', '-t', '1', '-o', LOG]),
                           capture_output=True, text=True, check=False)
    check('root of a user namespace: refused', below.returncode == 2 and
          re.search(rf'cannot use {TRACING}: Permission denied .*user namespace', below.stderr), below)
    refused('tracefs that cannot be written', r'cannot create a tracefs instance: Read-only', '-t', '1',
            mounts=f'{IOMMU} && {TRACEFS} && mount -o remount,bind,ro {TRACING}')
    refused('locked down', r'locked down \(confidentiality\)', '-t', '1', mounts=f'''{IOMMU} && {TRACEFS} &&
        mount -t tmpfs none /sys/kernel/security && echo none integrity [confidentiality] > /sys/kernel/security/lockdown''')
    refused('a command that does not exist', r"cannot run '/none': No such file", '--', '/none')
    refused('a command that cannot be run', r"cannot run '/': Permission", '--', '/')
    for path in ('/nonexistent/log.txt', tmp, '/proc/log.txt'):
        done = record('-o', path, '-t', '0.1')
        check(f'no place for {path.replace(tmp, "DIR")}: refused', done.returncode == 2 and
              re.search(rf'{path}: cannot write', done.stderr) and not left(), (done, left()))
    for args in (['-o', '/dev/full'], ['-o', '-']):
        with open('/dev/full', 'wb') as full:
            done = subprocess.run(namespace(f'{IOMMU} && {TRACEFS}', [alist, 'record', *args, '-t', '0.1']),
                                  stdout=full, stderr=subprocess.PIPE, check=False)
        check(f'{args[1]} is full: refused', done.returncode == 2 and b'cannot write' in done.stderr and not left(),
              (done, left()))
    with open(LOG, 'w') as out:
        out.write('an older log\n')
    record('-o', LOG, '--', '/none')
    check('an older log stays if there is no new one', open(LOG).read() == 'an older log\n')


def ends():
    done = record('-o', LOG, '-t', '0.2')
    check('after its time', done.returncode == 0 and re.search(r'log.txt: \d+ events from VT-d \(dmar0\)', done.stderr) and
          open(LOG).read().startswith('# alist record: kernel=') and not left(), (done, left()))
    for command, code, pattern in (
            (['true'], 0, ''), (['sh', '-c', 'exit 3'], 1, r'sh exited with status 3'),
            (['sh', '-c', '/none'], 1, r'sh exited with status 127'),
            (['sh', '-c', 'kill -9 $$'], 1, r'sh was killed by signal 9')):
        os.unlink(LOG)
        done = record('-o', LOG, '--', *command)
        check(f'with its command: {" ".join(command)}', done.returncode == code and re.search(pattern, done.stderr) and
              os.path.exists(LOG) and not left(), (done, left()))
    begun = time.monotonic()
    done = record('-o', LOG, '-t', '0.2', '--', 'sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done')
    check('after its time, with a command that does not end', done.returncode == 0 and time.monotonic() - begun < 30 and
          not left(), done)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process = subprocess.Popen(namespace(f'{IOMMU} && {TRACEFS}', [alist, 'record', '-o', LOG]),
                                   stderr=subprocess.PIPE)
        while not any(x.startswith('alist-') for x in left()):
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        check(f'by {number.name}', process.returncode == 0 and b'events from VT-d' in err and not left(), (err, left()))
    process = subprocess.Popen(namespace(f'{IOMMU} && {TRACEFS}', [
        alist, 'record', '-o', '-', '-t', '60', '--', 'sh', '-c',
        f'mkdir {tmp}/t; mount -t tracefs nodev {tmp}/t; for i in $(seq 5000); do echo x; done > {tmp}/t/instances/alist-$PPID/trace_marker']),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    err = process.stderr.read()
    process.wait(timeout=60)
    check('by a reader that is gone', process.returncode == 2 and err.count(b'cannot write') == 1 and
          b'Broken pipe' in err and not left(),
          (process.returncode, err, left()))
    os.symlink(LOG, os.path.join(tmp, 'link'))
    record('-o', os.path.join(tmp, 'link'), '-t', '0.1')
    check('a link stays one', os.path.islink(os.path.join(tmp, 'link')) and not left())


def places():
    for name, mounts in (('elsewhere', f'mkdir -p {tmp}/a\\ b && mount -t tracefs nodev {tmp}/a\\ b'),
                         ('below debugfs', f'mkdir -p {tmp}/debug && mount -t debugfs nodev {tmp}/debug')):
        done = record('-o', LOG, '-t', '0.1', mounts=f'{IOMMU} && {mounts}')
        check(f'tracefs is {name}', done.returncode == 0 and not left(), done)


def killed():
    process = subprocess.Popen(namespace(f'{IOMMU} && {TRACEFS}', [alist, 'record', '-o', LOG]), stderr=subprocess.PIPE)
    while not any(x.startswith('alist-') for x in left()):
        time.sleep(0.05)
    process.kill()
    process.communicate()
    there = left()
    done = record('-o', os.path.join(tmp, 'next.txt'), '-t', '0.1')
    check('what a killed one left is taken away by the next', any(x.startswith('alist-') for x in there) and
          done.returncode == 0 and not any(x.startswith('alist-') for x in left()), (there, left(), done))


print('KTAP version 1')
try:
    able = os.geteuid() == 0 and subprocess.run(
        namespace(f'{IOMMU} && {TRACEFS} && [ -d {TRACING}/events/iommu ]', ['true']), capture_output=True,
        check=False).returncode == 0
    if able:
        for kind in (refusals, ends, places, killed):
            kind()
    else:
        skipped('alist record', 'takes root, /sys/class/iommu and a tracefs with iommu events')
finally:
    shutil.rmtree(tmp)
end()

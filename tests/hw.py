#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
lab/hw without a machine: this program is the guest, in the memory that both share.

usage: tests/hw.py HW ALIST

What registers do that are only memory, in the order in which a driver uses them; errors and
devices that do not answer; functions that are reset or gone; and what the program says of
wrong files. The trace of it all is read by alist replay.
"""
import json
import mmap
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from tap import check, end

MEMORY, BASE = 64 << 20, 32 << 20
REGS, CONFIG, BARS = BASE + 0x1000, BASE + 0x100000, BASE + 0x800000
GCMD, GSTS, RTADDR, FSTS, IQH, IQT, IQA = 0x18, 0x1c, 0x20, 0x34, 0x80, 0x88, 0x90
FECTL, FRCD, IQERCD, PQH, PQT, PQA = 0x38, 0x800, 0xb0, 0xc0, 0xc8, 0xd0
TE, SRTP, QIE = 1 << 31, 1 << 30, 1 << 26
IQE, ITE, PPF = 1 << 4, 1 << 6, 1 << 1
QUEUE, STATUS, DATA = 0x10000, 0x20000, 0x30000
AMD, AMD_RID, LOG = BASE + 0x600000, 0x8008, 0x50000
AMD_CONTROL, AMD_CMD_HEAD, AMD_CMD_TAIL = 0x18, 0x2000, 0x2008
AMD_EVT_HEAD, AMD_EVT_TAIL, AMD_STATUS, AMD_PPR_TAIL = 0x2010, 0x2018, 0x2020, 0x2038
SLOT, CONTROL, WRITTEN = 1, 31, 0x1ffc
COMMAND, IOVA, PASID, VALUE, RESULT, RESPONSE = 0x00, 0x08, 0x10, 0x18, 0x20, 0x38
TIMEOUT, TIMEOUTS, SILENT, ABSENT = 0x148, 0x150, 0x200, 0x300
DEAD, RESET, LOOK = 0x600, 0x700, 0x100
AGENT, AGENT_RUNS, AGENT_PAGES, AGENT_STALE = 0x40, 0x48, 0x60, 0x78
TROUBLE, TYPES, SKIP, COUNT, HITS = 0x120, 0x128, 0x130, 0x138, 0x140
ERRORS, PATIENCE, RESCUES, PING, RESTARTS = 0x158, 0x160, 0x168, 0x170, 0x178
NONE = (1 << 64) - 1
PATIENT = 120                   # seconds, after which something has failed, on any host
LONG = 3600 * 10**9             # ns: longer than any test

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "lab"))
import hw                       # pylint: disable=wrong-import-position
from kernels import LabError    # pylint: disable=wrong-import-position


class Guest:
    """The machine's memory, and what a driver does with it."""

    def __init__(self, path):
        with open(path, "r+b") as file:
            memory = memoryview(mmap.mmap(file.fileno(), MEMORY))
        # Each is one access. struct.pack_into() is two: it writes 0 first, and a unit that polls
        # the tail just then takes all of the ring for commands.
        self.words = {4: memory.cast("I"), 8: memory.cast("Q")}
        self.tail = 0

    def load(self, at, size=8):
        """An aligned word."""
        return self.words[size][at // size]

    def store(self, at, value, size=8):
        """The same."""
        self.words[size][at // size] = value

    def wait(self, at, value, size=8, mask=NONE):
        """For a word to be value."""
        end = time.monotonic() + PATIENT
        while self.load(at, size) & mask != value:
            if time.monotonic() > end:
                return False
            time.sleep(0.0005)
        return True

    def submit(self, *descriptors):
        """Queues them and a wait; return: where its status comes to be."""
        at = STATUS + self.tail * 4
        self.store(at, 0, 4)
        for low, high in (*descriptors, (0x25 | 7 << 32, at)):
            place = QUEUE + self.tail * 32
            self.store(place, low)
            self.store(place + 8, high)
            self.store(place + 16, 0)
            self.store(place + 24, 0)
            self.tail = (self.tail + 1) % 128
        self.store(REGS + IQT, self.tail << 5)
        return at

    def control(self, offset):
        """A register of the unit's own function."""
        return BARS + CONTROL * 0x4000 + offset

    def bar(self, offset):
        """A register of the function in SLOT."""
        return BARS + SLOT * 0x4000 + offset

    def config(self, offset, slot=SLOT):
        """Of its configuration space, or of another function's."""
        return CONFIG + slot * 0x2000 + offset

    def dma(self, command, iova, value=0):
        """One access; return: (status, data)."""
        self.store(self.bar(IOVA), iova)
        self.store(self.bar(PASID), NONE)
        self.store(self.bar(VALUE), value)
        self.store(self.bar(COMMAND), command)
        if not self.wait(self.bar(COMMAND), 0):
            return None, None
        return self.load(self.bar(RESULT)), self.load(self.bar(VALUE))


class AmdGuest(Guest):
    """The same behind an AMD-Vi unit; its slot is on bus 0x80."""

    def submit(self, *commands):
        """Queues them and a completion wait; return: where it stores 7."""
        at = STATUS + self.tail * 8
        self.store(at, 0)
        for low, high in (*commands, (1 << 60 | at | 1, 7)):
            self.store(QUEUE + self.tail * 16, low)
            self.store(QUEUE + self.tail * 16 + 8, high)
            self.tail = (self.tail + 1) % 512
        self.store(AMD + AMD_CMD_TAIL, self.tail << 4, 4)
        return at

    def next_event(self):
        """The oldest of the log; return: its code, device and address, or None."""
        head = self.load(AMD + AMD_EVT_HEAD, 4)
        if head == self.load(AMD + AMD_EVT_TAIL, 4):
            return None
        low, high = self.load(LOG + head), self.load(LOG + head + 8)
        self.store(AMD + AMD_EVT_HEAD, (head + 16) % 0x2000, 4)
        return low >> 60, low & 0xffff, high

    def interrupt(self):
        """What a handler does first; return: was there one?"""
        if not self.wait(AMD + AMD_STATUS, 2, 4, 2):
            return False
        self.store(AMD + AMD_STATUS, 2, 4)
        return self.wait(AMD + AMD_STATUS, 0, 4, 2)


def accesses(directory):
    """A unit never sees what nobody has written: another process writes one value all the time."""
    path, value = directory + "/accesses", 0x1111111122222222
    with open(path, "wb") as file:
        file.truncate(MEMORY)
    guest, seen = Guest(path), set()
    child = os.fork()
    while not child:
        guest.store(DATA, value)
        guest.store(DATA + 8, value >> 32, 4)
        guest.words[8][DATA // 8 + 2] += 1
    try:
        check("a guest's store arrives", guest.wait(DATA + 8, value >> 32, 4))
        # Each of the two may have no CPU for a while.
        looks = 0
        while guest.load(DATA + 16) < 300000 or looks < 10000:
            seen |= {guest.load(DATA), guest.load(DATA + 8, 4)}
            looks += 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    os.unlink(path)
    check("a guest's store is one access", seen == {value, value >> 32}, seen)


def amd_registers(guest):
    """What a driver does first, and what it finds."""
    check("AMD-Vi: a unit that is off translates nothing",
          guest.dma(2, DATA, 0x1234) == (1, 0x1234) and guest.load(DATA) == 0x1234)
    check("AMD-Vi: features", guest.load(AMD + 0x30) == hw.AMD_EFR)
    guest.store(AMD, 0x40000 | 0x101)
    guest.store(AMD + 0x08, QUEUE | 9 << 56)
    guest.store(AMD + 0x10, LOG | 9 << 56)
    guest.store(AMD + AMD_CONTROL, 1 | 1 << 2 | 1 << 12)
    check("AMD-Vi: the status says what runs", guest.wait(AMD + AMD_STATUS, 0x18, 4, 0x18))
    status = guest.submit((8 << 60, 0))
    check("AMD-Vi: a completion wait stores its word", guest.wait(status, 7))
    check("AMD-Vi: the head has come to the tail",
          guest.wait(AMD + AMD_CMD_HEAD, guest.tail << 4, 4))
    check("AMD-Vi: without tables there is a fault", guest.dma(1, 0x777000)[0] == 2)
    check("AMD-Vi: the log says who, where and why", guest.interrupt() and
          guest.next_event() == (2, AMD_RID, 0x777000))


def amd_errors(guest):
    """A command that is malformed, and one that is refused."""
    at = QUEUE + guest.tail * 16
    status = guest.submit((0xf << 60, 0))
    check("AMD-Vi: an unknown command is an event with its address", guest.interrupt() and
          guest.next_event() == (5, 0, at))
    time.sleep(0.01)
    check("AMD-Vi: nothing goes on, and the status says so", guest.load(status) == 0 and
          guest.wait(AMD + AMD_STATUS, 0, 4, 0x10))
    guest.store(AMD + AMD_CONTROL, 1 | 1 << 2)
    guest.store(AMD + AMD_CMD_TAIL, 0, 4)
    check("AMD-Vi: the buffer is off", guest.wait(AMD + AMD_STATUS, 0, 4, 0x10))
    guest.store(AMD + AMD_CMD_HEAD, 0, 4)
    guest.tail = 0
    guest.store(AMD + AMD_CONTROL, 1 | 1 << 2 | 1 << 12)
    check("AMD-Vi: enabled again, it goes on from the head that was set",
          guest.wait(guest.submit((8 << 60, 0)), 7))

    for offset, value in ((TYPES, 1 << 5), (COUNT, 1), (TROUBLE, 1)):
        guest.store(guest.control(offset), value)
    status = guest.submit((8 << 60, 0))
    check("AMD-Vi: a command that is meant is refused", guest.wait(guest.control(ERRORS), 2) and
          guest.interrupt() and guest.next_event()[0] == 5 and guest.load(status) == 0)
    restarts = guest.load(guest.control(RESTARTS))
    head = guest.load(AMD + AMD_CMD_HEAD, 4) & 0x7ffff
    guest.store(AMD + AMD_CONTROL, 1 | 1 << 2)
    guest.store(AMD + AMD_CMD_HEAD, head, 4)
    guest.store(AMD + AMD_CONTROL, 1 | 1 << 2 | 1 << 12)
    check("AMD-Vi: a driver that only goes on has it executed", guest.wait(status, 7) and
          guest.load(guest.control(RESTARTS)) == restarts + 1)

    for offset, value in ((TYPES, 1 << 5), (COUNT, 1), (TROUBLE, 1)):
        guest.store(guest.control(offset), value)
    guest.submit((8 << 60, 0))
    check("AMD-Vi: another one is refused", guest.wait(guest.control(ERRORS), 3) and
          guest.interrupt() and guest.next_event()[0] == 5)
    guest.store(guest.control(PATIENCE), 20000000)
    check("AMD-Vi: without a driver that minds, it is left out",
          guest.wait(guest.control(RESCUES), 1) and guest.wait(guest.submit(), 7))
    guest.store(guest.control(PATIENCE), 0)


def amd_silence(guest):
    """A device that does not answer: the wait is late, and there is an event."""
    guest.store(guest.config(0x104), 1 << 31, 4)
    atc = (4 << 60 | AMD_RID << 32 | AMD_RID, 0x7ffffffffffff001)
    check("AMD-Vi: a device with ATS answers", guest.wait(guest.submit(atc), 7) and
          guest.next_event() is None)
    guest.store(guest.control(TIMEOUT), LONG)
    guest.store(guest.control(SILENT + SLOT * 8), 1)
    status = guest.submit(atc)
    time.sleep(0.05)
    check("AMD-Vi: the wait behind a silent device is late", guest.load(status) == 0)
    guest.store(guest.control(SILENT + SLOT * 8), 0)
    check("AMD-Vi: it completes when the device answers", guest.wait(status, 7) and
          guest.next_event() is None)
    guest.store(guest.control(TIMEOUT), 20000000)
    guest.store(guest.control(SILENT + SLOT * 8), 1)
    check("AMD-Vi: it completes when the device is given up, and an event says who",
          guest.wait(guest.submit(atc), 7) and guest.interrupt() and
          guest.next_event()[:2] == (7, AMD_RID))
    check("AMD-Vi: there is one event", guest.next_event() is None)
    guest.store(guest.control(SILENT + SLOT * 8), 0)
    check("AMD-Vi: it answers again", guest.wait(guest.submit(atc), 7) and
          guest.next_event() is None)
    for _ in range(3):
        guest.dma(1, 0x777000)
    guest.store(AMD + AMD_CONTROL, 1 | 1 << 12)
    guest.dma(1, 0x777000)
    count = 0
    while guest.next_event():
        count += 1
    check("AMD-Vi: what is off logs nothing", count == 3, count)


def amd_page_requests(guest):
    """Of a PASID: the log has them, and the command that answers reaches the function."""
    iova, pasid, group = 0x123000, 0x10405, 17
    guest.store(AMD + 0x38, LOG + 0x2000 | 9 << 56)
    guest.store(AMD + AMD_CONTROL, 1 | 1 << 12 | 1 << 13)
    check("AMD-Vi: the log of page requests runs", guest.wait(AMD + AMD_STATUS, 0x80, 4, 0x80))
    for offset, value in ((IOVA, iova), (PASID, pasid), (VALUE, group), (COMMAND, 3)):
        guest.store(guest.bar(offset), value)
    check("AMD-Vi: a page request is logged", guest.wait(AMD + AMD_PPR_TAIL, 16, 4) and
          guest.wait(AMD + AMD_STATUS, 0x40, 4, 0x40))
    low, high = guest.load(LOG + 0x2000), guest.load(LOG + 0x2008)
    check("AMD-Vi: it says who asks for what", high == iova and low >> 60 == 1 and
          low & 0xffff == AMD_RID and low >> 32 & 0x1ff == group and low >> 41 & 1 and
          (low >> 42 & 15) << 16 | low >> 16 & 0xffff == pasid and low >> 48 & 0x124 == 0x124,
          hex(low))
    answer = 7 << 60 | pasid << 32 | AMD_RID, 1 << 44 | group << 32 | 1 << 2
    check("AMD-Vi: the function gets its answer", guest.wait(guest.submit(answer), 7) and
          guest.load(guest.bar(RESPONSE)) == 2)


def stop(process, who=""):
    """The program is told to end."""
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=PATIENT)[1].decode()
    check(who + "it ends when it is told to", process.returncode == 0 and not error,
          f"status {process.returncode}: {error}")


def replay(alist, directory, who=""):
    """The trace that it has left is read."""
    done = subprocess.run([alist, "replay", directory + "/trace"], capture_output=True,
                          check=False)
    check(who + "alist replay reads the trace", done.returncode == 0,
          done.stdout.decode() + done.stderr.decode())


def amd(program, alist, directory):
    """Registers of AMD-Vi."""
    process = start(program, directory, vendor="amd")
    process.stdout.readline()
    guest = AmdGuest(directory + "/ram")
    for part in (amd_registers, amd_errors, amd_silence, amd_page_requests):
        part(guest)
    stop(process, "AMD-Vi: ")
    replay(alist, directory, "AMD-Vi: ")


def start(program, directory, **changes):
    """The program with a file of its own; return: the process and the file's content."""
    machine = {"ram": directory + "/ram", "memory": MEMORY, "base": BASE,
               "trace": directory + "/trace", "report": directory + "/report",
               "units": [{"timeout_ms": 50, "functions":
                          [{"slot": SLOT, "ats": True, "pri": True, "pasid_bits": 20}]}]}
    machine.update(changes)
    path = directory + "/machine.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(machine, file)
    return subprocess.Popen([program, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def orphan(program, directory):
    """It ends with whoever has started it: its threads would poll for ever."""
    machine = directory + "/machine.json"
    process = start(program, directory)
    process.stdout.readline()
    stop(process, "with a file: ")
    code = ("import os, subprocess, sys; p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, "
            "stderr=subprocess.DEVNULL);"
            "p.stdout.readline(); print(p.pid, flush=True); os.kill(os.getpid(), 9)")
    done = subprocess.run([sys.executable, "-c", code, program, machine], capture_output=True,
                          check=False)
    pid, until = int(done.stdout), time.monotonic() + PATIENT
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    check("it ends with the process that has started it", not alive(pid))
    if alive(pid):
        os.kill(pid, signal.SIGKILL)


def alive(pid):
    """Is this process there, and no zombie?"""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wrong_files(program, directory):
    """Each is refused, with a message that names the file."""
    slot = [{"functions": [{"slot": 0}]}]
    for name, changes in {"no RAM": {"ram": None}, "no unit": {"units": []},
                          "too many units": {"units": [{}] * 17}, "slot 0": {"units": slot},
                          "base beyond memory": {"base": MEMORY}, "no such mode": {"crashed": "x"},
                          "no such mode of AMD-Vi": {"crashed": "legacy", "vendor": "amd"},
                          "no such vendor": {"vendor": "x"},
                          "latency of no type": {"units": [{"latency_us": {"x": 1}}]},
                          "too many PASIDs": {"units": [{"functions": [
                              {"slot": 1, "pasid_bits": 21}]}]}}.items():
        process = start(program, directory, **changes)
        error = process.communicate(timeout=PATIENT)[1].decode()
        check(f"{name} is refused", process.returncode == 2 and "machine.json" in error,
              f"status {process.returncode}: {error}")
    done = subprocess.run([program], capture_output=True, check=False)
    check("usage", done.returncode == 2 and b"usage" in done.stderr, done)
    done = subprocess.run([program, directory + "/missing"], capture_output=True, check=False)
    check("a file that is missing", done.returncode == 2 and b"missing" in done.stderr, done)


def tables():
    """What lab/hw.py makes of a machine's [hw] table."""
    units = hw.units_of({"units": 3, "functions": 2, "pri": False, "timeout_ms": 7,
                         "unit": [{}, {"functions": 1, "latency_us": {"wait": 5}, "function": [
                             {"slot": 9, "ats": False, "latency_us": 3}]}]}, "x")
    check("units differ in what they say", [len(unit["functions"]) for unit in units] ==
          [2, 2, 2] and units[1]["latency_us"] == {"wait": 5} and units[1]["functions"][1] ==
          {"slot": 9, "ats": False, "pri": False, "pasid_bits": 20, "latency_us": 3} and
          units[2]["timeout_ms"] == 7, units)
    for name, table, word in (
            ("an unknown key", {"unit": [{"latency": 1}]}, "latency"),
            ("a wrong type", {"units": True}, "units"),
            ("an unknown type of command", {"latency_us": {"x": 1}}, "x"),
            ("too many units", {"units": 17}, "17"),
            ("fewer units than tables", {"units": 1, "unit": [{}, {}]}, "units"),
            ("a mode that there is not", {"crashed": "x"}, "crashed"),
            ("a crashed kernel of AMD-Vi", {"crashed": "legacy", "vendor": "amd"}, "crashed"),
            ("a vendor that there is not", {"vendor": "x"}, "vendor"),
            ("a function without a slot", {"unit": [{"function": [{}]}]}, "slot"),
            ("a slot that is the unit's own", {"unit": [{"function": [{"slot": 31}]}]}, "31"),
            ("a slot that is a text", {"unit": [{"function": [{"slot": "2"}]}]}, "slot"),
            ("a slot that is there twice", {"unit": [{"function": [{"slot": 2}, {"slot": 2}]}]}, "twice"),
            ("a unit that is no table", {"unit": [1]}, "table"),
            ("a function that is no table", {"unit": [{"function": [1]}]}, "table"),
            ("a latency that is a text", {"latency_us": {"wait": "slow"}}, "slow"),
            ("a latency that is no whole number", {"latency_us": {"wait": 0.5}}, "0.5"),
            ("a latency below 0", {"latency_us": {"wait": -1}}, "-1"),
            ("a function's latency below 0",
             {"unit": [{"function": [{"slot": 2, "latency_us": -2}]}]}, "-2"),
            ("no time to answer", {"timeout_ms": 0}, "timeout_ms"),
            ("a number of functions below 0", {"functions": -1}, "functions"),
            ("too many bits of a PASID", {"pasid_bits": 21}, "21"),
            ("page requests of SMMUv3", {"vendor": "smmuv3", "pri": True}, "pri"),
            ("too little memory", {"memory": 64}, "64"),
            ("more memory than is in one piece", {"memory": 4096}, "4096")):
        try:
            hw.units_of(table, "machine.toml: [hw]")
            check(f"{name} is refused", False)
        except LabError as error:
            check(f"{name} is refused", "machine.toml" in str(error) and word in str(error),
                  error)
    units = hw.units_of({"vendor": "amd", "unit": [{}, {"timeout_ms": 7}]}, "x")
    check("AMD-Vi waits for a device as its driver says",
          [unit["timeout_ms"] for unit in units] == [1000, 7], units)
    check("SMMUv3's functions have no PRI unless it is said",
          not hw.units_of({"vendor": "smmuv3"}, "x")[0]["functions"][0]["pri"])
    with tempfile.TemporaryDirectory() as directory:
        try:
            hw.Hardware({"vendor": "amd"}, "arm64", directory, "x")
            check("hardware of another architecture is refused", False)
        except LabError as error:
            check("hardware of another architecture is refused", "arm64" in str(error), error)
        hardware = hw.Hardware({"vendor": "amd"}, "x86-64", directory, "x")
        with open(hardware.report, "w", encoding="utf-8") as file:
            json.dump({"units": [{"longest_ms": 31}], "functions": {"longest_ms": 1}}, file)
        check("stock's AMD-Vi driver has less patience", hardware.starved("stock") and
              not hardware.starved("alist"))
    table = hw.dmar(2, BASE)
    check("the DMAR table is whole", table[:4] == b"DMAR" and sum(table) & 0xff == 0 and
          struct.unpack_from("<I", table, 4)[0] == len(table) and
          [struct.unpack_from("<HQ", table, 48 + 16 * unit + 6) for unit in range(2)] ==
          [(1, REGS), (2, REGS + 0x1000)], table)
    table = hw.ivrs(2, BASE)
    check("the IVRS table is whole", table[:4] == b"IVRS" and sum(table) & 0xff == 0 and
          struct.unpack_from("<I", table, 4)[0] == len(table) == 48 + 2 * 48 and
          [struct.unpack_from("<BxHHHQ", table, 48 + 48 * unit) for unit in range(2)] ==
          [(0x11, 48, 0x40, 0x2c, AMD), (0x11, 48, 0x48, 0x2c, AMD + 0x4000)], table)


def registers(guest):
    """What a driver does first."""
    for slot in (SLOT, CONTROL):
        guest.store(guest.config(WRITTEN, slot), 1, 4)
        check(f"slot {slot} sees that its configuration space was written",
              guest.wait(guest.config(WRITTEN, slot), 0, 4))
    check("a function that does no translation reaches all memory",
          guest.dma(2, DATA, 0x1234) == (1, 0x1234) and guest.load(DATA) == 0x1234)
    guest.store(REGS + IQA, QUEUE | 1 << 11)
    guest.store(REGS + GCMD, QIE, 4)
    check("GSTS says that the queue is on", guest.wait(REGS + GSTS, QIE, 4))
    guest.store(REGS + RTADDR, 0x40000 | 1 << 10)
    guest.store(REGS + GCMD, QIE | SRTP, 4)
    check("GSTS says that the root is set", guest.wait(REGS + GSTS, QIE | SRTP, 4))
    status = guest.submit((0x11, 0), (0x37, 0), (0x12, 0))
    check("a wait descriptor completes", guest.wait(status, 7, 4))
    check("the head has come to the tail", guest.wait(REGS + IQH, guest.tail << 5))
    guest.store(REGS + GCMD, QIE | TE, 4)
    check("GSTS keeps what was done once", guest.wait(REGS + GSTS, QIE | SRTP | TE, 4))


def serve(listener, messages):
    """In QEMU's place: the interrupts that it is told to send, as (address, data)."""
    with listener.accept()[0] as connection, \
            connection.makefile("rw", encoding="ascii") as lines:
        while line := lines.readline().split():
            messages.put((int(line[1], 16), int(line[2], 16)))
            lines.write("OK\n")
            lines.flush()


def next_of(messages):
    """The next interrupt, or None."""
    try:
        return messages.get(timeout=PATIENT)
    except queue.Empty:
        return None


def faults(guest, messages):
    """Records, and their bits."""
    check("without tables there is a fault", guest.dma(1, DATA)[0] == 2)
    check("FSTS says that there is a record", guest.wait(REGS + FSTS, PPF, 4, 0xff))
    high = guest.load(REGS + FRCD + 8)
    check("the record says who and why", high & 0xffff == SLOT << 3 and high >> 63 == 1 and
          high >> 32 & 0xff == 0x71, hex(high))
    check("the interrupt is pending", guest.wait(REGS + FECTL, 3 << 30, 4))
    guest.store(REGS + FECTL + 4, 0x77, 4)
    guest.store(REGS + FECTL + 8, 0xfee00000, 4)
    guest.store(REGS + FECTL, 0, 4)
    message = next_of(messages)
    check("it is sent when the guest unmasks it", message == (0xfee00000, 0x77), message)
    guest.dma(1, DATA + 4096)
    message = next_of(messages)
    check("the next one is sent at once", message == (0xfee00000, 0x77) and
          guest.load(REGS + FECTL, 4) == 0, message)
    for record in range(2):
        guest.store(REGS + FRCD + record * 16 + 12, 1 << 31, 4)
        check("F is cleared by a write of F", guest.wait(REGS + FRCD + record * 16 + 12, 0, 4))
    check("then nothing is pending", guest.wait(REGS + FSTS, 0, 4))


def errors(guest):
    """A command that is malformed, and one that is refused."""
    head = guest.tail
    status = guest.submit((0xf, 0))
    check("an unknown type is an error", guest.wait(REGS + FSTS, IQE, 4, 0xff))
    check("the head stays there", guest.load(REGS + IQH) == head << 5)
    time.sleep(0.01)
    check("nothing goes on", guest.load(status, 4) == 0)
    guest.store(REGS + FSTS, ITE, 4)
    check("another bit clears nothing", guest.wait(REGS + FSTS, IQE, 4, 0xff))
    guest.store(REGS + FSTS, IQE, 4)
    # It is counted before FSTS has it: what is cleared in between is set after that.
    check("what is not mended is an error again", guest.wait(guest.control(ERRORS), 2) and
          guest.wait(REGS + FSTS, IQE, 4, 0xff) and guest.load(status, 4) == 0)
    guest.store(QUEUE + head * 32, 0x12)
    guest.store(REGS + FSTS, IQE, 4)
    check("once it is mended the queue goes on", guest.wait(status, 7, 4) and
          guest.wait(REGS + FSTS, 0, 4))

    for offset, value in ((TYPES, 1 << 5), (SKIP, 1), (COUNT, 1), (TROUBLE, 1)):
        guest.store(guest.control(offset), value)
    check("one that is not meant is not refused",
          guest.wait(guest.submit((0x12, 0)), 7, 4))
    status = guest.submit((0x12, 0))
    check("one that is meant is", guest.wait(REGS + FSTS, IQE, 4, 0xff) and
          guest.load(guest.control(HITS)) == 1 and guest.load(status, 4) == 0)
    guest.store(guest.control(PATIENCE), 20000000)
    check("an error that nobody clears goes by itself",
          guest.wait(guest.control(RESCUES), 1) and guest.wait(status, 7, 4))
    guest.store(guest.control(PATIENCE), 0)


def page_requests(guest):
    """Nothing is written where there is no queue, or no room in it."""
    def ask():
        for offset, value in ((IOVA, 0x123000), (PASID, NONE), (VALUE, 5), (COMMAND, 3)):
            guest.store(guest.bar(offset), value)
        guest.wait(guest.bar(COMMAND), 0)

    guest.store(0, 0x5555)
    ask()
    check("a page request without a queue is dropped", guest.load(0) == 0x5555 and
          guest.load(REGS + PQT) == 0)
    guest.store(REGS + PQA, LOG)
    ask()
    check("one is in the queue", guest.wait(REGS + PQT, 32) and
          guest.load(LOG + 8) & ~0xfff == 0x123000)
    guest.store(REGS + PQH, 64)
    guest.store(LOG + 32, 0x5555)
    ask()
    check("one too many is dropped", guest.load(REGS + PQT) == 32 and
          guest.load(LOG + 32) == 0x5555)


def agents(guest):
    """They count anew each time."""
    guest.store(guest.bar(AGENT_STALE), 99)
    guest.store(guest.bar(AGENT_PAGES), 1)
    guest.store(guest.bar(AGENT), 1)
    check("an agent has counted anew", guest.wait(guest.bar(AGENT_STALE), 0))
    guest.store(guest.bar(AGENT), 0)
    check("an agent stops", guest.wait(guest.bar(AGENT_RUNS), 0))


def silence(guest):
    """A device that does not answer, or is not there."""
    guest.store(guest.config(0x104), 1 << 31, 4)
    atc = (0x3 | SLOT << 35, 0x7ffffffffffff001)
    check("a device with ATS answers", guest.wait(guest.submit(atc), 7, 4))
    guest.store(guest.control(SILENT + SLOT * 8), 1)
    status = guest.submit(atc)
    check("one that is silent is given up", guest.wait(REGS + FSTS, ITE, 4, 0xff))
    check("IQERCD says who", guest.load(REGS + IQERCD) >> 32 == SLOT << 3)
    # A unit that has no CPU for a while fetches it when the device has been given up.
    aborted = guest.load(REGS + IQH) == guest.tail << 5
    guest.store(guest.control(SILENT + SLOT * 8), 0)
    guest.store(REGS + FSTS, ITE, 4)
    check("a wait descriptor that was fetched never completes, a new one does",
          guest.wait(guest.submit(atc), 7, 4) and
          guest.load(status, 4) == (0 if aborted else 7))

    guest.store(guest.control(RESET + SLOT * 8), LONG)
    guest.store(guest.config(0x48), 1 << 15, 4)
    check("a function in reset reads as ones", guest.wait(guest.config(0), 0xffffffff, 4))
    guest.submit(atc)
    check("a function in reset does not answer", guest.wait(REGS + FSTS, ITE, 4, 0xff))
    check("that is counted", guest.load(guest.control(DEAD + SLOT * 8)) == 1)
    guest.store(REGS + FSTS, ITE, 4)
    guest.store(guest.control(RESET + SLOT * 8), 0)
    check("then it is there, with ATS off", guest.wait(guest.config(0), 0x000110ff, 4) and
          guest.load(guest.config(0x104), 4) >> 31 == 0)
    guest.store(guest.control(ABSENT + SLOT * 8), 1)
    check("one that is gone reads as ones", guest.wait(guest.config(0), 0xffffffff, 4))
    check("and nothing of it can be written", guest.load(guest.config(0x1004), 4) == 0)
    guest.store(guest.control(ABSENT + SLOT * 8), 0)
    guest.store(guest.config(WRITTEN), 1, 4)
    check("it does not come back", guest.wait(guest.config(WRITTEN), 0, 4) and
          guest.load(guest.config(0), 4) == 0xffffffff)
    guest.store(guest.control(PING), 1)
    check("a unit that looks", guest.wait(guest.control(PING), 0))
    guest.store(guest.control(LOOK), 1)
    check("a look at the caches", guest.wait(guest.control(LOOK), 0))


def crashed(program, directory):
    """What a kernel has left, in both modes."""
    left, iova, pattern = BASE + 0x500000, 0x70000000, 0xdeadbeefcafef00d
    for mode, ttm in (("legacy", 0), ("scalable", 1 << 10)):
        process = start(program, directory, crashed=mode)
        process.stdout.readline()
        guest = Guest(directory + "/ram")
        check(f"{mode}: translation is on", guest.load(REGS + GSTS, 4) & TE and
              guest.load(REGS + RTADDR) == left | ttm)
        check(f"{mode}: DMA goes by the tables that were left",
              guest.dma(1, iova + 0xf000) == (1, pattern), guest.dma(1, iova + 0xf000))
        check(f"{mode}: what is beside them is not mapped", guest.dma(1, iova + 0x10000)[0] == 2)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENT)


def main():
    """All of it, with one machine."""
    program, alist = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="hw-", dir="/dev/shm") as directory:
        tables()
        accesses(directory)
        orphan(program, directory)
        wrong_files(program, directory)
        crashed(program, directory)
        amd(program, alist, directory)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(directory + "/qtest")
        listener.listen()
        messages = queue.Queue()
        threading.Thread(target=serve, args=(listener, messages), daemon=True).start()
        process = start(program, directory, qtest=directory + "/qtest")
        check("it says when it is ready", process.stdout.readline() == b"ready\n")
        guest = Guest(directory + "/ram")
        registers(guest)
        faults(guest, messages)
        for part in (page_requests, errors, agents, silence):
            part(guest)
        stop(process)
        check("the memory is gone", not os.path.exists(directory + "/ram"))
        with open(directory + "/report", encoding="utf-8") as file:
            unit = json.load(file)["units"][0]
        check("the report counts", unit["timeouts"] == 2 and unit["errors"] == 3 and
              unit["commands"]["wait"] > 5, unit)
        replay(alist, directory)
    end()


if __name__ == "__main__":
    main()

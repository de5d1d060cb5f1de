#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
lab/hw's SMMUv3 without a machine: this program is the guest, in the memory that both share,
which begins at 1 GiB.

usage: tests/hw_smmuv3.py HW ALIST

Registers in the order in which a driver uses them, commands, their errors, a device that does
not answer, faults. The trace of it all is read by alist replay.
"""
import importlib.util
import json
import os
import sys
import tempfile
import time

from tap import check, end

HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = importlib.util.spec_from_file_location("vtd", os.path.join(HERE, "hw.py"))
vtd = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(vtd)

START, MEMORY = 1 << 30, vtd.MEMORY
BASE = START + MEMORY // 2
REGS, CONFIG, BARS = BASE + 0x600000, BASE + 0x100000, BASE + 0x800000
IDR0, CR0, CR0ACK, GBPA, IRQ_CTRL, IRQ_CTRL_ACK = 0x0, 0x20, 0x24, 0x44, 0x50, 0x54
GERROR, GERRORN, STRTAB, STRTAB_CFG = 0x60, 0x64, 0x80, 0x88
CMDQ, PROD, CONS, EVTQ, EVTQ_PROD, EVTQ_CONS = 0x90, 0x98, 0x9c, 0xa0, 0x100a8, 0x100ac
SMMUEN, EVTQEN, CMDQEN = 1, 4, 8
LOG2 = 4
QUEUE, EVENTS, STREAMS, STAGE2, DATA = (START + at for at in (0x10000, 0x18000, 0x20000, 0x30000,
                                                              0x40000))
SID = vtd.SLOT << 3
CFGI_ALL, TLBI_ALL, TLBI_VMALL = (0x04, 31), (0x30, 0), (0x28 | 7 << 32, 0)
ATC = (0x40 | SID << 32, 52)
IOVA = 0x7000000000
AGENT, AGENT_RUNS, AGENT_IOVA, AGENT_PASID, AGENT_PAGES = 0x40, 0x48, 0x50, 0x58, 0x60
TOGGLES = 8000


class Guest(vtd.Guest):
    """A driver of an SMMUv3."""

    def load(self, at, size=8):
        """The memory begins at START."""
        return super().load(at - START, size)

    def store(self, at, value, size=8):
        """The same."""
        super().store(at - START, value, size)

    def submit(self, *commands):
        """Queues them, and a CMD_SYNC whose MSI is a word of its own: return: where."""
        at = QUEUE + (self.tail + len(commands)) % (1 << LOG2) * 16
        for low, high in (*commands, (0x46 | 1 << 12, at)):
            place = QUEUE + self.tail % (1 << LOG2) * 16
            self.store(place, low)
            self.store(place + 8, high)
            self.tail = (self.tail + 1) % (2 << LOG2)
        self.store(REGS + PROD, self.tail, 4)
        return at

    def done(self, at):
        """Has the CMD_SYNC been executed? Its opcode gives way to the MSI's data, 0."""
        return self.wait(at, 0, 4) and self.wait(REGS + CONS, self.tail, 4)

    def control(self, offset):
        """A register of the unit's own function."""
        return BARS + vtd.CONTROL * 0x4000 + offset

    def bar(self, offset):
        """A register of the function in SLOT."""
        return BARS + vtd.SLOT * 0x4000 + offset

    def config(self, offset):
        """Of its configuration space."""
        return CONFIG + vtd.SLOT * 0x2000 + offset

    def acknowledge(self):
        """The error."""
        self.store(REGS + GERRORN, self.load(REGS + GERROR, 4), 4)


def start(program, directory, **changes):
    """See tests/hw.py."""
    units = [{"timeout_ms": 50, "functions": [{"slot": vtd.SLOT, "ats": True, "pasid_bits": 20}]}]
    return vtd.start(program, directory, **{"vendor": "smmuv3", "start": START, "base": BASE,
                                            "units": units, **changes})


def tables():
    """What lab/hw.py adds to a device tree, and to command lines."""
    hw = vtd.hw
    tree = hw.device_tree(2, BASE)
    check("each SMMU has a node and registers of its own",
          all(f"hw_smmu{unit}: iommu@{REGS + unit * 0x20000:x} {{" in tree and
              f"reg = <0x0 {REGS + unit * 0x20000:#x} 0x0 0x20000>;" in tree
              for unit in range(2)) and
          "hw_smmu2" not in tree, tree)
    check("each segment names its SMMU",
          all(f"hwpci-{unit + 1} {{" in tree and f"iommu-map = <0x0 &hw_smmu{unit} 0x0 0x10000>;"
              in tree and f"linux,pci-domain = <{unit + 1}>;" in tree for unit in range(2)), tree)
    check("the hardware's memory is reserved",
          f"hw@{BASE:x} {{" in tree and f"reg = <0x0 {BASE:#x} 0x0 0x1000000>;" in tree, tree)
    hardware = hw.Hardware({"vendor": "smmuv3", "memory": 128}, "arm64", "/nowhere", "machine.toml")
    check("it lies in the guest's memory, which begins at 1 GiB",
          hardware.base == START + (64 << 20) and
          hardware.append() == f"HW_BASE={hardware.base:#x}" and
          f"hw@{hardware.base:x}" in hardware.device_tree(), hardware.append())
    for longest, functions, starved in ((None, 1, False), (300, 1, False), (301, 1, True), (1, 301, True)):
        with tempfile.TemporaryDirectory() as directory:
            hardware = hw.Hardware({}, "x86-64", directory, "m.toml")
            if longest:
                with open(hardware.report, "w", encoding="utf-8") as file:
                    json.dump({"units": [{"longest_ms": 1}, {"longest_ms": longest}],
                               "functions": {"longest_ms": functions}}, file)
            check(f"{longest} and {functions} ms without a look: {'' if starved else 'not '}starved",
                  hardware.starved("stock") == starved)
    check("VT-d has no device tree", not hw.Hardware({}, "x86-64", "/nowhere", "m.toml").device_tree())
    try:
        hw.units_of({"vendor": "x"}, "machine.toml")
        check("an unknown vendor is refused", False)
    except vtd.LabError as error:
        check("an unknown vendor is refused", "machine.toml" in str(error) and
              "vendor" in str(error), error)


def registers(guest):
    """What a driver does first."""
    check("both stages are there", guest.load(REGS + IDR0, 4) & 3 == 3)
    check("a function that does no translation reaches all memory",
          guest.dma(2, DATA, 0x1234) == (1, 0x1234) and guest.load(DATA) == 0x1234)
    guest.store(REGS + GBPA, 1 << 31 | 1 << 20, 4)
    check("GBPA.UPDATE goes by itself", guest.wait(REGS + GBPA, 1 << 20, 4))
    guest.store(REGS + CMDQ, QUEUE | LOG2)
    guest.store(REGS + EVTQ, EVENTS | LOG2)
    # The queue's last entry, and wrapped: where a kernel may find it.
    guest.tail = (1 << LOG2) + 15
    for offset in (PROD, CONS):
        guest.store(REGS + offset, guest.tail, 4)
    guest.store(REGS + STRTAB, STREAMS)
    guest.store(REGS + STRTAB_CFG, 8, 4)
    guest.store(REGS + CR0, CMDQEN, 4)
    check("CR0ACK says that the queue is on", guest.wait(REGS + CR0ACK, CMDQEN, 4))
    check("a CMD_SYNC's MSI is written, and the head wraps",
          guest.done(guest.submit(CFGI_ALL, TLBI_ALL)) and guest.load(REGS + CONS, 4) == 2)
    guest.store(REGS + CR0, CMDQEN | EVTQEN | SMMUEN, 4)
    check("CR0ACK says that it translates",
          guest.wait(REGS + CR0ACK, CMDQEN | EVTQEN | SMMUEN, 4))
    guest.store(REGS + IRQ_CTRL, 5, 4)
    check("IRQ_CTRL_ACK follows", guest.wait(REGS + IRQ_CTRL_ACK, 5, 4))


def translation(guest):
    """Events, and a stage 2 of one page."""
    check("without an STE there is a fault", guest.dma(1, IOVA)[0] == 2)
    check("an event is queued", guest.wait(REGS + EVTQ_PROD, 1, 4) and
          guest.load(EVENTS) == 0x10 | SID << 32 and guest.load(EVENTS + 8) >> 35 & 1 == 1 and
          guest.load(EVENTS + 16) == IOVA, hex(guest.load(EVENTS)))
    for _ in range(20):
        guest.dma(1, IOVA)
    check("no event beyond a full queue", guest.load(REGS + EVTQ_PROD, 4) == 1 << LOG2)
    guest.store(REGS + EVTQ_CONS, 1 << LOG2, 4)

    for level, shift in enumerate((39, 30, 21, 12)):
        below = STAGE2 + (level + 1) * 4096 if shift > 12 else DATA
        guest.store(STAGE2 + level * 4096 + (IOVA >> shift & 511) * 8,
                    below | (3 if shift > 12 else 0x4c3))
    ste = STREAMS + SID * 64
    guest.store(ste + 8, 1 << 28)
    guest.store(ste + 16, 7 | (16 | 2 << 6) << 32 | 1 << 51)
    guest.store(ste + 24, STAGE2)
    guest.store(ste, 6 << 1 | 1)
    guest.store(DATA, 0x5678)
    check("with one there is not", guest.dma(1, IOVA) == (1, 0x5678))
    guest.store(STAGE2 + 3 * 4096 + (IOVA >> 12 & 511) * 8, 0)
    check("a page that is gone is cached", guest.dma(1, IOVA)[0] == 1 and
          guest.load(guest.bar(0x30)) == 1)
    check("until it is invalidated", guest.done(guest.submit(TLBI_VMALL)) and
          guest.dma(1, IOVA)[0] == 2)


def errors(guest):
    """A command that is malformed, and one that is refused."""
    head = guest.tail
    status = guest.submit((0xff, 0))
    check("an unknown opcode is an error", guest.wait(REGS + GERROR, 1, 4) and
          guest.load(REGS + CONS, 4) == head | 1 << 24)
    time.sleep(0.01)
    check("nothing goes on", guest.load(status, 4) != 0)
    guest.acknowledge()
    check("what is not mended is an error again", guest.wait(guest.control(vtd.ERRORS), 2) and
          guest.wait(REGS + GERROR, 0, 4))
    guest.store(QUEUE + head % (1 << LOG2) * 16, 0x46)
    guest.acknowledge()
    check("once it is mended the queue goes on", guest.done(status))

    for offset, value in ((vtd.TYPES, 1 << 5), (vtd.SKIP, 1), (vtd.COUNT, 1), (vtd.TROUBLE, 1)):
        guest.store(guest.control(offset), value)
    check("one that is not meant is not refused", guest.done(guest.submit(TLBI_ALL)))
    before = guest.load(REGS + GERROR, 4)
    status = guest.submit(TLBI_ALL)
    check("one that is meant is", guest.wait(REGS + GERROR, before ^ 1, 4) and
          guest.load(guest.control(vtd.HITS)) == 1 and guest.load(status, 4) != 0)
    guest.store(guest.control(vtd.PATIENCE), 20000000)
    check("an error that nobody clears goes by itself",
          guest.wait(guest.control(vtd.RESCUES), 1) and guest.wait(REGS + CONS, guest.tail, 4))
    guest.store(guest.control(vtd.PATIENCE), 0)


def silence(guest):
    """A device that does not answer."""
    check("a device with ATS off answers", guest.done(guest.submit(ATC)))
    guest.store(guest.config(0x104), 1 << 31, 4)
    check("a device with ATS answers", guest.done(guest.submit(ATC)))
    guest.store(guest.control(vtd.SILENT + vtd.SLOT * 8), 1)
    before = guest.load(REGS + GERROR, 4)
    status = guest.submit(ATC)
    check("one that is silent is given up", guest.wait(REGS + GERROR, before ^ 1, 4))
    check("the CMD_SYNC is at the head", guest.load(REGS + CONS, 4) ==
          (guest.tail - 1) % (2 << LOG2) | 3 << 24 and guest.load(status, 4) != 0)
    guest.acknowledge()
    check("it is executed once that is acknowledged", guest.done(status))

    # The device has been given up before a CMD_SYNC comes.
    for offset, value in ((vtd.TYPES, 1 << 5), (vtd.SKIP, 0), (vtd.COUNT, 1), (vtd.TROUBLE, 2)):
        guest.store(guest.control(offset), value)
    before = guest.load(REGS + GERROR, 4)
    status = guest.submit(ATC)
    time.sleep(0.2)
    check("without a CMD_SYNC nobody is told", guest.load(REGS + GERROR, 4) == before)
    guest.store(guest.control(vtd.TROUBLE), 0)
    check("the next one tells", guest.wait(REGS + GERROR, before ^ 1, 4))
    guest.acknowledge()
    check("and completes after that", guest.done(status))
    guest.store(guest.control(vtd.SILENT + vtd.SLOT * 8), 0)
    check("a device that answers again", guest.done(guest.submit(ATC)))


def toggles(guest):
    """ATS goes on and off while a command is under way: the device answers either way."""
    before = guest.load(guest.control(vtd.TIMEOUTS))
    answered = control = 0
    # A command waits for the accesses of an agent: time for ATS to change meanwhile.
    for offset, value in ((AGENT_IOVA, IOVA), (AGENT_PASID, vtd.NONE), (AGENT_PAGES, 1),
                          (AGENT, 1)):
        guest.store(guest.bar(offset), value)
    check("an agent begins", guest.wait(guest.bar(AGENT_RUNS), 1))
    for _ in range(TOGGLES):
        end_at = time.monotonic() + vtd.PATIENT
        status = guest.submit(ATC)
        while guest.load(status, 4) and time.monotonic() < end_at and \
                guest.load(guest.control(vtd.TIMEOUTS)) == before:
            control ^= 1 << 31
            guest.store(guest.config(0x104), control, 4)
        if guest.load(status, 4):
            break
        answered += 1
    check("a device answers while its ATS goes on and off", answered == TOGGLES, answered)
    guest.store(guest.bar(AGENT), 0)
    check("the agent ends", guest.wait(guest.bar(AGENT_RUNS), 0))


def main():
    """All of it, with one machine."""
    program, alist = sys.argv[1:]
    tables()
    with tempfile.TemporaryDirectory(prefix="hw-", dir="/dev/shm") as directory:
        for name, changes in {
                "a base below the memory": {"base": START - 4096},
                "page requests": {"units": [{"functions": [{"slot": 1, "pri": True}]}]},
                "tables of a kernel that crashed": {"crashed": "legacy"}}.items():
            process = start(program, directory, **changes)
            error = process.communicate(timeout=vtd.PATIENT)[1].decode()
            check(f"{name}: refused", process.returncode == 2 and "machine.json" in error, error)
        process = start(program, directory)
        check("it says when it is ready", process.stdout.readline() == b"ready\n")
        guest = Guest(directory + "/ram")
        for part in (registers, translation, errors, silence, toggles):
            part(guest)
        vtd.stop(process)
        with open(directory + "/report", encoding="utf-8") as file:
            unit = json.load(file)["units"][0]
        check("the report counts", unit["timeouts"] == 2 and unit["errors"] == 3 and
              unit["commands"]["dev_tlb"] == 5 + TOGGLES and unit["longest_ms"] < 60000, unit)
        vtd.replay(alist, directory)
    end()


if __name__ == "__main__":
    main()

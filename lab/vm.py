# SPDX-License-Identifier: GPL-2.0-only
"""
One run of one machine: what goes in, QEMU, and what its kernel, its programs and QEMU's
trace say.

A machine's file (machines/*.toml) and a workload (workloads.toml) together are a boot: a
kernel, an initial file system with our programs and the list of what they shall do, a QEMU
command line. What a boot says is kept below the cache under the hash of all that went in:
it is run again only if something has changed.
"""
import contextlib
import glob
import hashlib
import json
import os
import re
import shlex
import signal
import struct
import subprocess

import acpi
import commands
import device_tree
import hw
import ivrs
from kernels import ARCHES, CACHE, LAB, OUT, LabError, hash_files, read, run

GUEST = os.path.join(LAB, "guest")
SEED = 20
OUTSIDE_SIZE = 8 << 20
DISK_SIZE = "64M"

# A program a file; lab.c is what they share, and hw.c what those have in common that are
# for hardware of lab/hw.
HW_PROGRAMS = ["hw_unmap", "hw_nest", "hw_pasid", "hw_wait", "hw_error", "hw_silent", "hw_reset",
               "hw_dirty", "hw_fault", "hw_sva", "hw_crash", "hw_aside", "hw_ats", "hw_irqsoff"]
PROGRAMS = ["init", "nvme", "killed", "unmap", "churn", "stale", "watch", "domain", "order",
            *HW_PROGRAMS]
# For QEMU's edu.
EDU_PROGRAMS = ["stale", "domain"]
# VFIO takes no device on RISC-V.
NOT_RISCV = {"unmap", "churn", "stale"}
NOT_ARM = {"domain"}
# Of those for lab/hw, what SMMUv3 has, too.
HW_ARM = {"hw_unmap", "hw_nest", "hw_pasid", "hw_wait", "hw_error", "hw_silent", "hw_ats",
          "hw_reset", "hw_aside", "hw_sva", "hw_irqsoff"}
ARM_ONLY = {"order"}
X86_ONLY = set(PROGRAMS) - {"init", "nvme", "killed"} - NOT_RISCV - NOT_ARM - HW_ARM - ARM_ONLY
MISSING = {"x86-64": ARM_ONLY, "arm64": X86_ONLY | NOT_ARM,
           "riscv64": X86_ONLY | NOT_RISCV | HW_ARM | ARM_ONLY}

# The second serial port; of arm64's machines, those have one that have hardware of lab/hw.
OUTPUTS = {"x86-64": "/dev/ttyS1", "arm64": "/dev/ttyAMA1"}
# Where a machine finds the first serial port that is neither the console nor for what
# programs print.
PORTS = {"x86-64": "/dev/ttyS2", "arm64": "/dev/port", "riscv64": "/dev/port"}

# What a kernel prints when something is wrong, whatever its options are.
SPLAT = re.compile(
    r"(BUG: |WARNING: |INFO: possible|INFO: rcu|INFO: task|INFO: suspicious|possible recursive|"
    r"Oops|general protection|Kernel panic|kernel BUG|unable to handle|refcount_t: |"
    r"Internal error|soft lockup|hard LOCKUP|stack-protector|list_(?:add|del) corruption|"
    r"ODEBUG: |UBSAN: |DMAR: .*(?:QI|Invalidation|timeout|failed)|"
    r"AMD-Vi: .*(?:timed out|timeout|no room|stopped|COMMAND|failed|no answer)|"
    r"arm-smmu-v3 .*(?:CMDQ|CMD_SYNC|timeout|global error|failed)|"
    r"IOTLB not invalidated|command not executed|domain, which is kept|Hardware error: )")

# Not ours: the scheduler's deadline server forwards a timer that is queued. Seen on an idle CPU
# while the host had more to do than it has CPUs.
FOREIGN = r"WARNING: kernel/time/hrtimer\.c:\d+ at hrtimer_forward\+"

# What no slow host causes: a boot that has such a complaint is not begun again.
SURE = re.compile(r"KASAN|KCSAN|possible|suspicious|UBSAN|ODEBUG|refcount_t|corruption|: stale")

# All of the kernel races somewhere: KCSAN's reports count where this has a part in them.
RACE = re.compile(r"BUG: KCSAN: .*? in ([\w.]+)\S*(?: / ([\w.]+))?")
RACE_OF = "drivers/iommu"


class Guests:
    """The static programs, built once for each architecture."""

    def __init__(self, tools):
        self.tools = tools
        self.built = {}

    def get(self, kernel):
        """The directory of the programs for the architecture of kernel, and their hash."""
        arch = kernel.arch
        if arch in self.built:
            return self.built[arch]
        out = os.path.join(OUT, "guest", arch)
        os.makedirs(out, exist_ok=True)
        made = os.path.join(out, ".made")
        key = hash_files([GUEST, hw.LAYOUT, os.path.abspath(__file__)])
        # Headers are the kernel's.
        wanted = "\n".join([key, str(self.tools.own), read(os.path.join(kernel.obj, ".lab-stamp"))])
        if not os.path.exists(made) or read(made) != wanted:
            self._build(kernel, out)
            with open(made, "w", encoding="utf-8") as file:
                file.write(wanted)
        self.built[arch] = out, key
        return self.built[arch]

    def _build(self, kernel, out):
        arch = kernel.arch
        for name in PROGRAMS:
            if name in MISSING[arch]:
                continue
            sources = [os.path.join(GUEST, name + ".c"), os.path.join(GUEST, "lab.c")]
            if name in HW_PROGRAMS:
                sources.append(os.path.join(GUEST, "hw.c"))
            if name in EDU_PROGRAMS:
                sources.append(os.path.join(GUEST, "edu.c"))
            command = [ARCHES[arch]["cross"] + "gcc", "-std=gnu11", "-O2", "-static", "-pthread",
                       "-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes",
                       "-Wstrict-prototypes", "-Werror",
                       "-isystem", os.path.join(kernel.obj, "headers", "include"),
                       *sources, "-o", os.path.join(out, name)]
            run(self.tools.command(command), os.path.join(out, name + ".log"),
                f"guest/{name}.c")


def outside(size):
    """The file that guest/nvme.c expects on its disk: splitmix64 of offset and seed."""
    mask = (1 << 64) - 1
    words = []
    for offset in range(0, size, 8):
        word = (SEED + (offset // 8 + 1) * 0x9e3779b97f4a7c15) & mask
        word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9 & mask
        word = (word ^ (word >> 27)) * 0x94d049bb133111eb & mask
        words.append(word ^ (word >> 31))
    return struct.pack(f"<{len(words)}Q", *words)


def make_disk(tools):
    """An ext2 image; QEMU writes to a snapshot of it."""
    disk = os.path.join(OUT, "disk.img")
    if os.path.exists(disk):
        return disk
    content = os.path.join(OUT, "disk")
    os.makedirs(content, exist_ok=True)
    with open(os.path.join(content, "outside"), "wb") as file:
        file.write(outside(OUTSIDE_SIZE))
    run(tools.command(["/sbin/mke2fs", "-q", "-F", "-t", "ext2", "-d", content,
                       disk + ".new", DISK_SIZE]),
        os.path.join(OUT, "disk.log"), "mke2fs")
    os.rename(disk + ".new", disk)
    return disk


def read_lines(path):
    """Of what came out of a serial port."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().replace("\r", "").splitlines()


def judge_cases(kind, cases):
    """
    What is wrong with what hardware of lab/hw has shown. Figures whose names begin with "stale" or
    "wrong" are 0 on alist; what begins with "fired" is not 0 on any kernel: an oracle was shown a
    fault. "bound" names what another figure of the case may be at most, on alist.
    """
    for case in cases:
        for name, value in case.items():
            where = f"{case['case']}: {name}: {value}"
            if name.startswith("fired") and not value:
                yield f"{where}: the oracle did not fire"
            if kind != "alist":
                continue
            if name.startswith(("stale", "wrong")) and value:
                yield where
            if name.startswith("bound_") and case[name[len("bound_"):]] > value:
                yield f"{where}, and it is {case[name[len('bound_'):]]}"


def may_be_late(boot, result):
    """Can a host that had no time for the hardware have caused all that is wrong?"""
    complaints = result["errors"] + result["splats"]
    return complaints and boot.hardware and boot.hardware.starved(boot.kernel.kind) and \
        not any(map(SURE.search, complaints))


class Boot:
    """One machine with one kernel and one workload."""

    def __init__(self, machine, workload, kernel, guests, disk):
        self.machine = machine
        self.workload = workload
        self.kernel = kernel
        self.guests = guests
        self.disk = disk
        self.tools = kernel.tools
        self.name = f"{machine['name']}.{workload['name']}.{kernel.name}"
        self.dir = os.path.join(OUT, "boots", self.name)
        # What the programs print; where there is one serial port only, the console has it.
        self.output = os.path.join(self.dir, "output")
        self.console = os.path.join(self.dir, "console")

        self.hardware = hw.Hardware(machine["hw"], machine["arch"], self.dir,
                                    f"machines/{machine['name']}.toml: [hw]") \
            if "hw" in machine else None
        # The directory of a module that is built for this machine and put at its root, and
        # what that includes from outside.
        self.module = (hw.MODULE, (hw.LAYOUT,)) if self.hardware else \
            (os.path.join(LAB, machine["module"]), ()) if "module" in machine else None

    def _list(self):
        values = {"ids": self.machine.get("ids", ""), "seed": SEED,
                  "port": PORTS[self.kernel.arch],
                  "ats": self.machine.get("ats", ""),
                  "base": self.hardware.base if self.hardware else "",
                  "silent": self.machine.get("silent", "0")}
        return [line.format(**values) for line in self.workload.get("run", [])]

    def _initrd(self, programs):
        lines = [f"dir {path} 0755 0 0" for path in
                 ("/dev", "/proc", "/sys", "/tmp", "/bin")]
        lines += ["nod /dev/console 0600 0 0 c 5 1", f"file /init {programs}/init 0755 0 0",
                  f"file /run.list {self.dir}/run.list 0644 0 0"]
        for name in PROGRAMS[1:]:
            if os.path.exists(os.path.join(programs, name)):
                lines.append(f"file /bin/{name} {programs}/{name} 0755 0 0")
        plant = os.path.join(self.kernel.obj, "plant", "plant.ko")
        if os.path.exists(plant):
            lines.append(f"file /plant.ko {plant} 0644 0 0")
        lines += [f"file {at} {path} 0755 0 0"
                  for at, path in self.workload.get("files", {}).items()]
        if self.module:
            directory = os.path.join(self.kernel.obj, os.path.basename(self.module[0]))
            lines += [f"file /{os.path.basename(path)} {path} 0644 0 0"
                      for path in glob.glob(os.path.join(directory, "*.ko"))]
        if "ivrs" in self.machine:
            path = os.path.join(self.dir, "ivrs")
            with open(path, "wb") as file:
                file.write(ivrs.table(self.machine["ivrs"]))
            parts = ivrs.PATH.split("/")[1:-1]
            lines += [f"dir /{'/'.join(parts[:i])} 0755 0 0" for i in range(1, len(parts) + 1)]
            lines.append(f"file {ivrs.PATH} {path} 0644 0 0")
        for name in self.workload.get("selftests", []):
            lines.append(f"file /bin/{name} {self.kernel.obj}/selftests/{name} 0755 0 0")
        with open(os.path.join(self.dir, "run.list"), "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in self._list()))
        with open(os.path.join(self.dir, "initrd.list"), "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
        # The kernel's own tool; the list needs no root rights for the device node.
        run(self.tools.command(["sh", "-c", 'exec "$1" "$2" >"$3"', "sh",
                                os.path.join(self.kernel.obj, "usr", "gen_init_cpio"),
                                os.path.join(self.dir, "initrd.list"),
                                os.path.join(self.dir, "initrd")]),
            os.path.join(self.dir, "initrd.log"), "gen_init_cpio")

    def _command(self):
        workload = self.workload
        # Emulated time runs unevenly on a busy host: no check of a timer may panic for it.
        # Early on, an interrupt in identify_cpu() finds the CPU without its features: KASAN
        # then takes what is mapped with five levels of page tables for wild memory.
        append = ["panic=-1 kunit.enable=0 no_timer_check no5lvl", self.machine["append"],
                  workload.get("append", "")]
        output = []
        if self.kernel.arch in OUTPUTS and (self.hardware or self.kernel.arch == "x86-64"):
            append.append(f"LAB_OUTPUT={OUTPUTS[self.kernel.arch]}")
            output = ["-serial", "file:" + self.output]
        for name in self.workload.get("ports", []):
            path = os.path.join(self.dir, name)
            # Other machines have one serial port of their own.
            output += ["-serial", "file:" + path] if self.kernel.arch == "x86-64" else \
                ["-chardev", f"file,id={name},path={path}", "-device", f"pci-serial,chardev={name}"]
        hardware, memory = [], str(workload.get("memory", 512))
        if self.hardware:
            hardware, memory = self.hardware.qemu(), f"{self.hardware.memory}B"
            append.append(self.hardware.append())
        command = [self.tools.qemu(self.kernel.arch), *shlex.split(self.machine["qemu"]),
                   *hardware, "-smp", str(workload.get("smp", 2)), "-m", memory,
                   "-display", "none", "-nodefaults", "-serial", "stdio", *output, "-no-reboot",
                   "-kernel", self.kernel.image, "-initrd", os.path.join(self.dir, "initrd"),
                   "-append", " ".join(append)]
        command = [word.replace("@DISK@", self.disk) for word in command]
        nodes = self.hardware.device_tree() if self.hardware else ""
        if nodes or "device-tree" in self.machine:
            command += ["-dtb", self._device_tree(command, nodes)]
        if workload.get("in_turn"):
            command += ["-accel", "tcg,thread=single"]
        if "icount" in workload:
            command += ["-icount", f"shift={workload['icount']},sleep=off"]
        if workload.get("trace"):
            for event in [*commands.EVENTS[self.kernel.arch], "pci_cfg_write"]:
                command += ["-trace", event]
            command += ["-D", os.path.join(self.dir, "trace")]
        return command

    def _device_tree(self, command, nodes):
        """
        The tree that QEMU makes for this command line, with what the machine's file says put
        in the place of what it says: each must be found once; then the nodes. Return: the file.
        """
        def edit(source):
            for change in self.machine.get("device-tree", []):
                if source.count(change["find"]) != 1:
                    raise LabError(f"machines/{self.machine['name']}.toml: QEMU's device tree has "
                                   f"{change['find']!r} {source.count(change['find'])} times, "
                                   "expected once")
                source = source.replace(change["find"], change["put"])
            return source + nodes

        dtc = os.path.join(self.kernel.obj, "scripts", "dtc", "dtc")
        return device_tree.make(command, dtc, self.dir, edit, self.tools.command)

    def _key(self, kernel_stamp, guest_hash):
        content = [self.machine, self.workload, kernel_stamp, guest_hash,
                   self.tools.qemu_stamp(self.kernel.arch),
                   hash_files([os.path.abspath(module) for module in
                               (__file__, commands.__file__, ivrs.__file__, acpi.__file__,
                                device_tree.__file__)])]
        if self.module:
            content.append(hash_files([self.module[0], *self.module[1]]))
        if self.hardware:
            content.append(self.hardware.key())
        content = json.dumps(content, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def _run(self):
        """QEMU, to its end; true if it had to be stopped."""
        if os.path.exists(self.output):
            os.unlink(self.output)
        limit = self.workload.get("seconds", 300)
        with self.hardware or contextlib.nullcontext(), \
                open(self.console, "w", encoding="utf-8") as file:
            command = self._command()
            with open(os.path.join(self.dir, "command"), "w", encoding="utf-8") as text:
                text.write(shlex.join(command) + "\n")
            prefix = self.hardware.prefix() if self.hardware else []
            # In the foreground, Ctrl-C is for QEMU, too; nor does it outlive us.
            prefix += ["setpriv", "--pdeathsig", "TERM",
                       "timeout", "--foreground", "-k", "5", str(limit)]
            done = subprocess.run(self.tools.command([*prefix, *command]),
                                  stdin=subprocess.DEVNULL, stdout=file,
                                  stderr=subprocess.STDOUT, check=False)
        return done.returncode in (124, 128 + signal.SIGKILL)

    def _hung_early(self):
        """No program and no KUnit has begun, and the kernel has nothing to complain about."""
        return not any("LAB " in line or "KTAP " in line or SPLAT.search(line)
                       for line in self._lines())

    def _set_aside(self):
        """What a boot has left that is begun again: NAME.first."""
        paths = [self.console, self.output]
        if self.hardware:
            paths += [self.hardware.trace, self.hardware.report]
        for path in filter(os.path.exists, paths):
            os.replace(path, path + ".first")

    def execute(self, keep=True):
        """
        The result, from the cache or from QEMU: a dictionary, see parse(). "again" is why it was
        begun again, if it was.
        """
        programs, guest_hash = self.guests.get(self.kernel)
        key = self._key(read(os.path.join(self.kernel.obj, ".lab-stamp")), guest_hash)
        kept = os.path.join(CACHE, "boots", key + ".json")
        if keep and os.path.exists(kept):
            with open(kept, encoding="utf-8") as file:
                return json.load(file)

        os.makedirs(self.dir, exist_ok=True)
        self._initrd(programs)
        timed_out = self._run()
        # Emulated time again: one boot in some hundreds hangs before it has found its clocks.
        again = []
        if timed_out and self._hung_early():
            again = ["no clock was found"]
            self._set_aside()
            timed_out = self._run()
        result = self.parse(timed_out)
        # On a busy host, hardware may be later than its driver waits.
        if not again and may_be_late(self, result):
            again = result["errors"] + result["splats"]
            self._set_aside()
            result = self.parse(self._run())
        result["again"] = again
        if keep and not result["errors"] and not result["splats"]:
            os.makedirs(os.path.dirname(kept), exist_ok=True)
            with open(kept, "w", encoding="utf-8") as file:
                json.dump(result, file)
        return result

    def _lines(self):
        return read_lines(self.console) + \
            (read_lines(self.output) if os.path.exists(self.output) else [])

    def _trace(self):
        """For each marked interval, what QEMU's IOMMU was told in it."""
        path = os.path.join(self.dir, "trace")
        if not os.path.exists(path):
            return []
        found = commands.intervals(path, "0x1", "0x0")
        for counts in found:
            counts["other"] += counts.pop("config")
        return found

    def _splats(self, lines):
        """What the kernel complained about, and how many races are somebody else's."""
        splats, foreign, ours = [], 0, None
        allowed = "|".join(filter(None, (FOREIGN, self.workload.get("allow"), self.workload.get(
            "allow_" + self.kernel.kind))))
        for line in filter(SPLAT.search, lines):
            race = RACE.search(line)
            if race:
                ours = ours or self.kernel.functions(RACE_OF)
                if not ours & set(race.groups()):
                    foreign += 1
                    continue
            if not re.search(allowed, line):
                splats.append(line)
        return splats, foreign

    def parse(self, timed_out):
        """
        {"cells": [...], "splats": [...], "errors": [...], "ktap": {...}, ...}: what the programs
        measured, each with "outside", QEMU's count of the same; what the kernel complained
        about; why the boot does not count as one that came through.
        """
        lines = self._lines()
        cells, cases, errors, ktap = [], [], [], {}
        splats, foreign = self._splats(read_lines(self.console))
        for line in lines:
            for word, found in (("RESULT ", cells), ("CASE ", cases)):
                if line.startswith(word):
                    try:
                        found.append(json.loads(line[len(word):]))
                    except json.JSONDecodeError:
                        errors.append("a result is incomplete: " + line)
            found = re.match(r"LAB exit (\d+) (.*)", line)
            if found and found.group(1) != "0" and \
                    found.group(2).split()[0] not in self.workload.get("may_fail", []):
                errors.append(f"{found.group(2)}: exit status {found.group(1)}")
            if line.startswith(("FAIL ", "LAB no run.list")):
                errors.append(line)
            found = re.match(r"(?:\[ *[\d.]+\] *)?\s*(ok|not ok) \d+ (?:- )?(.*)", line)
            if found:
                name, _, directive = found.group(2).partition(" # ")
                ktap[name.strip()] = "skip" if directive.startswith("SKIP") else found.group(1)
        if self.workload.get("may_hang_" + self.kernel.kind):
            pass
        elif timed_out:
            errors.append(f"nothing more after {self.workload.get('seconds', 300)} seconds")
        elif not any(line.startswith("LAB done") for line in lines):
            errors.append("the machine did not come through")

        if self.workload.get("suites"):
            errors += [f"the suite {name} did not pass" for name in self.machine["suites"]
                       if ktap.get(name) != "ok"]

        intervals = self._trace()
        if self.workload.get("trace"):
            for cell in cells:
                marks = cell.pop("marks", 0)
                took, intervals = intervals[:marks], intervals[marks:]
                cell["outside"] = {key: sum(part[key] for part in took)
                                   for key in ("iotlb", "atc", "sync", "other")}
                for key, value in cell["outside"].items():
                    if cell.get(key) != value:
                        errors.append(f"{cell['workload']} n={cell['n']}: the kernel sent "
                                      f"{cell.get(key)} {key}, QEMU saw {value}")
            if intervals:
                errors.append(f"{len(intervals)} marked intervals in QEMU's trace are nobody's")
        expected = self.workload.get("expect") or \
            self.workload.get("expect_" + self.kernel.kind)
        if expected:
            if not any(re.search(expected, line) for line in lines):
                errors.append(f"the planted bug was not reported: no line has {expected!r}")
            splats = []
        says = self.workload.get("says_" + self.kernel.kind)
        if says and not any(re.search(says, line) for line in read_lines(self.console)):
            errors.append(f"the kernel did not say {says!r}")
        errors += judge_cases(self.kernel.kind, cases)
        return {**self.failed(errors), "cells": cells, "cases": cases, "splats": splats,
                "foreign_races": foreign, "ktap": ktap}

    def failed(self, errors):
        """The result of a boot that has shown nothing."""
        return {"boot": self.name, "machine": self.machine["name"],
                "workload": self.workload["name"], "kernel": self.kernel.kind,
                "cells": [], "cases": [], "splats": [], "foreign_races": 0,
                "errors": errors, "ktap": {}, "again": [], "dir": self.dir}

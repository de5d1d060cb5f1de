# SPDX-License-Identifier: GPL-2.0-only
"""
Hardware that QEMU does not have: turns a machine's [hw] table into the file that lab/hw reads, a
DMAR or IVRS table or nodes of a device tree, and the arguments that QEMU's and the kernel's command
lines need.

    [hw]
    vendor = "vtd"                # or "amd", or "smmuv3" for arm64; so unless said
    units = 2                     # each has a PCI segment, 1, 2, ..., AMD-Vi's a bus, 80, 81, ...
    functions = 3                 # of each unit, in slots 1, 2, ...: 10ff:0001
    ats = true                    # what these have; so unless said
    pri = true                    # SMMUv3: false
    pasid_bits = 20
    timeout_ms = 300              # after which a device that does not answer is given up;
                                  # AMD-Vi: 1000, as its driver sets it
    latency_us = { wait = 10 }    # by type of command: context, iotlb, dev_tlb, iec, wait,
                                  # p_iotlb, pasid, p_dev_tlb, page_grp
    memory = 512                  # MiB of the machine, 128 to 2048
    crashed = "legacy"            # VT-d; or "scalable": a kernel has left translation on, in that
                                  # mode, with tables of hw/layout.h's HW_LEFT

A unit that differs has a table of its own, [[hw.unit]] in the order of the units, with the
same keys; a function that differs one in it, [[hw.unit.function]] with "slot", and with
"latency_us", a number, for its ATC commands.
"""
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile

import acpi
from kernels import LAB, OUT, PROJECT, LabError, hash_files, run

HERE = os.path.join(LAB, "hw")
LAYOUT = os.path.join(HERE, "layout.h")
MODULE = os.path.join(HERE, "pci")
PROGRAM = os.path.join(PROJECT, "build", "release", "lab", "hw", "hw")

SIZE = 16 << 20			# HW_SIZE of hw/layout.h
SMMU_AT, SMMU_SIZE = 0x600000, 0x20000	# HW_SMMU, HW_SMMU_SIZE
AMD_AT, AMD_SIZE = 0x600000, 0x4000	# HW_AMD, HW_AMD_SIZE
AMD_BUS, AMD_SLOT, AMD_EFR = 0x80, 8, 0x17000f000048da	# HW_AMD_BUS, HW_AMD_SLOT, HW_AMD_EFR
SUBSYSTEM = 0x2c		# of a function's configuration space; bit 24 is set in QEMU's
UNITS = 16
# A unit's thread has had no CPU for that long: drivers wait for a second, stock's AMD-Vi for 100 ms.
STARVED_MS, STARVED_STOCK_MS = 300, {"amd": 30}
SLOTS = 31
ARCHES = {"vtd": "x86-64", "amd": "x86-64", "smmuv3": "arm64"}
# Where the guest's memory begins.
START = {"vtd": 0, "amd": 0, "smmuv3": 1 << 30}
TYPES = {"context", "iotlb", "dev_tlb", "iec", "wait", "p_iotlb", "pasid", "p_dev_tlb",
         "page_grp"}
FUNCTION = {"ats": True, "pri": True, "pasid_bits": 20}
KINDS = {bool: "true or false", int: "a number", dict: "a table", list: "a list of tables",
         str: "a text"}
# Of numbers; a memory's end must be where its guest has it, and 32 bits hold its addresses.
RANGES = {"units": (1, UNITS), "functions": (0, SLOTS - 1), "slot": (1, SLOTS - 1),
          "pasid_bits": (0, 20), "timeout_ms": (1, 3600000), "latency_us": (0, 3600000000),
          "memory": (128, 2048)}
DIFFERS = {"amd": {"timeout_ms": 1000}, "smmuv3": {"pri": False}}
UNIT = {"functions": 1, "timeout_ms": 300, "latency_us": {}, **FUNCTION}


def check_number(key, value, where):
    """A number, in its range."""
    low, high = RANGES[key]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise LabError(f"{where}: expected a number from {low} to {high}, got {value!r}")


def check(table, known, where):
    """Keys, types and ranges of a table."""
    if not isinstance(table, dict):
        raise LabError(f"{where}: expected a table, got {table!r}")
    for key, value in table.items():
        if key not in known:
            raise LabError(f"{where}: unknown key {key}; there are: {' '.join(sorted(known))}")
        if not isinstance(value, type(known[key])) or \
                isinstance(value, bool) != isinstance(known[key], bool):
            raise LabError(f"{where}: {key}: expected {KINDS[type(known[key])]}, "
                           f"got {value!r}")
        if isinstance(value, int) and key in RANGES:
            check_number(key, value, f"{where}: {key}")


def check_latencies(table, where):
    """By type of command."""
    for name, value in table.items():
        if name not in TYPES:
            raise LabError(f"{where}: latency_us: unknown type {name}; there are: "
                           f"{' '.join(sorted(TYPES))}")
        check_number("latency_us", value, f"{where}: latency_us: {name}")


def unit_of(table, vendor, where):
    """A unit as lab/hw reads it."""
    check_latencies(table["latency_us"], where)
    own = {}
    for function in table.get("function", []):
        name = f"{where}: [[hw.unit.function]]"
        check(function, {**FUNCTION, "slot": 0, "latency_us": 0}, name)
        if "slot" not in function:
            raise LabError(f"{name}: expected slot")
        if function["slot"] in own:
            raise LabError(f"{name}: slot {function['slot']} is there twice")
        own[function["slot"]] = function
    functions = []
    for slot in sorted(set(range(1, table["functions"] + 1)) | set(own)):
        function = {"slot": slot, **{key: table[key] for key in FUNCTION}, **own.get(slot, {})}
        if function["pri"] and vendor == "smmuv3":
            raise LabError(f"{where}: slot {slot}: pri: expected false, SMMUv3's units take no "
                           "page requests")
        functions.append(function)
    return {"timeout_ms": table["timeout_ms"], "latency_us": table["latency_us"],
            "functions": functions}


def units_of(table, where):
    """All units of a machine's [hw] table."""
    check(table, {**UNIT, "units": 0, "unit": [], "memory": 0, "crashed": "", "vendor": ""},
          where)
    if table.get("vendor", "vtd") not in START:
        raise LabError(f"{where}: vendor: expected {' or '.join(START)}, "
                       f"got {table['vendor']!r}")
    if "crashed" in table and table.get("vendor", "vtd") != "vtd":
        raise LabError(f"{where}: crashed: expected with vendor vtd only")
    if table.get("crashed", "legacy") not in ("legacy", "scalable"):
        raise LabError(f"{where}: crashed: expected legacy or scalable, "
                       f"got {table['crashed']!r}")
    own = table.get("unit", [])
    number = table.get("units", len(own) or 1)
    check_number("units", number, f"{where}: units")
    if number < len(own):
        raise LabError(f"{where}: units: expected one for each [[hw.unit]], got {number}")
    vendor = table.get("vendor", "vtd")
    common = {**UNIT, **DIFFERS.get(vendor, {}),
              **{key: value for key, value in table.items() if key in UNIT}}
    units = []
    for index in range(number):
        mine = own[index] if index < len(own) else {}
        check(mine, {**UNIT, "function": []}, f"{where}: unit {index}")
        units.append(unit_of({**common, **mine}, vendor, f"{where}: unit {index}"))
    return units


def dmar(units, base):
    """The ACPI table that names the units: a segment each, all devices of it."""
    body = struct.pack("<BB10x", 47, 0)
    for unit in range(units):
        body += struct.pack("<HHBBHQ", 0, 16, 1, 0, unit + 1, base + 0x1000 * (1 + unit))
    return acpi.table(b"DMAR", 1, body)


def ivrs(units, base):
    """
    The same for AMD-Vi: a bus of segment 0 each. The driver reads the features here, and of
    the unit's PCI function a word that says whether there is ATS: QEMU's subsystem ID does.
    """
    body = struct.pack("<I8x", 1 | 2 << 5 | 48 << 8 | 64 << 15)
    for unit in range(units):
        first = (AMD_BUS + unit) << 8
        entries = struct.pack("<BHBBHB", 3, first, 0, 4, first | 0xff, 0)
        body += struct.pack("<BBHHHQHHIQQ", 0x11, 0, 40 + len(entries), (AMD_SLOT + unit) << 3,
                            SUBSYSTEM, base + AMD_AT + unit * AMD_SIZE, 0, 0, 0, AMD_EFR, 0)
        body += entries
    return acpi.table(b"IVRS", 2, body)


def device_tree(units, base):
    """
    Nodes for QEMU's tree of the machine virt: SMMUs, and host bridges that name them, for
    hw/pci/hwpci.c. Interrupts are messages to the GIC's frame for these.
    """
    nodes = []
    for unit in range(units):
        at = base + SMMU_AT + unit * SMMU_SIZE
        nodes.append(f"""
	hw_smmu{unit}: iommu@{at:x} {{
		compatible = "arm,smmu-v3";
		reg = <0x0 {at:#x} 0x0 {SMMU_SIZE:#x}>;
		#iommu-cells = <1>;
		dma-coherent;
		msi-parent = <&{{/intc@8000000/v2m@8020000}}>;
	}};

	hwpci-{unit + 1} {{
		compatible = "iommu-alist,hwpci";
		linux,pci-domain = <{unit + 1}>;
		iommu-map = <0x0 &hw_smmu{unit} 0x0 0x10000>;
		ats-supported;
		dma-coherent;
	}};
""")
    return f"""
/ {{
	reserved-memory {{
		#address-cells = <2>;
		#size-cells = <2>;
		ranges;

		hw@{base:x} {{
			reg = <0x0 {base:#x} 0x0 {SIZE:#x}>;
			no-map;
		}};
	}};
{''.join(nodes)}}};
"""


def build():
    """The program, with make, which knows what it needs."""
    run(["make", "-s", "-C", PROJECT, "build/release/lab/hw/hw"],
        os.path.join(OUT, "hw.log"), "build of lab/hw")


class Hardware:
    """The hardware of one machine: a program beside QEMU."""

    def __init__(self, table, arch, directory, where):
        self.units = units_of(table, where)
        self.memory = table.get("memory", 512) << 20
        self.crashed = {key: table[key] for key in ("crashed",) if key in table}
        self.vendor = table.get("vendor", "vtd")
        if arch != ARCHES[self.vendor]:
            raise LabError(f"{where}: vendor: {self.vendor} is hardware of "
                           f"{ARCHES[self.vendor]}, expected of {arch}")
        self.acpi = {"vtd": dmar, "amd": ivrs}.get(self.vendor)
        self.base = START[self.vendor] + self.memory // 2
        self.directory = directory
        self.trace = os.path.join(directory, "hw.trace")
        self.report = os.path.join(directory, "hw.json")
        self.process = None
        self.shared = None

    @staticmethod
    def key():
        """A hash of what it is made of."""
        return hash_files([HERE, os.path.join(PROJECT, "model"), os.path.abspath(__file__)])

    @staticmethod
    def prefix():
        """Before QEMU's command: whom a unit lets wait must not keep it from working."""
        return ["nice", "-n", "10"]

    def starved(self, kind):
        """
        Has a unit, or what serves the functions, not looked at the guest for so long that a
        driver may have given up? That depends on the kind of kernel, stock or alist.
        """
        limit = STARVED_STOCK_MS.get(self.vendor, STARVED_MS) if kind == "stock" else STARVED_MS
        try:
            with open(self.report, encoding="utf-8") as file:
                report = json.load(file)
            return any(looks["longest_ms"] > limit
                       for looks in (*report["units"], report["functions"]))
        except FileNotFoundError:
            return False

    def append(self):
        """For the kernel's command line."""
        memmap = f"memmap={SIZE >> 20}M${self.base:#x} " if self.acpi else ""
        return f"{memmap}HW_BASE={self.base:#x}"

    def device_tree(self):
        """What is added to the source of QEMU's tree; empty where there is none."""
        return device_tree(len(self.units), self.base) if self.vendor == "smmuv3" else ""

    def qemu(self):
        """For QEMU's; the machine has no IOMMU of QEMU's own."""
        machine = []
        if self.acpi:
            machine = ["-machine", "q35", "-acpitable", f"file={self.directory}/acpi.bin"]
        if self.vendor == "amd":
            for unit in range(len(self.units)):
                machine += ["-device", f"edu,addr={AMD_SLOT + unit:#x}"]
        return [*machine, "-machine", "memory-backend=hw", "-object",
                f"memory-backend-file,id=hw,size={self.memory},share=on,"
                f"mem-path={self.shared}/ram",
                "-qtest", f"unix:{self.shared}/qtest,server=on,wait=off", "-qtest-log", "none"]

    def __enter__(self):
        # Memory, not a disk; and short, because a socket is there, too.
        self.shared = tempfile.mkdtemp(prefix="iommu-hw-", dir="/dev/shm")
        if self.acpi:
            with open(os.path.join(self.directory, "acpi.bin"), "wb") as file:
                file.write(self.acpi(len(self.units), self.base))
        machine = os.path.join(self.directory, "machine.json")
        with open(machine, "w", encoding="utf-8") as file:
            json.dump({"ram": self.shared + "/ram", "qtest": self.shared + "/qtest",
                       "vendor": self.vendor, "start": START[self.vendor],
                       "memory": self.memory, "base": self.base, "trace": self.trace,
                       "report": self.report, "units": self.units, **self.crashed}, file,
                      indent=1)
        with open(os.path.join(self.directory, "hw.log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([PROGRAM, machine], stdout=subprocess.PIPE,
                                            stderr=log)
        if self.process.stdout.readline() != b"ready\n":
            raise LabError(f"lab/hw did not begin: status {self._stop()}, "
                           f"see {self.directory}/hw.log")
        return self

    def _stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.stdout.close()
        status = self.process.wait()
        shutil.rmtree(self.shared, ignore_errors=True)
        return status

    def __exit__(self, *_):
        status = self._stop()
        if status not in (0, -signal.SIGTERM):
            raise LabError(f"lab/hw ended with status {status}, see {self.directory}/hw.log")

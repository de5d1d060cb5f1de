#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
What lab/boot refuses, before it starts anything: kernels and machines that do not fit.

usage: tests/hw_boot.py

The kernels are images of nothing but their magic numbers, for two architectures.
"""
import gzip
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile

from tap import check, end

LAB = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lab")
BOOT = os.path.join(LAB, "boot")
ARM64 = b"MZ".ljust(0x38, b"\0") + b"ARM\x64"
RISCV64 = b"MZ".ljust(0x38, b"\0") + b"RSC\x05"
X86_64 = b"\x1f\x8c".ljust(0x202, b"\0") + b"HdrS"
FILES = {"Image": ARM64, "bzImage": X86_64, "Image.gz": gzip.compress(ARM64),
         "riscv": RISCV64, "vmlinux": b"\x7fELF", "empty": b"", "broken.gz": b"\x1f\x8bnothing",
         "initrd": b"", "hw.toml": b"[hw", "no-arch.toml": b'qemu = ""\nappend = ""\n[hw]\n',
         "no-hw.toml": b'arch = "arm64"\nqemu = ""\nappend = ""\n',
         "key.toml": b'arch = "arm64"\nqemu = ""\nappend = ""\n[hw]\nunit = 3\n',
         "vtd.toml": b'arch = "arm64"\nqemu = ""\nappend = ""\n[hw]\n',
         "smmuv3.toml": b'arch = "x86-64"\nqemu = ""\nappend = ""\n[hw]\nvendor = "smmuv3"\n'}
MACHINES = os.path.join(LAB, "machines")

sys.path.insert(0, LAB)
LOADER = importlib.machinery.SourceFileLoader("boot", BOOT)
boot = importlib.util.module_from_spec(importlib.util.spec_from_loader("boot", LOADER))
LOADER.exec_module(boot)


def refused(directory, kernel, machine, *words, initrd="initrd", path=os.environ["PATH"]):
    """lab/boot says why, in words, and leaves no trace."""
    out = os.path.join(directory, "out")
    if machine and machine.endswith(".toml"):
        machine = os.path.join(directory, machine)
    options = ["--machine", machine] if machine else []
    done = subprocess.run([sys.executable, BOOT, *options, "--out", out,
                           os.path.join(directory, kernel), os.path.join(directory, initrd)],
                          capture_output=True, text=True, check=False,
                          env={**os.environ, "PATH": path})
    check(f"{kernel} on {os.path.basename(machine or 'a machine of its own')}: refused",
          done.returncode == 2 and done.stderr.startswith("lab/boot: ") and
          done.stderr.count("\n") == 1 and all(word in done.stderr for word in words) and
          not os.path.exists(out), f"status {done.returncode}: {done.stderr}")


def main():
    """All of it."""
    with tempfile.TemporaryDirectory(prefix="hw-boot-") as directory:
        for name, content in FILES.items():
            with open(os.path.join(directory, name), "wb") as file:
                file.write(content)
        for name, arch in (("Image", "arm64"), ("Image.gz", "arm64"), ("bzImage", "x86-64")):
            got = boot.arch_of(os.path.join(directory, name))
            check(f"{name} is for {arch}", got == arch, got)
        for name in ("riscv", "vmlinux", "empty", "initrd"):
            refused(directory, name, None, f"{directory}/{name}", "bzImage", "Image")
        refused(directory, "broken.gz", None, "broken.gz")
        refused(directory, "missing", None, "missing", "no such file")
        refused(directory, "Image", None, "missing", "no such file", initrd="missing")
        for kernel, machine, *words in (
                ("Image", os.path.join(MACHINES, "hw-2.toml"), "hw-2.toml", "arch",
                 "expected arm64", "Image", "x86-64"),
                ("bzImage", "hw-smmuv3", "lab/machines/hw-smmuv3.toml", "expected x86-64",
                 "bzImage", "arm64"), ("Image", "hw-9", "lab/machines/hw-9.toml"),
                ("bzImage", os.path.join(MACHINES, "smmuv3.toml"), "smmuv3.toml", "hw"),
                ("Image", "vtd.toml", "vtd.toml", "vendor", "vtd", "arm64"),
                ("bzImage", "smmuv3.toml", "smmuv3.toml", "vendor", "smmuv3", "x86-64"),
                ("Image", "key.toml", "key.toml", "unit"),
                ("Image", "hw.toml", "hw.toml"), ("Image", "none.toml", "none.toml"),
                ("Image", "no-arch.toml", "no-arch.toml", "arch"),
                ("Image", "no-hw.toml", "no-hw.toml", "hw")):
            refused(directory, kernel, machine, *words)
        # The kernel lies in no tree, and PATH has no dtc.
        refused(directory, "Image", None, "dtc", "device-tree-compiler", path=directory)
    end()


if __name__ == "__main__":
    main()

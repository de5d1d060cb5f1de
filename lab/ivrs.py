# SPDX-License-Identifier: GPL-2.0-only
"""
The table by which firmware describes AMD's IOMMUs, with other features than QEMU says that its
IOMMU has. Linux takes a table from the initial file system in place of the firmware's if it is
a later revision of the same one, and believes the table rather than the register.

Numbers are those of the I/O Virtualization Technology specification, 48882, 5.2.
"""
import struct

import acpi

# In the initial file system, which must begin with an archive that is not compressed.
PATH = "/kernel/firmware/acpi/ivrs.aml"

# Of QEMU's IOMMU: its function is 00:01.0 if no other device is plugged in before.
DEVID, CAPABILITY, BASE = 0x0008, 0x40, 0xfed80000
IOAPIC_DEVID = 0xa0
FEATURES = 0x29d7		# what its register says
NAMES = {"GIoSup": 48, "EPHSup": 50}


def table(names):
    """The table, with the features of these names on top of QEMU's."""
    features = FEATURES
    for name in names:
        features |= 1 << NAMES[name]
    # All devices; then the I/O APIC, which has no function.
    entries = struct.pack("<BHB", 1, 0, 0) + \
        struct.pack("<BHBBHB", 72, 0, 0, 0, IOAPIC_DEVID, 1)
    block = struct.pack("<BBHHHQHHIQQ", 0x11, 0x11, 40 + len(entries), DEVID, CAPABILITY, BASE,
                        0, 0, 0, features, 0) + entries
    # 40 bits of virtual and of physical addresses, as QEMU's.
    body = struct.pack("<IQ", 0x00012801, 0) + block
    return acpi.table(b"IVRS", 1, body, (b"BOCHS ", b"BXPC    ", 2))

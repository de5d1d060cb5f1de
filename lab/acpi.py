# SPDX-License-Identifier: GPL-2.0-only
"""ACPI tables: the header that all of them have (ACPI 6.5, 5.2.6)."""
import struct


def table(name, revision, body, oem=(b"ALIST ", b"ALISTHW ", 1)):
    """The table; @oem: its maker, what the maker calls it, and the maker's revision."""
    whole = bytearray(struct.pack("<4sIBB6s8sI4sI", name, 36 + len(body), revision, 0, *oem,
                                  b"LAB ", 1) + body)
    whole[9] = -sum(whole) & 0xff
    return bytes(whole)

# SPDX-License-Identifier: GPL-2.0-only
"""
What QEMU's traces say that its IOMMUs were told: the count outside of what the kernel sent.

A command is of a kind: iotlb, atc, config (tables of devices and PASIDs), sync (a wait), other.
"""
import re

# Events of QEMU for each architecture: one line a command.
EVENTS = {
    "x86-64": ["vtd_inv_desc", "amdvi_completion_wait", "amdvi_devtab_inval",
               "amdvi_pages_inval", "amdvi_iotlb_inval", "amdvi_intr_inval",
               "amdvi_all_inval", "amdvi_prefetch_pages", "amdvi_ppr_exec"],
    "arm64": ["smmuv3_cmdq_opcode"],
    "riscv64": ["riscv_iommu_cmd"],
}
KINDS = ["iotlb", "atc", "config", "sync", "other"]

COMMAND = re.compile(
    r"(?:vtd_inv_desc invalidate desc type (?P<vtd>\S+) high"
    r"|(?P<amd>amdvi_\w+) "
    r"|smmuv3_cmdq_opcode <--- SMMU_CMD_(?P<smmu>\w+)"
    r"|riscv_iommu_cmd \S+ command 0x(?P<riscv>[0-9a-f]+) )")

VTD = {"iotlb": "iotlb", "p-iotlb": "iotlb", "device": "atc", "device-piotlb": "atc",
       "wait": "sync", "context-cache": "config", "pasid-cache": "config"}
AMD = {"amdvi_pages_inval": "iotlb", "amdvi_all_inval": "iotlb", "amdvi_iotlb_inval": "atc",
       "amdvi_devtab_inval": "config", "amdvi_completion_wait": "sync"}
SMMU = {"TLBI": "iotlb", "ATC": "atc", "CFGI": "config", "SYNC": "sync"}
# The opcode is in bits 6:0 of the first word.
RISCV = {1: "iotlb", 2: "sync", 3: "config", 4: "atc"}


def kind(line):
    """The kind of the command in a line of the trace, or None: it is of something else."""
    found = COMMAND.search(line)
    if not found:
        return None
    if found["vtd"]:
        return VTD.get(found["vtd"], "other")
    if found["amd"]:
        return AMD.get(found["amd"], "other")
    if found["smmu"]:
        return SMMU.get(found["smmu"].partition("_")[0], "other")
    return RISCV.get(int(found["riscv"], 16) & 0x7f, "other")


def intervals(path, begin, end):
    """What lies between marks, which are writes to a pci-testdev: a dictionary for each."""
    found, current = [], None
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if "pci_cfg_write pci-testdev" in line and "@0x3c" in line:
                value = line.rstrip().rpartition(" ")[2]
                if value == begin:
                    current = dict.fromkeys(KINDS, 0)
                elif value == end and current is not None:
                    found.append(current)
                    current = None
            elif current is not None and (what := kind(line)):
                current[what] += 1
    return found

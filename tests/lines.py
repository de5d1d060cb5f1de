# SPDX-License-Identifier: GPL-2.0-only
"""The lines of a log after the time: the event and what it prints."""


def mapped(iova, size=4096):
    return f'map: IOMMU: iova=0x{iova:x} - 0x{iova + size:x} paddr=0x80000 size={size}'


def unmapped(iova, size=4096):
    return f'unmap: IOMMU: iova=0x{iova:x} - 0x{iova + size:x} size={size} unmapped_size={size}'


def vtd(word, addr=0, iommu=0, kind='iotlb_inv'):
    return f'qi_submit: {kind} dmar{iommu}: 0x{word:x} 0x{addr:x} 0x0 0x0'


def dsi(did, iommu=0):
    return vtd(did << 16 | 0xe2, iommu=iommu)


def psi(did, addr, iommu=0, order=0):
    return vtd(did << 16 | 0xf2, addr | 0x40 | order, iommu)


def dev(rid, addr, iommu=0):
    return vtd(rid << 32 | 3, addr, iommu, 'dev_tlb_inv')


def amd(w0, w1, iommu=10):
    return (f'amdcmd: (x) op={w0 >> 60} iommu=0x{iommu:x} d0=0x{w0 & 0xffffffff:x} '
            f'd1=0x{w0 >> 32:x} d2=0x{w1 & 0xffffffff:x} d3=0x{w1 >> 32:x}')


def amd_pages(tag, addr, iommu=10):
    return amd(3 << 60 | tag << 32, addr | 2, iommu)


def amd_all(tag, iommu=10):
    return amd(3 << 60 | tag << 32, 0x7ffffffffffff003, iommu)


def amd_atc(rid, addr, iommu=10):
    return amd(4 << 60 | rid << 32 | 0x20000000 | rid, addr, iommu)


def amd_wait(iommu=10):
    return amd(1 << 60 | 0x42f001, 0x1b, iommu)


AMD_WAIT = amd_wait()


def smmu(op, c0=0, c1=0, sync=1, n=1, iommu=11):
    return (f'smmucmd: (x) op={op} n={n} sync={sync} smmu=0x{iommu:x} c0=0x{c0 | op:x} '
            f'c1=0x{c1:x}')


def riscv(d0, d1=0, iommu=12):
    return f'riscvcmd: (x) iommu=0x{iommu:x} d0=0x{d0:x} d1=0x{d1:x}'


def attach(name):
    return f'attach_device_to_domain: IOMMU: device={name}'

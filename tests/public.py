# SPDX-License-Identifier: GPL-2.0-only
"""What lib/iommu-alist.h declares, for tests that compare other things with it."""
import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parent.parent


def squeeze(text):
    """One space between words, none where a line break or a style put it."""
    text = re.sub(r'\s+', ' ', text).strip()
    return re.sub(r' ?([(),*]) ?', r'\1', text)


def header():
    """Without comments; the program's types as they are by default."""
    text = (TOP / 'lib/iommu-alist.h').read_text()
    text = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
    types = dict(re.findall(r'^#define (IOMMU_ATTACH_(?:IOMMU|DEVICE))\s+(.+)$', text, re.M))
    return re.sub(r'\b(IOMMU_ATTACH_(?:IOMMU|DEVICE))\b', lambda name: types[name[1]], text)


def functions():
    """{name: prototype} of all functions."""
    text = re.sub(r'^#.*?(?<!\\)$', '', header(), flags=re.M | re.S)
    found = {}
    for statement in re.findall(r'[^;{}]+', text):
        name = re.search(r'\b(iommu_attach_\w+) *\(', statement)
        if name:
            found[name[1]] = squeeze(statement)
    return found

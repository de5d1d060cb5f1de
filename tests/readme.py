#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The README's example is doc/examples/first.c, to the letter."""
import pathlib
import re
import sys

top = pathlib.Path(__file__).resolve().parent.parent
blocks = re.findall(r'^```c\n(.*?)^```$', (top / 'README.md').read_text(),
                    re.M | re.S)
example = (top / 'doc/examples/first.c').read_text()
if blocks != [example]:
    sys.exit('README.md: the C block is not doc/examples/first.c')

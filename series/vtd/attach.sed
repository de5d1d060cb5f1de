# SPDX-License-Identifier: GPL-2.0-only
# The guide's worked case.
/^Porting a driver$/,/^API$/{
/^API$/!d
}

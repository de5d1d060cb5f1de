# SPDX-License-Identifier: GPL-2.0-only
# One chart, both axes logarithmic. Set by scripts/bench: name (of files, without
# extension), title, xlabel, ylabel, nr (of lines), styles (the number of each one's, so
# that a layout looks the same in all charts), thick (how many of the last ones are the
# list's).
set terminal svg size 760,460 font "sans,13" background "white"
set output name.".svg"
set title title
set xlabel xlabel
set ylabel ylabel
set logscale xy 2
set logscale y 10
set key outside right top
set grid lc rgb "#dddddd"
set border 3
set tics nomirror

# Told apart without colour, too.
array colour[7] = ["#888888", "#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#d55e00"]
style(i) = int(word(styles, i + 1))
plot for [i = 0:nr - 1] name.".dat" index i using 1:2 with linespoints \
	lc rgb colour[style(i) % 7 + 1] pt style(i) + 4 ps 0.7 lw (i >= nr - thick ? 3 : 1.5) \
	title columnheader(1)

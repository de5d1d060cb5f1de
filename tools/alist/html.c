// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page of alist cost --html: everything is in it, nothing is fetched. Colours follow
 * the reader's light or dark, charts scale with the width.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cost.h"

static const char style[] =
	":root{--fg:#1b1f24;--bg:#fff;--dim:#59636e;--line:#d1d9e0;--a:#0969da;--b:#bc4c00;--bar:#eef2f6}\n"
	"@media(prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0d1117;--dim:#9198a1;--line:#3d444d;--a:#58a6ff;--b:#f0883e;--bar:#1c232c}}\n"
	"body{font:16px/1.45 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:72rem;margin:auto;padding:1rem}\n"
	"h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}p{margin:.3rem 0}.dim{color:var(--dim)}\n"
	".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.6rem;margin:1rem 0}\n"
	".tile{border:1px solid var(--line);border-radius:.4rem;padding:.5rem .7rem}.tile b{display:block;font-size:1.3rem}\n"
	".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,28rem),1fr));gap:1rem}\n"
	"svg{width:100%;max-width:44rem;height:auto;display:block}svg text{fill:var(--dim);font:12px system-ui,sans-serif}\n"
	"@media(max-width:32rem){svg text{font-size:15px}body{padding:.6rem}th,td{padding:.2rem .3rem !important;font-size:.75rem}}\n"
	".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
	"th,td{padding:.2rem .6rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left}th{color:var(--dim);font-weight:600}\n";

static void text(FILE *out, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(*s, out);
		}
	}
}

static void tile(FILE *out, const char *name, const char *value, const char *note)
{
	fprintf(out, "<div class=tile>%s<b>%s</b><span class=dim>%s</span></div>\n", name, value,
		note);
}

#define WIDTH	560
#define HEIGHT	220
#define LEFT	64
#define BOTTOM	34
#define TOP	12
#define LABEL	70			/* the longest, on a narrow page: "131.1 us" */
#define LABELS	6			/* no more than this beside each other */

static void axes(FILE *out, const char *label, uint64_t most, const char *unit)
{
	fprintf(out, "<svg viewBox='0 0 %d %d' role=img aria-label='%s'>\n", WIDTH, HEIGHT, label);
	fprintf(out, "<path d='M%d %dV%dH%d' fill=none stroke='var(--line)'/>\n", LEFT, TOP,
		HEIGHT - BOTTOM, WIDTH - 4);
	fprintf(out, "<text x=%d y=%d text-anchor=end>%" PRIu64 "</text><text x=%d y=%d text-anchor=end>0</text>\n",
		LEFT - 6, TOP + 8, most, LEFT - 6, HEIGHT - BOTTOM);
	fprintf(out, "<text x=%d y=%d text-anchor=end>%s</text>\n", WIDTH - 4, HEIGHT - 4, unit);
}

/* Bars, one a power of two. */
static void histogram(FILE *out, const struct profile *p, const char *name,
		      const struct times *times)
{
	struct times_powers by;
	unsigned int i, n;
	char from[32];
	double width;

	if (!times->nr)
		return;
	by = times_powers(times);
	n = by.last - by.first + 1;
	width = (double)(WIDTH - 4 - LEFT) / n;
	fprintf(out, "<figure style='margin:0'><figcaption>%s</figcaption>", name);
	axes(out, name, by.most, "");
	for (i = by.first; i <= by.last; i++) {
		double x = LEFT + (i - by.first) * width;
		double high = (double)by.number[i] / by.most * (HEIGHT - BOTTOM - TOP);

		cost_time(p, times_bucket_ns(i * 8), true, from, sizeof(from));
		fprintf(out, "<rect x=%.1f y=%.1f width=%.1f height=%.1f fill='var(--a)'><title>from %s: %" PRIu64 "</title></rect>\n",
			x + 1, HEIGHT - BOTTOM - high, width - 2, high, from, by.number[i]);
		if (!((i - by.first) % ((n + LABELS - 1) / LABELS)) && x + LABEL <= WIDTH)
			fprintf(out, "<text x=%.1f y=%d>%s</text>\n", x, HEIGHT - BOTTOM + 16,
				from);
	}
	fputs("</svg></figure>\n", out);
}

/* The second line is dashed: both are often the same. */
static void polyline(FILE *out, const double *value, unsigned int n, double most,
		     const char *colour)
{
	unsigned int i;

	fprintf(out, "<polyline fill=none stroke-width=1.5 stroke='var(--%s)'%s points='",
		colour, *colour == 'b' ? " stroke-dasharray=4" : "");
	for (i = 0; i < n; i++)
		fprintf(out, "%.1f,%.1f ", LEFT + (i + 0.5) * (WIDTH - 4 - LEFT) / n,
			HEIGHT - BOTTOM - value[i] / most * (HEIGHT - BOTTOM - TOP));
	fputs("'/>\n", out);
}

static void over_time(FILE *out, const struct profile *p)
{
	double unmaps[SLICES_MAX], commands[SLICES_MAX], most = 1, seconds = p->slice_ns / 1e9;
	char end[32];
	unsigned int i;

	for (i = 0; i < p->nr_slices; i++) {
		unmaps[i] = p->slices[i].unmaps / seconds;
		commands[i] = (p->slices[i].iotlb + p->slices[i].atc) / seconds;
		if (unmaps[i] > most)
			most = unmaps[i];
		if (commands[i] > most)
			most = commands[i];
	}
	if (p->nr_slices < 2 || p->clock == TRACE_COUNTS)
		return;
	fputs("<figure style='margin:0'><figcaption>Per second, over the log: "
	      "<span style='color:var(--a)'>unmaps</span>, "
	      "<span style='color:var(--b)'>IOTLB and ATC commands</span> (dashed)</figcaption>", out);
	axes(out, "over time", most + 0.5, "");
	polyline(out, unmaps, p->nr_slices, most, "a");
	polyline(out, commands, p->nr_slices, most, "b");
	fprintf(out, "<text x=%d y=%d>0</text><text x=%d y=%d text-anchor=end>%s</text></svg></figure>\n",
		LEFT, HEIGHT - BOTTOM + 16, WIDTH - 4, HEIGHT - BOTTOM + 16,
		cost_time(p, p->slice_ns * p->nr_slices, true, end, sizeof(end)));
}

static void beside(FILE *out, const struct profile *p)
{
	const char *const names[] = {
		"IOTLB", "ATC", cost_infers_waits(p) ? "waits (inferred)" : "waits",
	};
	const unsigned long driver[] = { p->driver.iotlb, p->driver.atc, p->driver.sync };
	const unsigned long list[] = { p->list.iotlb, p->list.atc, p->list.sync };
	unsigned long most = 1;
	double width = (WIDTH - 4 - LEFT) / 3.0;
	int i;

	if (!p->list_known)
		return;
	for (i = 0; i < 3; i++) {
		if (driver[i] > most)
			most = driver[i];
		if (list[i] > most)
			most = list[i];
	}
	fputs("<figure style='margin:0'><figcaption>Sent for the same work by the <span style='color:var(--a)'>driver</span> (left) "
	      "and the <span style='color:var(--b)'>list</span> (right, computed)</figcaption>", out);
	axes(out, "driver and list", most, "");
	for (i = 0; i < 3; i++) {
		double x = LEFT + i * width, scale = (double)(HEIGHT - BOTTOM - TOP) / most;

		fprintf(out, "<rect x=%.1f y=%.1f width=%.1f height=%.1f fill='var(--a)'><title>driver: %lu</title></rect>\n",
			x + width * 0.2, HEIGHT - BOTTOM - driver[i] * scale, width * 0.28,
			driver[i] * scale, driver[i]);
		fprintf(out, "<rect x=%.1f y=%.1f width=%.1f height=%.1f fill='var(--b)'><title>list: %lu</title></rect>\n",
			x + width * 0.52, HEIGHT - BOTTOM - list[i] * scale, width * 0.28,
			list[i] * scale, list[i]);
		fprintf(out, "<text x=%.1f y=%d text-anchor=middle>%s %lu / %lu</text>\n",
			x + width / 2, HEIGHT - BOTTOM + 16, names[i], driver[i], list[i]);
	}
	fputs("</svg></figure>\n", out);
}

static void times_row(FILE *out, const struct profile *p, const char *name,
		      const struct times *times)
{
	struct cost_times t;

	if (!times->nr)
		return;
	cost_times(p, times, &t);
	fprintf(out, "<tr><td>%s<td>%" PRIu64 "<td>%s<td>%s<td>%s<td>%s<td>%s<td>%s\n", name,
		times->nr, t.rate, t.sum, t.share, t.p50, t.p99, t.max);
}

static void count_row(FILE *out, const struct profile *p, const char *name, uint64_t nr)
{
	char rate[32];

	if (nr)
		fprintf(out, "<tr><td>%s<td>%" PRIu64 "<td>%s<td><td><td><td><td>\n", name, nr,
			cost_rate(p, nr, rate, sizeof(rate)));
}

static void table(FILE *out, const struct profile *p, enum cost_table which, unsigned int top)
{
	unsigned int i;
	char flush[32], wait[32], number[24];

	if (!p->nr_rows[which])
		return;
	fprintf(out, "<h2>By %s</h2><div class=scroll><table><tr><th>%s%s<th>IOTLB<th>ATC%s<th>waits%s<th>in waits\n",
		cost_table_names[which], cost_table_names[which],
		which == BY_TASK ? "<th>unmaps" : "", which == BY_IOMMU ? "" : "<th>flushes",
		which == BY_IOMMU ? "" : "<th>in flushes");
	for (i = 0; i < p->nr_rows[which] && i < top; i++) {
		const struct cost_row *row = &p->rows[which][i];

		fputs("<tr><td>", out);
		text(out, row->name);
		if (which == BY_TASK)
			fprintf(out, "<td>%" PRIu64, row->unmaps);
		fprintf(out, "<td>%s", cost_number(row->iotlb, p->list_known, number, sizeof(number)));
		fprintf(out, "<td>%s", cost_number(row->atc, p->list_known, number, sizeof(number)));
		if (which != BY_IOMMU)
			fprintf(out, "<td>%s", cost_number(row->flushes,
							   cost_has_flushes(p, which),
							   number, sizeof(number)));
		fprintf(out, "<td>%s", cost_number(row->waits, cost_has_waits(p, which), number,
						   sizeof(number)));
		if (which != BY_IOMMU)
			fprintf(out, "<td>%s", cost_time(p, row->flush_ns, row->flushes, flush,
							 sizeof(flush)));
		fprintf(out, "<td>%s\n", cost_time(p, row->wait_ns, row->waits, wait,
						  sizeof(wait)));
	}
	fputs("</table></div>\n", out);
}

static void tiles(FILE *out, const struct profile *p)
{
	char value[64], note[64], buf[32];

	fputs("<div class=tiles>\n", out);
	snprintf(value, sizeof(value), "%" PRIu64, p->unmaps);
	snprintf(note, sizeof(note), "%s per second", cost_rate(p, p->unmaps, buf, sizeof(buf)));
	tile(out, "Unmaps", value, note);
	snprintf(value, sizeof(value), "%" PRIu64, profile_flushes(p));
	snprintf(note, sizeof(note), "%" PRIu64 " strict, %" PRIu64 " lazy unmaps", p->strict, p->lazy);
	tile(out, "Flushes", value, note);
	snprintf(value, sizeof(value), "%lu", p->recorded.iotlb + p->recorded.atc);
	snprintf(note, sizeof(note), "%lu IOTLB, %lu ATC", p->recorded.iotlb, p->recorded.atc);
	tile(out, "Commands", value, note);
	if (p->flush.nr) {
		snprintf(note, sizeof(note), "of one CPU's time; p99 %s",
			 cost_time(p, times_quantile(&p->flush, 0.99), true, buf, sizeof(buf)));
		tile(out, "Time in flushes", cost_share(p, p->flush.sum, value, sizeof(value)), note);
	}
	if (p->wait.nr) {
		snprintf(note, sizeof(note), "of one CPU's time; p99 %s",
			 cost_time(p, times_quantile(&p->wait, 0.99), true, buf, sizeof(buf)));
		tile(out, "Time in waits", cost_share(p, p->wait.sum, value, sizeof(value)), note);
	}
	fputs("</div>\n", out);
}

void cost_html(FILE *out, const char *path, const struct profile *p, unsigned int top)
{
	char title[1024], buf[32];
	int i;

	cost_title(p, title, sizeof(title));
	fputs("<!doctype html><html lang=en><meta charset=utf-8>"
	      "<meta name=viewport content='width=device-width,initial-scale=1'>"
	      "<meta name=color-scheme content='light dark'><title>", out);
	text(out, path);
	fprintf(out, " - what invalidations cost</title><style>\n%s</style>\n<h1>What invalidations cost</h1>\n<p>", style);
	text(out, path);
	fputs(": ", out);
	text(out, title);
	fputs("</p>\n", out);
	if (p->note[0]) {
		fputs("<p class=dim>", out);
		text(out, p->note);
		fputs("</p>\n", out);
	}
	if (!profile_has_times(p))
		fputs("<p class=dim>The log does not record when flushes and waits begin and end; logs of alist record do.</p>\n", out);
	if (p->clock != TRACE_SECONDS)
		fputs("<p class=dim>The log's clock counts in unknown units: no rates, and times are in its ticks.</p>\n", out);
	tiles(out, p);
	fputs("<div class=charts>\n", out);
	histogram(out, p, "Flush time", &p->flush);
	histogram(out, p, "Completion wait time", &p->wait);
	if (!profile_has_times(p))
		histogram(out, p, "Unmap to last command (a lower bound of the flush time)", &p->reach);
	histogram(out, p, "Lazy flush delay", &p->delay);
	over_time(out, p);
	beside(out, p);
	fputs("</div>\n<h2>Summary</h2><div class=scroll><table><tr><th><th>count<th>per second<th>time<th>of wall<th>p50<th>p99<th>max\n", out);
	count_row(out, p, "maps", p->maps);
	count_row(out, p, "unmaps", p->unmaps);
	if (p->flush.nr)
		times_row(out, p, "flushes", &p->flush);
	else
		count_row(out, p, "flushes", p->flushes);
	count_row(out, p, "IOTLB commands", p->recorded.iotlb);
	count_row(out, p, "ATC commands", p->recorded.atc);
	count_row(out, p, "config commands", p->recorded.config);
	count_row(out, p, "other commands", p->recorded.other);
	if (p->wait.nr)
		times_row(out, p, "completion waits", &p->wait);
	else
		count_row(out, p, cost_infers_waits(p) ? "completion waits (inferred)" :
			  "completion waits", p->recorded.sync);
	times_row(out, p, "unmap to last command", &p->reach);
	times_row(out, p, "lazy flush delay", &p->delay);
	fputs("</table></div>\n", out);
	if (p->wait.nr && !p->overlap_flushes)
		fputs("<p>Waiting for all IOMMUs in parallel would save nothing: no flush waited for more than one (computed).</p>\n", out);
	else if (p->wait.nr)
		fprintf(out, "<p>Waiting for all IOMMUs in parallel would save %s (computed: %" PRIu64 " flushes waited for several, one by one).</p>\n",
			cost_time(p, p->overlap_ns, true, buf, sizeof(buf)), p->overlap_flushes);
	if (p->unmaps) {
		fputs("<h2>Unmaps by size</h2><div class=scroll><table><tr><th>up to<th>count<th>share\n", out);
		for (i = 0; i < SIZES; i++)
			if (p->sizes[i])
				fprintf(out, "<tr><td>%s<td>%" PRIu64 "<td>%.1f %%\n",
					cost_bytes(ldexp(1, i), buf, sizeof(buf)),
					p->sizes[i], 100.0 * p->sizes[i] / p->unmaps);
		fputs("</table></div>\n", out);
	}
	for (i = 0; i < COST_TABLES; i++)
		table(out, p, i, top);
	fputs("</html>\n", out);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables and bench.json
 *
 * A cell's ratios are to cells of the same run that differ in the layout alone: to
 * the floor, where that means something, and to the best of the peers.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

static struct cell *cells;
static u32 nr_cells;

void report_add(const struct cell *cell)
{
	if (!(nr_cells & (nr_cells - 1))) {
		cells = realloc(cells, (nr_cells * 2 + 1) * sizeof(*cells));
		if (!cells) {
			fprintf(stderr, "bench: no memory for results\n");
			exit(1);
		}
	}
	cells[nr_cells++] = *cell;
}

static int cmp_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void report_samples(struct cell *cell, double *samples, u32 nr)
{
	qsort(samples, nr, sizeof(*samples), cmp_double);
	cell->value = samples[nr / 2];
	cell->spread = (samples[nr * 3 / 4] - samples[nr / 4]) / cell->value;
	report_add(cell);
}

void report_progress(u32 done, u32 total)
{
	static const char bar[] = "########################################";
	int width = (int)(sizeof(bar) - 1);

	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r" RCU_FLAVOUR " [%-*.*s] %u/%u%s", width,
		(int)((u64)width * done / total), bar, done, total,
		done == total ? "\n" : "");
}

/* Do both cells differ in nothing but the layout? */
static bool comparable(const struct cell *a, const struct cell *b)
{
	return !strcmp(a->op, b->op) && !strcmp(a->state, b->state) &&
	       !memcmp(&a->shape, &b->shape, sizeof(a->shape)) &&
	       a->threads == b->threads && a->unit == b->unit;
}

static double floor_ratio(const struct cell *cell)
{
	u32 i;

	for (i = 0; i < nr_cells; i++) {
		if (cells[i].layout == &layout_floor && comparable(cell, &cells[i]))
			return cell->value / cells[i].value;
	}
	return NAN;
}

static double best_peer_ratio(const struct cell *cell)
{
	double best = NAN;
	u32 i;

	for (i = 0; i < nr_cells; i++) {
		if (cells[i].layout->peer && cells[i].layout != cell->layout &&
		    comparable(cell, &cells[i]) && !(cells[i].value >= best))
			best = cells[i].value;
	}
	return cell->value / best;
}

static void print_shape(FILE *out, const struct cell *cell)
{
	char text[64];

	snprintf(text, sizeof(text), "%s %s %u,%u,%s%s%s", cell->op, cell->state,
		 cell->shape.n, cell->shape.g, atc_names[cell->shape.atc],
		 cell->shape.nest ? ",nests" : "",
		 cell->threads > 1 ? " 2 threads" : "");
	fprintf(out, "%-36s", text);
}

/* Layouts across, everything else down. */
void report_table(FILE *out)
{
	static const char *const units[] = { "ns", "bytes", "allocations" };
	const struct cell *cell = NULL;
	u32 i, j, k;

	fprintf(out, "RCU flavour " RCU_FLAVOUR "; op state N,G,ATC\n%-36s", "");
	for (j = 0; layouts[j]; j++)
		fprintf(out, " %10.10s", layouts[j]->name);
	fprintf(out, "  list/floor list/best peer\n");

	for (i = 0; i < nr_cells; i++) {
		for (k = 0; k < i && !comparable(&cells[k], &cells[i]); k++)
			;
		if (k < i)
			continue;
		print_shape(out, &cells[i]);
		for (j = 0; layouts[j]; j++) {
			cell = NULL;
			for (k = i; k < nr_cells; k++) {
				if (cells[k].layout == layouts[j] &&
				    comparable(&cells[k], &cells[i]))
					cell = &cells[k];
			}
			if (cell)
				fprintf(out, " %10.*f", cell->value < 100 ? 1 : 0,
					cell->value);
			else
				fprintf(out, " %10s", "");
		}
		if (cell)
			fprintf(out, " %8.2f %8.2f", floor_ratio(cell),
				best_peer_ratio(cell));
		fprintf(out, " %s\n", units[cells[i].unit]);
	}
}

static void json_number(FILE *out, const char *name, double value, int digits)
{
	if (isfinite(value))
		fprintf(out, ", \"%s\": %.*f", name, digits, value);
	else
		fprintf(out, ", \"%s\": null", name);
}

void report_json(FILE *out)
{
	const struct cell *cell;
	u32 i;

	fprintf(out, "[\n");
	for (i = 0; i < nr_cells; i++) {
		cell = &cells[i];
		fprintf(out, "{\"layout\": \"%s\", \"op\": \"%s\", \"state\": \"%s\", "
			"\"rcu\": \"" RCU_FLAVOUR "\", \"n\": %u, \"g\": %u, \"atc\": \"%s\", "
			"\"nest\": %s, \"threads\": %u",
			cell->layout->name, cell->op, cell->state, cell->shape.n,
			cell->shape.g, atc_names[cell->shape.atc],
			cell->shape.nest ? "true" : "false", cell->threads);
		json_number(out, "ns", cell->unit == UNIT_NS ? cell->value : NAN, 2);
		json_number(out, "bytes", cell->unit == UNIT_BYTES ? cell->value : NAN, 1);
		json_number(out, "allocations",
			    cell->unit == UNIT_ALLOCATIONS ? cell->value : NAN, 2);
		json_number(out, "spread", cell->spread, 3);
		json_number(out, "floor_ratio", floor_ratio(cell), 3);
		json_number(out, "best_peer_ratio", best_peer_ratio(cell), 3);
		fprintf(out, "}%s\n", i + 1 < nr_cells ? "," : "");
	}
	fprintf(out, "]\n");
}

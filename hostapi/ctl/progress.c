/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See progress.h. Drawing is bounded by time, so that it costs nothing beside the work. */
#include "ctl/progress.h"

#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/sock.h"
#include "ctl/format.h"

enum {
	BAR_CELLS = 20,
	DRAW_US = 100000,     /* between two drawings */
	GUESS_US = 200000,    /* before that no rate is known */
	SECONDS_MAX = 359999, /* 99:59:59 */
};

void progress_init(struct progress *p, int fd)
{
	*p = (struct progress){.fd = isatty(fd) ? fd : -1};
}

static int put_rest(struct buf *b, double seconds)
{
	unsigned s = seconds < SECONDS_MAX ? (unsigned)(seconds + 0.999) : SECONDS_MAX;

	if (s >= 3600)
		return buf_printf(b, "  %u:%02u:%02u left", s / 3600, s / 60 % 60, s % 60);
	return buf_printf(b, "  %u:%02u left", s / 60, s % 60);
}

int progress_line(struct buf *b, const char *stage, uint64_t done, uint64_t total,
		  uint64_t elapsed_us)
{
	double part = total ? (double)done / (double)total : 1;
	double rate = elapsed_us ? (double)done * 1e6 / (double)elapsed_us : 0;
	int n_cells, r;

	part = part > 1 ? 1 : part;
	n_cells = (int)(part * BAR_CELLS);
	r = buf_printf(b, "%-8s [%.*s%*s] %3d%%  ", stage, n_cells, "####################",
		       BAR_CELLS - n_cells, "", (int)(part * 100));
	if (r == 0)
		r = format_bytes(b, (double)done);
	if (r == 0)
		r = buf_puts(b, " of ") ?: format_bytes(b, (double)total);
	if (r < 0 || elapsed_us < GUESS_US || !done)
		return r;
	r = buf_puts(b, "  ") ?: format_bytes(b, rate);
	if (r == 0)
		r = buf_puts(b, "/s");
	if (r == 0 && done < total)
		r = put_rest(b, (double)(total - done) / rate);
	return r;
}

static size_t width_of(int fd)
{
	struct winsize size = {0};

	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* What does not fit is cut, since a line that wraps cannot be drawn over. */
static void draw(struct progress *p, const char *line, size_t n)
{
	size_t width = width_of(p->fd);

	if (n >= width)
		n = width - 1;
	p->is_drawn = dprintf(p->fd, "\r\033[K%.*s", (int)n, line) > 0;
}

void progress_show(struct progress *p, const char *stage, uint64_t done, uint64_t total)
{
	_cleanup_(buf_finish) struct buf line = {0};
	uint64_t now = p->fd < 0 ? 0 : now_us();

	if (p->fd < 0)
		return;
	if (stage != p->stage) {
		p->stage = stage;
		p->stage_us = now;
	} else if (done < total && now - p->drawn_us < DRAW_US) {
		return;
	}
	p->drawn_us = now;
	if (progress_line(&line, stage, done, total, now - p->stage_us) == 0)
		draw(p, line.data, line.len);
}

void progress_clear(struct progress *p)
{
	if (p->is_drawn)
		p->is_drawn = dprintf(p->fd, "\r\033[K") < 0;
}

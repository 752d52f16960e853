/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log
 *
 * An entry is put together on the stack, so that it can be written when there
 * is no memory, and written with one call, so that threads do not mix lines.
 * Invariant: what leaves here is one line of UTF-8 without control
 * characters, whatever text a guest or a file managed to get into it.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>

#include "base/log-journal.h"
#include "base/sock.h"
#include "base/text.h"

enum {
	TEXT_MAX = 2048, /* a message, before and after escaping */
	WINDOW_US = 10 * 1000 * 1000,
	WINDOW_ENTRIES = 5,
};

static struct {
	const char *ident;
	enum log_level max_level;
	bool is_journal;
	struct log_tail *tail; /* NULL: not kept */
} sink = {.ident = "devlxdfs", .max_level = LOG_LEVEL_INFO};

/* Never change one: people and monitoring search for them. */
static const char *const message_ids[_LOG_EVENT_N] = {
	[LOG_EVENT_STARTED] = "MESSAGE_ID=b0c3ea6ce735425e8704095ccaca242c",
	[LOG_EVENT_STOPPED] = "MESSAGE_ID=6a77939dd62549a39e36d00a01f4a877",
	[LOG_EVENT_WORKER_DIED] = "MESSAGE_ID=6203fbe21b914449ac1f56e6ec78ac01",
	[LOG_EVENT_RECORD_REJECTED] = "MESSAGE_ID=81ab7c027b2f47c6b834ec68bbcce187",
	[LOG_EVENT_RECORD_LOADED] = "MESSAGE_ID=ac3e076d789d494fa5d7fc9d1b627583",
	[LOG_EVENT_RECORD_GONE] = "MESSAGE_ID=7968bb19a41c420f8deb6fdf09ab16d5",
	[LOG_EVENT_IDENTITY_REFUSED] = "MESSAGE_ID=aa4948361991473889b2514a4484cef3",
	[LOG_EVENT_LIMIT_REACHED] = "MESSAGE_ID=2854f2ab200944e1960f5ef8a41292f7",
	[LOG_EVENT_STORE_TROUBLE] = "MESSAGE_ID=41d25967d4fa4332ac09fb56b4643cae",
};

static const struct {
	const char *name;
	enum log_level level;
} levels[] = {
	{"error", LOG_LEVEL_ERROR},
	{"warning", LOG_LEVEL_WARNING},
	{"info", LOG_LEVEL_INFO},
	{"debug", LOG_LEVEL_DEBUG},
};

void log_init(const char *ident, enum log_level max_level)
{
	sink.ident = ident;
	sink.max_level = max_level;
	sink.is_journal = log_journal_is_stderr();
}

void log_prefer_journal(void)
{
	sink.is_journal = log_journal_is_there();
}

void log_keep_tail(struct log_tail *tail)
{
	sink.tail = tail;
}

int log_level_parse(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (streq(text, levels[i].name))
			return (int)levels[i].level;
	}
	return -EINVAL;
}

static const char *level_name(enum log_level level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (levels[i].level == level)
			return levels[i].name;
	}
	return "error";
}

/* Appends @text to the @n bytes in @line (@size with the NUL), escaped; cuts where room ends. */
static size_t append(char *line, size_t size, size_t n, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		size_t len = text_utf8_length(text, left);
		unsigned char c = (unsigned char)*text;
		/* C1, the second half of the control characters, is U+0080 to U+009F. */
		bool is_c1 = len == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0;
		bool escape = len == 0 || c < 0x20 || c == 0x7f || is_c1;

		if (len == 0)
			len = 1;
		if (n + (escape ? 4 * len : len) >= size)
			break;
		if (escape) {
			for (size_t i = 0; i < len; i++)
				n += (size_t)snprintf(line + n, size - n, "\\x%02x",
						      (unsigned char)text[i]);
		} else {
			memcpy(line + n, text, len);
			n += len;
		}
		text += len;
		left -= len;
	}
	line[n] = '\0';
	return n;
}

static int send_to_journal(enum log_level level, enum log_event event, const char *instance,
			   const char *text)
{
	char message[TEXT_MAX], priority[16], ident[64], subject[128];
	struct iovec fields[5];
	int n = 0;

	append(message, sizeof(message), append(message, sizeof(message), 0, "MESSAGE="), text);
	snprintf(priority, sizeof(priority), "PRIORITY=%d", level);
	snprintf(ident, sizeof(ident), "SYSLOG_IDENTIFIER=%s", sink.ident);
	fields[n++] = (struct iovec){message, strlen(message)};
	fields[n++] = (struct iovec){priority, strlen(priority)};
	fields[n++] = (struct iovec){ident, strlen(ident)};
	if (message_ids[event])
		fields[n++] =
			(struct iovec){(char *)message_ids[event], strlen(message_ids[event])};
	if (instance) {
		append(subject, sizeof(subject),
		       append(subject, sizeof(subject), 0, "DEVLXDFS_INSTANCE="), instance);
		fields[n++] = (struct iovec){subject, strlen(subject)};
	}
	return log_journal_send(fields, n);
}

static void write_line(enum log_level level, const char *subject, const char *text)
{
	char line[TEXT_MAX];
	size_t n = 0;

	/* One byte less than there is: for the newline. */
	n = append(line, sizeof(line) - 1, n, level_name(level));
	n = append(line, sizeof(line) - 1, n, " ");
	n = append(line, sizeof(line) - 1, n, subject);
	n = append(line, sizeof(line) - 1, n, ": ");
	n = append(line, sizeof(line) - 1, n, text);
	line[n++] = '\n';
	/* A log that cannot be written has nowhere to complain. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

/* Threads do not wait for each other: each has a line of its own. */
static void keep(struct log_tail *tail, const char *text)
{
	uint32_t n = atomic_fetch_add(&tail->n, 1);

	append(tail->lines[n % LOG_TAIL_LINES], LOG_TAIL_BYTES, 0, text);
}

void log_tail_text(const struct log_tail *tail, unsigned n, char *text, size_t size)
{
	uint32_t end = tail->n, i = end > n ? end - n : 0;
	size_t used = 0;

	text[0] = '\0';
	if (end - i > LOG_TAIL_LINES)
		i = end - LOG_TAIL_LINES;
	for (; i != end; i++) {
		char line[LOG_TAIL_BYTES];

		memcpy(line, tail->lines[i % LOG_TAIL_LINES], sizeof(line));
		line[sizeof(line) - 1] = '\0';
		used = append(text, size, used, used ? ", \"" : "\"");
		used = append(text, size, used, line);
		used = append(text, size, used, "\"");
	}
}

static void _printf_(4, 0) log_args(enum log_level level, enum log_event event,
				    const char *instance, const char *format, va_list args)
{
	int saved = errno;
	char text[TEXT_MAX];

	if (level > sink.max_level)
		return;
	vsnprintf(text, sizeof(text), format, args);
	if (sink.tail)
		keep(sink.tail, text);
	if (!sink.is_journal || send_to_journal(level, event, instance, text) < 0)
		write_line(level, instance ? instance : sink.ident, text);
	errno = saved;
}

void log_full(enum log_level level, enum log_event event, const char *instance, const char *format,
	      ...)
{
	va_list args;

	va_start(args, format);
	log_args(level, event, instance, format, args);
	va_end(args);
}

bool log_limit_allows(struct log_limit *limit, uint32_t *ret_n_dropped)
{
	uint64_t now = now_us(), start = limit->window_start_us;
	uint32_t n_dropped = 0;

	if (now >= start + WINDOW_US &&
	    atomic_compare_exchange_strong(&limit->window_start_us, &start, now)) {
		limit->n_in_window = 0;
		n_dropped = atomic_exchange(&limit->n_dropped, 0);
	}
	if (atomic_fetch_add(&limit->n_in_window, 1) >= WINDOW_ENTRIES) {
		/* Others were faster in the new window: what was dropped is theirs to tell. */
		atomic_fetch_add(&limit->n_dropped, n_dropped + 1);
		*ret_n_dropped = 0;
		return false;
	}
	*ret_n_dropped = n_dropped;
	return true;
}

bool log_limited(struct log_limit *limit, enum log_event event, const char *instance,
		 const char *format, ...)
{
	uint32_t n_dropped;
	va_list args;

	if (!log_limit_allows(limit, &n_dropped))
		return false;
	if (n_dropped)
		log_warn("%u entries like the next were not written", n_dropped);
	va_start(args, format);
	log_args(LOG_LEVEL_WARNING, event, instance, format, args);
	va_end(args);
	return true;
}

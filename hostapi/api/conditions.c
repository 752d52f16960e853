/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See conditions.h. */
#include "api/conditions.h"

#include "api/httpdate.h"
#include "base/cleanup.h"
#include "base/text.h"

#define UNIT  "bytes="
#define BLANK " \t"

static void skip(const char **rest, const char *bytes)
{
	*rest += strspn(*rest, bytes);
}

static int number(const char **rest, uint64_t *ret)
{
	int r = text_next_u64(rest, INT64_MAX, ret);

	skip(rest, BLANK);
	return r;
}

/* "-N": the last N bytes. As parse_one(). */
static int parse_suffix(const char **rest, uint64_t size, struct conditions_range *ret)
{
	uint64_t n;

	if (number(rest, &n) < 0)
		return -EINVAL;
	if (n == 0)
		return 0;
	if (n > size)
		n = size;
	*ret = (struct conditions_range){size - n, n};
	return 1;
}

/* *rest moves on behind it. Returns 1, 0 when it is behind the end, or -EINVAL. */
static int parse_one(const char **rest, uint64_t size, struct conditions_range *ret)
{
	uint64_t first, last = INT64_MAX;

	if (**rest == '-') {
		++*rest;
		return parse_suffix(rest, size, ret);
	}
	if (number(rest, &first) < 0 || **rest != '-')
		return -EINVAL;
	++*rest;
	skip(rest, BLANK);
	if (**rest && **rest != ',' && number(rest, &last) < 0)
		return -EINVAL;
	if (first >= size)
		return 0;
	if (first > last)
		return -EINVAL;
	if (last >= size)
		last = size - 1;
	*ret = (struct conditions_range){first, last - first + 1};
	return 1;
}

static enum conditions_verdict judge_range(const char *text, uint64_t size,
					   struct conditions_range *ret)
{
	unsigned n_all = 0, n_good = 0;
	const char *rest = text;

	if (!text_has_prefix(text, UNIT))
		return CONDITIONS_UNSATISFIABLE;
	rest += strlen(UNIT);
	for (skip(&rest, BLANK ","); *rest; skip(&rest, BLANK ",")) {
		int r = parse_one(&rest, size, ret);

		if (r < 0 || (*rest && *rest != ','))
			return CONDITIONS_UNSATISFIABLE;
		n_all++;
		n_good += r > 0;
	}
	if (n_good == 1)
		return CONDITIONS_PART;
	return n_all > 0 && n_good == 0 ? CONDITIONS_UNSATISFIABLE : CONDITIONS_WHOLE;
}

static bool is_date(const char *text, int64_t *ret)
{
	return text && httpdate_parse(text, ret) == 0;
}

/* There is no entity tag, so none can be the right one. */
static bool is_failed(const struct request_conditions *c, int64_t mtime_s)
{
	int64_t date;

	if (c->match)
		return !streq(c->match, "*");
	return is_date(c->unmodified_since, &date) && mtime_s > date;
}

static bool is_not_modified(const struct request_conditions *c, int64_t mtime_s)
{
	int64_t date;

	if (c->none_match)
		return streq(c->none_match, "*");
	return is_date(c->modified_since, &date) && mtime_s <= date;
}

static bool is_range_wanted(const struct request_conditions *c, int64_t mtime_s)
{
	int64_t date;

	return c->range && *c->range &&
	       (!c->if_range || (is_date(c->if_range, &date) && date == mtime_s));
}

enum conditions_verdict conditions_judge(const struct request_conditions *c, uint64_t size,
					 int64_t mtime_s, struct conditions_range *ret)
{
	struct conditions_range range;
	enum conditions_verdict verdict = CONDITIONS_WHOLE;

	*ret = (struct conditions_range){0};
	if (is_failed(c, mtime_s))
		return CONDITIONS_FAILED;
	if (is_not_modified(c, mtime_s))
		return CONDITIONS_NOT_MODIFIED;
	if (is_range_wanted(c, mtime_s))
		verdict = judge_range(c->range, size, &range);
	if (verdict == CONDITIONS_WHOLE)
		*ret = (struct conditions_range){0, size};
	else if (verdict == CONDITIONS_PART)
		*ret = range;
	return verdict;
}

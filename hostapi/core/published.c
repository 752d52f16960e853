/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal of published states: writing
 *
 * Written with pwrite(2), so that no memory is an error and not a signal. What is read again is read whole.
 */
#include "core/published.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/published-private.h"
#include "core/record.h"
#include "core/snapshot.h"

#define MAGIC   UINT64_C(0x6c786a6f75726e6c) /* "lxjournl" */
#define VERSION 1
#define PAGE    4096
/* Bytes out of date that are not worth writing again what counts. */
#define SLACK (1024 * 1024)

/* Order for whoever finds the memory after us: the processor keeps it, the compiler shall. */
static void keep_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* Gives back the memory of what is before @to. */
static void give_back(const struct published *j, uint64_t from, uint64_t to)
{
	from = from / PAGE * PAGE;
	to = to / PAGE * PAGE;
	if (to > from)
		(void)fallocate(j->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				j->offset + PAGE + (off_t)from, (off_t)(to - from));
}

static void forget_profiles(struct published *j)
{
	struct published_profile *p, *next;

	HASH_ITER (hh, j->profiles, p, next) {
		HASH_DEL(j->profiles, p);
		free(p);
	}
}

void published_clear(struct published *j)
{
	uint64_t start = j->head->start;

	j->head->start = j->head->end;
	keep_order();
	j->head->tidy_size = 0;
	forget_profiles(j);
	give_back(j, start, j->head->end);
}

/* What it says must be there: whoever wrote it may have been somebody else's. */
static void check_head(struct published_head *h, uint64_t size)
{
	if (h->magic == MAGIC && h->version == VERSION && h->start <= h->end && h->end <= size)
		return;
	h->magic = 0;
	keep_order();
	h->start = h->end = h->tidy_size = 0;
	h->version = VERSION;
	keep_order();
	h->magic = MAGIC;
}

int published_new(int fd, size_t offset, struct published **ret)
{
	_cleanup_(published_freep) struct published *j = calloc(1, sizeof(*j));
	struct stat st;
	void *at;

	if (!j)
		return -ENOMEM;
	j->fd = fd;
	j->offset = (off_t)offset;
	if (fallocate(fd, 0, j->offset, PAGE) < 0 || fstat(fd, &st) < 0)
		return -errno;
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, j->offset);
	if (at == MAP_FAILED)
		return -errno;
	j->head = at;
	check_head(j->head, (uint64_t)(st.st_size - j->offset - PAGE));
	*ret = steal_ptr(&j);
	return 0;
}

struct published *published_free(struct published *j)
{
	if (!j)
		return NULL;
	forget_profiles(j);
	for (size_t i = 0; i < PUBLISHED_RECENT; i++)
		record_unref(j->recent[i].record);
	if (j->head)
		munmap(j->head, PAGE);
	free(j);
	return NULL;
}

int published_bytes(const struct published *j, char **ret, size_t *ret_n)
{
	size_t n = (size_t)(j->head->end - j->head->start), done = 0;
	_cleanup_(freep) char *bytes = malloc(n + 1);

	if (!bytes)
		return -ENOMEM;
	while (done < n) {
		ssize_t r = pread(j->fd, bytes + done, n - done,
				  j->offset + PAGE + (off_t)(j->head->start + done));

		if (r < 0)
			return -errno;
		if (r == 0)
			return -EINVAL;
		done += (size_t)r;
	}
	*ret = steal_ptr(&bytes);
	*ret_n = n;
	return 0;
}

int published_append(struct published *j, const struct buf *entries)
{
	off_t at = j->offset + PAGE + (off_t)j->head->end;
	size_t done = 0;

	while (done < entries->len) {
		ssize_t r =
			pwrite(j->fd, entries->data + done, entries->len - done, at + (off_t)done);

		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		done += (size_t)r;
	}
	keep_order();
	j->head->end += entries->len;
	return 0;
}

static struct published_profile *find_profile(struct published *j, struct pubstate_id id)
{
	struct published_profile *p;

	HASH_FIND(hh, j->profiles, &id, sizeof(id), p);
	return p;
}

void published_has(struct published *j, struct pubstate_id id)
{
	struct published_profile *p = find_profile(j, id) ? NULL : calloc(1, sizeof(*p));

	/* Without the note it is written once more than needed. */
	if (!p)
		return;
	p->id = id;
	HASH_ADD(hh, j->profiles, id, sizeof(p->id), p);
	if (!p->hh.tbl)
		free(p);
}

static int write_profile(struct published *j, struct pubstate_id id, const struct buf *content)
{
	_cleanup_(buf_finish) struct buf entry = {0};
	const struct pubstate_entry e = {.type = PUBSTATE_PROFILE,
					 .id = id,
					 .content = content->data,
					 .content_len = content->len};
	int r = pubstate_put(&entry, &e);

	if (r == 0)
		r = published_append(j, &entry);
	if (r == 0)
		published_has(j, id);
	return r;
}

/* Many instances have the same few profiles. */
static bool find_recent(const struct published *j, const struct record *profile,
			struct pubstate_id *ret)
{
	for (size_t i = 0; i < PUBLISHED_RECENT; i++)
		if (j->recent[i].record == profile) {
			*ret = j->recent[i].id;
			return true;
		}
	return false;
}

static void note_recent(struct published *j, struct record *profile, struct pubstate_id id)
{
	size_t i = j->next_recent++ % PUBLISHED_RECENT;

	record_unref(j->recent[i].record);
	j->recent[i].record = record_ref(profile);
	j->recent[i].id = id;
}

static int describe_profile(struct published *j, struct record *profile, bool writes,
			    struct pubstate_id *ret)
{
	_cleanup_(buf_finish) struct buf content = {0};
	bool is_known = find_recent(j, profile, ret);
	int r;

	if (is_known && (!writes || find_profile(j, *ret)))
		return 0;
	r = pubstate_put_content(&content, profile);
	if (r < 0)
		return r;
	*ret = pubstate_hash(content.data, content.len);
	if (writes && !find_profile(j, *ret))
		r = write_profile(j, *ret, &content);
	if (r == 0 && !is_known)
		note_recent(j, profile, *ret);
	return r;
}

int published_describe(struct published *j, struct snapshot *s, bool writes, struct buf *content,
		       struct buf *ids, struct pubstate_entry *e)
{
	struct pubstate_id id;
	int r = pubstate_put_content(content, snapshot_record(s));

	for (size_t i = 0; r == 0 && i < snapshot_n_profiles(s); i++) {
		r = describe_profile(j, snapshot_profile(s, i), writes, &id);
		if (r == 0)
			r = buf_append(ids, &id, sizeof(id));
	}
	if (r == 0) {
		id = pubstate_hash(content->data, content->len);
		r = buf_append(ids, &id, sizeof(id));
	}
	if (r < 0)
		return r;
	e->id = pubstate_hash(ids->data, ids->len);
	e->profiles = ids->data;
	e->n_profiles = snapshot_n_profiles(s);
	e->content = content->data;
	e->content_len = content->len;
	return 0;
}

int published_save(struct published *j, const char *name, struct snapshot *s,
		   const struct pubstate_step *step)
{
	_cleanup_(buf_finish) struct buf content = {0}, ids = {0}, entry = {0};
	struct pubstate_entry e = {.type = s ? PUBSTATE_STATE : PUBSTATE_GONE,
				   .step = *step,
				   .name = name,
				   .name_len = strlen(name)};
	int r = s ? published_describe(j, s, true, &content, &ids, &e) : 0;

	if (r == 0)
		r = pubstate_put(&entry, &e);
	return r < 0 ? r : published_append(j, &entry);
}

static void move_start(struct published *j, uint64_t to, size_t n)
{
	uint64_t from = j->head->start;

	j->head->start = to;
	keep_order();
	j->head->tidy_size = n;
	give_back(j, from, to);
}

int published_tidy(struct published *j)
{
	_cleanup_(published_view_freep) struct published_view *v = NULL;
	_cleanup_(buf_finish) struct buf entries = {0};
	uint64_t end = j->head->end;
	int r;

	if (end - j->head->start <= 2 * j->head->tidy_size + SLACK)
		return 0;
	r = published_view(j, &v);
	if (r < 0)
		return r;
	forget_profiles(j);
	r = published_view_put(v, &entries);
	/* Said twice it is the same, so it counts from here on whether the beginning is moved or not. */
	if (r == 0)
		r = published_append(j, &entries);
	if (r == 0)
		move_start(j, end, entries.len);
	return r;
}

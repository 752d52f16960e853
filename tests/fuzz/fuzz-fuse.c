/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests of any contents; only the sizes in them are right, as the kernel's are. Input, again and again: opcode
 * (250 and up: the instance shows something else), node, caller, length, as many bytes. */
#include "unit/asks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void change(struct world *w, uint8_t how)
{
	const char value[] = {'a' + how % 3, '\0'};

	if (how % 2)
		SET_IMAGES(&w->fake,
			   {"f", how % 3 ? "i" : NULL, "p", value, .is_hidden = how % 5 == 0});
	else
		SET_IMAGES(&w->fake, {0});
	w->backing = how % 7 ? -ELOOP : how;
	if (how == 255)
		fake_hide(&w->fake, "web1");
	else
		SHOW(&w->fake, "web1", KEY("a", value), DEVICE("d", "k", value), SOCKET, IMAGES);
	branches_changed(w->all, "web1");
}

static void ask(struct asks *a, const uint8_t *in, uint64_t *last)
{
	static struct {
		struct fuse_in_header head;
		union {
			struct fuse_write_in write;
			struct fuse_batch_forget_in forget;
			char bytes[1 << 16];
		};
	} m;
	uint64_t id = in[1] < 4 ? in[1] : in[1] < 99 ? *last : tree_id(1, in[1] - 99);

	if (in[0] == FUSE_INIT || in[0] == FUSE_DESTROY || in[0] == FUSE_INTERRUPT ||
	    in[0] == FUSE_NOTIFY_REPLY)
		return;
	memset(&m, 0, sizeof(m));
	memcpy(m.bytes, in + 4, in[3]);
	if (in[0] == FUSE_WRITE)
		m.write.size = in[3] > sizeof(m.write) ? in[3] - sizeof(m.write) : 0;
	if (in[0] == FUSE_BATCH_FORGET)
		m.forget.count = in[3] / sizeof(struct fuse_forget_one);
	m.head = (struct fuse_in_header){(uint32_t)sizeof(m.head) + in[3], in[0], ASKS_UNIQUE, id};
	m.head.pid = in[2] == 8 ? FAKE_STRANGER : in[2] == 9 ? ASKS_HELPER : in[2];
	if (asks_process(a, &m, m.head.len) && in[0] == FUSE_LOOKUP && a->head.error == 0)
		*last = asks_entry(a)->nodeid;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t last = 0; /* that was looked up */
	void *state;
	struct asks *a = asks_setup(&state) < 0 ? NULL : state;

	change(a->world, 0);
	for (; size >= 4 && data[3] <= size - 4; size -= 4 + data[3], data += 4 + data[3])
		if (data[0] >= 250)
			change(a->world, data[0]);
		else
			ask(a, data, &last);
	return asks_teardown(&state) == 0 ? 0 : 1;
}

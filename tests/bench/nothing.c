/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nothing [-t THREADS] [-n FILES] [-b BYTES] DIRECTORY: the yardstick of the file tree
 *
 * libfuse with its own loop and constant answers: a directory `config` of FILES files
 * `user.key0000` and so on of BYTES bytes, named as a guest's tree has them. The kernel may
 * keep whatever it can, so that only opens come here, and nobody asks who opens. What the
 * daemon adds to it (who is asking, what they may see) is the difference to this.
 */
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <getopt.h>

#include "base/cleanup.h"
#include "base/text.h"

enum {
	NODE_ROOT = FUSE_ROOT_ID,
	NODE_CONFIG,
	NODE_FILES, /* and the numbers from there */
};

static const double forever = 1e9;
static uint64_t n_threads = 1, n_files = 50, n_bytes = 100;
static char *content;

static struct fuse_entry_param entry_of(fuse_ino_t node)
{
	struct fuse_entry_param entry = {
		.ino = node, .attr_timeout = forever, .entry_timeout = forever};

	entry.attr.st_ino = node;
	entry.attr.st_mode = node >= NODE_FILES ? S_IFREG | 0444 : S_IFDIR | 0555;
	entry.attr.st_nlink = 1;
	entry.attr.st_size = node >= NODE_FILES ? (off_t)n_bytes : 0;
	return entry;
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = entry_of(NODE_CONFIG);
	uint64_t i = 0;

	if (parent == NODE_CONFIG && text_has_prefix(name, "user.key") &&
	    text_to_u64(name + strlen("user.key"), 0, n_files - 1, &i) == 0)
		entry = entry_of(NODE_FILES + i);
	else if (parent != NODE_ROOT || !streq(name, "config")) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fuse_reply_entry(req, &entry);
}

static void get_attributes(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct fuse_entry_param entry = entry_of(node);

	fuse_reply_attr(req, &entry.attr, forever);
}

static void open_any(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	fi->keep_cache = 1;
	fi->noflush = 1;
	fi->cache_readdir = node < NODE_FILES;
	fuse_reply_open(req, fi);
}

static void read_file(fuse_req_t req, fuse_ino_t node, size_t n, off_t offset,
		      struct fuse_file_info *fi)
{
	size_t left = (size_t)offset < n_bytes ? n_bytes - (size_t)offset : 0;

	fuse_reply_buf(req, content + n_bytes - left, n < left ? n : left);
}

static void list(fuse_req_t req, fuse_ino_t node, size_t max, off_t offset,
		 struct fuse_file_info *fi)
{
	uint64_t n_entries = node == NODE_CONFIG ? n_files : 1;
	_cleanup_(freep) char *entries = malloc(max);
	char name[32] = "config";
	size_t n = 0;

	if (!entries) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (uint64_t i = (uint64_t)offset, length; i < n_entries; i++, n += length) {
		struct fuse_entry_param entry =
			entry_of(node == NODE_CONFIG ? NODE_FILES + i : NODE_CONFIG);

		if (node == NODE_CONFIG)
			snprintf(name, sizeof(name), "user.key%04u", (unsigned)i);
		length = fuse_add_direntry_plus(req, entries + n, max - n, name, &entry,
						(off_t)i + 1);
		if (length > max - n)
			break;
	}
	fuse_reply_buf(req, entries, n);
}

static const struct fuse_lowlevel_ops ops = {
	.lookup = lookup,
	.getattr = get_attributes,
	.open = open_any,
	.read = read_file,
	.opendir = open_any,
	.readdirplus = list,
};

static int serve(struct fuse_session *session)
{
	struct fuse_loop_config *loop = fuse_loop_cfg_create();
	int r;

	fuse_loop_cfg_set_max_threads(loop, (unsigned)n_threads);
	r = n_threads > 1 ? fuse_session_loop_mt(session, loop) : fuse_session_loop(session);
	fuse_loop_cfg_destroy(loop);
	return r;
}

int main(int argc, char **argv)
{
	char *words[] = {argv[0], (char *)"-oallow_other,default_permissions,fsname=nothing"};
	struct fuse_args args = FUSE_ARGS_INIT(ARRAY_SIZE(words), words);
	struct fuse_session *session = NULL;
	int c, r = 0;

	while ((c = getopt(argc, argv, "t:n:b:")) != -1)
		r |= text_to_u64(optarg ? optarg : "", 1, c == 't' ? 64 : 1000000,
				 c == 't'   ? &n_threads
				 : c == 'n' ? &n_files
					    : &n_bytes);
	content = calloc(1, n_bytes);
	if (r == 0 && content && argc - optind == 1)
		session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!session || fuse_set_signal_handlers(session) < 0 ||
	    fuse_session_mount(session, argv[optind]) < 0) {
		fprintf(stderr, "usage: nothing [-t THREADS] [-n FILES] [-b BYTES] DIRECTORY\n");
		return 2;
	}
	puts("ready");
	fflush(stdout);
	r = serve(session);
	fuse_session_unmount(session);
	return r < 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Image export: who gets what, in which form; errors are in the main API's JSON. */
#include "asking.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "alloc.h"
#include "base/file.h"
#include "core/images.h"
#include "scratch.h"

#define TAIL      "123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OPEN      "0" TAIL /* public, one file */
#define CACHED    "1" TAIL /* cached, two files, of a virtual machine */
#define HIDDEN    "2" TAIL
#define PATH(fp)  "/1.0/images/" fp "/export"
#define NOT_FOUND ENVELOPE("404", "Not Found")
#define FORBIDDEN ENVELOPE("403", "Forbidden")
#define ENVELOPE(code, msg)                                                                        \
	"{\"type\":\"error\",\"status\":\"\",\"status_code\":0,\"operation\":\"\","                \
	"\"error_code\":" code ",\"error\":\"" msg "\",\"metadata\":null}\n\n"

struct part {
	const char *name, *suffix, *bytes;
};

static void put_part(int dir_fd, struct buf *text, const struct part *p)
{
	struct stat st;

	assert_int_equal(
		file_write(dir_fd, p->name, 0600, p->bytes, strlen(p->bytes), FILE_SYNC_NONE), 0);
	assert_int_equal(fstatat(dir_fd, p->name, &st, 0), 0);
	buf_printf(text, "{\"name\":\"%s\",\"suffix\":\"%s\",\"size\":%zu,\"mtime_ns\":%lld}",
		   p->name, p->suffix, strlen(p->bytes),
		   (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
}

static void put_image(void **state, const char *fingerprint, const char *members,
		      const struct part *parts, size_t n)
{
	_cleanup_(buf_finish) struct buf name = {0}, text = {0};
	_cleanup_(freep) char *dir = NULL;
	_cleanup_(closep) int fd = -1;

	buf_printf(&name, "images/%s", fingerprint);
	dir = scratch_path(state, name.data);
	assert_int_equal(file_mkdirs(dir, 0700), 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	buf_printf(&text, "{\"fingerprint\":\"%s\",%s,\"imported_ns\":1,\"aliases\":[],\"parts\":[",
		   fingerprint, members);
	for (size_t i = 0; i < n; i++) {
		buf_puts(&text, i ? "," : "");
		put_part(fd, &text, &parts[i]);
	}
	buf_puts(&text, "]}");
	assert_int_equal(file_write(fd, "image.json", 0600, text.data, text.len, FILE_SYNC_NONE),
			 0);
}

static int setup(void **state)
{
	static const struct part one[] = {{"image.tar.gz", ".tar.gz", "all of it"}};
	static const struct part two[] = {{"metadata.tar.xz", ".tar.xz", "metadata"},
					  {"rootfs.qcow2", ".qcow2", "root"}};
	_cleanup_(buf_finish) struct buf complaints = {0};

	if (scratch_setup(state) < 0)
		return -1;
	put_image(state, OPEN, "\"type\":\"container\",\"public\":true,\"cached\":false", one, 1);
	put_image(state, CACHED, "\"type\":\"virtual-machine\",\"public\":false,\"cached\":true",
		  two, 2);
	put_image(state, HIDDEN, "\"type\":\"container\",\"public\":false,\"cached\":false", one,
		  1);
	asking_images = images_new(*state);
	return asking_images ? images_load(asking_images, NULL, &complaints) : -1;
}

static int teardown(void **state)
{
	asking_images = images_free(asking_images);
	return scratch_teardown(state);
}

static struct snapshot *make_snapshot(const char *const *config)
{
	return records_snapshot(records_new("web1", config), NULL);
}

static void assert_export(const char *const *config, unsigned status, const char *expected)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s = make_snapshot(config);

	assert_answer(s, "GET", PATH("abc"), status, expected);
	assert_answer(s, "GET", PATH("abc") "?project=other", status, expected);
}

static void test_flags(void **state)
{
	assert_export(NO_PAIRS, 403, FORBIDDEN);
	assert_export(PAIRS("security.devlxd.images", "false"), 403, FORBIDDEN);
	assert_export(PAIRS("security.devlxd.images", "true"), 404, NOT_FOUND);
	assert_export(PAIRS("security.devlxd.images", "true", "security.devlxd", "no"), 403,
		      FORBIDDEN);
	assert_export(PAIRS("security.devlxd.images", "true", "security.devlxd.socket", "no"), 403,
		      FORBIDDEN);
}

static void test_record_gone(void **state)
{
	assert_answer(NULL, "GET", PATH("abc"), 403, FORBIDDEN);
	assert_answer(NULL, "POST", PATH("abc"), 501, "Not Implemented\n");
}

/* Whatever is not exactly an image that guests may have is not there. */
static void test_not_found(void **state)
{
	static const char *const paths[] = {
		PATH(HIDDEN),
		PATH("ffff" TAIL),
		PATH("0"),
		PATH("0123456789ab"),
		PATH(OPEN "0"),
		PATH("0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"),
		PATH("%2e%2e%2f" OPEN),
		PATH(OPEN "%2fimage.tar.gz"),
		PATH(OPEN "%0a"),
		PATH("..."),
		PATH(OPEN) "?project=other",
		PATH(OPEN) "?project=Default",
		PATH(OPEN) "?project=%zz",
		PATH(OPEN) "?project=other&project=default",
	};
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		make_snapshot(PAIRS("security.devlxd.images", "true"));

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_answer(s, "GET", paths[i], 404, NOT_FOUND);
}

static void ask(const char *method, const char *target, struct reply *ret)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		make_snapshot(PAIRS("security.devlxd.images", "true"));
	_cleanup_(instance_unrefp) struct instance *i = instance_new("web1");

	ask_as(i, s, method, target, "", ret);
}

static void assert_file(const struct reply_piece *p, const char *expected)
{
	char bytes[64] = "";

	assert_true(p->fd >= 0);
	assert_int_equal(p->n, strlen(expected));
	assert_int_equal(pread(p->fd, bytes, sizeof(bytes), (off_t)p->offset), strlen(expected));
	assert_string_equal(bytes, expected);
}

static const char *header(const struct reply *r, const char *name)
{
	for (size_t i = 0; i < r->n_headers; i++)
		if (streq(r->headers[i].name, name))
			return r->headers[i].value;
	return NULL;
}

static void test_unified(void **state)
{
	static const char *const targets[] = {
		PATH(OPEN), PATH(OPEN) "?project=", PATH(OPEN) "?project=default&secret=x",
		PATH("%30" TAIL)};

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		_cleanup_(reply_finish) struct reply r = {0};

		ask(i % 2 ? "HEAD" : "GET", targets[i], &r);
		assert_int_equal(r.outcome, OUTCOME_OK);
		assert_int_equal(r.body_len, 9);
		assert_int_equal(r.files.n_pieces, 1);
		assert_file(&r.files.pieces[0], "all of it");
		assert_string_equal(reply_content_type(&r), "application/octet-stream");
		assert_string_equal(header(&r, "Content-Disposition"),
				    "inline;filename=" OPEN ".tar.gz");
		assert_string_equal(header(&r, "Accept-Ranges"), "bytes");
		assert_non_null(header(&r, "Last-Modified"));
		assert_null(header(&r, "Content-Range"));
	}
}

/* Everything between the files, with the boundary that its type says. */
static void assert_form(const struct reply *r, const char *format)
{
	static const char type[] = "multipart/form-data; boundary=";
	_cleanup_(buf_finish) struct buf expected = {0}, text = {0};
	const char *b = reply_content_type(r) + strlen(type);

	assert_memory_equal(reply_content_type(r), type, strlen(type));
	assert_int_equal(strlen(b), 60);
	for (const char *p = format; *p; p++)
		assert_int_equal(*p == '@' ? buf_puts(&expected, b) : buf_putc(&expected, *p), 0);
	for (size_t i = 0; i < r->files.n_pieces; i += 2) {
		const struct reply_piece *p = &r->files.pieces[i];

		assert_int_equal(p->fd, -1);
		assert_int_equal(buf_append(&text, r->files.text + p->offset, p->n), 0);
	}
	assert_string_equal(text.data, expected.data);
	assert_int_equal(r->body_len, expected.len + strlen("metadata") + strlen("root"));
}

static void test_split(void **state)
{
	_cleanup_(reply_finish) struct reply r = {0}, again = {0};

	ask("GET", PATH(CACHED), &r);
	assert_int_equal(r.outcome, OUTCOME_OK);
	assert_int_equal(r.files.n_pieces, 5);
	assert_file(&r.files.pieces[1], "metadata");
	assert_file(&r.files.pieces[3], "root");
	assert_form(&r, "--@\r\nContent-Disposition: form-data; name=\"metadata\"; "
			"filename=\"meta-" CACHED ".tar.xz\"\r\n"
			"Content-Type: application/octet-stream\r\n\r\n"
			"\r\n--@\r\nContent-Disposition: form-data; name=\"rootfs.img\"; "
			"filename=\"" CACHED ".qcow2\"\r\n"
			"Content-Type: application/octet-stream\r\n\r\n"
			"\r\n--@--\r\n");
	ask("GET", PATH(CACHED), &again);
	assert_string_not_equal(reply_content_type(&r), reply_content_type(&again));
}

/* What the handler took is given back, whatever it cannot have more of. */
static void test_no_memory(void **state)
{
	_cleanup_(snapshot_unrefp) struct snapshot *s =
		make_snapshot(PAIRS("security.devlxd.images", "true"));
	_cleanup_(instance_unrefp) struct instance *i = instance_new("web1");
	static const char *const targets[] = {PATH(OPEN), PATH(CACHED)};

	for (size_t k = 0; k < ARRAY_SIZE(targets); k++) {
		unsigned n_failed = 0;

		/* The first is the target's own, in the test. */
		for (int n = 1;; n++) {
			_cleanup_(reply_finish) struct reply r = {0};
			_cleanup_(target_finish) struct target target = {0};

			assert_int_equal(target_parse(targets[k], strlen(targets[k]), &target), 0);
			struct api api = {.images = asking_images};
			struct request request = {.api = &api,
						  .method = METHOD_GET,
						  .target = &target,
						  .body = "",
						  .instance = i,
						  .snapshot = s};

			alloc_arm(n - 1);
			route_dispatch(guest_routes(), &request, "GET", &r);
			alloc_arm(-1);
			if (r.outcome == OUTCOME_OK)
				break;
			assert_int_equal(r.outcome, OUTCOME_INTERNAL);
			assert_int_equal(r.files.n_pieces, 0);
			n_failed++;
		}
		assert_true(k == 0 || n_failed > 0);
	}
}

/* The last one: it changes a file. */
static void test_changed_file(void **state)
{
	_cleanup_(freep) char *file = scratch_path(state, "images/" OPEN "/image.tar.gz");
	_cleanup_(reply_finish) struct reply r = {0}, gone = {0};

	assert_int_equal(truncate(file, 4), 0);
	ask("GET", PATH(OPEN), &r);
	assert_int_equal(r.outcome, OUTCOME_INTERNAL);
	assert_int_equal(r.error, -ESTALE);
	assert_non_null(
		strstr(r.trouble, "image " OPEN ": \"image.tar.gz\": its file is not what"));
	assert_string_equal(r.body, ENVELOPE("500", "Internal Server Error"));
	assert_int_equal(unlink(file), 0);
	ask("GET", PATH(OPEN), &gone);
	assert_int_equal(gone.outcome, OUTCOME_INTERNAL);
	assert_int_equal(gone.error, -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags),        cmocka_unit_test(test_record_gone),
		cmocka_unit_test(test_not_found),    cmocka_unit_test(test_unified),
		cmocka_unit_test(test_split),        cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_changed_file),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

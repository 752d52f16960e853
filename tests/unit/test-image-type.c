/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Types of files by their first bytes, and whether their ends are there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "images/image-type.h"
#include "images/image-whole.h"

static void test_magic(void **state)
{
	static const struct {
		const char *suffix, *bytes;
		size_t n;
	} files[] = {
		{".tar.gz", "\x1f\x8b", 2},
		{".tar.bz2", "BZh91AY", 7},
		{".tar.xz",
		 "\xfd"
		 "7zXZ\0\0",
		 7},
		{".tar.lzma", "\x5d\0\0\x80", 4},
		{".tar.zst", "\x28\xb5\x2f\xfd", 4},
		{".squashfs", "hsqs", 4},
		{".qcow2", "QFI\xfb", 4},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		const struct image_type *type = image_type_of(files[i].bytes, files[i].n);

		assert_non_null(type);
		assert_string_equal(type->suffix, files[i].suffix);
		/* No byte less will do, so nothing is read behind the end. */
		for (size_t n = 0; n < 2; n++)
			assert_null(image_type_of(files[i].bytes, n));
	}
}

static void test_tar_is_further_in(void **state)
{
	char head[IMAGE_TYPE_BYTES] = "metadata.yaml";

	assert_null(image_type_of(head, sizeof(head)));
	memcpy(head + 257, "ustar", 5);
	assert_string_equal(image_type_of(head, sizeof(head))->suffix, ".tar");
	assert_null(image_type_of(head, sizeof(head) - 1));
}

/* A file in memory that has these bytes and is @size long. */
static int file_of(const void *bytes, size_t n, size_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, 0), n);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* What is said of it; the caller frees it. NULL: it is whole. */
static char *complaint_of(const void *bytes, size_t n, size_t size)
{
	_cleanup_(closep) int fd = file_of(bytes, n, size);
	_cleanup_(buf_finish) struct buf error = {0};
	const struct image_type *type = image_type_of(bytes, n);
	int r;

	assert_non_null(type);
	r = image_whole_check(fd, type, size, NULL, &error);
	assert_int_equal(r, error.len ? -EINVAL : 0);
	return r < 0 ? buf_steal(&error, NULL) : NULL;
}

static void assert_complaint(const void *bytes, size_t n, size_t size, const char *words)
{
	_cleanup_(freep) char *text = complaint_of(bytes, n, size);

	if (words) {
		assert_non_null(text);
		assert_non_null(strstr(text, words));
	} else {
		assert_null(text);
	}
}

static void test_tar_ends_with_zeros(void **state)
{
	char tar[10240] = "metadata.yaml";

	memcpy(tar + 257, "ustar", 5);
	tar[2048] = 'x';
	assert_complaint(tar, sizeof(tar), sizeof(tar), NULL);
	assert_complaint(tar, sizeof(tar), sizeof(tar) - 1, "not complete");
	assert_complaint(tar, 2560, 2560, "not complete");
	assert_complaint(tar, 512, 512, "not complete");
}

static void test_squashfs_says_its_size(void **state)
{
	char head[96] = "hsqs";
	uint64_t size = htole64(4000);

	head[28] = 4;
	memcpy(head + 40, &size, sizeof(size));
	assert_complaint(head, sizeof(head), 4096, NULL);
	assert_complaint(head, sizeof(head), 4000, NULL);
	assert_complaint(head, sizeof(head), 3999, "not complete");
	assert_complaint(head, 40, 40, "not complete");
	head[28] = 3;
	assert_complaint(head, sizeof(head), 4096, "version 4");
}

static void put32(char *at, uint32_t n)
{
	n = htobe32(n);
	memcpy(at, &n, sizeof(n));
}

/* 1 GiB, clusters of 64 KiB: L1 table in the second cluster, refcounts in the third. */
static void make_qcow2(char head[104])
{
	memset(head, 0, 104);
	memcpy(head, "QFI\xfb", 4);
	put32(head + 4, 3);
	put32(head + 20, 16);
	put32(head + 24 + 4, 1 << 30);
	put32(head + 36, 2);
	put32(head + 40 + 4, 0x10000);
	put32(head + 48 + 4, 0x20000);
	put32(head + 56, 1);
}

static void test_qcow2(void **state)
{
	static char disk[0x30000];
	char head[104];

	make_qcow2(head);
	assert_complaint(head, sizeof(head), 0x30000, NULL);
	assert_complaint(head, sizeof(head), 0x2ffff, "not complete");
	assert_complaint(head, sizeof(head), 60, "not complete");
	put32(head + 8 + 4, 104);
	assert_complaint(head, sizeof(head), 0x30000, "needs another file");
	make_qcow2(head);
	put32(head + 72 + 4, 1 << 2);
	assert_complaint(head, sizeof(head), 0x30000, "needs another file");
	make_qcow2(head);
	put32(head + 4, 9);
	assert_complaint(head, sizeof(head), 0x30000, "version 2 or 3");
	make_qcow2(head);
	put32(head + 20, 63);
	assert_complaint(head, sizeof(head), 0x30000, "version 2 or 3");
	/* An L1 entry whose table is behind the end; one whose table is there, with data that are not. */
	make_qcow2(head);
	memset(disk, 0, sizeof(disk));
	memcpy(disk, head, sizeof(head));
	put32(disk + 0x10004, 0x40000);
	assert_complaint(disk, sizeof(disk), sizeof(disk), "not complete");
	put32(disk + 0x10004, 0x20000);
	put32(disk + 0x2000c, 0x30000);
	assert_complaint(disk, sizeof(disk), sizeof(disk), "not complete");
	put32(disk + 0x2000c, 0x10000);
	assert_complaint(disk, sizeof(disk), sizeof(disk), NULL);
	put32(disk + 0x20008, 1 << 30); /* compressed: at any byte */
	put32(disk + 0x2000c, 0x30001);
	assert_complaint(disk, sizeof(disk), sizeof(disk), "not complete");
	put32(disk + 0x2000c, 0x2ffff);
	assert_complaint(disk, sizeof(disk), sizeof(disk), NULL);
	/* Entries that name the same table again and again, to keep us busy. */
	put32(disk + 36, 1000);
	for (size_t i = 0; i < 1000; i++)
		put32(disk + 0x10004 + 8 * i, 0x20000);
	assert_complaint(disk, sizeof(disk), sizeof(disk), "more tables");
	/* Numbers that overflow when they are added. */
	make_qcow2(head);
	put32(head + 40, UINT32_MAX);
	put32(head + 40 + 4, UINT32_MAX - 7);
	assert_complaint(head, sizeof(head), 0x30000, "not complete");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_magic),
		cmocka_unit_test(test_tar_is_further_in),
		cmocka_unit_test(test_tar_ends_with_zeros),
		cmocka_unit_test(test_squashfs_says_its_size),
		cmocka_unit_test(test_qcow2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See input.h. A text is parsed twice, once as a tree to find its name and once as a record under
 * that name, so that the rules of the store stand in one place only.
 */
#include "ctl/input.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/text.h"
#include "core/settings.h"
#include "ctl/say.h"

enum {
	INPUT_LIMIT = 64 << 20
};

/* Where a text comes from and what that says about it. */
struct origin {
	enum record_kind kind;
	enum record_format format;
	const char *source;
	const char *stem;  /* the file's name without suffix; NULL: none */
	bool stem_is_name; /* in a directory of records the file's name is the name */
};

void input_finish(struct input *in)
{
	for (size_t i = 0; i < in->n; i++) {
		free(in->records[i].name);
		free(in->records[i].source);
		json_decref(in->records[i].json);
	}
	free(in->records);
	*in = (struct input){0};
}

int input_bytes(int fd, struct buf *ret)
{
	for (;;) {
		ssize_t n;
		int r = buf_reserve(ret, 64 << 10);

		if (r < 0)
			return r;
		n = read(fd, ret->data + ret->len, 64 << 10);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		ret->len += (size_t)n;
		ret->data[ret->len] = 0;
		if (ret->len > INPUT_LIMIT)
			return -EFBIG;
	}
}

static int complain(const struct parse_error *error, const char *source)
{
	_cleanup_(buf_finish) struct buf text = {0};

	if (parse_error_format(error, source, &text) < 0)
		return say_errno(source, -ENOMEM, "cannot read it");
	fprintf(stderr, "%s\n", text.data);
	return SAY_REFUSED;
}

static int append(struct input *in, const struct origin *o, const char *name, json_t *json)
{
	struct input_record *records = reallocarray(in->records, in->n + 1, sizeof(*records));
	struct input_record *record;

	if (!records)
		return say_errno(o->source, -ENOMEM, "cannot read it");
	in->records = records;
	record = &records[in->n];
	*record = (struct input_record){o->kind, strdup(name), strdup(o->source),
					json_deep_copy(json)};
	in->n++;
	if (!record->name || !record->source || json_object_del(record->json, "name") == -2)
		return say_errno(o->source, -ENOMEM, "cannot read it");
	return 0;
}

/* Checks the text as the record @name and adds its tree @json. */
static int add_checked(struct input *in, const struct origin *o, const char *name, json_t *json,
		       const char *text, size_t n)
{
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	_cleanup_(settings_finish) struct settings limits = {0};
	_cleanup_(record_unrefp) struct record *record = NULL;
	_cleanup_(buf_finish) struct buf warnings = {0};
	int r;

	settings_init(&limits);
	r = parse_record(o->kind, o->format, name, o->source, text, n, &limits, &record, &warnings,
			 &error);
	if (warnings.data)
		fputs(warnings.data, stderr);
	if (r == -EINVAL)
		return complain(&error, o->source);
	if (r < 0)
		return say_errno(o->source, r, "cannot read it");
	return append(in, o, name, json);
}

/* A tree whose text is not the record's own: part of a list, or given another name. */
static int add_tree(struct input *in, const struct origin *o, const char *name, json_t *json)
{
	_cleanup_(freep) char *text = NULL;
	struct origin dumped = *o;

	/* @name may be the very text of the member: that one is left alone. */
	if ((name == json_string_value(json_object_get(json, "name")) ||
	     json_object_set_new(json, "name", json_string(name)) == 0))
		text = json_dumps(json, JSON_COMPACT);
	if (!text)
		return say_errno(o->source, -ENOMEM, "cannot read it");
	dumped.format = RECORD_JSON;
	return add_checked(in, &dumped, name, json, text, strlen(text));
}

static const char *choose_name(const struct input *in, const struct origin *o, const json_t *json)
{
	const char *name = json_string_value(json_object_get(json, "name"));

	if (in->name)
		return in->name;
	if (!name || o->stem_is_name)
		name = o->stem;
	if (!name)
		say(SAY_REFUSED, o->source,
		    "the record has no name; give it a member \"name\", or import it with --name");
	else if (!text_is_name(name))
		say(SAY_REFUSED, o->source,
		    "a record's name is 1 to 63 of letters, digits, \"-\", \"_\" and \".\", not "
		    "beginning with \"-\" or \".\"");
	else
		return name;
	return NULL;
}

/* The instances of a list, as `lxc query /1.0/instances?recursion=1` prints. */
static int add_list(struct input *in, const struct origin *o, const json_t *list)
{
	int r = 0;
	size_t i;
	json_t *json;

	json_array_foreach (list, i, json) {
		const char *name = json_is_object(json) ? choose_name(in, o, json) : NULL;

		if (!json_is_object(json))
			return say(SAY_REFUSED, o->source,
				   "a list of something else than instances; ask lxc query with "
				   "?recursion=1");
		if (!name || add_tree(in, o, name, json) != 0)
			r = SAY_REFUSED;
	}
	return r;
}

static int add_text(struct input *in, const struct origin *o, const char *text, size_t n)
{
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	json_auto_t *json = NULL;
	json_t *metadata;
	const char *name, *own;
	int r = parse_document(o->format, text, n, &json, &error);

	if (r == -EINVAL)
		return complain(&error, o->source);
	if (r < 0)
		return say_errno(o->source, r, "cannot read it");
	metadata = json_object_get(json, "metadata");
	if (json_is_array(metadata))
		return add_list(in, o, metadata);
	name = choose_name(in, o, json_is_object(metadata) ? metadata : json);
	if (!name)
		return SAY_REFUSED;
	if (json_is_object(metadata))
		return add_tree(in, o, name, metadata);
	own = json_string_value(json_object_get(json, "name"));
	if (in->name && own && !streq(own, in->name))
		return add_tree(in, o, name, json);
	return add_checked(in, o, name, json, text, n);
}

static int add_json(struct input *in, const struct origin *o, const char *text, size_t n)
{
	json_auto_t *list = NULL;
	json_error_t error;

	if (text[strspn(text, " \t\r\n")] != '[')
		return add_text(in, o, text, n);
	list = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
	if (!list) {
		/* jansson's own words would quote the text. */
		fprintf(stderr, "%s:%d:%d: not valid JSON\n", o->source, error.line, error.column);
		return SAY_REFUSED;
	}
	return add_list(in, o, list);
}

/* Where the document that begins at @text ends: at the next line "---", else at its NUL. */
static const char *document_end(const char *text)
{
	for (const char *line = text;; line++) {
		if (text_has_prefix(line, "---") && (!line[3] || strchr(" \r\n", line[3])))
			return line;
		line += strcspn(line, "\n");
		if (!*line)
			return line;
	}
}

/* Lines before a document are kept as empty ones, so that complaints name the right line. */
static int add_yaml(struct input *in, const struct origin *o, const char *text)
{
	_cleanup_(buf_finish) struct buf document = {0};
	bool is_empty = true;
	int r = 0;

	/* Where records live a file is one record. */
	if (o->stem_is_name)
		return add_text(in, o, text, strlen(text));
	while (*text) {
		const char *end = document_end(text);
		size_t before = document.len, n = (size_t)(end - text);

		if (buf_append(&document, text, n) < 0)
			return say_errno(o->source, -ENOMEM, "cannot read it");
		if (strspn(text, " \r\n") < n) {
			is_empty = false;
			if (add_text(in, o, document.data, document.len) != 0)
				r = SAY_REFUSED;
		}
		for (char *p = document.data + before; *p; p++) {
			if (*p != '\n')
				*p = ' ';
		}
		text = end + (*end ? 3 : 0);
	}
	return is_empty ? add_text(in, o, "", 0) : r;
}

static int add_bytes(struct input *in, struct origin *o, const struct buf *bytes)
{
	const char *text = bytes->data ? bytes->data : "";
	char first = text[strspn(text, " \t\r\n")];
	const char *suffix = strrchr(o->source, '.');

	if (strlen(text) != bytes->len)
		return say(SAY_REFUSED, o->source, "not a text: it holds a zero byte");
	if (suffix && (streq(suffix, ".yaml") || streq(suffix, ".yml")))
		o->format = RECORD_YAML;
	else if ((suffix && streq(suffix, ".json")) || first == '{' || first == '[')
		o->format = RECORD_JSON;
	else
		o->format = RECORD_YAML;
	return o->format == RECORD_JSON ? add_json(in, o, text, bytes->len) : add_yaml(in, o, text);
}

int input_text(struct input *in, enum record_kind kind, enum record_format format,
	       const char *source, const char *text, size_t n)
{
	struct origin o = {.kind = kind, .format = format, .source = source};
	_cleanup_(parse_error_finish) struct parse_error error = {0};
	json_auto_t *json = NULL;
	int r = parse_document(format, text, n, &json, &error);

	if (r == -EINVAL)
		return complain(&error, source);
	if (r < 0)
		return say_errno(source, r, "cannot read it");
	return add_checked(in, &o, in->name, json, text, n);
}

/* The last directory of the file's real path decides what is in the file. */
static void judge_place(const char *path, struct origin *o)
{
	_cleanup_(freep) char *real = realpath(path, NULL);
	char *slash = real ? strrchr(real, '/') : NULL;
	const char *directory;

	if (!slash)
		return;
	*slash = 0;
	directory = strrchr(real, '/');
	if (directory && streq(directory, "/profiles"))
		o->kind = RECORD_PROFILE;
	o->stem_is_name =
		o->kind == RECORD_PROFILE || (directory && streq(directory, "/instances"));
}

static int read_file(struct input *in, const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(buf_finish) struct buf bytes = {0};
	_cleanup_(freep) char *stem = NULL;
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	struct origin o = {.kind = RECORD_INSTANCE, .source = path};
	int r = fd < 0 ? -errno : input_bytes(fd, &bytes);
	struct stat st;

	if (r < 0 || fstat(fd, &st) < 0)
		return say_errno(path, r < 0 ? r : -errno, "cannot read it");
	stem = strndup(base,
		       strrchr(base, '.') ? (size_t)(strrchr(base, '.') - base) : strlen(base));
	if (!stem)
		return say_errno(path, -ENOMEM, "cannot read it");
	/* A pipe has no name worth having. */
	if (S_ISREG(st.st_mode) && text_is_name(stem))
		o.stem = stem;
	judge_place(path, &o);
	return add_bytes(in, &o, &bytes);
}

static int is_record_file(const struct dirent *entry)
{
	const char *suffix = strrchr(entry->d_name, '.');

	return suffix && *entry->d_name != '.' &&
	       (streq(suffix, ".yaml") || streq(suffix, ".yml") || streq(suffix, ".json"));
}

static int read_directory(struct input *in, const char *path)
{
	struct dirent **entries = NULL;
	int n = scandir(path, &entries, is_record_file, alphasort), status = 0;

	if (n < 0)
		return say_errno(path, -errno, "cannot read it");
	for (int i = 0; i < n; i++) {
		_cleanup_(freep) char *file = NULL;

		if (asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0) {
			file = NULL;
			status = say_errno(path, -ENOMEM, "cannot read it");
		} else if (read_file(in, file) != 0) {
			status = SAY_REFUSED;
		}
		free(entries[i]);
	}
	free(entries);
	return status;
}

int input_read(struct input *in, const char *path)
{
	static const char *const parts[] = {".", "instances", "profiles"};
	_cleanup_(buf_finish) struct buf bytes = {0};
	struct origin o = {.kind = RECORD_INSTANCE, .source = "standard input"};
	struct stat st;
	int r, status = 0;

	if (streq(path, "-")) {
		r = input_bytes(STDIN_FILENO, &bytes);
		return r < 0 ? say_errno(o.source, r, "cannot read it") : add_bytes(in, &o, &bytes);
	}
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return read_file(in, path);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		_cleanup_(freep) char *part = NULL;

		if (asprintf(&part, "%s/%s", path, parts[i]) < 0) {
			part = NULL;
			return say_errno(path, -ENOMEM, "cannot read it");
		}
		if (access(part, F_OK) == 0 && read_directory(in, part) != 0)
			status = SAY_REFUSED;
	}
	return status;
}

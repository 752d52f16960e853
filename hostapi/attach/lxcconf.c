/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See lxcconf.h. */
#include "attach/lxcconf.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

#define BLANKS " \t\r"

enum {
	FILE_BYTES_MAX = 1 << 20,
	FILES_MAX = 256, /* all together: one that includes itself ends there */
	DEPTH_MAX = 16,
};

static void nic_finish(struct lxcconf_nic *nic)
{
	char *const members[] = {nic->type, nic->link, nic->name, nic->hwaddr,
				 nic->mtu,  nic->mode, nic->vlan};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		free(members[i]);
}

static void forget_nics(struct lxcconf *c)
{
	for (size_t i = 0; i < c->n_nics; i++)
		nic_finish(&c->nics[i]);
	memset(c->nics, 0, sizeof(c->nics));
	c->n_nics = 0;
}

void lxcconf_finish(struct lxcconf *c)
{
	forget_nics(c);
	free(steal_ptr(&c->hostname));
	c->is_of_lxd = false;
}

/* The NIC with that number, made if it is missing; NULL: too many. */
static struct lxcconf_nic *nic_at(struct lxcconf *c, unsigned number)
{
	size_t i = 0;

	while (i < c->n_nics && c->nics[i].number < number)
		i++;
	if (i < c->n_nics && c->nics[i].number == number)
		return &c->nics[i];
	if (c->n_nics == LXCCONF_NICS_MAX)
		return NULL;
	memmove(&c->nics[i + 1], &c->nics[i], (c->n_nics - i) * sizeof(c->nics[0]));
	c->nics[i] = (struct lxcconf_nic){.number = number};
	c->n_nics++;
	return &c->nics[i];
}

/* An empty value unsets. */
static int set(char **member, const char *value)
{
	char *copy = *value ? strdup(value) : NULL;

	if (*value && !copy)
		return -ENOMEM;
	free(*member);
	*member = copy;
	return 0;
}

/* "N.WORD" of lxc.net. */
static int set_nic(struct lxcconf *c, char *key, const char *value)
{
	char *word = strchr(key, '.');
	struct lxcconf_nic *nic;
	uint64_t number;

	if (!word)
		return 0;
	*word++ = '\0';
	if (text_to_u64(key, 0, UINT32_MAX, &number) < 0)
		return 0;
	nic = nic_at(c, (unsigned)number);
	if (!nic)
		return 0;
	const struct {
		const char *word;
		char **member;
	} members[] = {
		{"type", &nic->type},     {"link", &nic->link}, {"name", &nic->name},
		{"hwaddr", &nic->hwaddr}, {"mtu", &nic->mtu},   {"veth.mode", &nic->mode},
		{"vlan.id", &nic->vlan},
	};
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (streq(word, members[i].word))
			return set(members[i].member, value);
	}
	return 0;
}

/* What LXC takes off a value: blanks around it, and then quotes. */
static char *strip(char *text)
{
	size_t n;

	text += strspn(text, BLANKS);
	n = strlen(text);
	while (n > 0 && strchr(BLANKS, text[n - 1]))
		n--;
	text[n] = '\0';
	return text;
}

static char *unquote(char *text)
{
	size_t n = strlen(text);

	if (n < 2 || (text[0] != '"' && text[0] != '\'') || text[n - 1] != text[0])
		return text;
	text[n - 1] = '\0';
	return text + 1;
}

static int read_line(struct lxcconf *c, char *line,
		     int (*include)(struct lxcconf *c, const char *path, void *arg), void *arg)
{
	char *key = line + strspn(line, BLANKS), *value = strchr(key, '=');

	if (*key == '#' || !value)
		return 0;
	*value++ = '\0';
	key = strip(key);
	value = unquote(strip(value));
	if (streq(key, "lxc.uts.name"))
		return set(&c->hostname, value);
	if (streq(key, "lxc.include") && *value && include)
		return include(c, value, arg);
	if (streq(key, "lxc.net") && !*value)
		forget_nics(c);
	if (text_has_prefix(key, "lxc.hook.") && strstr(value, "/exe callhook "))
		c->is_of_lxd = true;
	if (text_has_prefix(key, "lxc.net."))
		return set_nic(c, key + strlen("lxc.net."), value);
	return 0;
}

int lxcconf_parse(struct lxcconf *c, const char *text, size_t n,
		  int (*include)(struct lxcconf *c, const char *path, void *arg), void *arg)
{
	_cleanup_(freep) char *copy = strndup(text, n);
	char *rest = copy, *line;
	int r = 0;

	if (!copy)
		return -ENOMEM;
	while (r >= 0 && (line = strsep(&rest, "\n")))
		r = read_line(c, line, include, arg);
	return r < 0 ? r : 0;
}

/* Where loading is. */
struct loading {
	unsigned n_files, depth;
};

static int include_path(struct lxcconf *c, const char *path, void *arg);

static int load_file(struct lxcconf *c, int dir_fd, const char *name, struct loading *l)
{
	_cleanup_(freep) char *text = NULL;
	size_t n;
	int r;

	if (l->n_files++ == FILES_MAX || l->depth == DEPTH_MAX)
		return -ELOOP;
	r = file_read(dir_fd, name, FILE_BYTES_MAX, &text, &n);
	if (r < 0)
		return r;
	l->depth++;
	r = lxcconf_parse(c, text, n, include_path, l);
	l->depth--;
	return r;
}

/* LXC has read them already, so one that cannot be read says nothing. */
static int load_included(struct lxcconf *c, int dir_fd, const char *name, struct loading *l)
{
	int r = load_file(c, dir_fd, name, l);

	return r == -ELOOP || r == -ENOMEM ? r : 0;
}

static int is_conf(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 5 && streq(e->d_name + n - 5, ".conf");
}

static int include_path(struct lxcconf *c, const char *path, void *arg)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **names = NULL;
	int n, r = 0;

	if (fd < 0)
		return load_included(c, AT_FDCWD, path, arg);
	n = scandirat(fd, ".", &names, is_conf, alphasort);
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = load_included(c, fd, names[i]->d_name, arg);
		free(names[i]);
	}
	free(names);
	return r;
}

int lxcconf_load(struct lxcconf *c, const char *path)
{
	struct loading l = {0};

	return load_file(c, AT_FDCWD, path, &l);
}

static int add(json_t *device, const char *key, const char *value)
{
	return value ? json_object_set_new(device, key, json_string(value)) : 0;
}

/* LXD's word for the kind of interface; NULL: LXD has none for it. */
static const char *nictype(const struct lxcconf_nic *nic)
{
	static const struct {
		const char *type, *nictype;
	} types[] = {
		{"macvlan", "macvlan"},
		{"ipvlan", "ipvlan"},
		{"phys", "physical"},
		{"vlan", "physical"},
	};

	if (!nic->type)
		return NULL;
	if (streq(nic->type, "veth"))
		return nic->mode && streq(nic->mode, "router") ? "routed"
		       : nic->link                             ? "bridged"
							       : "p2p";
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (streq(nic->type, types[i].type))
			return types[i].nictype;
	}
	return NULL;
}

static int add_nic(json_t *devices, const struct lxcconf_nic *nic)
{
	/* Of an address with an x LXC makes up the rest when it starts. */
	bool is_fixed = nic->hwaddr && !strpbrk(nic->hwaddr, "xX");
	bool is_vlan = nic->type && streq(nic->type, "vlan");
	const char *kind = nictype(nic);
	json_t *device;
	char name[16];

	if (!kind)
		return 0;
	snprintf(name, sizeof(name), "eth%u", nic->number);
	device = json_pack("{s:s, s:s}", "type", "nic", "nictype", kind);
	if (json_object_set_new(devices, name, device) < 0 ||
	    add(device, "parent", nic->link) < 0 ||
	    add(device, "hwaddr", is_fixed ? nic->hwaddr : NULL) < 0 ||
	    add(device, "name", nic->name) < 0 || add(device, "mtu", nic->mtu) < 0 ||
	    add(device, "vlan", is_vlan ? nic->vlan : NULL) < 0)
		return -ENOMEM;
	return 0;
}

json_t *lxcconf_record(const struct lxcconf *c, const char *name)
{
	json_auto_t *devices = json_object(), *record = NULL;
	_cleanup_(buf_finish) struct buf cgroup = {0};

	for (size_t i = 0; devices && i < c->n_nics; i++) {
		if (add_nic(devices, &c->nics[i]) < 0)
			return NULL;
	}
	if (!devices || buf_printf(&cgroup, "/lxc.payload.%s", name) < 0)
		return NULL;
	record = json_pack("{s:s, s:[s], s:O, s:{s:s}}", "type", "container", "profiles", "default",
			   "devices", devices, "match", "cgroup", cgroup.data);
	if (!record || add(record, "hostname", c->hostname) < 0)
		return NULL;
	return steal_ptr(&record);
}

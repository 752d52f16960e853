/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Config keys by name
 *
 * Below `user.` anything goes. LXD's other namespaces come with every imported
 * record: they do nothing here, and that is no news.
 */
#include "store/keys.h"

#include "base/text.h"

/* Known one by one; `cloud-init.` and `user.` may hold others too. */
static const char *const known[] = {
	"cloud-init.network-config",       "cloud-init.user-data",
	"cloud-init.vendor-data",          "security.devlxd",
	"security.devlxd.images",          "security.devlxd.socket",
	"volatile.cloud-init.instance-id",
};

static const char *const seen_by_guests[] = {"cloud-init.", "user."};

static const char *const lxd_namespaces[] = {
	"agent.",    "boot.",      "cluster.",   "environment.", "image.",      "limits.",
	"linux.",    "migration.", "nvidia.",    "oci.",         "placement.",  "raw.",
	"security.", "smbios11.",  "snapshots.", "systemd.",     "ubuntu_pro.", "volatile.",
};

static bool is_known(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (streq(key, known[i]))
			return true;
	return false;
}

bool keys_is_boolean(const char *key)
{
	return is_known(key) && text_has_prefix(key, "security.");
}

static bool is_in(const char *key, const char *const *prefixes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text_has_prefix(key, prefixes[i]) && key[strlen(prefixes[i])])
			return true;
	return false;
}

bool keys_matters(const char *key)
{
	size_t n = strlen(key);

	return is_known(key) || is_in(key, seen_by_guests, ARRAY_SIZE(seen_by_guests)) ||
	       (text_has_prefix(key, "volatile.") && n > 7 && streq(key + n - 7, ".hwaddr"));
}

bool keys_is_typo(const char *key, const char **ret_meant)
{
	*ret_meant = NULL;
	if (text_has_prefix(key, "user.") || text_has_prefix(key, "cloud-init.ssh-keys.") ||
	    is_known(key))
		return false;
	/* Near misses count where a known key lives, not between volatile.eth0.x and volatile.eth1.x. */
	if (!text_has_prefix(key, "volatile.") && !text_has_prefix(key, "limits."))
		*ret_meant = text_nearest(key, known, ARRAY_SIZE(known));
	if (*ret_meant && text_has_prefix(key, "security.") &&
	    !text_has_prefix(key, "security.devlxd"))
		*ret_meant = NULL; /* LXD has many short ones */
	return *ret_meant || !(is_in(key, lxd_namespaces, ARRAY_SIZE(lxd_namespaces)) ||
			       is_in(key, seen_by_guests, ARRAY_SIZE(seen_by_guests)));
}

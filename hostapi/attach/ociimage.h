#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a container's image speaks for it
 *
 * podman copies the annotations of an image's manifest into the configuration of each container of it, where they look like those that
 * the operator gave. So whoever makes the image could name the instance that its containers are. What is in the manifests is seen in
 * the store of containers/storage, beside the bundle.
 */
#include "base/buf.h"

enum {
	_OCIIMAGE_E_SUCCESS,
	OCIIMAGE_E_SPEAKS,  /* a manifest of its image has that annotation */
	OCIIMAGE_E_UNKNOWN, /* @why says why that cannot be seen */
};

/*
 * Looks for an annotation called @key. A bundle that is in no such store has no image that anybody copied from: its
 * configuration is its runtime's caller's. Returns 0, an OCIIMAGE_E_* code, or -ENOMEM.
 */
int ociimage_check(const char *bundle, const char *key, struct buf *why);

/*
 * Whether the manifest @text may have the annotation: somewhere in it a member is called so, or it is not what every parser reads in
 * the same way. Pure.
 */
bool ociimage_may_have(const char *text, size_t n, const char *key);

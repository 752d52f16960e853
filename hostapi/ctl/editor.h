#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operator's editor
 */
#include "base/buf.h"

/*
 * Lets $VISUAL, $EDITOR or vi edit the text in @b, in a temporary file that only its owner can read
 * and that is gone afterwards. Returns 0 or SAY_REFUSED, having said why; @b is untouched then.
 */
int editor_run(const char *subject, struct buf *b);

#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Explain: the steps of identity, one by one, in words for the operator
 */
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct identity;

/* As identity_explain(). */
json_t *explain_process(struct identity *id, pid_t pid);

/* As identity_features(); whether SO_PEERPIDFD works was tried by the one file that may. */
json_t *explain_features(struct identity *id, bool has_peerpidfd);

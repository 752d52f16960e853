#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Canary: a thread of the worker that does nothing but end when the process is killed
 *
 * The process itself may not end, while a guest holds another of its threads in the kernel, and then nothing else
 * tells the keeper. So it is there before the tree is.
 */
struct keeperlink;
struct shared;

/* Starts it, and tells the keeper that it is there; nothing is done without shared state (NULL). Both are borrowed for good. Returns 0 or -errno. */
int canary_start(struct shared *shared, const struct keeperlink *keeper);

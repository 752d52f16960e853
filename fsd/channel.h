#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between the keeper, its worker and its helper
 *
 * SOCK_SEQPACKET pairs; a message is of fixed size and may carry one descriptor. No byte of a guest is in it.
 */
#include <stdint.h>

enum channel_type {
	CHANNEL_STARTED, /* worker: its canary is there */
	CHANNEL_READY,   /* worker: guests are served */
	CHANNEL_BIND, /* worker: an instance wants a socket of its own; to the helper with the descriptor */
	CHANNEL_UNBIND, /* worker: it wants it no more */
	CHANNEL_BOUND, /* helper; to the worker with the descriptor, without one for the socket of all */
	CHANNEL_FAILED,  /* helper, and to the worker: could not be bound, see error */
	CHANNEL_CGROUP,  /* worker: who has this id; from the keeper with a descriptor, or error */
	CHANNEL_PING,    /* to the worker, now and then */
	CHANNEL_PONG,    /* worker: it is well */
	CHANNEL_UPGRADE, /* worker: the host wants an upgrade */
	CHANNEL_UPGRADES, /* to the worker: serial and count have been done and have failed, the last by error */
	CHANNEL_BACKING, /* worker: this descriptor is to be read by the kernel itself; from the keeper: as what, or error */
	CHANNEL_BACKING_CLOSE, /* worker: not any more */
	CHANNEL_GUESTS, /* worker: a guest has ended, or an instance is new: something may be to attach or to forget */
	_CHANNEL_N,
};

struct channel_message {
	uint32_t type;
	uint32_t
		serial; /* of the instance; 0: the socket of all; of CGROUP and BACKING: of the question */
	int32_t error; /* of FAILED, CGROUP and BACKING: a negative errno; of UPGRADES: an enum upgrade_failure */
	uint32_t count; /* of BACKING: the kernel's number for the descriptor */
	uint64_t id;    /* of CGROUP: the cgroup's; of BACKING and BACKING_CLOSE: the node's */
};

/* Sends it with @fd (lent; -1: none), without waiting. Returns 0, -EAGAIN when it is full, or -errno. */
int channel_send(int channel_fd, struct channel_message m, int fd);

/*
 * Takes the next one, without waiting; *ret_fd is the caller's, -1 without. Returns 0, -EAGAIN, -EPIPE when the other
 * end is closed, -EPROTO for what is none, or -errno.
 */
int channel_receive(int channel_fd, struct channel_message *ret, int *ret_fd);

/* As channel_receive(), waiting for one. */
int channel_wait(int channel_fd, struct channel_message *ret, int *ret_fd);

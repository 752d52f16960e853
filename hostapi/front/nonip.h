#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sparing libmicrohttpd its TCP options
 *
 * Version 0.9.75 (Debian 12) tries TCP_NODELAY and TCP_CORK after every reply
 * on a connection it was handed. It stops when told that the protocol has no such option
 * (ENOPROTOOPT), but unix sockets say EOPNOTSUPP; so it tries for ever, and
 * translates two messages for a log that is off: an eighth of the time of a
 * request. Programs that link this file answer for the kernel: there are no
 * IP sockets here. Later versions know unix sockets and do not ask.
 */
#include <stdbool.h>

/*
 * Whether setsockopt(2) is answered by us, as it must be in programs with this
 * file; false means replies are a little slower, nothing else.
 */
bool nonip_is_active(void);

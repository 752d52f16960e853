#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shell completions, generated from the command table
 */
#include "ctl/command.h"

/* The hidden command that prints them. */
struct command_group completion_group(void);

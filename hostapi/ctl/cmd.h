#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The groups of the command table, one per cmd-*.c, and the handlers they share
 *
 * Each handler gets one parsed command line, does the whole command, and returns an exit status
 * having said why.
 */
#include "ctl/command.h"

/* The rows of each file, static. */
struct command_group cmd_instance_group(void);
struct command_group cmd_list_group(void);
struct command_group cmd_config_group(void);
struct command_group cmd_device_group(void);
struct command_group cmd_profile_group(void);
struct command_group cmd_files_group(void);
struct command_group cmd_transfer_group(void);
struct command_group cmd_apply_group(void);
struct command_group cmd_attach_group(void);
struct command_group cmd_daemon_group(void);
struct command_group cmd_monitor_group(void);
struct command_group cmd_upgrade_group(void);
struct command_group cmd_wait_group(void);
struct command_group cmd_whois_group(void);
struct command_group cmd_check_group(void);
struct command_group cmd_hook_group(void);
struct command_group cmd_image_group(void);
struct command_group cmd_image_import_group(void);
struct command_group cmd_image_alias_group(void);

/* Handlers that instances and profiles share; the row's kind says which is meant. */
int cmd_config_get(const struct call *c);
int cmd_config_set(const struct call *c);
int cmd_config_unset(const struct call *c);
int cmd_config_show(const struct call *c);
int cmd_config_edit(const struct call *c);
int cmd_device_add(const struct call *c);
int cmd_device_remove(const struct call *c);
int cmd_device_set(const struct call *c);
int cmd_device_unset(const struct call *c);
int cmd_device_get(const struct call *c);
int cmd_device_list(const struct call *c);
int cmd_device_show(const struct call *c);
int cmd_instance_copy(const struct call *c);
int cmd_instance_rename(const struct call *c);
int cmd_instance_delete(const struct call *c);

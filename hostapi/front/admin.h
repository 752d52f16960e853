#pragma once
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The admin API: the host's own routes on admin.sock, root only
 *
 * Same HTTP code, own table; nothing here can be reached from a guest. Routes
 * (JSON replies; errors as plain text):
 *   GET    /1.0                              version, pid, uptime, features, directories
 *   GET    /1.0/events?type=A,B&values=1     events of all instances as they happen, a JSON object a line; values of keys and
 *                                            devices' configuration only if asked for; {"type": "lost"} where some were missed
 *   POST   /1.0/images/load                  reads the images anew: {"changed": BOOL, "stalled": [NAME, ...]}
 *   GET    /1.0/instances                    array, one summary object each
 *   GET    /1.0/instances/{name}             the summary of one
 *   POST   /1.0/instances/{name}/load        load the record now: {"changes": [...], "stalled": [NAME, ...]}; the latter
 *                                            are instances whose guests hold up what is to be told of their tree
 *   POST   /1.0/profiles/{name}/load         the same for a profile
 *   POST   /1.0/instances/{name}/bind        body {"pid": N, "cgroup": PATH (that its cgroup is, or is in; without: its cgroup)}
 *   DELETE /1.0/instances/{name}/bind
 *   GET    /1.0/whois/{pid}                  identity_explain()
 *   GET    /1.0/rejected                     records not in force
 *   GET    /1.0/status                       counters as JSON
 *   GET    /1.0/metrics                      the same as OpenMetrics text
 *   POST   /1.0/upgrade                      has the keeper begin an upgrade to the program on disk; what becomes of it
 *                                            is seen in the status's "upgrades", of this worker or of the next
 * A summary: {name, type, source, state: Running|Stopped|Unknown|Conflict, ready, profiles: [...], keys: N, devices: N,
 *  match: {cgroup, mount}, binding: {cgroup, cgroup_id}|null (none whose cgroup exists), root: {uid, gid}|null, hostname, instance_id,
 *  conflict: [{instance, kind: match|binding, path}], connections, event_listeners, requests, refused, forbidden,
 *  not_root, tree: {in_use, requests, unnamed: N}|null}
 * tree.in_use: the guest has asked there since the worker started, and its kernel remembers the directory.
 * Unknown: its record says match.mount, and no cgroup that is bound to it tells that it runs. ready is then
 * what its guest said last, which outlives that guest.
 */
#include "api/route.h"

/* Constant, sorted as route.h asks. */
const struct route_table *admin_routes(void);

/* SPDX-License-Identifier: ISC */
/* May this shared object be loaded? Asked when a configuration is read, and again by the keeper
 * just before it starts a worker. */
#ifndef RENEWD_CONF_PLUGIN_PATH_H
#define RENEWD_CONF_PLUGIN_PATH_H

#include "base/err.h"

#include <sys/types.h>

/*
 * path is absolute. The file, after links are followed, is a regular one, and it and its folder
 * (and the folder of the link) belong to root or uid and can be written by no one else. Returns 0,
 * or -1 and *e (class ERR_CONFIG) with what to type.
 */
int conf_plugin_check(const char *path, uid_t uid, struct err *e);

#endif

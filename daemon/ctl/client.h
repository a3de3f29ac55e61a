/* SPDX-License-Identifier: ISC */
/* The blocking side of the daemon's sockets: a request line out, reply lines in. */
#ifndef RENEWD_CTL_CLIENT_H
#define RENEWD_CTL_CLIENT_H

#include "ctl/ctl.h"

/* Sends the request to the socket and calls event() for each line but the last, tick() about once a
 * second while nothing comes (both may be NULL). The last line is *ret_reply (the caller frees),
 * also when it says that the request failed. Returns 0, or an exit code with the message printed.
 */
struct client_handler {
    void (*event)(void *arg, const struct json *line);
    void (*tick)(void *arg);
    void *arg;
};
int client_ask(const char *socket, const struct json *request, const struct client_handler *h,
               struct json **ret_reply);

/* As client_ask for verbs with one reply: prints it with --json, else its error; *ret_reply is NULL
 * when there is nothing left to show. Returns the exit code of the reply. */
int client_simple(struct ctl *ctl, const struct json *request, struct json **ret_reply);
/* admin.sock beside control.sock. The caller frees. */
char *client_admin_socket(const struct ctl *ctl);

#endif

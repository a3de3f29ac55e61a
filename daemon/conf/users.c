/* SPDX-License-Identifier: ISC */
/* Which users and groups there are, and whom the daemon's processes become. */
#include "conf/reader.h"

#include "base/str.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char known[] = "known", unknown[] = "unknown";

static bool is_number(const char *name)
{
    int64_t n;

    return str_to_i64(name, 0, UINT32_MAX - 1, &n);
}

static int find(struct reader *r, char kind, const char *name)
{
    const char *key;
    const char *seen;
    bool found;

    if (is_number(name) || r->text)
        return 0;
    key = arena_printf(r->trees, "%c:%s", kind, name);
    seen = map_get(r->users, key);
    if (seen)
        return seen == known ? 0 : -1;
    found = kind == 'u' ? getpwnam(name) != NULL : getgrnam(name) != NULL;
    union {
        const char *in;
        void *out;
    } u = {.in = found ? known : unknown};
    map_put(r->users, key, u.out);
    return found ? 0 : -1;
}

int user_find(struct reader *r, const char *name)
{
    return find(r, 'u', name);
}

int group_find(struct reader *r, const char *name)
{
    return find(r, 'g', name);
}

static char *daemon_user(struct reader *r, const char *key, char *name, bool *ret_set)
{
    const struct node *v = r->sources[0]->root ? node_get(r->sources[0]->root, key) : NULL;

    *ret_set = v && !node_is_null(v);
    if (geteuid() != 0 || !user_find(r, name))
        return name;
    if (*ret_set) {
        READ_ERROR(r, v, "%s: there is no user %s: create it (useradd --system %s) or name another",
                   key, name, name);
        return name;
    }
    diag_warn(&r->diag, (struct conf_where){r->sources[0]->file, 1, 1},
              "%s: there is no user %s, nobody is used instead: create it (useradd --system %s) or "
              "write %s",
              key, name, name, key);
    return arena_strdup(r->arena, "nobody");
}

void users_finish(struct reader *r)
{
    struct source *top = r->sources[0];
    struct conf *c = r->conf;
    const struct node *v = top->root ? node_get(top->root, "control_group") : NULL;

    c->user = daemon_user(r, "user", top->user, &c->user_set);
    c->worker_user = daemon_user(r, "worker_user", top->worker_user, &c->worker_user_set);
    if (v && top->control_group[0] && group_find(r, top->control_group)) {
        if (geteuid() == 0)
            READ_ERROR(r, v,
                       "control_group: there is no group %s: create it (groupadd --system %s) "
                       "or name another",
                       top->control_group, top->control_group);
        else
            READ_WARN(r, v, "control_group: there is no group %s", top->control_group);
    }
}

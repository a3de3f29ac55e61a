/* SPDX-License-Identifier: ISC */
/* SECRET: TEXT, {file: PATH}, {env: NAME}, {credential: NAME}, {command: ARGV}. */
#include "conf/value.h"

#include "base/file.h"
#include "base/str.h"
#include "conf/build.h"
#include "conf/command.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SECRET_MAX (64u << 10)
#define COMMAND_MS 10000

extern char **environ;

static const char *variable(const char *name)
{
    size_t n = strlen(name);

    for (char **p = environ; p && *p; p++)
        if (!strncmp(*p, name, n) && (*p)[n] == '=')
            return *p + n + 1;
    return NULL;
}

/* One trailing newline goes; nothing left is an error. */
static int take(struct reader *r, const char *key, const struct node *v, const char *p, size_t n,
                struct conf_secret *s)
{
    if (r->text) /* nothing was fetched */
        return 0;
    if (n && p[n - 1] == '\n')
        n--;
    if (!n)
        return READ_ERROR(r, v, "%s: the secret is empty", key);
    if (memchr(p, '\0', n))
        return READ_ERROR(r, v, "%s: the secret has a NUL byte in it", key);
    s->value = conf_own_secret(r->conf, secret_new(p, n));
    return 0;
}

static int check_private(struct reader *r, const char *key, const struct node *v, const char *path,
                         const struct stat *st)
{
    bool group = (st->st_mode & 070) && st->st_gid != 0 && st->st_gid != getegid();

    if (!group && !(st->st_mode & 07))
        return 0;
    return READ_ERROR(r, v, "%s: %s can be read by others (mode %04o): chmod 600 %s", key, path,
                      (unsigned)(st->st_mode & 07777), path);
}

static int read_secret_file(struct reader *r, const char *key, const struct node *v,
                            const char *path, bool check, struct conf_secret *s)
{
    CLEANUP_BUF struct buf b = {0};
    struct err e = ERR_INIT;
    struct stat st;

    if (r->text)
        return 0;
    buf_init_secret(&b, SECRET_MAX);
    if (file_read_at(AT_FDCWD, path, true, &b, &st, &e))
        return READ_ERROR(r, v, "%s: %s", key, e.detail);
    if (check && check_private(r, key, v, path, &st))
        return -1;
    return take(r, key, v, buf_str(&b), b.len, s);
}

static int from_file(struct reader *r, const char *key, const struct node *v, struct conf_secret *s)
{
    const char *text = value_text(r, key, v);

    if (!text)
        return -1;
    s->kind = CONF_SECRET_FILE;
    s->source = value_path(r, v, text);
    return read_secret_file(r, key, v, s->source, true, s);
}

static int from_env(struct reader *r, const char *key, const struct node *v, struct conf_secret *s)
{
    const char *name = value_text(r, key, v), *value;

    if (!name)
        return -1;
    s->kind = CONF_SECRET_ENV;
    s->source = arena_strdup(r->arena, name);
    value = variable(name);
    if (!value && !r->text)
        return READ_ERROR(r, v,
                          "%s: there is no variable %s in the environment of renewd (a systemd "
                          "service inherits none: Environment= or EnvironmentFile=)",
                          key, name);
    return take(r, key, v, value, value ? strlen(value) : 0, s);
}

static int from_credential(struct reader *r, const char *key, const struct node *v,
                           struct conf_secret *s)
{
    const char *name = value_text(r, key, v), *dir = variable("CREDENTIALS_DIRECTORY");

    if (!name)
        return -1;
    if (strchr(name, '/') || name[0] == '.')
        return READ_ERROR(r, v, "%s: %s is no name of a credential", key, name);
    s->kind = CONF_SECRET_CREDENTIAL;
    s->source = arena_strdup(r->arena, name);
    if (!dir && !r->text)
        return READ_ERROR(r, v,
                          "%s: systemd handed over no credentials: add LoadCredential=%s:PATH "
                          "to the service",
                          key, name);
    return read_secret_file(r, key, v, arena_printf(r->trees, "%s/%s", dir ? dir : "", name), false,
                            s);
}

static int from_command(struct reader *r, const char *key, const struct node *v,
                        struct conf_secret *s)
{
    CLEANUP_BUF struct buf out = {0};
    struct err e = ERR_INIT;
    char **argv;

    buf_init_secret(&out, SECRET_MAX);
    s->kind = CONF_SECRET_COMMAND;
    if (value_argv(r, key, v, &s->argv))
        return -1;
    argv = arena_alloc(r->trees, s->argv.n + 1, sizeof *argv);
    memcpy(argv, s->argv.v, s->argv.n * sizeof *argv);
    if (!r->text && command_run(argv, COMMAND_MS, &out, &e))
        return READ_ERROR(r, v, "%s: the command %s failed: %s", key, argv[0], e.detail);
    return take(r, key, v, buf_str(&out), out.len, s);
}

static int from_text(struct reader *r, const char *key, const struct node *v, struct conf_secret *s)
{
    if (!r->src->private)
        READ_WARN(r, v,
                  "%s: a secret in a file that others can read: chmod 600 %s, or write {file: "
                  "PATH}",
                  key, r->src->file);
    s->kind = CONF_SECRET_TEXT;
    s->source = arena_strdup(r->arena, "***");
    return take(r, key, v, v->text, v->n, s);
}

static const struct {
    const char *name;
    int (*read)(struct reader *r, const char *key, const struct node *v, struct conf_secret *s);
} sources[] = {
    {"file", from_file},
    {"env", from_env},
    {"credential", from_credential},
    {"command", from_command},
};

int secret_read(struct reader *r, const char *key, const struct node *v, struct conf_secret *ret)
{
    struct conf_secret s = {.source = arena_strdup(r->arena, "")};
    const struct pair *p = v->pairs;

    if (v->kind == NODE_LIST || (v->kind == NODE_MAP && v->n != 1))
        return READ_ERROR(r, v,
                          "%s: write the secret, or one of {file: PATH}, {env: NAME}, "
                          "{credential: NAME}, {command: [PROGRAM, ...]}",
                          key);
    if (v->kind == NODE_TEXT) {
        if (from_text(r, key, v, &s))
            return -1;
        *ret = s;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        if (!strcmp(sources[i].name, p->key->text)) {
            if (sources[i].read(r, key, p->value, &s))
                return -1;
            *ret = s;
            return 0;
        }
    return READ_ERROR(r, p->key, "%s: %s: a secret comes from %s", key, p->key->text,
                      choice_hint(r, "file|env|credential|command", p->key->text));
}

static int read_secret(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    return secret_read(r, o->name, v, dst);
}

const struct opt_type type_secret = {"{\"$ref\":\"#/$defs/secret\"}", read_secret};

/* SPDX-License-Identifier: ISC */
/*
 * admin.sock: issue. The certificate goes into the configuration as a file of its own, which from
 * then on is as good as any other; the order begins by itself, as of any new entry.
 *
 *   path -> file without account -> read on trial -> which CA, does it need an account's entry?
 *        -> file -> reload -> answer          what fails on the way removes the file
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/check.h"
#include "keeper/issue_file.h"
#include "keeper/verbs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_TEXT_MAX (128u << 10)

struct job {
    const struct verbs_env *env;
    struct admin_call *call;
    char *name, *path;
    int dir; /* of the file */
};

static const char *base_name(const struct job *j)
{
    return strrchr(j->path, '/') + 1;
}

static void job_end(struct job *j, int exit, const char *error)
{
    admin_end(j->call, exit, error);
    if (j->dir >= 0)
        close(j->dir);
    free(j->name);
    free(j->path);
    free(j);
}

static void take_back(struct job *j, int exit, const char *error)
{
    unlinkat(j->dir, base_name(j), 0);
    file_fsync_dir(j->dir, NULL);
    job_end(j, exit, error);
}

static int write_text(struct job *j, const struct buf *text, struct err *e)
{
    static const struct file_attr attr = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
    return file_replace_at(j->dir, base_name(j), text->data, text->len, &attr, e);
}

static int open_folder(struct job *j, struct err *e)
{
    CLEANUP_FREE char *dir = xstrndup(j->path, (size_t)(base_name(j) - 1 - j->path));
    j->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return j->dir < 0 ? err_set(e, ERR_CONFIG, "cannot open the folder %s", dir) : 0;
}

/* ---- the account ---- */

struct account_part {
    const char *ca; /* NULL: nothing is to be written */
    const char *email;
    bool agree_tos;
};

/* What was said of the account must be what holds; an entry that is written elsewhere is not
 * touched. */
static int choose_account(const struct conf *c, const char *name, const struct json *request,
                          struct account_part *ret, struct err *e)
{
    const struct conf_cert *cert = conf_find_cert(c, name);
    const struct conf_ca *ca = cert ? conf_find_ca(c, cert->cas.v[0]) : NULL;
    const char *mail = json_text(request, "mail");
    bool agree = json_bool(request, "agree_tos", false);
    if (!ca)
        return err_set(e, ERR_CONFIG, "the certificate would be called otherwise: give a --name");
    bool needs_mail = mail && !str_eq(mail, ca->email), needs_agree = agree && !ca->agree_tos;
    *ret = (struct account_part){NULL, NULL, false};
    if (!needs_mail && !needs_agree)
        return 0;
    if (ca->where.line)
        return err_set(e, ERR_CONFIG,
                       "CA %s is written at %s:%u, which is not changed here: write %s%s%s%s there",
                       ca->name, ca->where.file, ca->where.line, needs_mail ? "email: " : "",
                       needs_mail ? mail : "", needs_mail && needs_agree ? " and " : "",
                       needs_agree ? "agree_tos: true" : "");
    *ret = (struct account_part){ca->name,
                                 mail           ? mail
                                 : ca->email[0] ? ca->email
                                                : NULL,
                                 agree || ca->agree_tos};
    return 0;
}

/* Copies, since the snapshot goes. */
static int try_file(struct job *j, const struct json *request, struct buf *out, struct err *e)
{
    struct conf_messages m = {0};
    struct account_part part;
    struct conf *c = j->env->load(j->env->arg, &m);
    int rc = -1;
    for (size_t i = 0; i < m.n && !c; i++) {
        CLEANUP_FREE char *line = check_message(&m.v[i]);
        admin_line(j->call, "%s", line);
    }
    conf_messages_free(&m);
    if (!c)
        err_set(e, ERR_CONFIG, "nothing was changed: the configuration would have errors");
    else
        rc = choose_account(c, j->name, request, &part, e);
    if (rc == 0)
        issue_file_text(request, part.ca, part.email, part.agree_tos, loop_wall_ms(j->env->loop),
                        out);
    conf_unref(c);
    return rc;
}

/* ---- the reload ---- */

static void reloaded(void *arg, const struct admin_reply *r)
{
    struct job *j = arg;
    struct log_ctx log = {j->env->log, j->name};
    for (size_t i = 0; i < r->n_lines; i++)
        admin_line(j->call, "%s", r->lines[i]);
    if (r->exit) {
        take_back(j, r->exit, r->error);
        return;
    }
    log_info(&log, "added to the configuration by the operator: %s", j->path);
    admin_line(j->call, "%s: added to the configuration as %s", j->name, j->path);
    json_add_text(admin_result(j->call), "name", j->name);
    json_add_text(admin_result(j->call), "file", j->path);
    job_end(j, ADMIN_DONE, NULL);
}

static int write_file(struct job *j, const struct json *request, struct err *e)
{
    CLEANUP_BUF struct buf text, whole;
    buf_init(&text, FILE_TEXT_MAX);
    buf_init(&whole, FILE_TEXT_MAX);
    issue_file_text(request, NULL, NULL, false, loop_wall_ms(j->env->loop), &text);
    if (write_text(j, &text, e))
        return -1;
    if (try_file(j, request, &whole, e))
        return -1;
    return write_text(j, &whole, e);
}

static void do_issue(void *arg, struct admin_call *c, const struct json *request)
{
    const struct verbs_env *env = arg;
    struct err e = ERR_INIT;
    struct conf *conf = verbs_conf(env, c);
    if (!conf)
        return;
    struct job *j = xnew(struct job);
    *j = (struct job){.env = env, .call = c, .dir = -1};
    bool found = issue_file_check(request, &j->name, &e) == 0 &&
                 (j->path = issue_file_path(conf, j->name, &e)) && open_folder(j, &e) == 0;
    bool twice = found && conf_find_cert(conf, j->name);
    conf_unref(conf);
    if (!found)
        job_end(j, verbs_exit(&e), e.detail);
    else if (twice)
        job_end(j, ADMIN_USAGE,
                "the configuration has a certificate of that name already: renewctl renew NAME");
    else if (write_file(j, request, &e))
        take_back(j, verbs_exit(&e), e.detail);
    else
        admin_reload_then(env->admin, reloaded, j);
}

void verbs_issue_serve(const struct verbs_env *env)
{
    static const struct admin_verb verbs[] = {{"issue", do_issue}};
    admin_serve(env->admin, verbs, ARRAY_LEN(verbs), (void *)(uintptr_t)env);
}

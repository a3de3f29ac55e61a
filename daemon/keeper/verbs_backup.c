/* SPDX-License-Identifier: ISC */
/*
 * admin.sock: backup. The engine copies its store to a file beside it, at one instant; then tar
 * writes all that a new machine needs:
 *
 *     live/ archive/ accounts/ pending/ engine/state.db    as in state_dir
 *     config/ETC/RENEWD/RENEWD.YAML ...                    each file of the configuration, by its
 *                                                          whole path
 *
 * live/ is read before archive/: a set that is switched to meanwhile is in archive/ all the more.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/tasks.h"
#include "keeper/verbs.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COPY "backup.db"
#define COPY_PATH "engine/" COPY
#define TAR_MS (30 * 60000)
#define FIXED_ARGS 24

struct job {
    const struct verbs_env *env;
    struct admin_call *call;
    struct conf *conf;
    char *path, *partial;
    int fd;
    struct child *child;
};

static void remove_copy(const struct job *j)
{
    CLEANUP_FREE char *copy = xasprintf("%s/" COPY, j->env->dir->engine);
    unlink(copy);
}

static void job_end(struct job *j, int exit, const char *error)
{
    if (j->partial)
        unlink(j->partial);
    remove_copy(j);
    admin_end(j->call, exit, error);
    child_free(j->child);
    if (j->fd >= 0)
        close(j->fd);
    conf_unref(j->conf);
    free(j->path);
    free(j->partial);
    free(j);
}

static void job_end_err(struct job *j, const struct err *e)
{
    char text[800];
    job_end(j, verbs_exit(e), err_text(e, text, sizeof(text)));
}

/* Whole, durable, and only then under its name. */
static int publish(struct job *j, struct err *e)
{
    CLEANUP_FREE char *dir = xstrndup(j->path, (size_t)(strrchr(j->path, '/') - j->path));
    if (fsync(j->fd) || rename(j->partial, j->path))
        return err_sys(e, errno, "cannot finish %s", j->path);
    free(j->partial);
    j->partial = NULL;
    CLEANUP_CLOSE int fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? 0 : file_fsync_dir(fd, e);
}

/* 1: a file went or changed while it was read, as pending keys may. */
static void archived(void *arg, const struct child_end *end)
{
    struct job *j = arg;
    struct log_ctx log = {j->env->log, NULL};
    struct err e = ERR_INIT;
    char how[64];
    bool good = WIFEXITED(end->status) && WEXITSTATUS(end->status) <= 1 && !end->timed_out;
    if (!good) {
        CLEANUP_BUF struct buf tail;
        buf_init(&tail, 4096);
        str_escape(&tail, end->output, end->output_len, 400);
        err_set(&e, ERR_LOCAL, "tar %s: %s", child_end_text(end, how, sizeof(how)), buf_str(&tail));
    }
    if (!good || publish(j, &e)) {
        job_end_err(j, &e);
        return;
    }
    log_info(&log, "backed up by the operator to %s", j->path);
    admin_line(j->call,
               "%s holds the accounts' keys, the certificates with their keys, the state, and %zu "
               "configuration file%s: keep it as secret as they are.",
               j->path, j->conf->files.n, j->conf->files.n == 1 ? "" : "s");
    admin_line(j->call,
               "Files that the configuration names (secrets, ca_file, csr) are not in it.");
    job_end(j, ADMIN_DONE, NULL);
}

static void on_note(void *arg, const char *text)
{
    struct job *j = arg;
    admin_note(j->call, "", text);
}

static void copied(void *arg, const struct keeper_msg_task_done *m, const struct err *err)
{
    static const char *const head[] = {"tar",
                                       "--create",
                                       "--file=/dev/fd/3",
                                       "--format=posix",
                                       "--numeric-owner",
                                       ("--transform=flags=r;s,^engine/" COPY "$,engine/state.db,"),
                                       "--transform=flags=r;s,^/,config/,",
                                       "--absolute-names",
                                       "-C"};
    static const char *const folders[] = {"live", "archive", "accounts", "pending", COPY_PATH};
    static const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
    struct job *j = arg;
    struct err e = ERR_INIT;
    size_t n = 0;
    (void)m;
    if (err) {
        job_end_err(j, err);
        return;
    }
    CLEANUP_FREE const char **argv = xcalloc(FIXED_ARGS + j->conf->files.n, sizeof(*argv));
    for (size_t i = 0; i < ARRAY_LEN(head); i++)
        argv[n++] = head[i];
    argv[n++] = j->env->dir->path;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        argv[n++] = folders[i];
    for (size_t i = 0; i < j->conf->files.n; i++)
        argv[n++] = j->conf->files.v[i];
    struct child_spec spec = {.argv = argv,
                              .env = env,
                              .uid = (uid_t)-1,
                              .output_max = 4096,
                              .timeout_ms = TAR_MS,
                              .fds = &j->fd,
                              .n_fds = 1,
                              .own_group = true,
                              .die_with_parent = true};
    j->child = child_start(j->env->loop, &spec, archived, j, &e);
    if (!j->child)
        job_end_err(j, &e);
}

static int open_file(struct job *j, bool force, struct err *e)
{
    if (j->path[0] != '/' || str_ends(j->path, "/"))
        return err_set(e, ERR_CONFIG, "name a file by its whole path");
    if (!force && access(j->path, F_OK) == 0) {
        err_set(e, ERR_DENIED, "%s is there already: --force replaces it", j->path);
        return -1;
    }
    j->partial = xasprintf("%s.partial", j->path);
    j->fd = open(j->partial, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (j->fd < 0) {
        err_sys(e, errno, "cannot write %s", j->partial);
        free(j->partial);
        j->partial = NULL;
        return -1;
    }
    return fchmod(j->fd, 0600) ? err_sys(e, errno, "cannot write %s", j->partial) : 0;
}

static void do_backup(void *arg, struct admin_call *c, const struct json *request)
{
    static const struct task_handler handler = {.note = on_note, .done = copied};
    const struct task_spec spec = {.kind = KEEPER_TASK_SNAPSHOT, .url = COPY};
    const struct verbs_env *env = arg;
    const char *path = json_text(request, "file");
    struct err e = ERR_INIT;
    struct conf *conf = verbs_conf(env, c);
    if (!conf)
        return;
    struct job *j = xnew(struct job);
    *j = (struct job){
        .env = env, .call = c, .conf = conf, .path = xstrdup(path ? path : ""), .fd = -1};
    if (open_file(j, json_bool(request, "force", false), &e))
        job_end(j, e.cls == ERR_DENIED ? ADMIN_REFUSED : verbs_exit(&e), e.detail);
    else if (!tasks_open(services_parts(env->services).tasks, &spec, &handler, j, &e))
        job_end_err(j, &e);
}

void verbs_backup_serve(const struct verbs_env *env)
{
    static const struct admin_verb verbs[] = {{"backup", do_backup}};
    admin_serve(env->admin, verbs, ARRAY_LEN(verbs), (void *)(uintptr_t)env);
}

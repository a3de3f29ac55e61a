/* SPDX-License-Identifier: ISC */
/*
 * A run:
 *
 *     QUEUED -> RUNNING -> ENDED (deferred for what needs no child) -> done, freed
 *        `---------`--- cancel: killed, freed
 */
#include "keeper/steps.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/live.h"
#include "keeper/step_file.h"
#include "keeper/users.h"
#include "loop/child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ENV "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define ENV_MAX 12
#define UNIT_ARGS 24
#define UNIT_STOP_S 2
#define UNIT_GRACE_MS 5000

struct steps {
    struct steps_env env;
    struct list queued, running, ended;
    unsigned children;
    unsigned long started; /* names transient units */
};

struct step_run {
    struct steps *steps;
    struct list node;
    struct conf *conf;
    const struct conf_step *step;
    const struct conf_cert **certs;
    size_t n;
    char *input; /* NULL: the certificates' description */
    struct child *child;
    struct defer defer;
    struct err err;
    char *text;
    step_done_fn *fn;
    void *arg;
};

struct steps *steps_new(const struct steps_env *env)
{
    struct steps *s = xnew(struct steps);
    s->env = *env;
    list_init(&s->queued);
    list_init(&s->running);
    list_init(&s->ended);
    return s;
}

bool steps_systemd_runs(void)
{
    return access("/run/systemd/system", F_OK) == 0;
}

static void run_free(struct step_run *r)
{
    if (r->child)
        r->steps->children--;
    child_free(r->child);
    defer_cancel(&r->defer);
    list_remove(&r->node);
    conf_unref(r->conf);
    free(r->certs);
    free(r->input);
    free(r->text);
    free(r);
}

/* ---- ending ---- */

static void run_queue(struct steps *s);

static void give(void *arg)
{
    struct step_run *r = arg;
    struct steps *s = r->steps;
    step_done_fn *fn = r->fn;
    void *fn_arg = r->arg;
    struct err err = r->err;
    CLEANUP_FREE char *text = r->text;
    r->text = NULL;
    run_free(r);
    run_queue(s);
    fn(fn_arg, text ? text : "", &err);
}

static void end(struct step_run *r)
{
    list_remove(&r->node);
    list_append(&r->steps->ended, &r->node);
    loop_defer(r->steps->env.loop, &r->defer, give, r);
}

/* ---- commands ---- */

static char *live_dir(const struct step_run *r, const struct conf_cert *cert)
{
    return xasprintf("%s/live/%s", r->steps->env.dir->path, cert->name);
}

static void describe(const struct step_run *r, const struct conf_cert *cert, struct json *o)
{
    CLEANUP_FREE char *dir = live_dir(r, cert);
    struct live l;
    char time[32];
    json_add_text(o, "name", cert->name);
    json_add_text(o, "dir", dir);
    struct json *names = json_add_array(o, "names");
    for (size_t i = 0; i < cert->n_names; i++)
        json_add_text(names, NULL, cert->names[i].name);
    if (live_read(r->steps->env.dir, cert->name, &l, NULL) == 0) {
        if (l.present) {
            json_add_text(o, "not_before", str_from_time(l.not_before_ms, time, sizeof(time)));
            json_add_text(o, "not_after", str_from_time(l.not_after_ms, time, sizeof(time)));
        }
        json_add_text(o, "serial", l.serial);
        json_add_text(o, "fingerprint", l.fingerprint);
        json_add_text(o, "issuer", l.issuer);
        live_done(&l);
    }
    static const char *const files[] = {"privkey", "cert", "chain", "fullchain"};
    struct json *paths = json_add_object(o, "files");
    for (size_t i = cert->csr[0] ? 1 : 0; i < ARRAY_LEN(files); i++) {
        CLEANUP_FREE char *path = xasprintf("%s/%s.pem", dir, files[i]);
        json_add_text(paths, files[i], path);
    }
}

/* What a command reads on its standard input. */
static char *make_input(const struct step_run *r)
{
    if (r->input)
        return xstrdup(r->input);
    CLEANUP_JSON struct json *j = json_object();
    if (!r->step->once) {
        describe(r, r->certs[0], j);
    } else {
        struct json *list = json_add_array(j, "certificates");
        for (size_t i = 0; i < r->n; i++)
            describe(r, r->certs[i], json_add_object(list, NULL));
    }
    return json_print(j, false);
}

struct strings {
    char *v[UNIT_ARGS + ENV_MAX];
    size_t n;
};

static void strings_free(struct strings *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
}
#define CLEANUP_STRINGS __attribute__((cleanup(strings_free)))

static void make_env(const struct step_run *r, const struct user *u, struct strings *env)
{
    env->v[env->n++] = xstrdup(PATH_ENV);
    env->v[env->n++] = xasprintf("HOME=%s", u->home);
    if (u->name[0]) {
        env->v[env->n++] = xasprintf("USER=%s", u->name);
        env->v[env->n++] = xasprintf("LOGNAME=%s", u->name);
    }
    if (r->n > 1)
        return;
    CLEANUP_FREE char *dir = live_dir(r, r->certs[0]);
    env->v[env->n++] = xasprintf("RENEWD_NAME=%s", r->certs[0]->name);
    env->v[env->n++] = xasprintf("RENEWD_DIR=%s", dir);
    env->v[env->n++] = xasprintf("RENEWED_LINEAGE=%s", dir);
}

/* What comes before the command so that it runs as a unit of its own, outside of our confinement.
 */
static void make_unit(struct step_run *r, const struct user *u, const struct strings *env,
                      struct strings *args)
{
    static const char *const fixed[] = {"systemd-run", "--quiet",   "--wait",
                                        "--pipe",      "--collect", "--service-type=exec"};
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        args->v[args->n++] = xstrdup(fixed[i]);
    args->v[args->n++] = xasprintf("--unit=renewd-hook-%d-%lu", (int)getpid(), ++r->steps->started);
    args->v[args->n++] = xasprintf("--uid=%u", (unsigned)u->uid);
    args->v[args->n++] = xasprintf("--gid=%u", (unsigned)u->gid);
    args->v[args->n++] = xstrdup("--working-directory=/");
    if (r->step->timeout_ms > 0)
        args->v[args->n++] =
            xasprintf("--property=RuntimeMaxSec=%lldms", (long long)r->step->timeout_ms);
    args->v[args->n++] = xasprintf("--property=TimeoutStopSec=%d", UNIT_STOP_S);
    for (size_t i = 0; i < env->n; i++)
        args->v[args->n++] = xasprintf("--setenv=%s", env->v[i]);
    args->v[args->n++] = xstrdup("--");
}

static char *escape_tail(const char *text, size_t n)
{
    struct buf b;
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    buf_init(&b, STEPS_OUTPUT_MAX * 4 + 16);
    str_escape(&b, text, n, STEPS_OUTPUT_MAX);
    return buf_steal(&b);
}

static void child_ended(void *arg, const struct child_end *c)
{
    struct step_run *r = arg;
    char how[64];
    r->text = escape_tail(c->output, c->output_len);
    if (c->timed_out || c->status != 0) {
        const char *what = r->step->kind == CONF_STEP_RELOAD ? r->step->unit : r->step->argv.v[0];
        err_set(&r->err, ERR_LOCAL, "%s %s%s%.300s", what, child_end_text(c, how, sizeof(how)),
                r->text[0] ? ": " : "", r->text);
    }
    end(r);
}

/* As whom a command runs. Not root: "root", which is also what nobody wrote, means ourselves. */
static int find_user(const struct step_run *r, struct user *u, struct err *e)
{
    struct user self;
    const char *name = r->step->user && r->step->user[0] ? r->step->user : "root";
    users_self(&self);
    if (self.uid != 0 && str_eq(name, "root")) {
        *u = self;
        return 0;
    }
    if (users_find(name, u, e))
        return -1;
    if (self.uid != 0 && u->uid != self.uid)
        return err_set(e, ERR_CONFIG, "a command cannot run as %s: renewd was not started by root",
                       name);
    return 0;
}

static char **expand_argv(const struct step_run *r, const struct strings *before)
{
    const struct conf_strs *argv = &r->step->argv;
    CLEANUP_FREE char *dir = live_dir(r, r->certs[0]);
    char **out = xcalloc(before->n + argv->n + 1, sizeof(*out));
    size_t n = 0;
    for (size_t i = 0; i < before->n; i++)
        out[n++] = xstrdup(before->v[i]);
    for (size_t i = 0; i < argv->n; i++)
        out[n++] = step_expand(argv->v[i], r->certs[0]->name, dir);
    return out;
}

static void free_argv(char **argv)
{
    for (char **p = argv; *p; p++)
        free(*p);
    free(argv);
}

static bool names_one(const struct conf_strs *argv)
{
    for (size_t i = 0; i < argv->n; i++) {
        for (const char *p = argv->v[i]; (p = strchr(p, '%')); p += p[1] ? 2 : 1) {
            if (p[1] == 'n' || p[1] == 'd')
                return true;
        }
    }
    return false;
}

static int start_command(struct step_run *r, struct err *e)
{
    CLEANUP_STRINGS struct strings env = {0}, unit = {0};
    struct user u;
    if (find_user(r, &u, e))
        return -1;
    if (r->n > 1 && names_one(&r->step->argv))
        return err_set(e, ERR_CONFIG,
                       "a command that runs once for %zu certificates cannot name one of them with "
                       "%%n or %%d: the list is on its standard input",
                       r->n);
    CLEANUP_FREE char *input = make_input(r);
    make_env(r, &u, &env);
    if (r->steps->env.systemd)
        make_unit(r, &u, &env, &unit);
    char **argv = expand_argv(r, &unit);
    bool drop = u.uid != geteuid() && !r->steps->env.systemd;
    struct child_spec spec = {
        .argv = (const char *const *)argv,
        .env = (const char *const *)env.v, /* ends with NULL: zeroed above */
        .uid = drop ? u.uid : (uid_t)-1,
        .gid = u.gid,
        .user = u.name[0] ? u.name : NULL,
        .input = input,
        .input_len = strlen(input),
        .output_max = STEPS_OUTPUT_MAX,
        .timeout_ms = r->step->timeout_ms + (unit.n && r->step->timeout_ms ? UNIT_GRACE_MS : 0),
        .own_group = true,
    };
    mode_t ours = umask(022); /* what commands expect */
    r->child = child_start(r->steps->env.loop, &spec, child_ended, r, e);
    umask(ours);
    free_argv(argv);
    return r->child ? 0 : -1;
}

static int start_reload(struct step_run *r, struct err *e)
{
    if (!r->steps->env.systemd)
        return err_set(e, ERR_LOCAL,
                       "cannot reload %s: no systemd runs here (or renewd is not root): use run: "
                       "with the command that reloads it",
                       r->step->unit);
    const char *const argv[] = {"systemctl", "try-reload-or-restart", "--", r->step->unit, NULL};
    const char *const env[] = {PATH_ENV, NULL};
    struct child_spec spec = {.argv = argv,
                              .env = env,
                              .uid = (uid_t)-1,
                              .output_max = STEPS_OUTPUT_MAX,
                              .timeout_ms = r->step->timeout_ms,
                              .own_group = true};
    r->child = child_start(r->steps->env.loop, &spec, child_ended, r, e);
    return r->child ? 0 : -1;
}

static int write_file(struct step_run *r, struct err *e)
{
    CLEANUP_FREE char *path = NULL;
    if (r->n > 1)
        return err_set(e, ERR_BUG, "a file is written for one certificate at a time");
    if (step_file_write(r->steps->env.dir, r->step, r->certs[0], &path, e))
        return -1;
    r->text = xasprintf("wrote %s", path);
    return 0;
}

static int refuse_verify(struct step_run *r, struct err *e)
{
    (void)r;
    return err_set(e, ERR_BUG, "verify is the engine's own step");
}

static const struct kind {
    int (*start)(struct step_run *, struct err *);
    bool child;
} kinds[] = {
    [CONF_STEP_RUN] = {start_command, true},
    [CONF_STEP_RELOAD] = {start_reload, true},
    [CONF_STEP_FILE] = {write_file, false},
    [CONF_STEP_VERIFY] = {refuse_verify, false},
};

static void run_one(struct step_run *r)
{
    list_remove(&r->node);
    list_append(&r->steps->running, &r->node);
    kinds[r->step->kind].start(r, &r->err);
    if (r->child)
        r->steps->children++;
    else
        end(r);
}

static void run_queue(struct steps *s)
{
    list_each(it, &s->queued)
    {
        struct step_run *r = list_item(it, struct step_run, node);
        if (s->children < STEPS_CHILDREN || !kinds[r->step->kind].child)
            run_one(r);
    }
}

static struct step_run *run_new(struct steps *s, struct conf *conf, const struct conf_step *step,
                                const struct conf_cert *const *certs, size_t n, step_done_fn *fn,
                                void *arg)
{
    struct step_run *r = xnew(struct step_run);
    r->steps = s;
    r->conf = conf_ref(conf);
    r->step = step;
    r->certs = xmemdup(certs, n * sizeof(*certs));
    r->n = n;
    r->fn = fn;
    r->arg = arg;
    list_append(&s->queued, &r->node);
    return r;
}

static struct step_run *run_begin(struct step_run *r)
{
    if (r->steps->children < STEPS_CHILDREN || !kinds[r->step->kind].child)
        run_one(r);
    return r;
}

struct step_run *step_start(struct steps *s, struct conf *conf, const struct conf_step *step,
                            const struct conf_cert *const *certs, size_t n, step_done_fn *fn,
                            void *arg)
{
    return run_begin(run_new(s, conf, step, certs, n, fn, arg));
}

struct step_run *step_start_with(struct steps *s, struct conf *conf, const struct conf_step *step,
                                 const struct conf_cert *cert, const char *input, step_done_fn *fn,
                                 void *arg)
{
    struct step_run *r = run_new(s, conf, step, &cert, 1, fn, arg);
    r->input = xstrdup(input);
    return run_begin(r);
}

void step_cancel(struct step_run *r)
{
    struct steps *s = r->steps;
    run_free(r);
    run_queue(s);
}

static void free_all(struct list *l)
{
    list_each(it, l) run_free(list_item(it, struct step_run, node));
}

void steps_free(struct steps *s)
{
    if (!s)
        return;
    free_all(&s->queued);
    free_all(&s->running);
    free_all(&s->ended);
    free(s);
}

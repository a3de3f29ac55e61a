/* SPDX-License-Identifier: ISC */
/* admin.sock: revoke, delete. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/arena.h"
#include "conf/host.h"
#include "conf/meant.h"
#include "digest/pem.h"
#include "keeper/accounts.h"
#include "keeper/archive.h"
#include "keeper/live.h"
#include "keeper/tasks.h"
#include "keeper/verbs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REASON_KEY_COMPROMISE 1

struct job {
    const struct verbs_env *env;
    struct admin_call *call;
    struct conf *conf;
    char *name;
    /* revoke */
    struct live live;
    const struct conf_cert *cert; /* NULL: it is not configured */
    const struct conf_ca *ca;
    struct account *account;
    int reason;
    bool replace, own_key, old; /* old: one of archive/, by its serial */
    int set;                    /* its folder; -1: live/NAME's */
    char *serial;               /* NULL: not said */
    bool with_key, forced;      /* as said */
    size_t more;                /* keys of the entry that come after this one */
    bool any;                   /* of those before it one was there */
};

static struct services_parts parts(const struct job *j)
{
    return services_parts(j->env->services);
}

static void job_end(struct job *j, int exit, const char *error)
{
    admin_end(j->call, exit, error);
    conf_unref(j->conf);
    live_done(&j->live);
    if (j->set >= 0)
        close(j->set);
    free(j->name);
    free(j->serial);
    free(j);
}

static void job_end_err(struct job *j, int exit, const struct err *e)
{
    char text[800];
    job_end(j, exit, err_text(e, text, sizeof(text)));
}

/* Of what is not in the configuration any more. */
static char *ascii_name(const char *text)
{
    struct arena *a = arena_new();
    struct host h;
    const char *why;
    char *name =
        xstrdup(host_read(a, text, &h, &why) == 0 && h.unicode != h.ascii ? h.ascii : text);
    arena_free(a);
    return name;
}

static struct job *job_new(const struct verbs_env *env, struct admin_call *c,
                           const struct json *request)
{
    const char *name = json_text(request, "name");
    struct conf *conf = verbs_conf(env, c);
    if (!conf)
        return NULL;
    struct job *j = xnew(struct job);
    j->env = env;
    j->call = c;
    j->conf = conf;
    size_t n = 0;
    const struct conf_cert *k = name ? conf_meant(conf, name, &n) : NULL;
    j->name = k ? xstrdup(k->name) : ascii_name(name ? name : "");
    j->more = n ? n - 1 : 0;
    j->reason = -1;
    j->set = -1;
    if (k || (name && statedir_name_ok(j->name)))
        return j;
    job_end(j, ADMIN_USAGE, "there is no certificate of that name");
    return NULL;
}

static void on_note(void *arg, const char *text)
{
    struct job *j = arg;
    admin_note(j->call, j->name, text);
}

/* ---- revoke ---- */

/* RFC 5280 section 5.3.1, and which of them a CA takes from a subscriber (CA/B BR 4.9.1.1, 7.2.2).
 */
static const struct {
    int number;
    const char *name;
} reasons[] = {
    {0, "unspecified"}, {1, "keyCompromise"},        {3, "affiliationChanged"},
    {4, "superseded"},  {5, "cessationOfOperation"}, {9, "privilegeWithdrawn"},
};

static int read_reason(const char *text, int *ret, struct err *e)
{
    int64_t number = -1;
    str_to_i64(text, 0, 10, &number);
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (str_case_eq(text, reasons[i].name) || number == reasons[i].number) {
            *ret = reasons[i].number;
            return 0;
        }
    }
    return err_set(e, ERR_CONFIG,
                   "--reason is one of unspecified keyCompromise affiliationChanged superseded "
                   "cessationOfOperation privilegeWithdrawn");
}

/* The entry whose account has issued it; else one of the same CA, which takes the certificate's own
 * key; else, of a certificate that nobody knows the origin of, the configured one. */
static const struct conf_ca *find_ca(struct job *j, bool *ret_account)
{
    const struct conf_ca *same = NULL;
    *ret_account = false;
    for (size_t i = 0; i < j->conf->n_cas; i++) {
        const struct conf_ca *ca = &j->conf->cas[i];
        if (!str_eq(ca->directory, j->live.directory))
            continue;
        const struct account *a = accounts_get(parts(j).accounts, ca, NULL);
        same = same ? same : ca;
        *ret_account = a && a->key && a->url[0] && str_eq(a->url, j->live.account) &&
                       !a->deactivated_ms && !a->pending;
        if (*ret_account)
            return ca;
    }
    if (!same && !j->live.directory[0] && j->cert)
        same = conf_find_ca(j->conf, j->cert->cas.v[0]);
    return same;
}

static int choose_ca(struct job *j, struct err *e)
{
    bool by_account;
    j->ca = find_ca(j, &by_account);
    if (!j->ca)
        return err_set(e, ERR_CONFIG,
                       "the configuration has no CA with the directory %s, which has issued it: "
                       "write it under cas, and renewctl reload",
                       j->live.directory[0] ? j->live.directory : "(unknown)");
    j->account = accounts_get(parts(j).accounts, j->ca, e);
    if (!j->account)
        return -1;
    j->own_key |= !by_account || j->reason == REASON_KEY_COMPROMISE;
    return 0;
}

static int take_der(const struct job *j, struct sign_task *t, struct err *e)
{
    struct pem_reader r;
    pem_reader_init(&r, j->live.leaf_pem, strlen(j->live.leaf_pem));
    int got = pem_next(&r, "CERTIFICATE", &t->der, e);
    if (got == 0)
        err_set(e, ERR_LOCAL, "the certificate of %s cannot be read", j->name);
    str_copy(t->fingerprint, sizeof(t->fingerprint), j->live.fingerprint);
    str_copy(t->spki, sizeof(t->spki), j->live.spki);
    t->reason = j->reason;
    return got == 1 ? 0 : -1;
}

static int take_key(const struct job *j, struct sign_task *t, struct err *e)
{
    CLEANUP_BUF struct buf pem;
    CLEANUP_CLOSE int dir =
        j->old ? fcntl(j->set, F_DUPFD_CLOEXEC, 0) : live_open_set(j->env->dir, j->name, e);
    buf_init_secret(&pem, PKEY_PEM_MAX);
    if (dir < 0 || file_read_at(dir, "privkey.pem", true, &pem, NULL, e))
        return err_prefix(e, "its own key is needed to revoke it");
    t->cert_key = pkey_from_pem(buf_str(&pem), pem.len, e);
    return t->cert_key ? 0 : err_prefix(e, "its own key is needed to revoke it");
}

static void revoke_next(struct job *j);

static void revoked(void *arg, const struct keeper_msg_task_done *m, const struct err *err)
{
    struct job *j = arg;
    struct log_ctx log = {j->env->log, j->name};
    (void)m;
    if (err) {
        log_warn(&log, "revoke: %s", err->detail);
        if (j->replace) /* it may be out of live/ by now */
            admin_line(j->call,
                       "Not revoked: the serial %s. To revoke that one all the same: renewctl "
                       "revoke %s --serial %s",
                       j->live.serial, j->name, j->live.serial);
        job_end_err(j, verbs_exit(err), err);
        return;
    }
    log_warn(&log, "the certificate with the serial %s was revoked by the operator",
             j->live.serial);
    admin_line(j->call, "%s: the certificate with the serial %s is revoked.", j->name,
               j->live.serial);
    if (!j->replace && !j->old && j->cert)
        admin_line(j->call,
                   "It is still in %s/live/%s and nothing is ordered in its place by itself: "
                   "renewctl renew %s does.",
                   j->env->dir->path, j->name, j->name);
    if (!j->any)
        json_add_text(admin_result(j->call), "serial", j->live.serial);
    j->any = true;
    if (j->serial)
        job_end(j, ADMIN_DONE, NULL);
    else
        revoke_next(j);
}

static void open_revoke(struct job *j)
{
    static const struct task_handler handler = {.note = on_note, .done = revoked};
    struct task_spec spec = {.kind = j->replace ? KEEPER_TASK_REPLACE : KEEPER_TASK_REVOKE,
                             .ca = j->ca->name,
                             .cert = j->cert && !j->old ? j->name : "",
                             .url = j->account->url,
                             .life_ms = j->replace ? TASK_REPLACE_LIFE_MS : 0,
                             .account = j->account};
    struct err e = ERR_INIT;
    struct ca_task *k = tasks_open(parts(j).tasks, &spec, &handler, j, &e);
    if (k && take_der(j, task_sign(k), &e) == 0 &&
        (!j->own_key || take_key(j, task_sign(k), &e) == 0)) {
        if (j->replace)
            admin_note(j->call, j->name,
                       "a new certificate with a new key is ordered and deployed first; then the "
                       "old one is revoked");
        return;
    }
    task_close(k);
    job_end_err(j, verbs_exit(&e), &e);
}

/* A former certificate, or the present one. Serials are told with or without leading zeros. */
static int find_serial(struct job *j, const char *serial, struct err *e)
{
    CLEANUP_CLOSE int archive = openat(j->env->dir->archive, j->name, O_RDONLY | O_DIRECTORY);
    DIR *dir = archive < 0 ? NULL : fdopendir(fcntl(archive, F_DUPFD_CLOEXEC, 0));
    struct dirent *d;
    while (dir && j->set < 0 && (d = readdir(dir))) {
        struct live l = {0};
        int set = str_starts(d->d_name, "until-") ? file_open_dir_at(archive, d->d_name, NULL) : -1;
        if (set >= 0 && live_read_set(set, &l, NULL) == 0 &&
            str_case_eq(l.serial + strspn(l.serial, "0"), serial + strspn(serial, "0"))) {
            live_done(&j->live);
            j->live = l;
            j->set = set;
            continue;
        }
        live_done(&l);
        if (set >= 0)
            close(set);
    }
    if (dir)
        closedir(dir);
    j->old = true;
    return j->set >= 0 ? 0
                       : err_set(e, ERR_CONFIG, "%s has no certificate with the serial %s", j->name,
                                 serial);
}

static int read_subject(struct job *j, const char *serial, struct err *e)
{
    if (live_read(j->env->dir, j->name, &j->live, e))
        return -1;
    bool present = j->live.present && str_case_eq(j->live.serial, serial ? serial : j->live.serial);
    return serial && !present ? find_serial(j, serial, e) : 0;
}

static int check_replace(const struct job *j, struct err *e)
{
    if (!j->replace)
        return 0;
    if (j->old)
        return err_set(e, ERR_CONFIG, "what --serial names is replaced already");
    if (!j->cert)
        return err_set(e, ERR_CONFIG, "%s is not in the configuration: it cannot be replaced",
                       j->name);
    if (!j->cert->enabled)
        return err_set(e, ERR_CONFIG, "%s is disabled (enabled: false)", j->name);
    if (j->cert->csr[0])
        return err_set(e, ERR_CONFIG,
                       "the key of %s is that of its csr: make a new key and CSR, run renewctl "
                       "renew %s --force, and then revoke without --replace",
                       j->name, j->name);
    return 0;
}

static void revoke_this(struct job *j)
{
    struct err e = ERR_INIT;
    j->own_key = j->with_key;
    j->cert = conf_find_cert(j->conf, j->name);
    if (read_subject(j, j->serial, &e)) {
        if (j->serial && j->more && e.cls == ERR_CONFIG)
            revoke_next(j);
        else
            job_end_err(j, verbs_exit(&e), &e);
    } else if (!j->live.present) {
        revoke_next(j);
    } else if (check_replace(j, &e) || choose_ca(j, &e)) {
        job_end_err(j, verbs_exit(&e), &e);
    } else if (!j->forced) {
        job_end(j, ADMIN_REFUSED, "a revocation cannot be taken back: --force does it");
    } else {
        open_revoke(j);
    }
}

/* The entry's keys one after the other, each a certificate of its own. */
static void revoke_next(struct job *j)
{
    if (j->more == 0 && j->any) {
        job_end(j, ADMIN_DONE, NULL);
    } else if (j->more == 0) {
        job_end(j, ADMIN_USAGE,
                j->cert ? "there is no certificate yet" : "there is no certificate of that name");
    } else {
        j->more--;
        live_done(&j->live);
        j->old = false;
        free(j->name);
        j->name = xstrdup(conf_next_variant(j->conf, j->cert)->name);
        revoke_this(j);
    }
}

static void do_revoke(void *arg, struct admin_call *c, const struct json *request)
{
    const char *reason = json_text(request, "reason"), *serial = json_text(request, "serial");
    struct err e = ERR_INIT;
    struct job *j = job_new(arg, c, request);
    if (!j)
        return;
    j->replace = json_bool(request, "replace", false);
    j->forced = json_bool(request, "force", false);
    j->with_key = str_eq(json_text(request, "with"), "cert-key");
    j->serial = serial ? xstrdup(serial) : NULL;
    if (reason && read_reason(reason, &j->reason, &e))
        job_end_err(j, verbs_exit(&e), &e);
    else
        revoke_this(j);
}

/* ---- delete ---- */

/* Of a folder of ours: the link leads from its new place. */
static void mend_link(int dir, struct err *e)
{
    char target[512];
    ssize_t n = readlinkat(dir, ".current", target, sizeof(target) - 1);
    const char *set;
    if (n <= 0)
        return;
    target[n] = '\0';
    set = strrchr(target, '/');
    CLEANUP_FREE char *now = xasprintf("..%s", set ? set : "/");
    file_switch_link_at(dir, now, ".current", e);
}

/* live/NAME goes to archive/NAME/deleted-TIME by one rename; whatever crashes after that, it is
 * deleted, and nothing of it is lost. */
static int put_away(struct job *j, const char *name, bool *ret_found, struct err *e)
{
    const struct statedir *s = j->env->dir;
    char stamp[32], to[48];
    archive_stamp(loop_wall_ms(j->env->loop), stamp);
    snprintf(to, sizeof(to), "deleted-%s", stamp);
    *ret_found = faccessat(s->live, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*ret_found) {
        *ret_found = faccessat(s->archive, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
        return 0;
    }
    if (file_mkdir_at(s->archive, name, 0755, e))
        return -1;
    CLEANUP_CLOSE int archive = file_open_dir_at(s->archive, name, e);
    if (archive < 0)
        return -1;
    if (renameat(s->live, name, archive, to))
        return err_sys(e, errno, "cannot move live/%s to archive/%s/%s", name, name, to);
    if (file_fsync_dir(archive, e) || file_fsync_dir(s->live, e))
        return -1;
    CLEANUP_CLOSE int dir = file_open_dir_at(archive, to, NULL);
    if (dir >= 0)
        mend_link(dir, NULL);
    admin_line(j->call, "%s: its files are in %s/archive/%s/%s now.", name, s->path, name, to);
    return 0;
}

static void forgotten(void *arg, const struct keeper_msg_task_done *m, const struct err *err)
{
    struct job *j = arg;
    (void)m;
    if (err)
        job_end_err(j, ADMIN_FAILED, err);
    else
        job_end(j, ADMIN_DONE, NULL);
}

/* Its other keys, which are not configured without it. */
static int put_variants_away(struct job *j, struct err *e)
{
    CLEANUP_FREE char *prefix = xasprintf("%s+", j->name);
    int fd = openat(j->env->dir->live, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *d;
    bool found;
    while (dir && rc == 0 && (d = readdir(dir))) {
        if (str_starts(d->d_name, prefix) && !conf_find_cert(j->conf, d->d_name))
            rc = put_away(j, d->d_name, &found, e);
    }
    if (dir)
        closedir(dir);
    return rc;
}

static void delete_now(struct job *j)
{
    static const struct task_handler handler = {.note = on_note, .done = forgotten};
    struct task_spec spec = {.kind = KEEPER_TASK_FORGET, .cert = j->name};
    struct log_ctx log = {j->env->log, j->name};
    struct err e = ERR_INIT;
    bool found;
    if (put_away(j, j->name, &found, &e) || put_variants_away(j, &e)) {
        job_end_err(j, ADMIN_FAILED, &e);
        return;
    }
    if (!found) {
        job_end(j, ADMIN_USAGE, "there is no certificate of that name");
        return;
    }
    pending_put(parts(j).pendings, j->name, NULL);
    pending_remove(j->env->dir, j->name);
    log_info(&log, "deleted by the operator");
    if (!tasks_open(parts(j).tasks, &spec, &handler, j, &e))
        job_end_err(j, ADMIN_FAILED, &e);
}

static void do_delete(void *arg, struct admin_call *c, const struct json *request)
{
    const struct verbs_env *env = arg;
    struct job *j = job_new(env, c, request);
    if (!j)
        return;
    if (conf_find_cert(j->conf, j->name))
        job_end(j, ADMIN_REFUSED,
                "it is in the configuration, and would be ordered again: remove it there, renewctl "
                "reload, and then delete it");
    else if (services_busy(env->services, j->name))
        job_end(j, ADMIN_FAILED, "something of it is being written: try again in a moment");
    else
        delete_now(j);
}

void verbs_cert_serve(const struct verbs_env *env)
{
    static const struct admin_verb verbs[] = {{"revoke", do_revoke}, {"delete", do_delete}};
    admin_serve(env->admin, verbs, ARRAY_LEN(verbs), (void *)(uintptr_t)env);
}

/* SPDX-License-Identifier: ISC */
#include "keeper/http01.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TOKEN_MIN 22u
#define TOKEN_MAX 128u
#define FOLDERS 2u

static const char *const folders[FOLDERS] = {".well-known", "acme-challenge"};

struct webroots {
    struct map *files; /* token -> struct written */
};

struct written {
    char *path;         /* of the webroot */
    bool made[FOLDERS]; /* by us */
};

bool http01_token_ok(const char *token)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = strspn(token, letters);
    return token[n] == '\0' && n >= TOKEN_MIN && n <= TOKEN_MAX;
}

static bool has_name(const struct conf_cert *cert, const char *name)
{
    for (size_t i = 0; i < cert->n_names; i++) {
        if (str_eq(cert->names[i].name, name))
            return true;
    }
    return false;
}

static char *key_authorization(const struct conf *c, struct accounts *accounts,
                               const struct keeper_msg_http01 *m, struct err *e)
{
    const struct conf_ca *ca = conf_find_ca(c, m->ca);
    struct account *a = ca ? accounts_get(accounts, ca, e) : NULL;
    if (a && a->key)
        return xasprintf("%s.%s", m->token, pkey_thumbprint(a->key));
    if (a || !ca)
        err_set(e, ERR_BUG, "CA %s has no account key yet", m->ca);
    return NULL;
}

int http01_check(const struct conf *c, struct accounts *accounts, const struct keeper_msg_http01 *m,
                 char **ret_content, struct err *e)
{
    const struct conf_cert *cert = conf_find_cert(c, m->cert);
    if (!http01_token_ok(m->token))
        return err_set(e, ERR_PEER,
                       "the CA's token is not one of RFC 8555: 22 to 128 of A-Z a-z 0-9 - _");
    if (m->add && !(cert && cert->http01.kind != CONF_HTTP01_LISTEN && has_name(cert, m->name)))
        return err_set(e, ERR_BUG, "certificate %s has no webroot or command for %s", m->cert,
                       m->name);
    char *content = key_authorization(c, accounts, m, e);
    if (!content && m->add)
        return -1;
    *ret_content = content ? content : xstrdup("");
    return 0;
}

struct webroots *webroots_new(void)
{
    struct webroots *w = xnew(struct webroots);
    w->files = map_new();
    return w;
}

static void written_free(struct written *f)
{
    if (!f)
        return;
    free(f->path);
    free(f);
}

void webroots_free(struct webroots *w)
{
    const char *token;
    void *f;
    if (!w)
        return;
    for (size_t i = 0; map_next(w->files, &i, &token, &f);)
        written_free(f);
    map_free(w->files);
    free(w);
}

/* ---- folders ---- */

/* A folder of dirfd; links are followed only while they stay below root. Kernels before 5.6 cannot
 * tell, so no link is followed there. */
static int open_below(int root, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
    if (fd >= 0 || errno != ENOSYS)
        return fd;
    int at = fcntl(root, F_DUPFD_CLOEXEC, 0);
    CLEANUP_FREE char *copy = xstrdup(path);
    char *save;
    for (char *p = strtok_r(copy, "/", &save); p && at >= 0; p = strtok_r(NULL, "/", &save)) {
        int next = openat(at, p, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        int sys = errno;
        close(at);
        errno = sys;
        at = next;
    }
    return at;
}

static int open_root(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(e, ERR_CONFIG,
                       "webroot %s does not exist: make it, or name the folder that the web server "
                       "serves",
                       path);
    return fd < 0 ? err_sys(e, errno, "cannot open webroot %s", path) : fd;
}

static int refuse_path(const char *path, const char *below, int sys, struct err *e)
{
    if (sys == EXDEV || sys == ELOOP || sys == ENOTDIR)
        return err_set(e, ERR_CONFIG,
                       "%s/%s is a link that leads out of the webroot, or no folder: name the "
                       "folder that it leads to as webroot's own .well-known/acme-challenge",
                       path, below);
    return err_sys(e, sys, "cannot open %s/%s", path, below);
}

/* Owned as the webroot is, where we may do that. */
static void give_away(int fd, const struct stat *owner)
{
    if (geteuid() == 0 && fchown(fd, owner->st_uid, owner->st_gid) == 0)
        return;
}

/* The k-th folder, made when absent; parent: the one above it. */
static int make_folder(int root, int parent, unsigned k, const char *below, bool *ret_made)
{
    struct stat st;
    int fd = open_below(root, below);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (mkdirat(parent, folders[k], 0755) && errno != EEXIST)
        return -1;
    fd = open_below(root, below);
    if (fd < 0)
        return -1;
    *ret_made = true;
    if (fchmod(fd, 0755) == 0 && fstat(root, &st) == 0)
        give_away(fd, &st);
    return fd;
}

/* The folder of the tokens, or -1. */
static int make_folders(int root, struct written *f, struct err *e)
{
    static const char *const below[FOLDERS] = {".well-known", ".well-known/acme-challenge"};
    int at = root;
    for (unsigned k = 0; k < FOLDERS; k++) {
        int next = make_folder(root, at, k, below[k], &f->made[k]);
        int sys = errno;
        if (at != root)
            close(at);
        if (next < 0)
            return refuse_path(f->path, below[k], sys, e);
        at = next;
    }
    return at;
}

/* ---- files ---- */

int webroots_add(struct webroots *w, const char *path, const char *token, const char *content,
                 struct err *e)
{
    struct file_attr attr = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
    struct stat st;
    CLEANUP_CLOSE int root = open_root(path, e);
    if (root < 0)
        return -1;
    if (fstat(root, &st))
        return err_sys(e, errno, "cannot look at webroot %s", path);
    if (geteuid() == 0) {
        attr.uid = st.st_uid;
        attr.gid = st.st_gid;
    }
    struct written *f = map_get(w->files, token);
    if (!f) {
        f = xnew(struct written);
        f->path = xstrdup(path);
        map_put(w->files, token, f);
    }
    CLEANUP_CLOSE int dir = make_folders(root, f, e);
    if (dir < 0 || file_replace_at(dir, token, content, strlen(content), &attr, e))
        return err_activity(e, "writing to webroot %s", path);
    return 0;
}

/* Innermost first; what is not empty stays. */
static void remove_folders(int root, const struct written *f)
{
    CLEANUP_CLOSE int outer = open_below(root, folders[0]);
    if (outer < 0)
        return;
    if (f->made[1] && unlinkat(outer, folders[1], AT_REMOVEDIR))
        return;
    if (f->made[0])
        unlinkat(root, folders[0], AT_REMOVEDIR);
}

/* The folders that we made are another token's to remove while there is one. */
static void hand_on(struct webroots *w, const struct written *f)
{
    const char *token;
    void *value;
    for (size_t i = 0; map_next(w->files, &i, &token, &value);) {
        struct written *other = value;
        if (!str_eq(other->path, f->path))
            continue;
        for (unsigned k = 0; k < FOLDERS; k++)
            other->made[k] |= f->made[k];
        return;
    }
}

int webroots_remove(struct webroots *w, const char *path, const char *token, struct err *e)
{
    struct written none = {.path = (char *)(uintptr_t)path};
    struct written *known = map_get(w->files, token);
    const struct written *f = known ? known : &none;
    if (!f->path[0])
        return 0;
    CLEANUP_CLOSE int root = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSE int dir = root >= 0 ? open_below(root, ".well-known/acme-challenge") : -1;
    if (dir >= 0 && unlinkat(dir, token, 0) && errno != ENOENT)
        return err_sys(e, errno, "cannot remove %s from webroot %s", token, f->path);
    map_remove(w->files, token);
    hand_on(w, f);
    if (root >= 0)
        remove_folders(root, f);
    written_free(known);
    return 0;
}

/* ---- the command's input ---- */

char *http01_input(const struct conf_cert *cert, const char *name, const char *token,
                   const char *content, bool add)
{
    CLEANUP_JSON struct json *j = json_object();
    bool ipv6 = strchr(name, ':') != NULL;
    CLEANUP_FREE char *url = xasprintf("http://%s%s%s/.well-known/acme-challenge/%s",
                                       ipv6 ? "[" : "", name, ipv6 ? "]" : "", token);
    json_add_text(j, "action", add ? "add" : "remove");
    json_add_text(j, "token", token);
    json_add_text(j, "content", content);
    json_add_text(j, "identifier", name);
    json_add_text(j, "name", cert->name);
    json_add_text(j, "url", url);
    return json_print(j, false);
}

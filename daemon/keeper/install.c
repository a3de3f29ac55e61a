/* SPDX-License-Identifier: ISC */
#include "keeper/install.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CURRENT ".current"
#define NEXT ".next"
#define META "meta.json"
#define UNTIL "until-"
#define SWAP ".swap-"
#define FILES 5

static const char *const link_names[] = {"privkey.pem", "cert.pem", "chain.pem", "fullchain.pem"};

static const char readme[] =
    "This folder belongs to renewd. The files are links into a set under archive/, all through "
    "one\n"
    "link (.current), which is switched at once: key and certificate always match.\n"
    "\n"
    "privkey.pem    the private key\n"
    "cert.pem       the certificate alone\n"
    "chain.pem      the certificates of the CA\n"
    "fullchain.pem  both; what most servers want\n"
    "\n"
    "Point your servers here and do not change these files: see renewd(8).\n";

static const struct file_attr open_to_all = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};

/* 2026-11-21T20:44:00Z -> 20261121T204400Z */
static void stamp(int64_t ms, char out[32])
{
    char text[32];
    size_t n = 0;
    str_from_time(ms, text, sizeof(text));
    for (const char *p = text; *p; p++) {
        if (*p != '-' && *p != ':')
            out[n++] = *p;
    }
    out[n] = '\0';
}

void install_set_name(const struct cert_info *leaf, char out[64])
{
    char time[32];
    stamp(leaf->not_after_ms, time);
    snprintf(out, 64, UNTIL "%s-%.16s", time, leaf->fingerprint);
}

/* ---- the set ---- */

static int write_whole(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

/* Into a folder that nobody else sees yet, so without a temporary name; not durable yet. fd or -1
 */
static int put_file(int dirfd, const char *name, const char *p, size_t n, const struct file_attr *a,
                    struct err *e)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(e, errno, "cannot create %s", name);
    bool chown = a->uid != (uid_t)-1 || a->gid != (gid_t)-1;
    if (write_whole(fd, p, n) || (chown && fchown(fd, a->uid, a->gid)) ||
        fchmod(fd, a->mode & 0777)) {
        err_sys(e, errno, "cannot write %s", name);
        close(fd);
        return -1;
    }
    return fd;
}

/* All are on their way to the disk before the first is waited for. */
static int fsync_all(const int *fds, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE);
    for (size_t i = 0; i < n; i++) {
        if (fsync(fds[i]))
            return err_sys(e, errno, "cannot make files of a certificate durable");
    }
    return 0;
}

struct part {
    const char *name;
    const char *p;
    size_t n;
    const struct file_attr *attr;
};

static void list_parts(const struct install_files *f, const struct file_attr *key,
                       struct part out[FILES])
{
    const struct part parts[FILES] = {
        {"privkey.pem", buf_str(f->key), f->key->len, key},
        {"cert.pem", buf_str(f->cert), f->cert->len, &open_to_all},
        {"chain.pem", buf_str(f->chain), f->chain->len, &open_to_all},
        {"fullchain.pem", buf_str(f->fullchain), f->fullchain->len, &open_to_all},
        {META, f->meta, strlen(f->meta), &open_to_all}, /* the last: tells a whole set */
    };
    memcpy(out, parts, sizeof(parts));
}

static int fill_set(int dirfd, const struct part parts[FILES], struct err *e)
{
    int fds[FILES], rc = 0;
    size_t n = 0;
    while (rc == 0 && n < FILES) {
        fds[n] = put_file(dirfd, parts[n].name, parts[n].p, parts[n].n, parts[n].attr, e);
        if (fds[n] < 0)
            rc = -1;
        else
            n++;
    }
    if (rc == 0 && fchmod(dirfd, 0755))
        rc = err_sys(e, errno, "cannot open a folder of archive/ to others");
    if (rc == 0)
        rc = fsync_all(fds, n, e);
    while (n > 0)
        close(fds[--n]);
    return rc;
}

/* Left by a crash after it was written, maybe before it was durable; meta.json has the time in it,
 * so its presence is all that is asked. */
static bool is_whole(int dirfd, const struct part parts[FILES])
{
    for (size_t i = 0; i + 1 < FILES; i++) {
        CLEANUP_BUF struct buf b;
        buf_init_secret(&b, CERT_PEM_MAX);
        if (file_read_at(dirfd, parts[i].name, false, &b, NULL, NULL) || b.len != parts[i].n ||
            memcmp(buf_str(&b), parts[i].p, b.len) != 0)
            return false;
    }
    struct stat st;
    return fstatat(dirfd, META, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0 &&
           fchmod(dirfd, 0755) == 0;
}

static int keep_set(int dest, const char *set, const struct part parts[FILES])
{
    CLEANUP_CLOSE int dir = openat(dest, set, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0 || !is_whole(dir, parts))
        return -1;
    for (size_t i = 0; i < FILES; i++) {
        CLEANUP_CLOSE int fd = openat(dir, parts[i].name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fsync(fd))
            return -1;
    }
    return fsync(dir);
}

static int write_set(int dest, const char *set, const struct install_files *f,
                     const struct file_attr *key, struct err *e)
{
    struct part parts[FILES];
    list_parts(f, key, parts);
    if (mkdirat(dest, set, 0700)) {
        if (errno == EEXIST && keep_set(dest, set, parts) == 0)
            return 0;
        if (file_remove_tree_at(dest, set, e))
            return -1;
        if (mkdirat(dest, set, 0700))
            return err_sys(e, errno, "cannot make a folder in archive/");
    }
    CLEANUP_CLOSE int dir = file_open_dir_at(dest, set, e);
    if (dir < 0 || fill_set(dir, parts, e)) {
        file_remove_tree_at(dest, set, NULL);
        return -1;
    }
    return file_fsync_dir(dir, e);
}

/* Never finished, and nobody's: what its order brought was installed under another name, or not. */
static bool is_half(int dest, const char *set)
{
    struct stat st;
    CLEANUP_FREE char *meta = xasprintf("%s/" META, set);
    return fstatat(dest, set, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
           (st.st_mode & 07777) == 0700 && fstatat(dest, meta, &st, AT_SYMLINK_NOFOLLOW) != 0;
}

/* archive/NAME; not yet durable. */
static int open_dest(const struct statedir *s, const char *name, struct err *e)
{
    bool made = mkdirat(s->archive, name, 0700) == 0;
    int fd = file_open_dir_at(s->archive, name, e);
    if (fd >= 0 && made && fchmod(fd, 0755)) {
        close(fd);
        return err_sys(e, errno, "cannot make the folder archive/%s", name);
    }
    return fd;
}

/* ---- live/NAME ---- */

static bool is_ours(int parent, const char *name)
{
    char target[8];
    CLEANUP_CLOSE int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && readlinkat(fd, CURRENT, target, sizeof(target)) > 0;
}

static bool exists(int parent, const char *name)
{
    struct stat st;
    return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Switched at once; not durable yet. */
static int switch_link(int dirfd, const char *target, const char *name, struct err *e)
{
    int rc = symlinkat(target, dirfd, NEXT);
    if (rc && errno == EEXIST) { /* left by a crash */
        unlinkat(dirfd, NEXT, 0);
        rc = symlinkat(target, dirfd, NEXT);
    }
    if (rc == 0)
        rc = renameat(dirfd, NEXT, dirfd, name);
    return rc ? err_sys(e, errno, "cannot switch the link %s", name) : 0;
}

/* The links of the files; those that lead where they should cost one call each. */
static int put_links(int dirfd, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(link_names); i++) {
        char want[64], is[64];
        snprintf(want, sizeof(want), CURRENT "/%s", link_names[i]);
        ssize_t n = readlinkat(dirfd, link_names[i], is, sizeof(is));
        if (n == (ssize_t)strlen(want) && memcmp(is, want, (size_t)n) == 0)
            continue;
        if (switch_link(dirfd, want, link_names[i], e))
            return -1;
    }
    return 0;
}

static int fill_live(int dir, const char *target, struct err *e)
{
    CLEANUP_CLOSE int fd = put_file(dir, "README", readme, sizeof(readme) - 1, &open_to_all, e);
    if (fd < 0)
        return -1;
    if (symlinkat(target, dir, CURRENT))
        return err_sys(e, errno, "cannot make links in live/");
    return put_links(dir, e);
}

/* A folder that is complete before it is seen; under SWAP, where a sweep leaves it alone. */
static int make_live(const struct statedir *s, const char *swap, const char *name,
                     const char *target, struct err *e)
{
    CLEANUP_FREE char *tmp = xasprintf(STATEDIR_NEW "%s", name);
    if (mkdirat(s->live, tmp, 0700) && errno == EEXIST) {
        if (file_remove_tree_at(s->live, tmp, e))
            return -1;
        mkdirat(s->live, tmp, 0700);
    }
    CLEANUP_CLOSE int dir = file_open_dir_at(s->live, tmp, e);
    if (dir < 0 || fill_live(dir, target, e))
        return -1;
    if (fchmod(dir, 0755) || renameat(s->live, tmp, s->live, swap) || fsync(dir))
        return err_sys(e, errno, "cannot make a folder in live/");
    return 0;
}

static int set_aside(const struct statedir *s, const char *from, int dest, int64_t now_ms,
                     struct err *e)
{
    char time[32], to[64];
    stamp(now_ms, time);
    snprintf(to, sizeof(to), "adopted-%s", time);
    if (renameat2(s->live, from, dest, to, RENAME_NOREPLACE) && renameat(s->live, from, dest, to))
        return err_sys(e, errno, "cannot move what another tool left in live/ to archive/");
    return 0;
}

/* What a crash left under SWAP: our own folder, not yet in its place, or one that had been there.
 */
static int clear_swap(const struct statedir *s, const char *swap, int dest, int64_t now_ms,
                      struct err *e)
{
    if (!exists(s->live, swap))
        return 0;
    if (is_ours(s->live, swap))
        return file_remove_tree_at(s->live, swap, e);
    return set_aside(s, swap, dest, now_ms, e);
}

static int take_place(const struct statedir *s, const char *swap, const char *name, int dest,
                      int64_t now_ms, struct err *e)
{
    if (!exists(s->live, name)) {
        if (renameat(s->live, swap, s->live, name))
            return err_sys(e, errno, "cannot put %s into live/", name);
        return file_fsync_dir(s->live, e);
    }
    if (renameat2(s->live, swap, s->live, name, RENAME_EXCHANGE) == 0) {
        if (file_fsync_dir(s->live, e))
            return -1;
        return set_aside(s, swap, dest, now_ms, e);
    }
    /* A file system without exchange: for an instant there is nothing. */
    if (set_aside(s, name, dest, now_ms, e))
        return -1;
    return take_place(s, swap, name, dest, now_ms, e);
}

static int switch_live(const struct statedir *s, const char *name, const char *set, int dest,
                       int64_t now_ms, struct err *e)
{
    CLEANUP_FREE char *target = xasprintf("../../archive/%s/%s", name, set);
    CLEANUP_FREE char *swap = xasprintf(SWAP "%s", name);
    if (clear_swap(s, swap, dest, now_ms, e))
        return -1;
    if (!is_ours(s->live, name)) {
        if (make_live(s, swap, name, target, e))
            return -1;
        return take_place(s, swap, name, dest, now_ms, e);
    }
    CLEANUP_CLOSE int dir = file_open_dir_at(s->live, name, e);
    if (dir < 0 || switch_link(dir, target, CURRENT, e) || put_links(dir, e))
        return -1;
    return file_fsync_dir(dir, e);
}

int install_set(const struct statedir *s, const char *name, const char *set,
                const struct install_files *f, const struct file_attr *key, int64_t now_ms,
                struct err *e)
{
    if (!statedir_name_ok(name))
        return err_set(e, ERR_CONFIG, "\"%s\" cannot be the name of a folder", name);
    CLEANUP_CLOSE int dest = open_dest(s, name, e);
    if (dest < 0)
        return -1;
    if (write_set(dest, set, f, key, e) || file_fsync_dir(dest, e) || file_fsync_dir(s->archive, e))
        return -1;
    return switch_live(s, name, set, dest, now_ms, e);
}

int install_recover(const struct statedir *s, int64_t now_ms, struct err *e)
{
    struct dirent *d;
    int fd = openat(s->live, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int rc = dir ? 0 : err_sys(e, errno, "cannot list %s/live", s->path);
    while (rc == 0 && (d = readdir(dir))) {
        if (!str_starts(d->d_name, SWAP))
            continue;
        const char *name = d->d_name + strlen(SWAP);
        CLEANUP_CLOSE int dest = -1;
        rc = file_mkdir_at(s->archive, name, 0755, e);
        if (rc == 0)
            dest = file_open_dir_at(s->archive, name, e);
        rc = dest < 0 ? -1 : clear_swap(s, d->d_name, dest, now_ms, e);
    }
    if (dir)
        closedir(dir);
    return rc;
}

/* ---- old sets ---- */

static int compare_newest_first(const void *a, const void *b)
{
    return strcmp(*(const char *const *)b, *(const char *const *)a);
}

static char **list_sets(int dirfd, const char *current, size_t *ret_n)
{
    char **sets = NULL;
    size_t n = 0;
    struct dirent *d;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    while (dir && (d = readdir(dir))) {
        if (d->d_name[0] == '.' || str_eq(d->d_name, current))
            continue;
        sets = xrealloc_array(sets, n + 1, sizeof(*sets));
        sets[n++] = xstrdup(d->d_name);
    }
    if (dir)
        closedir(dir);
    if (n)
        qsort(sets, n, sizeof(*sets), compare_newest_first);
    *ret_n = n;
    return sets;
}

/* Our names say it; others are read. */
static bool has_expired(int dirfd, const char *set, int64_t now_ms)
{
    struct live l;
    char now[32];
    stamp(now_ms, now);
    if (str_starts(set, UNTIL))
        return strcmp(set + strlen(UNTIL), now) < 0;
    CLEANUP_CLOSE int fd = openat(dirfd, set, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || live_read_set(fd, &l, NULL))
        return false;
    bool expired = l.present && l.not_after_ms <= now_ms;
    live_done(&l);
    return expired;
}

/* Last part of where live/NAME/.current leads; "" when it is not ours. */
static void current_set(const struct statedir *s, const char *name, char out[NAME_MAX + 1])
{
    char target[PATH_MAX];
    CLEANUP_FREE char *path = xasprintf("%s/" CURRENT, name);
    ssize_t n = readlinkat(s->live, path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    const char *last = strrchr(target, '/');
    str_copy(out, NAME_MAX + 1, last ? last + 1 : "");
}

int install_prune(const struct statedir *s, const char *name, uint32_t keep, int64_t now_ms,
                  struct err *e)
{
    char current[NAME_MAX + 1];
    size_t n, expired = 0;
    int removed = 0, rc = 0;
    current_set(s, name, current);
    CLEANUP_CLOSE int dir = file_open_dir_at(s->archive, name, e);
    if (dir < 0 || !current[0])
        return dir < 0 ? -1 : 0;
    char **sets = list_sets(dir, current, &n);
    for (size_t i = 0; i < n; i++) {
        bool half = rc == 0 && is_half(dir, sets[i]);
        bool old = rc == 0 && !half && n > keep && has_expired(dir, sets[i], now_ms);
        if (half || (old && expired++ >= keep)) {
            rc = file_remove_tree_at(dir, sets[i], e);
            removed++;
        }
        free(sets[i]);
    }
    free(sets);
    return rc ? rc : removed;
}

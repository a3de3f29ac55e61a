/* SPDX-License-Identifier: ISC */
#include "keeper/archive.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/live.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define META "meta.json"
#define UNTIL "until-"
#define KEY "privkey.pem"
#define FILES 5

const struct file_attr archive_open_to_all = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};

/* 2026-11-21T20:44:00Z -> 20261121T204400Z */
void archive_stamp(int64_t ms, char out[32])
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

void archive_set_name(const struct cert_info *leaf, char out[64])
{
    char time[32];
    archive_stamp(leaf->not_after_ms, time);
    snprintf(out, 64, UNTIL "%s-%.16s", time, leaf->fingerprint);
}

/* ---- writing ---- */

int archive_put_file(int dirfd, const char *name, const void *p, size_t n,
                     const struct file_attr *a, struct err *e)
{
    bool chown = a->uid != (uid_t)-1 || a->gid != (gid_t)-1;
    mode_t mode = a->mode & 0777;
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(e, errno, "cannot create %s", name);
    if (file_write_whole(fd, p, n) || (chown && fchown(fd, a->uid, a->gid)) ||
        ((chown || mode != 0600) && fchmod(fd, mode))) {
        err_sys(e, errno, "cannot write %s", name);
        close(fd);
        return -1;
    }
    return fd;
}

int archive_make_dir(int dirfd, const char *name, struct err *e)
{
    bool made = mkdirat(dirfd, name, 0700) == 0;
    if (!made && errno != EEXIST)
        return err_sys(e, errno, "cannot make the folder %s", name);
    int fd = file_open_dir_at(dirfd, name, e);
    if (fd >= 0 && made && fchmod(fd, 0755)) {
        close(fd);
        return err_sys(e, errno, "cannot make the folder %s", name);
    }
    return fd;
}

struct part {
    const char *name;
    const char *p;
    size_t n;
    const struct file_attr *attr;
};

struct parts {
    struct part v[FILES];
    size_t n;
};

static void list_parts(const struct archive_files *f, const struct file_attr *key,
                       struct parts *out)
{
    const struct part key_part = {KEY, f->key ? buf_str(f->key) : NULL, f->key ? f->key->len : 0,
                                  key};
    const struct part others[FILES - 1] = {
        {"cert.pem", buf_str(f->cert), f->cert->len, &archive_open_to_all},
        {"chain.pem", buf_str(f->chain), f->chain->len, &archive_open_to_all},
        {"fullchain.pem", buf_str(f->fullchain), f->fullchain->len, &archive_open_to_all},
        {META, f->meta, strlen(f->meta), &archive_open_to_all}, /* the last: tells a whole set */
    };
    out->n = 0;
    if (f->key)
        out->v[out->n++] = key_part;
    memcpy(out->v + out->n, others, sizeof(others));
    out->n += ARRAY_LEN(others);
}

/* A whole set's files and folder, as they are, to be durable. */
static int keep_files(int set, struct disk_batch *b, struct disk_job *j)
{
    static const char *const names[FILES] = {KEY, "cert.pem", "chain.pem", "fullchain.pem", META};
    for (size_t i = 0; i < FILES; i++) {
        int fd = openat(set, names[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && errno == ENOENT && names[i] == names[0])
            continue; /* a set without a key */
        if (fd < 0)
            return -1;
        disk_keep(b, j, fd);
    }
    return 0;
}

int archive_keep(int dest, const char *set, struct disk_batch *b, struct disk_job *j, struct err *e)
{
    int dir = openat(dest, set, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(e, errno, "cannot open %s", set);
    int rc = keep_files(dir, b, j);
    if (rc)
        err_sys(e, errno, "cannot open the files of %s", set);
    disk_keep(b, j, dir);
    return rc;
}

/* Left by a crash after it was written, maybe before it was durable; meta.json has the time in it,
 * so its presence is all that is asked. */
static bool is_whole(int dirfd, const struct parts *parts)
{
    for (size_t i = 0; i + 1 < parts->n; i++) {
        const struct part *part = &parts->v[i];
        CLEANUP_BUF struct buf b;
        buf_init_secret(&b, CERT_PEM_MAX);
        if (file_read_at(dirfd, part->name, false, &b, NULL, NULL) || b.len != part->n ||
            memcmp(buf_str(&b), part->p, b.len) != 0)
            return false;
    }
    struct stat st;
    return fstatat(dirfd, META, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0 &&
           fchmod(dirfd, 0755) == 0;
}

static bool is_there(int dest, const char *set, const struct parts *parts)
{
    CLEANUP_CLOSE int dir = openat(dest, set, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return dir >= 0 && is_whole(dir, parts);
}

static int fill_set(int dir, const struct parts *parts, struct disk_batch *b, struct disk_job *j,
                    struct err *e)
{
    for (size_t i = 0; i < parts->n; i++) {
        const struct part *part = &parts->v[i];
        int fd = archive_put_file(dir, part->name, part->p, part->n, part->attr, e);
        if (fd < 0)
            return -1;
        disk_keep(b, j, fd);
    }
    return 0;
}

int archive_write(int dest, const char *set, const struct archive_files *f,
                  const struct file_attr *key, struct disk_batch *b, struct disk_job *j,
                  struct err *e)
{
    struct parts parts;
    list_parts(f, key, &parts);
    if (mkdirat(dest, set, 0700)) {
        if (errno == EEXIST && is_there(dest, set, &parts))
            return archive_keep(dest, set, b, j, e);
        if (file_remove_tree_at(dest, set, e))
            return -1;
        if (mkdirat(dest, set, 0700))
            return err_sys(e, errno, "cannot make a folder in archive/");
    }
    int dir = file_open_dir_at(dest, set, e);
    if (dir < 0)
        return -1;
    int rc = fill_set(dir, &parts, b, j, e);
    if (rc == 0 && fchmod(dir, 0755))
        rc = err_sys(e, errno, "cannot open a folder of archive/ to others");
    disk_keep(b, j, dir);
    return rc;
}

/* ---- old sets ---- */

/* Never finished, and nobody's: what its order brought was installed under another name, or not. */
static bool is_half(int dest, const char *set)
{
    struct stat st;
    CLEANUP_FREE char *meta = xasprintf("%s/" META, set);
    return str_starts(set, UNTIL) && fstatat(dest, set, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode) && fstatat(dest, meta, &st, AT_SYMLINK_NOFOLLOW) != 0;
}

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
    archive_stamp(now_ms, now);
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
    CLEANUP_FREE char *path = xasprintf("%s/.current", name);
    ssize_t n = readlinkat(s->live, path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    const char *last = strrchr(target, '/');
    str_copy(out, NAME_MAX + 1, last ? last + 1 : "");
}

int archive_prune(const struct statedir *s, int dest, const char *name, uint32_t keep,
                  int64_t now_ms, struct err *e)
{
    char current[NAME_MAX + 1];
    size_t n, expired = 0;
    int removed = 0, rc = 0;
    current_set(s, name, current);
    if (!current[0])
        return 0;
    char **sets = list_sets(dest, current, &n);
    for (size_t i = 0; i < n; i++) {
        bool half = rc == 0 && is_half(dest, sets[i]);
        bool old = rc == 0 && !half && n > keep && has_expired(dest, sets[i], now_ms);
        if (half || (old && expired++ >= keep)) {
            rc = file_remove_tree_at(dest, sets[i], e);
            removed++;
        }
        free(sets[i]);
    }
    free(sets);
    return rc ? rc : removed;
}

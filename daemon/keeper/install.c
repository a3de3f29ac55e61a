/* SPDX-License-Identifier: ISC */
#include "keeper/install.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CURRENT ".current"
#define NEXT ".next"
#define SWAP ".swap-"
#define README "README"
#define SHARED_README "live.README" /* in the state folder; the others are links to it */

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

/* ---- live/NAME ---- */

/* Its folder if it is one of ours, else -1. */
static int open_ours(int parent, const char *name)
{
    char target[8];
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || readlinkat(fd, CURRENT, target, sizeof(target)) > 0)
        return fd;
    close(fd);
    return -1;
}

static bool is_ours(int parent, const char *name)
{
    CLEANUP_CLOSE int fd = open_ours(parent, name);
    return fd >= 0;
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

/* A set without a key has none of the first. */
static size_t first_link(const struct install *i)
{
    return i->files.key ? 0 : 1;
}

/* The links of the files; those that lead where they should cost one call each. */
static int put_links(const struct install *install, int dirfd, struct err *e)
{
    if (first_link(install) && unlinkat(dirfd, link_names[0], 0) && errno != ENOENT)
        return err_sys(e, errno, "cannot remove the link %s", link_names[0]);
    for (size_t i = first_link(install); i < ARRAY_LEN(link_names); i++) {
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

/* A text is worth no inode for each certificate. */
static int put_readme(struct install *i, struct disk_batch *b, struct disk_job *j, struct err *e)
{
    if (linkat(i->dir->root, SHARED_README, i->live, README, 0) == 0)
        return 0;
    i->readme = errno == EMLINK ? README_IS_FULL : README_IS_NEW;
    int fd = archive_put_file(i->live, README, readme, sizeof(readme) - 1, &archive_open_to_all, e);
    if (fd < 0)
        return -1;
    disk_keep(b, j, fd);
    return 0;
}

/* By now it is durable. */
static void share_readme(struct install *i)
{
    if (i->readme == README_IS_FULL)
        unlinkat(i->dir->root, SHARED_README, 0);
    if (i->readme != README_IS_SHARED && linkat(i->live, README, i->dir->root, SHARED_README, 0))
        return; /* no harm: another has done it, or the file system has no such links */
}

static int fill_live(struct install *i, const char *target, struct err *e)
{
    int rc = symlinkat(target, i->live, CURRENT);
    for (size_t n = first_link(i); rc == 0 && n < ARRAY_LEN(link_names); n++) {
        char to[64];
        snprintf(to, sizeof(to), CURRENT "/%s", link_names[n]);
        rc = symlinkat(to, i->live, link_names[n]);
    }
    return rc ? err_sys(e, errno, "cannot make links in live/") : 0;
}

/* A folder that is complete before it is seen. */
static int make_live(struct install *i, struct disk_batch *b, struct disk_job *j, struct err *e)
{
    CLEANUP_FREE char *tmp = xasprintf(STATEDIR_NEW "%s", i->name);
    i->fresh = true;
    if (mkdirat(i->dir->live, tmp, 0700) &&
        (errno != EEXIST || file_remove_tree_at(i->dir->live, tmp, e) ||
         mkdirat(i->dir->live, tmp, 0700)))
        return err_sys(e, errno, "cannot make a folder in live/");
    i->live = file_open_dir_at(i->dir->live, tmp, e);
    if (i->live < 0 || fill_live(i, i->target, e) || put_readme(i, b, j, e))
        return -1;
    if (fchmod(i->live, 0755))
        return err_sys(e, errno, "cannot open a folder of live/ to others");
    disk_touch(b, j, i->live);
    return 0;
}

static int set_aside(const struct statedir *s, const char *from, int dest, int64_t now_ms,
                     struct err *e)
{
    char time[32], to[64];
    archive_stamp(now_ms, time);
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

/* Another tool's folder goes to the archive once ours is durable in its place. */
static int replace_foreign(struct install *i, const char *tmp, struct err *e)
{
    CLEANUP_FREE char *swap = xasprintf(SWAP "%s", i->name);
    int live = i->dir->live;
    if (renameat(live, tmp, live, swap))
        return err_sys(e, errno, "cannot put %s into live/", i->name);
    if (renameat2(live, swap, live, i->name, RENAME_EXCHANGE) == 0) {
        i->aside = true;
        return 0;
    }
    /* A file system without exchange: for an instant there is nothing. */
    if (set_aside(i->dir, i->name, i->dest, i->now_ms, e))
        return -1;
    if (renameat(live, swap, live, i->name))
        return err_sys(e, errno, "cannot put %s into live/", i->name);
    return 0;
}

static int take_place(struct install *i, struct err *e)
{
    CLEANUP_FREE char *tmp = xasprintf(STATEDIR_NEW "%s", i->name);
    int live = i->dir->live;
    if (renameat2(live, tmp, live, i->name, RENAME_NOREPLACE) == 0)
        return 0;
    if (exists(live, i->name))
        return replace_foreign(i, tmp, e);
    if (renameat(live, tmp, live, i->name)) /* a file system without that flag */
        return err_sys(e, errno, "cannot put %s into live/", i->name);
    return 0;
}

/* ---- the steps ---- */

int install_write(struct install *i, struct disk_batch *b, struct disk_job *j, struct err *e)
{
    const struct statedir *s = i->dir;
    install_done(i);
    if (!statedir_name_ok(i->name))
        return err_set(e, ERR_CONFIG, "\"%s\" cannot be the name of a folder", i->name);
    CLEANUP_FREE char *swap = xasprintf(SWAP "%s", i->name);
    i->target = xasprintf("../../archive/%s/%s", i->name, i->set);
    i->dest = archive_make_dir(s->archive, i->name, e);
    if (i->dest < 0)
        return -1;
    disk_touch(b, j, i->dest);
    disk_touch(b, NULL, s->archive);
    i->live = open_ours(s->live, i->name);
    if (i->again)
        return archive_keep(i->live, CURRENT, b, j, e);
    if (archive_write(i->dest, i->set, &i->files, &i->key, b, j, e) ||
        clear_swap(s, swap, i->dest, i->now_ms, e))
        return -1;
    return i->live < 0 ? make_live(i, b, j, e) : 0;
}

int install_show(struct install *i, struct disk_batch *b, struct disk_job *j, struct err *e)
{
    if (!i->fresh && !i->again &&
        (switch_link(i->live, i->target, CURRENT, e) || put_links(i, i->live, e)))
        return -1;
    if (i->fresh && take_place(i, e))
        return -1;
    if (i->live >= 0)
        disk_touch(b, j, i->live);
    if (i->fresh || i->again)
        disk_touch(b, NULL, i->dir->live);
    return 0;
}

void install_undo(struct install *i)
{
    CLEANUP_FREE char *tmp = xasprintf(STATEDIR_NEW "%s", i->name);
    if (i->again || i->dest < 0)
        return;
    file_remove_tree_at(i->dest, i->set, NULL);
    if (i->fresh)
        file_remove_tree_at(i->dir->live, tmp, NULL);
}

void install_end(struct install *i)
{
    CLEANUP_FREE char *swap = xasprintf(SWAP "%s", i->name);
    if (i->aside) /* when it cannot be: at the next start */
        set_aside(i->dir, swap, i->dest, i->now_ms, NULL);
    share_readme(i);
    if (!i->fresh || i->aside)
        archive_prune(i->dir, i->dest, i->name, i->keep, i->now_ms, NULL);
}

void install_init(struct install *i)
{
    i->dest = i->live = -1;
}

void install_done(struct install *i)
{
    if (i->dest >= 0)
        close(i->dest);
    if (i->live >= 0)
        close(i->live);
    free(i->target);
    i->target = NULL;
    i->dest = i->live = -1;
    i->fresh = i->aside = false;
    i->readme = README_IS_SHARED;
}

/* ---- after a start ---- */

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

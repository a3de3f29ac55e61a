/* SPDX-License-Identifier: ISC */
#include "keeper/statedir.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define NAME_LONGEST 240 /* NAME_MAX, less our prefixes */

bool statedir_name_ok(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= NAME_LONGEST && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-") == n;
}

/* state_dir itself: its parents are the administrator's. */
static int open_root(struct statedir *s, struct err *e)
{
    s->root = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->root < 0 && errno == ENOENT) {
        if (file_mkdir_at(AT_FDCWD, s->path, 0755, e))
            return err_prefix(e, "state_dir");
        s->root = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (s->root < 0)
        return err_sys(e, errno, "cannot open state_dir %s", s->path);
    return 0;
}

#define LOCK_TRIES 50
#define LOCK_PAUSE_MS 20

static int take_lock(struct statedir *s, struct err *e)
{
    s->lock = openat(s->root, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock < 0)
        return err_sys(e, errno, "cannot open %s/lock", s->path);
    /* Of a keeper that was killed a child may still be on its way from fork to exec. */
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(s->lock, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK)
            break;
        poll(NULL, 0, LOCK_PAUSE_MS);
        errno = EWOULDBLOCK;
    }
    if (errno != EWOULDBLOCK)
        return err_sys(e, errno, "cannot lock %s/lock", s->path);
    err_set(e, ERR_LOCAL,
            "another renewd runs with state_dir %s: stop it, or give this one a state_dir of its "
            "own",
            s->path);
    str_copy(e->type, sizeof(e->type), STATEDIR_LOCKED);
    return -1;
}

static int sweep(int dirfd, struct err *e)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *d;
    int rc = 0;
    if (!dir)
        return err_sys(e, errno, "cannot list a folder");
    while (rc == 0 && (d = readdir(dir))) {
        if (str_starts(d->d_name, STATEDIR_NEW))
            rc = file_remove_tree_at(dirfd, d->d_name, e);
    }
    closedir(dir);
    return rc ? rc : file_sweep_at(dirfd, e);
}

static int open_folder(struct statedir *s, const char *name, mode_t mode, int *ret, struct err *e)
{
    if (file_mkdir_at(s->root, name, mode, e))
        return -1;
    *ret = file_open_dir_at(s->root, name, e);
    return *ret < 0 ? -1 : sweep(*ret, e);
}

/* The engine's folder is not looked into: what lies there is another user's. */
static int give_engine(struct statedir *s, uid_t uid, gid_t gid, struct err *e)
{
    if (file_mkdir_at(s->root, "engine", 0700, e))
        return -1;
    CLEANUP_CLOSE int fd = file_open_dir_at(s->root, "engine", e);
    struct stat st;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st))
        return err_sys(e, errno, "cannot look at %s", s->engine);
    bool ours = st.st_uid == uid && st.st_gid == gid;
    if ((!ours && fchown(fd, uid, gid)) || ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700)))
        return err_sys(e, errno, "cannot give %s to the engine's user", s->engine);
    return 0;
}

int statedir_open(struct statedir *s, const char *path, uid_t uid, gid_t gid, struct err *e)
{
    *s = (struct statedir){
        .root = -1, .lock = -1, .accounts = -1, .live = -1, .archive = -1, .pending = -1};
    s->path = xstrdup(path);
    s->engine = xasprintf("%s/engine", path);
    if (open_root(s, e) || take_lock(s, e) || give_engine(s, uid, gid, e) ||
        open_folder(s, "accounts", 0700, &s->accounts, e) ||
        open_folder(s, "pending", 0700, &s->pending, e) ||
        open_folder(s, "archive", 0755, &s->archive, e) ||
        open_folder(s, "live", 0755, &s->live, e))
        return err_activity(e, "opening the state folder");
    return 0;
}

void statedir_close(struct statedir *s)
{
    int *fds[] = {&s->live, &s->archive, &s->pending, &s->accounts, &s->lock, &s->root};
    if (!s->path)
        return;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
    free(s->path);
    free(s->engine);
    s->path = s->engine = NULL;
}

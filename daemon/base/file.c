/* SPDX-License-Identifier: ISC */
#include "base/file.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SUFFIX ".tmp"
#define RANDOM_CHARS 6
#define TREE_DEPTH_MAX 64

int file_read_at(int dirfd, const char *path, bool follow, struct buf *out, struct stat *ret_st,
                 struct err *e)
{
    struct stat st;
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
    CLEANUP_CLOSE int fd = openat(dirfd, path, flags);
    if (fd < 0 || fstat(fd, &st))
        return err_sys(e, errno, "cannot read %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_LOCAL, "cannot read %s: it is no regular file", path);
    for (;;) {
        char chunk[16384];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        int sys = errno;
        int rc = n > 0 ? buf_put(out, chunk, (size_t)n) : 0;
        if (out->wipe)
            explicit_bzero(chunk, sizeof(chunk));
        if (n < 0)
            return err_sys(e, sys, "cannot read %s", path);
        if (rc)
            return err_set(e, ERR_LOCAL, "%s is larger than %zu bytes", path, out->max);
        if (n == 0)
            break;
    }
    if (ret_st)
        *ret_st = st;
    return 0;
}

/* The folder that holds a name, open, and the name's last part. */
struct place {
    int dirfd;
    bool own;
    const char *base;
};

static void place_close(struct place *p)
{
    if (p->own)
        close(p->dirfd);
}
#define CLEANUP_PLACE __attribute__((cleanup(place_close)))

static int place_open(struct place *p, int dirfd, const char *name, struct err *e)
{
    const char *slash = strrchr(name, '/');
    *p = (struct place){.dirfd = dirfd, .base = slash ? slash + 1 : name};
    if (!p->base[0] || str_eq(p->base, ".") || str_eq(p->base, ".."))
        return err_set(e, ERR_LOCAL, "\"%s\" does not name a file", name);
    if (!slash && dirfd != AT_FDCWD)
        return 0;
    CLEANUP_FREE char *parent = slash ? xstrndup(name, (size_t)(slash - name) + 1) : xstrdup(".");
    int fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "cannot open the folder of %s", name);
    p->dirfd = fd;
    p->own = true;
    return 0;
}

static void make_temporary_name(const char *base, char out[NAME_MAX + 1])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char chars[RANDOM_CHARS + 1] = "";
    for (int i = 0; i < RANDOM_CHARS; i++)
        chars[i] = letters[rng_range(&rng_system, 0, sizeof(letters) - 2)];
    int room = NAME_MAX - 2 - RANDOM_CHARS - (int)strlen(SUFFIX);
    snprintf(out, NAME_MAX + 1, ".%.*s.%s" SUFFIX, room, base, chars);
}

int file_write_whole(int fd, const void *data, size_t n)
{
    const char *p = data;
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

/* At first only we can open it; the owner comes before the mode, so that no right of the mode is
 * ever given to a group that is not the final one. */
static int fill_file(int fd, const void *p, size_t n, const struct file_attr *a)
{
    bool chown = a->uid != (uid_t)-1 || a->gid != (gid_t)-1;
    if (chown && fchown(fd, a->uid, a->gid))
        return -1;
    if (fchmod(fd, a->mode & 07777) || file_write_whole(fd, p, n) || fsync(fd))
        return -1;
    return 0;
}

/* A complete, durable file under a temporary name. */
static int make_temporary(int dirfd, const char *base, const void *p, size_t n,
                          const struct file_attr *a, char tmp[NAME_MAX + 1], struct err *e)
{
    int fd, tries = 0;
    do {
        make_temporary_name(base, tmp);
        fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                    a->mode & 0600);
    } while (fd < 0 && errno == EEXIST && ++tries < 100);
    if (fd < 0)
        return err_sys(e, errno, "cannot create a file beside %s", base);
    int rc = fill_file(fd, p, n, a);
    int sys = errno;
    if (close(fd) && rc == 0) {
        rc = -1;
        sys = errno;
    }
    if (rc) {
        unlinkat(dirfd, tmp, 0);
        return err_sys(e, sys, "cannot write %s", base);
    }
    return 0;
}

/* Not every file system knows RENAME_NOREPLACE; a hard link refuses an existing name too. */
static int rename_new(int dirfd, const char *tmp, const char *base)
{
    if (renameat2(dirfd, tmp, dirfd, base, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (linkat(dirfd, tmp, dirfd, base, 0))
        return -1;
    unlinkat(dirfd, tmp, 0);
    return 0;
}

/*
 * What takes the place of a file has its SELinux context, whatever the folder would give it: an
 * administrator who labelled a server's certificate need not do it at each renewal. Without SELinux
 * there is none.
 */
static void keep_label(int dirfd, const char *from, const char *to)
{
    static const char attr[] = "security.selinux";
    char label[512];
    CLEANUP_CLOSE int old = openat(dirfd, from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = old < 0 ? -1 : fgetxattr(old, attr, label, sizeof(label));
    if (n <= 0)
        return;
    CLEANUP_CLOSE int fd = openat(dirfd, to, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        (void)!fsetxattr(fd, attr, label, (size_t)n, 0);
}

static int create(int dirfd, const char *name, bool replace, const void *p, size_t n,
                  const struct file_attr *a, struct err *e)
{
    CLEANUP_PLACE struct place at = {.dirfd = -1};
    char tmp[NAME_MAX + 1];
    if (place_open(&at, dirfd, name, e) || make_temporary(at.dirfd, at.base, p, n, a, tmp, e))
        return -1;
    if (replace)
        keep_label(at.dirfd, at.base, tmp);
    int rc =
        replace ? renameat(at.dirfd, tmp, at.dirfd, at.base) : rename_new(at.dirfd, tmp, at.base);
    if (rc) {
        int sys = errno;
        unlinkat(at.dirfd, tmp, 0);
        return err_sys(e, sys, "cannot %s %s", replace ? "replace" : "create", name);
    }
    return file_fsync_dir(at.dirfd, e);
}

int file_create_at(int dirfd, const char *name, const void *p, size_t n, const struct file_attr *a,
                   struct err *e)
{
    return create(dirfd, name, false, p, n, a, e);
}

int file_replace_at(int dirfd, const char *name, const void *p, size_t n, const struct file_attr *a,
                    struct err *e)
{
    return create(dirfd, name, true, p, n, a, e);
}

int file_switch_link_at(int dirfd, const char *target, const char *name, struct err *e)
{
    CLEANUP_PLACE struct place at = {.dirfd = -1};
    char tmp[NAME_MAX + 1];
    int rc, tries = 0;
    if (place_open(&at, dirfd, name, e))
        return -1;
    do {
        make_temporary_name(at.base, tmp);
        rc = symlinkat(target, at.dirfd, tmp);
    } while (rc && errno == EEXIST && ++tries < 100);
    if (rc)
        return err_sys(e, errno, "cannot create a link beside %s", name);
    if (renameat(at.dirfd, tmp, at.dirfd, at.base)) {
        int sys = errno;
        unlinkat(at.dirfd, tmp, 0);
        return err_sys(e, sys, "cannot switch the link %s", name);
    }
    return file_fsync_dir(at.dirfd, e);
}

int file_mkdir_at(int dirfd, const char *name, mode_t mode, struct err *e)
{
    CLEANUP_PLACE struct place at = {.dirfd = -1};
    if (place_open(&at, dirfd, name, e))
        return -1;
    if (mkdirat(at.dirfd, at.base, mode & 0700)) {
        struct stat st;
        int sys = errno;
        if (sys == EEXIST && fstatat(at.dirfd, at.base, &st, 0) == 0)
            sys = S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
        return sys ? err_sys(e, sys, "cannot make the folder %s", name) : 0;
    }
    CLEANUP_CLOSE int fd =
        openat(at.dirfd, at.base, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fchmod(fd, mode & 07777) || fsync(fd))
        return err_sys(e, errno, "cannot make the folder %s", name);
    return file_fsync_dir(at.dirfd, e);
}

int file_open_dir_at(int dirfd, const char *name, struct err *e)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        err_sys(e, errno, "cannot open the folder %s", name);
    return fd;
}

int file_fsync_dir(int dirfd, struct err *e)
{
    /* EINVAL: a file system that has nothing to do for a folder. */
    if (fsync(dirfd) && errno != EINVAL)
        return err_sys(e, errno, "cannot make a change of a folder durable");
    return 0;
}

static DIR *open_listing(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    DIR *dir = fdopendir(fd);
    if (!dir)
        close(fd);
    return dir;
}

static bool is_dots(const char *name)
{
    return str_eq(name, ".") || str_eq(name, "..");
}

static int remove_tree(int parent, const char *name, int depth)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    if (depth == 0) {
        errno = ELOOP;
        return -1;
    }
    DIR *dir = open_listing(parent, name);
    if (!dir)
        return -1;
    int rc = 0, list_fd = dirfd(dir);
    for (;;) {
        errno = 0;
        struct dirent *d = readdir(dir);
        if (!d) {
            rc = errno ? -1 : 0;
            break;
        }
        if (!is_dots(d->d_name) && (rc = remove_tree(list_fd, d->d_name, depth - 1)))
            break;
    }
    int sys = errno;
    closedir(dir);
    errno = sys;
    return rc ? rc : unlinkat(parent, name, AT_REMOVEDIR);
}

int file_remove_tree_at(int dirfd, const char *name, struct err *e)
{
    if (remove_tree(dirfd, name, TREE_DEPTH_MAX))
        return err_sys(e, errno, "cannot remove %s", name);
    return dirfd == AT_FDCWD ? 0 : file_fsync_dir(dirfd, e);
}

static bool is_temporary_name(const char *name)
{
    size_t n = strlen(name), tail = 1 + RANDOM_CHARS + strlen(SUFFIX);
    if (name[0] != '.' || n < tail + 2 || !str_ends(name, SUFFIX) || name[n - tail] != '.')
        return false;
    for (size_t i = n - tail + 1; i < n - strlen(SUFFIX); i++) {
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9')))
            return false;
    }
    return true;
}

int file_sweep_at(int dirfd, struct err *e)
{
    DIR *dir = open_listing(dirfd, ".");
    if (!dir)
        return err_sys(e, errno, "cannot list a folder");
    int rc = 0;
    struct dirent *d;
    while ((d = readdir(dir))) {
        if (is_temporary_name(d->d_name) && unlinkat(dirfd, d->d_name, 0) && errno != ENOENT)
            rc = err_sys(e, errno, "cannot remove %s", d->d_name);
    }
    closedir(dir);
    return rc;
}

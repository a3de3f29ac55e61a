/* SPDX-License-Identifier: ISC */
#include "keeper/step_file.h"
#include "base/file.h"
#include "base/mem.h"
#include "keeper/live.h"
#include "keeper/step_content.h"
#include "keeper/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPANDED_MAX (64u << 10)

char *step_expand(const char *text, const char *name, const char *dir)
{
    struct buf b;
    buf_init(&b, EXPANDED_MAX);
    for (const char *p = text; *p; p++) {
        if (p[0] != '%' || !p[1]) {
            buf_putc(&b, *p);
            continue;
        }
        p++;
        if (*p == 'n')
            buf_puts(&b, name);
        else if (*p == 'd')
            buf_puts(&b, dir);
        else
            buf_putc(&b, *p);
    }
    return buf_steal(&b);
}

static int find_owner(const struct conf_step *step, struct file_attr *ret, struct err *e)
{
    struct user u = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    gid_t gid = (gid_t)-1;
    if (step->owner[0] && users_find(step->owner, &u, e))
        return -1;
    if (step->group[0] && users_group(step->group, &gid, e))
        return -1;
    *ret = (struct file_attr){.mode = step->mode ? step->mode : 0600, .uid = u.uid, .gid = gid};
    return 0;
}

static int check_folder(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    CLEANUP_FREE char *dir = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup("./");
    CLEANUP_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        return 0;
    if (errno == ENOENT)
        return err_set(e, ERR_LOCAL, "cannot write %s: there is no folder %s: make it", path, dir);
    return err_sys(e, errno, "cannot open the folder of %s", path);
}

int step_file_write(const struct statedir *s, const struct conf_step *step,
                    const struct conf_cert *cert, char **ret_path, struct err *e)
{
    CLEANUP_FREE char *dir = xasprintf("%s/live/%s", s->path, cert->name);
    CLEANUP_FREE char *path = step_expand(step->path, cert->name, dir);
    CLEANUP_BUF struct buf content;
    struct file_attr attr;
    buf_init_secret(&content, STEP_CONTENT_MAX);
    CLEANUP_CLOSE int set = live_open_set(s, cert->name, e);
    if (set < 0 || find_owner(step, &attr, e) || check_folder(path, e))
        return -1;
    if (step_content(set, step, cert, &content, e))
        return -1;
    if (file_replace_at(AT_FDCWD, path, buf_str(&content), content.len, &attr, e))
        return -1;
    *ret_path = xstrdup(path);
    return 0;
}

/* SPDX-License-Identifier: ISC */
#include "keeper/port_holder.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINES_MAX 10000 /* sockets that listen come first in the table */
#define STATE_LISTEN 0x0A
#define COMM_MAX 32

/* A line of /proc/net/tcp:
 *   sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...
 * with local_address as HEX:HEX. 0 when it is not the one. */
static unsigned long inode_of_line(const char *line, uint16_t port)
{
    unsigned local, state;
    unsigned long inode;
    if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu", &local,
               &state, &inode) != 3)
        return 0;
    return local == port && state == STATE_LISTEN ? inode : 0;
}

static unsigned long find_inode(const char *table, uint16_t port)
{
    char line[512];
    unsigned long inode = 0;
    FILE *f = fopen(table, "re");
    for (int i = 0; f && !inode && i < LINES_MAX && fgets(line, sizeof(line), f); i++)
        inode = inode_of_line(line, port);
    if (f)
        fclose(f);
    return inode;
}

/* fds: /proc/PID/fd; takes it. */
static bool holds(int fds, const char *wanted)
{
    DIR *d = fdopendir(fds);
    const struct dirent *entry;
    bool found = false;
    if (!d)
        close(fds);
    while (d && !found && (entry = readdir(d))) {
        char target[64];
        ssize_t n = readlinkat(dirfd(d), entry->d_name, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        found = str_eq(target, wanted);
    }
    if (d)
        closedir(d);
    return found;
}

static bool tell(int proc, const char *pid, char out[PORT_HOLDER_TEXT])
{
    CLEANUP_FREE char *path = xasprintf("%s/comm", pid);
    CLEANUP_BUF struct buf comm, name;
    buf_init(&comm, COMM_MAX);
    buf_init(&name, 4 * COMM_MAX);
    if (file_read_at(proc, path, false, &comm, NULL, NULL) || comm.len < 2)
        return false;
    str_escape(&name, comm.data, comm.len - 1, COMM_MAX);
    snprintf(out, PORT_HOLDER_TEXT, "%s (process %.10s)", buf_str(&name), pid);
    return true;
}

static bool find_process(unsigned long inode, char out[PORT_HOLDER_TEXT])
{
    char wanted[64];
    const struct dirent *entry;
    bool found = false;
    DIR *proc = opendir("/proc");
    snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
    while (proc && !found && (entry = readdir(proc))) {
        CLEANUP_FREE char *path = xasprintf("%s/fd", entry->d_name);
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        int fds = openat(dirfd(proc), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        found = fds >= 0 && holds(fds, wanted) && tell(dirfd(proc), entry->d_name, out);
    }
    if (proc)
        closedir(proc);
    return found;
}

const char *port_holder(uint16_t port, char out[PORT_HOLDER_TEXT])
{
    unsigned long inode = find_inode("/proc/net/tcp", port);
    if (!inode)
        inode = find_inode("/proc/net/tcp6", port);
    if (!inode || !find_process(inode, out))
        str_copy(out, PORT_HOLDER_TEXT, "another program");
    return out;
}

/* SPDX-License-Identifier: ISC */
#include "keeper/port_holder.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_MAX 10000 /* sockets that listen come first in the table */
#define STATE_LISTEN 0x0A
#define COMM_MAX 32
#define ADDRESS_MAX 33 /* with the NUL */

/* An address as /proc/net/tcp and tcp6 write it, word by word. */
struct wanted {
    char address[ADDRESS_MAX];
    unsigned port;
};

static bool is_any(const char *address)
{
    return address[strspn(address, "0")] == '\0';
}

static struct wanted wanted_of(const struct sockaddr *a)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;
    struct wanted w = {.port = ntohs(in->sin_port)}; /* at the same place in both */
    uint32_t word[4];
    if (a->sa_family == AF_INET6) {
        memcpy(word, &in6->sin6_addr, sizeof(word));
        snprintf(w.address, sizeof(w.address), "%08X%08X%08X%08X", word[0], word[1], word[2],
                 word[3]);
    } else {
        snprintf(w.address, sizeof(w.address), "%08X", in->sin_addr.s_addr);
    }
    return w;
}

/* A line of /proc/net/tcp:
 *   sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...
 * with local_address as HEX:HEX. 0 when it is not in the way. */
static unsigned long inode_of_line(const char *line, const struct wanted *w)
{
    char local[ADDRESS_MAX];
    unsigned port, state;
    unsigned long inode;
    if (sscanf(line, " %*d: %32[0-9A-F]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu", local,
               &port, &state, &inode) != 4 ||
        port != w->port || state != STATE_LISTEN)
        return 0;
    return is_any(local) || is_any(w->address) || str_eq(local, w->address) ? inode : 0;
}

static unsigned long find_inode(const char *table, const struct wanted *w)
{
    char line[512];
    unsigned long inode = 0;
    FILE *f = fopen(table, "re");
    for (int i = 0; f && !inode && i < LINES_MAX && fgets(line, sizeof(line), f); i++)
        inode = inode_of_line(line, w);
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

const char *port_holder(const struct sockaddr *a, char out[PORT_HOLDER_TEXT])
{
    struct wanted w = wanted_of(a);
    unsigned long inode =
        find_inode(a->sa_family == AF_INET6 ? "/proc/net/tcp6" : "/proc/net/tcp", &w);
    if (!inode && a->sa_family == AF_INET) /* one for both families */
        inode = find_inode("/proc/net/tcp6", &w);
    if (!inode || !find_process(inode, out))
        str_copy(out, PORT_HOLDER_TEXT, "another program");
    return out;
}

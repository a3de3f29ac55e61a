/* SPDX-License-Identifier: ISC */
/* The system's resolvers: c-ares, in the engine, must not look for itself (an unreadable file would
 * silently mean 127.0.0.1). resolv.conf(5). */
#include "conf/value.h"

#include "base/file.h"
#include "base/str.h"

#include <fcntl.h>
#include <string.h>

#define RESOLVERS_MAX 8

/* "nameserver ADDRESS" -> the address in its normal form, or NULL. */
static char *server_of(struct arena *a, char *line)
{
    char *word = line + strspn(line, " \t");

    if (!str_starts(word, "nameserver") || !strchr(" \t", word[10]) || !word[10])
        return NULL;
    word += 10;
    word += strspn(word, " \t");
    word[strcspn(word, " \t#;\r")] = '\0';
    return address_normal(a, word);
}

int resolv_read(const char *path, struct arena *a, struct conf_strs *ret, struct err *e)
{
    CLEANUP_BUF struct buf b = {0};
    struct conf_strs s = {.v = arena_alloc(a, RESOLVERS_MAX, sizeof *s.v)};
    struct stat st;

    buf_init(&b, 64 << 10);
    if (file_read_at(AT_FDCWD, path, true, &b, &st, e))
        return -1;
    char *text = b.data, *line;

    while (text && s.n < RESOLVERS_MAX && (line = strsep(&text, "\n"))) {
        char *server = server_of(a, line);

        if (server)
            s.v[s.n++] = server;
    }
    if (!s.n)
        return err_set(e, ERR_CONFIG, "%s names no server", path);
    *ret = s;
    return 0;
}

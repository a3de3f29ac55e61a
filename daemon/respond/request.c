/* SPDX-License-Identifier: ISC */
#include "respond/request.h"

#include <string.h>

static bool skip(const char **p, const char *end, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(end - *p) < n || memcmp(*p, word, n) != 0)
        return false;
    *p += n;
    return true;
}

/* METHOD SP TARGET SP HTTP/1.x, nothing else. */
static int read_line(const char *p, const char *end, struct request *r)
{
    if ((size_t)(end - p) < strlen("GET  HTTP/1.x"))
        return 400;
    const char *version = end - strlen(" HTTP/1.x");
    bool get = skip(&p, end, "GET ");
    r->head = !get && skip(&p, end, "HEAD ");
    if (version < p || memcmp(version, " HTTP/1.", 8) != 0 ||
        (version[8] != '0' && version[8] != '1'))
        return 400;
    if (!get && !r->head)
        return 405;
    if (!skip(&p, version, REQUEST_PATH) || version == p || version - p >= (long)sizeof(r->token))
        return 404;
    memcpy(r->token, p, (size_t)(version - p));
    r->token[version - p] = '\0';
    return 200;
}

bool request_read(const char *text, size_t n, size_t seen, struct request *ret)
{
    *ret = (struct request){0};
    size_t from = seen > 3 ? seen - 3 : 0;
    const char *end = memmem(text + from, n - from, "\r\n\r\n", 4);
    if (memchr(text + seen, '\0', n - seen))
        ret->status = 400;
    if (ret->status || !end)
        return ret->status != 0;
    const char *line = memmem(text, n, "\r\n", 2);
    ret->status = read_line(text, line, ret);
    return true;
}

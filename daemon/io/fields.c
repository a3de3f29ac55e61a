/* SPDX-License-Identifier: ISC */
/* The readers of reply fields that io/http.h promises. */
#include "io/http.h"

#include "base/str.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define DATE_LENGTH_MAX 64
#define LINKS_MAX 256 /* over all fields of a reply */
#define TARGET_MAX 2048

const char *http_reply_header(const struct http_reply *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (str_case_eq(r->headers[i].name, name))
            return r->headers[i].value;
    return NULL;
}

/* --- Retry-After --- */

/* delta-seconds of any length: what is too large is clamped later. */
static bool to_seconds(const char *s, int64_t *ret)
{
    int64_t n = 0;

    if (!*s)
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return false;
        if (n < INT32_MAX)
            n = n * 10 + (*s - '0');
    }
    *ret = n;
    return true;
}

/* libcurl reads the three forms of RFC 9110 5.6.7, but many others, too: all of ours begin with the
 * day of the week and hold a time. */
static bool to_date(const char *s, int64_t *ret_ms)
{
    static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    bool day = false;

    for (size_t i = 0; i < ARRAY_LEN(days); i++)
        day = day || str_starts(s, days[i]);
    if (!day || !strchr(s, ':') || strlen(s) > DATE_LENGTH_MAX)
        return false;
    time_t t = curl_getdate(s, NULL);
    if (t < 0 || t > INT64_MAX / 1000)
        return false;
    *ret_ms = (int64_t)t * 1000;
    return true;
}

int64_t http_reply_date(const struct http_reply *r)
{
    const char *value = http_reply_header(r, "Date");
    int64_t at;

    return value && to_date(value, &at) ? at : 0;
}

int64_t http_retry_after(const struct http_reply *r, int64_t now_wall_ms, int64_t min_ms,
                         int64_t max_ms)
{
    const char *value = http_reply_header(r, "Retry-After");
    int64_t n, at;

    if (!value)
        return 0;
    if (to_seconds(value, &n))
        at = now_wall_ms + n * 1000;
    else if (!to_date(value, &at))
        return 0;
    if (at < now_wall_ms + min_ms)
        return now_wall_ms + min_ms;
    if (at > now_wall_ms + max_ms)
        return now_wall_ms + max_ms;
    return at;
}

/* --- Link (RFC 8288 3) --- */

struct text {
    const char *p;
    size_t n;
};

static const char *skip_space(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

/* A quoted string or a token. Quoted pairs stay as they are: no relation type holds any. */
static const char *read_value(const char *p, struct text *ret)
{
    if (*p != '"') {
        ret->p = p;
        ret->n = strcspn(p, " \t;,");
        return p + ret->n;
    }
    ret->p = ++p;
    while (*p && *p != '"')
        p += *p == '\\' && p[1] ? 2 : 1;
    ret->n = (size_t)(p - ret->p);
    return *p ? p + 1 : p;
}

static bool text_is(struct text t, const char *word)
{
    return strlen(word) == t.n && strncasecmp(t.p, word, t.n) == 0;
}

/* One of the relation types, separated by space. */
static bool has_rel(struct text types, const char *rel)
{
    const char *p = types.p, *end = types.p + types.n;

    while (p < end) {
        struct text one = {.p = p};

        while (p < end && *p != ' ' && *p != '\t')
            p++;
        one.n = (size_t)(p - one.p);
        if (one.n && text_is(one, rel))
            return true;
        p = p < end ? p + 1 : p;
    }
    return false;
}

struct link {
    struct text target;
    struct text rel; /* the first rel parameter counts (RFC 8288 3.3) */
    bool anchored;   /* it is about something else than the reply: not for us */
};

static const char *read_params(const char *p, struct link *l)
{
    bool seen = false;

    for (p = skip_space(p); *p == ';'; p = skip_space(p)) {
        struct text name, value = {.p = ""};

        p = skip_space(p + 1);
        name.p = p;
        name.n = strcspn(p, " \t=;,");
        p = skip_space(p + name.n);
        if (*p == '=')
            p = read_value(skip_space(p + 1), &value);
        if (text_is(name, "rel") && !seen) {
            l->rel = value;
            seen = true;
        }
        l->anchored = l->anchored || text_is(name, "anchor");
    }
    return p;
}

/* The next well-formed link of a field from p on; NULL: no more. */
static const char *read_link(const char *p, struct link *ret)
{
    for (;;) {
        p += strspn(p, " \t,");
        if (!*p)
            return NULL;
        *ret = (struct link){.rel = {.p = ""}};
        if (*p != '<') { /* malformed: on to the next comma */
            p += strcspn(p, ",");
            continue;
        }
        const char *end = strchr(++p, '>');
        if (!end)
            return NULL;
        ret->target = (struct text){.p = p, .n = (size_t)(end - p)};
        p = read_params(end + 1, ret);
        if (*p == '\0' || *p == ',')
            return p;
        p += strcspn(p, ",");
    }
}

/* The cursor: links seen so far, and where to go on in the values of all fields put in a row. */
#define CURSOR_BITS 20

static bool link_fits(const struct link *l, const char *rel)
{
    return !l->anchored && l->target.n <= TARGET_MAX && has_rel(l->rel, rel);
}

char *http_link(const struct http_reply *r, const char *rel, size_t *cursor)
{
    size_t seen = *cursor >> CURSOR_BITS, at = *cursor & ((1u << CURSOR_BITS) - 1), base = 0;

    for (size_t i = 0; i < r->n_headers && base < 1u << (CURSOR_BITS - 1); i++) {
        const char *value = r->headers[i].value, *p = value;
        size_t len = strlen(value) + 1;
        struct link l;

        if (!str_case_eq(r->headers[i].name, "Link") || len > 1u << (CURSOR_BITS - 1))
            continue;
        base += len;
        if (at >= base)
            continue;
        p += at > base - len ? at - (base - len) : 0;
        while (seen < LINKS_MAX && (p = read_link(p, &l))) {
            seen++;
            at = base - len + (size_t)(p - value);
            if (!link_fits(&l, rel))
                continue;
            *cursor = seen << CURSOR_BITS | at;
            return xstrndup(l.target.p, l.target.n);
        }
        at = base;
    }
    *cursor = seen << CURSOR_BITS | at;
    return NULL;
}

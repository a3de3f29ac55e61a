/* SPDX-License-Identifier: ISC */
#include "base/json_out.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIRST_SIZE 512

void json_out_init(struct json_out *o)
{
    *o = (struct json_out){.p = xrealloc_array(NULL, FIRST_SIZE, 1), .cap = FIRST_SIZE};
}

static char *room(struct json_out *o, size_t n)
{
    if (o->cap - o->len < n) {
        o->cap = 2 * o->cap + n;
        o->p = xrealloc_array(o->p, o->cap, 1);
    }
    return o->p + o->len;
}

void json_out_raw(struct json_out *o, const void *p, size_t n)
{
    memcpy(room(o, n), p, n);
    o->len += n;
}

static void put_char(struct json_out *o, char c)
{
    *room(o, 1) = c;
    o->len++;
}

char *json_out_end(struct json_out *o)
{
    put_char(o, '\0');
    return o->p;
}

static void put_escape(struct json_out *o, unsigned char c)
{
    static const char hex[] = "0123456789abcdef", named[] = "\b\f\n\r\t\"\\", names[] = "bfnrt\"\\";
    const char *name = strchr(named, c);

    if (name)
        json_out_raw(o, (const char[]){'\\', names[name - named]}, 2);
    else
        json_out_raw(o, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

void json_out_quoted(struct json_out *o, const char *text)
{
    put_char(o, '"');
    for (;;) {
        const char *p = text;
        while ((unsigned char)*p >= 0x20 && *p != '"' && *p != '\\')
            p++;
        json_out_raw(o, text, (size_t)(p - text));
        if (!*p)
            break;
        put_escape(o, (unsigned char)*p);
        text = p + 1;
    }
    put_char(o, '"');
}

/* A comma where a value stands before this one. */
static void put_key(struct json_out *o, const char *key)
{
    char last = o->len ? o->p[o->len - 1] : '{';
    if (last != '{' && last != '[')
        put_char(o, ',');
    if (!key)
        return;
    json_out_quoted(o, key);
    put_char(o, ':');
}

void json_out_open(struct json_out *o, const char *key, char bracket)
{
    put_key(o, key);
    put_char(o, bracket);
}

void json_out_close(struct json_out *o, char bracket)
{
    put_char(o, bracket);
}

void json_out_text(struct json_out *o, const char *key, const char *value)
{
    put_key(o, key);
    json_out_quoted(o, value);
}

void json_out_int(struct json_out *o, const char *key, int64_t value)
{
    put_key(o, key);
    o->len += (size_t)snprintf(room(o, 24), 24, "%" PRId64, value);
}

/* SPDX-License-Identifier: ISC */
#include "message.h"

#include <string.h>

void message_put(struct message *m, const void *p, size_t n)
{
    if (m->bad || n > m->max - m->n) {
        m->bad = 1;
        return;
    }
    memcpy(m->p + m->n, p, n);
    m->n += (uint32_t)n;
}

void message_put_u8(struct message *m, uint8_t v)
{
    message_put(m, &v, 1);
}

void message_put_u16(struct message *m, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    message_put(m, b, sizeof(b));
}

void message_put_u32(struct message *m, uint32_t v)
{
    message_put_u16(m, (uint16_t)(v >> 16));
    message_put_u16(m, (uint16_t)v);
}

void message_put_u48(struct message *m, uint64_t v)
{
    message_put_u16(m, (uint16_t)(v >> 32));
    message_put_u32(m, (uint32_t)v);
}

void message_set_u16(struct message *m, uint32_t at, uint16_t v)
{
    if (m->bad || at + 2 > m->n)
        return;
    m->p[at] = (uint8_t)(v >> 8);
    m->p[at + 1] = (uint8_t)v;
}

static uint8_t lower(char c)
{
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* The labels of the first `n` characters. */
static void put_labels(struct message *m, const char *name, size_t n)
{
    size_t used = 0;
    while (used < n) {
        size_t len = 0;
        while (used + len < n && name[used + len] != '.')
            len++;
        if (len == 0 || len > 63) {
            m->bad = 1;
            return;
        }
        message_put_u8(m, (uint8_t)len);
        for (size_t i = 0; i < len; i++)
            message_put_u8(m, lower(name[used + i]));
        used += len + 1;
    }
}

static size_t without_dot(const char *name)
{
    size_t n = strlen(name);
    return n && name[n - 1] == '.' ? n - 1 : n;
}

void message_put_name(struct message *m, const char *name)
{
    size_t n = without_dot(name);
    if (n > 253)
        m->bad = 1;
    put_labels(m, name, n);
    message_put_u8(m, 0);
}

void message_put_name_in(struct message *m, const char *name, const char *zone)
{
    size_t n = without_dot(name), z = without_dot(zone);
    int below = z && n > z && strncmp(name + n - z, zone, z) == 0 && name[n - z - 1] == '.';
    if (!below && (n != z || strncmp(name, zone, n) != 0)) {
        message_put_name(m, name);
        return;
    }
    if (n > 253)
        m->bad = 1;
    put_labels(m, name, below ? n - z - 1 : 0);
    message_put_u16(m, 0xc000 | AT_ZONE_NAME);
}

void message_put_txt(struct message *m, const char *text)
{
    size_t n = strlen(text), at = m->n;
    message_put_u16(m, 0);
    do {
        size_t part = n > 255 ? 255 : n;
        message_put_u8(m, (uint8_t)part);
        message_put(m, text, part);
        text += part;
        n -= part;
    } while (n);
    message_set_u16(m, (uint32_t)at, (uint16_t)(m->n - at - 2));
}

void message_begin(struct message *m, uint16_t id, int opcode, const char *zone)
{
    message_put_u16(m, id);
    message_put_u16(m, (uint16_t)(opcode << 11));
    message_put_u16(m, 1); /* zone */
    message_put_u16(m, 0); /* prerequisites */
    message_put_u16(m, 0); /* updates: counted as they are added */
    message_put_u16(m, 0); /* additional */
    message_put_name(m, zone);
    message_put_u16(m, TYPE_SOA);
    message_put_u16(m, CLASS_IN);
}

static void put_update(struct message *m, const char *zone, const char *fqdn, const char *value,
                       uint16_t class, uint32_t ttl)
{
    message_put_name_in(m, fqdn, zone);
    message_put_u16(m, TYPE_TXT);
    message_put_u16(m, class);
    message_put_u32(m, ttl);
    message_put_txt(m, value);
    if (!m->bad)
        message_set_u16(m, 8, (uint16_t)((m->p[8] << 8 | m->p[9]) + 1));
}

void message_add_rr(struct message *m, const char *zone, const char *fqdn, const char *value,
                    uint32_t ttl)
{
    put_update(m, zone, fqdn, value, CLASS_IN, ttl);
}

void message_delete_rr(struct message *m, const char *zone, const char *fqdn, const char *value)
{
    put_update(m, zone, fqdn, value, CLASS_NONE, 0);
}

struct cursor {
    const uint8_t *p;
    uint32_t n, at;
    int bad;
};

static const uint8_t *take(struct cursor *c, uint32_t n)
{
    if (c->bad || n > c->n - c->at) {
        c->bad = 1;
        return c->p;
    }
    const uint8_t *p = c->p + c->at;
    c->at += n;
    return p;
}

static uint16_t get_u16(struct cursor *c)
{
    const uint8_t *p = take(c, 2);
    return c->bad ? 0 : (uint16_t)(p[0] << 8 | p[1]);
}

static uint64_t get_u48(struct cursor *c)
{
    uint64_t v = get_u16(c);
    v = v << 16 | get_u16(c);
    return v << 16 | get_u16(c);
}

/* Copies a name, uncompressed and in lower case, to out (NULL: skips it). Each pointer must lead
 * strictly backwards, so the walk ends. */
static uint32_t get_name(struct cursor *c, uint8_t *out)
{
    struct cursor walk = *c;
    uint32_t used = 0, limit = c->at;
    int jumped = 0;
    for (;;) {
        uint8_t len = take(&walk, 1)[0];
        if (!walk.bad && (len & 0xc0) == 0xc0) {
            uint32_t to = (uint32_t)(len & 0x3f) << 8 | take(&walk, 1)[0];
            walk.bad |= to >= limit;
            if (!jumped)
                c->at = walk.at;
            jumped = 1;
            limit = walk.at = to;
            if (!walk.bad)
                continue;
        }
        if (walk.bad || len > 63 || used + len + 1 > NAME_WIRE_MAX) {
            c->bad = 1;
            return 0;
        }
        const uint8_t *label = take(&walk, len);
        for (uint32_t i = 0; out && !walk.bad && i < len; i++)
            out[used + 1 + i] = lower((char)label[i]);
        if (out)
            out[used] = len;
        used += len + 1u;
        if (len == 0)
            break;
    }
    if (!jumped)
        c->at = walk.at;
    c->bad |= walk.bad;
    return used;
}

static void get_tsig(struct cursor *c, struct reply *r, uint16_t rdlen)
{
    uint32_t end = c->at + rdlen;
    r->algorithm_len = get_name(c, r->algorithm);
    r->time = get_u48(c);
    r->fudge = get_u16(c);
    r->mac_len = get_u16(c);
    r->mac = take(c, r->mac_len);
    r->original_id = get_u16(c);
    r->error = get_u16(c);
    r->other_len = get_u16(c);
    r->other = take(c, r->other_len);
    r->has_tsig = 1;
    c->bad |= c->at != end;
}

/* RFC 8945 5.1: at most one TSIG, and only as the last record of all. */
static void get_record(struct cursor *c, struct reply *r, int last)
{
    uint32_t at = c->at;
    uint8_t owner[NAME_WIRE_MAX];
    uint32_t owner_len = get_name(c, owner);
    uint16_t type = get_u16(c);
    take(c, 6); /* class, TTL */
    uint16_t rdlen = get_u16(c);
    if (type != TYPE_TSIG) {
        take(c, rdlen);
        return;
    }
    if (!last || c->bad || rdlen > c->n - c->at) {
        c->bad = 1;
        return;
    }
    r->tsig_at = at;
    memcpy(r->key_name, owner, owner_len);
    r->key_name_len = owner_len;
    get_tsig(c, r, rdlen);
}

int reply_read(const uint8_t *p, uint32_t n, struct reply *ret)
{
    struct cursor c = {p, n, 0, 0};
    memset(ret, 0, sizeof(*ret));
    ret->id = get_u16(&c);
    uint16_t flags = get_u16(&c);
    ret->response = flags >> 15;
    ret->opcode = flags >> 11 & 15;
    ret->rcode = flags & 15;
    uint32_t questions = get_u16(&c), records = get_u16(&c);
    records += get_u16(&c);
    uint32_t additional = get_u16(&c);
    for (; questions && !c.bad; questions--) {
        get_name(&c, NULL);
        take(&c, 4);
    }
    for (; records && !c.bad; records--)
        get_record(&c, ret, 0);
    for (; additional && !c.bad; additional--)
        get_record(&c, ret, additional == 1);
    return c.bad || c.at != n ? -1 : 0;
}

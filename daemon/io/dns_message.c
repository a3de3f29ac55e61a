/* SPDX-License-Identifier: ISC */
#include "io/dns_message.h"

#include "base/str.h"

#include <ares.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX 512
#define CLASS_IN 1
#define HEADER_SIZE 12

struct message {
    const uint8_t *start, *at, *end;
};

static bool get_u16(struct message *m, uint16_t *ret)
{
    if (m->end - m->at < 2)
        return false;
    *ret = (uint16_t)(m->at[0] << 8 | m->at[1]);
    m->at += 2;
    return true;
}

static bool get_u32(struct message *m, uint32_t *ret)
{
    uint16_t high, low;

    if (!get_u16(m, &high) || !get_u16(m, &low))
        return false;
    *ret = (uint32_t)high << 16 | low;
    return true;
}

/* ret holds the name in lower case; *ret_odd: it has bytes that we do not handle, ret is "". */
static bool get_name(struct message *m, char ret[NAME_MAX_TEXT], bool *ret_odd)
{
    char *text = NULL;
    long len = 0;

    if (m->at >= m->end ||
        ares_expand_name(m->at, m->start, (int)(m->end - m->start), &text, &len) != ARES_SUCCESS)
        return false;
    bool odd = strchr(text, '\\') != NULL || !str_copy(ret, NAME_MAX_TEXT, text);
    ares_free_string(text);
    if (len <= 0 || len > m->end - m->at)
        return false;
    m->at += len;
    if (odd) {
        ret[0] = '\0';
        *ret_odd = true;
    }
    str_lower(ret);
    return true;
}

static bool read_address(struct message *rdata, struct dns_record *r)
{
    size_t n = (size_t)(rdata->end - rdata->at);

    if (r->type == DNS_A) {
        struct sockaddr_in *in = (struct sockaddr_in *)&r->addr.sa;

        in->sin_family = AF_INET;
        if (n != sizeof in->sin_addr)
            return false;
        memcpy(&in->sin_addr, rdata->at, n);
    } else {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)&r->addr.sa;

        in->sin6_family = AF_INET6;
        if (n != sizeof in->sin6_addr)
            return false;
        memcpy(&in->sin6_addr, rdata->at, n);
    }
    return true;
}

static bool read_soa(struct message *rdata, struct dns_record *r, bool *odd)
{
    char mailbox[NAME_MAX_TEXT];
    uint32_t times[4];
    bool odd_mailbox = false; /* nobody asks for it */

    if (!get_name(rdata, r->name, odd) || !get_name(rdata, mailbox, &odd_mailbox))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        if (!get_u32(rdata, &times[i]))
            return false;
    return get_u32(rdata, &r->soa_minimum) && rdata->at == rdata->end;
}

/* The strings joined (RFC 1035 3.3.14). */
static bool read_text(struct message *rdata, struct dns_record *r)
{
    size_t n = (size_t)(rdata->end - rdata->at);

    r->text = xcalloc(1, n + 1);
    if (n == 0)
        return false;
    while (rdata->at < rdata->end) {
        size_t len = *rdata->at++;

        if (len > (size_t)(rdata->end - rdata->at))
            return false;
        memcpy(r->text + r->text_len, rdata->at, len);
        r->text_len += len;
        rdata->at += len;
    }
    return true;
}

static bool read_raw(const struct message *rdata, struct dns_record *r)
{
    r->text_len = (size_t)(rdata->end - rdata->at);
    r->text = xcalloc(1, r->text_len + 1);
    memcpy(r->text, rdata->at, r->text_len);
    return true;
}

static bool read_rdata(struct message *rdata, struct dns_record *r, bool *odd)
{
    switch (r->type) {
    case DNS_A:
    case DNS_AAAA:
        return read_address(rdata, r);
    case DNS_NS:
    case DNS_CNAME:
        return get_name(rdata, r->name, odd) && rdata->at == rdata->end;
    case DNS_SOA:
        return read_soa(rdata, r, odd);
    case DNS_TXT:
        return read_text(rdata, r);
    case DNS_CAA:
        return read_raw(rdata, r);
    default:
        return true;
    }
}

/* *ret_keep: it is one that we hand out. r->text is the caller's even on failure. */
static bool read_record(struct message *m, struct dns_record *r, bool *ret_keep)
{
    uint16_t class, length;
    bool odd = false;

    if (!get_name(m, r->owner, &odd) || !get_u16(m, &r->type) || !get_u16(m, &class) ||
        !get_u32(m, &r->ttl) || !get_u16(m, &length) || length > m->end - m->at)
        return false;
    struct message rdata = {.start = m->start, .at = m->at, .end = m->at + length};
    m->at += length;
    if (class != CLASS_IN) {
        *ret_keep = false;
        return true;
    }
    if (!read_rdata(&rdata, r, &odd))
        return false;
    *ret_keep = !odd;
    return true;
}

static bool read_records(struct message *m, const uint16_t counts[3], struct dns_reply *reply)
{
    struct dns_record *list = NULL;
    size_t n = 0, cap = 0;
    bool good = true;

    for (int section = 0; section < 3 && good; section++) {
        for (unsigned i = 0; i < counts[section] && n < RECORDS_MAX && good; i++) {
            bool keep = false;

            if (n == cap) {
                cap = cap ? 2 * cap : 4;
                list = xrealloc_array(list, cap, sizeof *list);
            }
            memset(&list[n], 0, sizeof list[n]);
            list[n].section = (enum dns_section)section;
            good = read_record(m, &list[n], &keep);
            if (good && keep)
                n++;
            else
                free(list[n].text);
        }
    }
    reply->records = list;
    reply->n = n;
    return good;
}

/* A refusal may come without the question. */
static bool question_matches(struct message *m, unsigned count, int rcode, const char *name,
                             enum dns_type type)
{
    char got[NAME_MAX_TEXT];
    uint16_t got_type, class;
    bool odd = false;

    if (count == 0)
        return rcode != 0;
    return count == 1 && get_name(m, got, &odd) && !odd && get_u16(m, &got_type) &&
           get_u16(m, &class) && str_case_eq(got, name) && got_type == type && class == CLASS_IN;
}

int dns_message_read(const void *msg, size_t n, const char *name, enum dns_type type,
                     struct dns_reply *ret, struct err *e)
{
    struct message m = {.start = msg, .at = msg, .end = (const uint8_t *)msg + n};
    struct dns_reply reply = {0};
    uint16_t id, flags, questions, counts[3];

    if (n > UINT16_MAX || !get_u16(&m, &id) || !get_u16(&m, &flags) || !get_u16(&m, &questions) ||
        !get_u16(&m, &counts[0]) || !get_u16(&m, &counts[1]) || !get_u16(&m, &counts[2]))
        return err_set(e, ERR_PEER, "the DNS reply is no DNS message");
    reply.rcode = flags & 0xf;
    reply.aa = flags & 0x0400;
    if (!(flags & 0x8000) || (flags & 0x7800))
        return err_set(e, ERR_PEER, "the DNS reply is no reply to a query");
    if (!question_matches(&m, questions, reply.rcode, name, type))
        return err_set(e, ERR_PEER, "the DNS reply answers another question");
    if (!read_records(&m, counts, &reply)) {
        dns_reply_done(&reply);
        return err_set(e, ERR_PEER, "the DNS reply is malformed");
    }
    *ret = reply;
    return 0;
}

void dns_reply_done(struct dns_reply *r)
{
    struct dns_record *list = (struct dns_record *)r->records;

    for (size_t i = 0; i < r->n; i++)
        free(list[i].text);
    free(list);
    *r = (struct dns_reply){0};
}

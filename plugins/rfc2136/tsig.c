/* SPDX-License-Identifier: ISC */
#include "tsig.h"

#include <string.h>

/* The variables that are part of what is signed (RFC 8945 4.3.3). */
static void put_variables(struct message *m, const struct tsig_key *k, uint64_t time,
                          uint16_t fudge, uint16_t error, const uint8_t *other, uint16_t other_len)
{
    message_put_name(m, k->name);
    message_put_u16(m, CLASS_ANY);
    message_put_u32(m, 0);
    message_put_name(m, k->algorithm_name);
    message_put_u48(m, time);
    message_put_u16(m, fudge);
    message_put_u16(m, error);
    message_put_u16(m, other_len);
    message_put(m, other, other_len);
}

void tsig_sign(const struct renewd_host *host, const struct tsig_key *k, struct message *m,
               int64_t now_s, uint8_t mac[RENEWD_HASH_MAX], uint32_t *ret_mac_len)
{
    uint32_t end = m->n;
    /* Signed: the message as it is, then the variables; they are written behind it and taken back.
     */
    put_variables(m, k, (uint64_t)now_s, TSIG_FUDGE, 0, mac, 0);
    if (m->bad)
        return;
    uint32_t len = host->hmac(k->algorithm, k->secret, k->secret_len, m->p, m->n, mac);
    m->n = end;
    message_put_name(m, k->name);
    message_put_u16(m, TYPE_TSIG);
    message_put_u16(m, CLASS_ANY);
    message_put_u32(m, 0);
    uint32_t at = m->n;
    message_put_u16(m, 0);
    message_put_name(m, k->algorithm_name);
    message_put_u48(m, (uint64_t)now_s);
    message_put_u16(m, TSIG_FUDGE);
    message_put_u16(m, (uint16_t)len);
    message_put(m, mac, len);
    message_put(m, m->p, 2); /* original id */
    message_put_u16(m, 0);   /* error */
    message_put_u16(m, 0);   /* other */
    message_set_u16(m, at, (uint16_t)(m->n - at - 2));
    message_set_u16(m, 10, 1);
    *ret_mac_len = len;
}

static int same_name(const char *name, const uint8_t *wire, uint32_t len)
{
    uint8_t b[NAME_WIRE_MAX + 1];
    struct message m = {b, 0, sizeof(b), 0};
    message_put_name(&m, name);
    return !m.bad && m.n == len && memcmp(b, wire, len) == 0;
}

enum tsig_result tsig_verify(const struct renewd_host *host, const struct tsig_key *k,
                             const uint8_t *p, const struct reply *r, int64_t now_s,
                             const uint8_t *request_mac, uint32_t request_mac_len, uint8_t *scratch,
                             uint32_t scratch_size)
{
    if (!r->has_tsig || r->mac_len == 0)
        return TSIG_MISSING;
    if (!same_name(k->name, r->key_name, r->key_name_len) ||
        !same_name(k->algorithm_name, r->algorithm, r->algorithm_len))
        return TSIG_OTHER_KEY;
    struct message m = {scratch, 0, scratch_size, 0};
    message_put_u16(&m, (uint16_t)request_mac_len);
    message_put(&m, request_mac, request_mac_len);
    uint32_t start = m.n;
    message_put(&m, p, r->tsig_at);
    message_set_u16(&m, start, r->original_id);
    message_set_u16(&m, start + 10, (uint16_t)((p[10] << 8 | p[11]) - 1));
    put_variables(&m, k, r->time, r->fudge, r->error, r->other, r->other_len);
    uint8_t mac[RENEWD_HASH_MAX];
    uint32_t len = m.bad ? 0 : host->hmac(k->algorithm, k->secret, k->secret_len, m.p, m.n, mac);
    if (len == 0 || r->mac_len != len || !host->same(mac, r->mac, len))
        return TSIG_WRONG;
    int64_t apart = now_s - (int64_t)r->time;
    if (r->error != TSIG_BADTIME && (apart > r->fudge || -apart > r->fudge))
        return TSIG_STALE;
    return TSIG_OK;
}

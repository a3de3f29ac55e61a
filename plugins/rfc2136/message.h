/* SPDX-License-Identifier: ISC */
/* DNS messages, bounded in both directions (RFC 1035 4, RFC 2136 2). */
#ifndef RFC2136_MESSAGE_H
#define RFC2136_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#define MESSAGE_MAX 65535u
#define NAME_WIRE_MAX 255u

enum { TYPE_SOA = 6, TYPE_TXT = 16, TYPE_TSIG = 250 };
enum { CLASS_IN = 1, CLASS_NONE = 254, CLASS_ANY = 255 };
enum { OPCODE_QUERY = 0, OPCODE_UPDATE = 5 };
enum { AT_ZONE_NAME = 12 }; /* right behind the header */

struct message { /* being written */
    uint8_t *p;
    uint32_t n, max;
    int bad; /* something did not fit; later puts do nothing */
};
void message_put_u8(struct message *m, uint8_t v);
void message_put_u16(struct message *m, uint16_t v);
void message_put_u32(struct message *m, uint32_t v);
void message_put_u48(struct message *m, uint64_t v);
void message_put(struct message *m, const void *p, size_t n);
void message_set_u16(struct message *m, uint32_t at, uint16_t v);
/* Lower case, uncompressed; "" and "." are the root. */
void message_put_name(struct message *m, const char *name);
/* As message_put_name(), but the part that is `zone` becomes a pointer to the zone section's name.
 */
void message_put_name_in(struct message *m, const char *name, const char *zone);
void message_put_txt(struct message *m, const char *text); /* length and character-strings */

/* Header with one entry in the zone (question) section, of type SOA. */
void message_begin(struct message *m, uint16_t id, int opcode, const char *zone);
/* "Add to an RRset" (RFC 2136 2.5.1); "delete an RR from an RRset" (2.5.4). */
void message_add_rr(struct message *m, const char *zone, const char *fqdn, const char *value,
                    uint32_t ttl);
void message_delete_rr(struct message *m, const char *zone, const char *fqdn, const char *value);

struct reply { /* what is read of an answer */
    uint16_t id;
    int opcode, rcode, response;
    int has_tsig;
    uint32_t tsig_at; /* where the TSIG record begins */
    uint8_t key_name[NAME_WIRE_MAX], algorithm[NAME_WIRE_MAX];
    uint32_t key_name_len, algorithm_len;
    uint64_t time;
    uint16_t fudge, original_id, error;
    const uint8_t *mac, *other;
    uint16_t mac_len, other_len;
};
/* 0, or -1 when it is no well-formed message. Points into p. */
int reply_read(const uint8_t *p, uint32_t n, struct reply *ret);

#endif

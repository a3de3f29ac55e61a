/* SPDX-License-Identifier: ISC */
/* DNS replies. The first byte chooses the type that was asked for, the name is always "a.example".
 */
#include "io/dns_message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct dns_record *r)
{
    bool address = r->type == DNS_A || r->type == DNS_AAAA;

    if (strlen(r->owner) >= NAME_MAX_TEXT || strlen(r->name) >= NAME_MAX_TEXT)
        abort();
    bool text = r->type == DNS_TXT || r->type == DNS_CAA;
    if (text != (r->text != NULL) || (r->text && r->text[r->text_len] != '\0'))
        abort();
    if (address != (r->addr.sa.ss_family != AF_UNSPEC))
        abort();
    if (strchr(r->owner, '\\') || strchr(r->name, '\\') || r->section > DNS_ADDITIONAL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_A,   DNS_NS,   DNS_CNAME, DNS_SOA,
                                          DNS_TXT, DNS_AAAA, DNS_CAA};
    struct dns_reply reply = {0};
    struct err e = ERR_INIT;

    if (size == 0)
        return 0;
    /* copied, so that the sanitizer sees both ends */
    uint8_t *message = malloc(size);
    memcpy(message, data + 1, size - 1);
    if (dns_message_read(message, size - 1, "a.example", types[(data[0] - '0') % 7u], &reply, &e) ==
        0) {
        if (reply.n > 512 || reply.rcode > 15)
            abort();
        for (size_t i = 0; i < reply.n; i++)
            check(&reply.records[i]);
    } else if (e.cls != ERR_PEER) {
        abort();
    }
    dns_reply_done(&reply);
    free(message);
    return 0;
}

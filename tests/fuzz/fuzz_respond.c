/* SPDX-License-Identifier: ISC */
/* What strangers send to the responders: first byte 'h' a request, 't' a TLS record, 'n' a
 * ClientHello's server_name, 'a' its protocols. */
#include "base/mem.h"
#include "respond/request.h"
#include "respond/tls_hello.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void read_whole_and_in_pieces(const char *p, size_t n)
{
    struct request whole, part;
    size_t seen = 0;
    bool complete = false;
    for (size_t have = n % 7; have <= n && !complete; have += 1 + n % 7) {
        char *copy = xmemdup(p, have);
        complete = request_read(copy, have, seen, &part);
        seen = have;
        free(copy);
    }
    bool at_once = request_read(p, n, 0, &whole);
    if (complete && !at_once)
        abort();
    if (at_once && whole.status == 200 && (!whole.token[0] || strstr(whole.token, "\r\n")))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[NAME_MAX_TEXT];
    if (size < 1 || size > REQUEST_HEAD_MAX)
        return 0;
    const uint8_t *p = data + 1;
    switch (data[0]) {
    case 'h':
        read_whole_and_in_pieces((const char *)p, size - 1);
        break;
    case 't':
        tls_hello_check(p, size - 1);
        break;
    case 'n':
        if (tls_hello_name(p, size - 1, name) && strlen(name) + 5 != size - 1)
            abort();
        break;
    case 'a':
        tls_hello_offers_only(p, size - 1, "acme-tls/1");
        break;
    }
    return 0;
}

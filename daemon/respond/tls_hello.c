/* SPDX-License-Identifier: ISC */
#include "respond/tls_hello.h"
#include "base/str.h"

#include <stdint.h>
#include <string.h>

#define RECORD_HANDSHAKE 22
#define HANDSHAKE_CLIENT_HELLO 1
#define HANDSHAKE_HEAD 4u

static unsigned u16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

int tls_hello_check(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    static const unsigned char begin[] = {RECORD_HANDSHAKE, 3};
    if (memcmp(p, begin, n < sizeof(begin) ? n : sizeof(begin)) != 0)
        return -1;
    if (n < TLS_RECORD_HEAD + HANDSHAKE_HEAD)
        return 0;
    size_t record = u16(p + 3), hello = (size_t)p[6] << 16 | u16(p + 7);
    if (record < HANDSHAKE_HEAD || record > TLS_RECORD_MAX || p[5] != HANDSHAKE_CLIENT_HELLO ||
        hello > TLS_RECORD_MAX - HANDSHAKE_HEAD)
        return -1;
    return n >= TLS_RECORD_HEAD + record;
}

bool tls_hello_name(const unsigned char *p, size_t n, char out[NAME_MAX_TEXT])
{
    const size_t head = 5; /* of the list, type, of the name */
    if (n <= head || u16(p) != n - 2 || p[2] != 0 || u16(p + 3) != n - head)
        return false;
    n -= head;
    p += head;
    if (n >= NAME_MAX_TEXT || memchr(p, '\0', n))
        return false;
    memcpy(out, p, n);
    out[n] = '\0';
    str_lower(out);
    return true;
}

bool tls_hello_offers_only(const unsigned char *p, size_t n, const char *protocol)
{
    size_t want = strlen(protocol);
    return n == want + 3 && u16(p) == want + 1 && p[2] == want &&
           memcmp(p + 3, protocol, want) == 0;
}

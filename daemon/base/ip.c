/* SPDX-License-Identifier: ISC */
#include "base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool ip_parse(const char *text, uint8_t ret[IP_OCTETS], size_t *ret_n)
{
    uint8_t octets[IP_OCTETS];
    size_t n = inet_pton(AF_INET, text, octets) == 1 ? 4 : 16;
    if (n == 16 && inet_pton(AF_INET6, text, octets) != 1)
        return false;
    memcpy(ret, octets, n);
    *ret_n = n;
    return true;
}

bool ip_is(const char *text)
{
    uint8_t octets[IP_OCTETS];
    size_t n;
    return ip_parse(text, octets, &n);
}

void ip_text(const uint8_t *octets, size_t n, char out[IP_TEXT])
{
    inet_ntop(n == 4 ? AF_INET : AF_INET6, octets, out, IP_TEXT);
}

bool ip_normalise(const char *text, char out[IP_TEXT])
{
    uint8_t octets[IP_OCTETS];
    size_t n;
    if (!ip_parse(text, octets, &n))
        return false;
    ip_text(octets, n, out);
    return true;
}

bool ip_reverse(const char *text, char out[IP_REVERSE])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t o[IP_OCTETS];
    size_t n;
    if (!ip_parse(text, o, &n))
        return false;
    if (n == 4) {
        snprintf(out, IP_REVERSE, "%u.%u.%u.%u.in-addr.arpa", o[3], o[2], o[1], o[0]);
        return true;
    }
    for (size_t i = n; i-- > 0;) {
        *out++ = digits[o[i] & 15];
        *out++ = '.';
        *out++ = digits[o[i] >> 4];
        *out++ = '.';
    }
    memcpy(out, "ip6.arpa", sizeof("ip6.arpa"));
    return true;
}

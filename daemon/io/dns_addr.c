/* SPDX-License-Identifier: ISC */
/* Addresses of io/dns.h as text, and names of codes. */
#include "io/dns.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static uint16_t port_of(const struct dns_addr *a)
{
    if (a->sa.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&a->sa)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&a->sa)->sin_port);
}

static bool set(struct dns_addr *ret, const char *host, uint16_t port)
{
    struct dns_addr a;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a.sa;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.sa;

    memset(&a, 0, sizeof a);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
    } else {
        return false;
    }
    *ret = a;
    return true;
}

bool dns_addr_parse(const char *text, uint16_t default_port, struct dns_addr *ret)
{
    char host[INET6_ADDRSTRLEN];
    const char *end = text + strlen(text), *colon = strrchr(text, ':'), *port_text = NULL;
    int64_t port = default_port;

    if (text[0] == '[') {
        end = strchr(++text, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return false;
        port_text = end[1] ? end + 2 : NULL;
        if (!memchr(text, ':', (size_t)(end - text)))
            return false;
    } else if (colon && strchr(text, ':') == colon) { /* one colon only: not IPv6 */
        end = colon;
        port_text = colon + 1;
    }
    if (port_text && (port_text[0] == '+' || !str_to_i64(port_text, 1, UINT16_MAX, &port)))
        return false;
    if ((size_t)(end - text) >= sizeof host)
        return false;
    memcpy(host, text, (size_t)(end - text));
    host[end - text] = '\0';
    return set(ret, host, (uint16_t)port);
}

const char *dns_addr_text(const struct dns_addr *a, char *buf, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    uint16_t port = port_of(a);
    bool v6 = a->sa.ss_family == AF_INET6;

    if (v6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&a->sa)->sin6_addr, host, sizeof host);
    else if (a->sa.ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&a->sa)->sin_addr, host, sizeof host);
    if (port == 53 || port == 0)
        snprintf(buf, size, "%s", host);
    else
        snprintf(buf, size, v6 ? "[%s]:%u" : "%s:%u", host, port);
    return buf;
}

bool dns_addr_eq(const struct dns_addr *a, const struct dns_addr *b)
{
    const struct sockaddr_in *a4 = (const void *)&a->sa, *b4 = (const void *)&b->sa;
    const struct sockaddr_in6 *a6 = (const void *)&a->sa, *b6 = (const void *)&b->sa;

    if (a->sa.ss_family != b->sa.ss_family || port_of(a) != port_of(b))
        return false;
    if (a->sa.ss_family == AF_INET)
        return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0;
}

const char *dns_rcode_name(int rcode)
{
    static const char *const names[] = {
        "NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",  "REFUSED",
        "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE",
    };

    return rcode >= 0 && (size_t)rcode < ARRAY_LEN(names) ? names[rcode] : "unknown rcode";
}

const char *dns_type_name(enum dns_type t)
{
    switch (t) {
    case DNS_A:
        return "A";
    case DNS_NS:
        return "NS";
    case DNS_CNAME:
        return "CNAME";
    case DNS_SOA:
        return "SOA";
    case DNS_TXT:
        return "TXT";
    case DNS_AAAA:
        return "AAAA";
    case DNS_CAA:
        return "CAA";
    }
    return "?";
}

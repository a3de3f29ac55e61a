/* SPDX-License-Identifier: ISC */
#include "io/egress.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

/* RFC 6890 and the registry of special-purpose addresses behind it. */
static const struct {
    uint32_t net;
    unsigned bits;
} inside_v4[] = {
    {0x00000000, 8},  /* this network */
    {0x0a000000, 8},  /* private */
    {0x64400000, 10}, /* shared: carriers' NAT */
    {0x7f000000, 8},  /* loopback */
    {0xa9fe0000, 16}, /* link-local: clouds' metadata services */
    {0xac100000, 12}, /* private */
    {0xc0000000, 24}, /* IETF protocol assignments */
    {0xc0a80000, 16}, /* private */
    {0xc6120000, 15}, /* benchmarks */
    {0xe0000000, 4},  /* multicast */
    {0xf0000000, 4},  /* reserved, broadcast */
};

static const struct {
    uint8_t net[4];
    unsigned bits;
} inside_v6[] = {
    {{0xfc, 0, 0, 0}, 7},     /* unique local */
    {{0xfe, 0x80, 0, 0}, 10}, /* link-local */
    {{0xfe, 0xc0, 0, 0}, 10}, /* site-local */
    {{0xff, 0, 0, 0}, 8},     /* multicast */
    {{0x01, 0, 0, 0}, 16},    /* discard */
};

static bool v4_inside(uint32_t a)
{
    for (size_t i = 0; i < ARRAY_LEN(inside_v4); i++)
        if ((a ^ inside_v4[i].net) >> (32 - inside_v4[i].bits) == 0)
            return true;
    return false;
}

static uint32_t load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool v6_inside(const uint8_t a[16])
{
    static const uint8_t zero[12], nat64[12] = {0, 0x64, 0xff, 0x9b},
                                   mapped[12] = {[10] = 0xff, [11] = 0xff};

    /* ::, ::1, and the old IPv4-compatible form */
    if (memcmp(a, zero, 12) == 0)
        return load_u32(a + 12) <= 1 || v4_inside(load_u32(a + 12));
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
        return v4_inside(load_u32(a + 12));
    if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 */
        return v4_inside(load_u32(a + 2));
    for (size_t i = 0; i < ARRAY_LEN(inside_v6); i++)
        if ((load_u32(a) ^ load_u32(inside_v6[i].net)) >> (32 - inside_v6[i].bits) == 0)
            return true;
    return false;
}

bool egress_is_inside(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return v4_inside(ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr));
    if (sa->sa_family == AF_INET6)
        return v6_inside(((const struct sockaddr_in6 *)sa)->sin6_addr.s6_addr);
    return true;
}

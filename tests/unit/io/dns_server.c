/* SPDX-License-Identifier: ISC */
#include "dns_server.h"

#include "base/buf.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * First label:   a, aaaa, txt, ns, soa, cname: a record of that type    nx: NXDOMAIN with SOA
 * big: TC over UDP, 60 strings over TCP     servfail, refused      silent: nothing
 * wrongid, wrongq: replies to something else     short: cut within a record     late: first ignored
 * both: A and AAAA       none: NOERROR, empty      odd: one odd name, then a good one
 */

static void put16(struct buf *b, unsigned v)
{
    buf_putc(b, (char)(v >> 8));
    buf_putc(b, (char)v);
}

static void put32(struct buf *b, uint32_t v)
{
    put16(b, v >> 16);
    put16(b, v & 0xffff);
}

static void record(struct buf *b, unsigned type, const void *rdata, size_t n)
{
    put16(b, 0xc00c); /* the question's name */
    put16(b, type);
    put16(b, 1);
    put32(b, 300);
    put16(b, (unsigned)n);
    buf_put(b, rdata, n);
}

static const char soa[] = "\2ns\7example\0\4mail\7example\0"
                          "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\x3c";

struct query {
    const uint8_t *p;
    size_t n, question_end;
    char label[64];
    unsigned type;
    bool tcp;
};

static bool parse(struct query *q, struct dns_server *s)
{
    size_t at = 12;

    if (q->n < 17)
        return false;
    memcpy(q->label, q->p + 13, q->p[12] & 63);
    while (at < q->n && q->p[at])
        at += 1 + q->p[at];
    q->question_end = at + 5;
    if (q->question_end > q->n)
        return false;
    q->type = (unsigned)(q->p[at + 1] << 8 | q->p[at + 2]);
    s->last_rd = q->p[2] & 1;
    s->edns_size = 0;
    if (q->p[11] && q->question_end + 5 <= q->n)
        s->edns_size = (uint16_t)(q->p[q->question_end + 3] << 8 | q->p[q->question_end + 4]);
    return true;
}

static unsigned answers(struct buf *b, const struct query *q)
{
    const char *l = q->label;
    bool any = strcmp(l, "both") == 0;

    if (q->type == DNS_A && (any || strcmp(l, "a") == 0))
        return record(b, DNS_A, "\xc0\0\2\1", 4), 1;
    if (q->type == DNS_AAAA && (any || strcmp(l, "aaaa") == 0))
        return record(b, DNS_AAAA, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16), 1;
    if (q->type == DNS_A && strcmp(l, "loop") == 0)
        return record(b, DNS_A, "\x7f\0\0\1", 4), 1;
    if (q->type == DNS_A && strcmp(l, "mixed") == 0) {
        record(b, DNS_A, "\x7f\0\0\x9", 4);
        return record(b, DNS_A, "\x7f\0\0\1", 4), 2;
    }
    if (strcmp(l, "txt") == 0 || strcmp(l, "late") == 0)
        return record(b, DNS_TXT, "\5hello\6 w\0rld", 13), 1;
    if (strcmp(l, "ns") == 0)
        return record(b, DNS_NS, "\2NS\7Example", 12), 1;
    if (strcmp(l, "soa") == 0)
        return record(b, DNS_SOA, soa, sizeof soa - 1), 1;
    if (strcmp(l, "cname") == 0)
        return record(b, DNS_CNAME, "\6target\xc0\x0c", 9), 1;
    if (strcmp(l, "odd") == 0) {
        record(b, DNS_CNAME, "\3a.b\7example", 13);
        return record(b, DNS_CNAME, "\3fit\7example", 13), 2;
    }
    if (strcmp(l, "big") == 0) {
        for (int i = 0; i < 60; i++)
            record(b, DNS_TXT, "\x1dxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 30);
        return 60;
    }
    return 0;
}

/* 0: no reply. */
static size_t reply(struct dns_server *s, struct query *q, uint8_t *out, size_t size)
{
    struct buf b;
    unsigned flags = 0x8400, n, authority = 0;

    if (!parse(q, s) || (strcmp(q->label, "silent") == 0 && !s->refuse) ||
        (strcmp(q->label, "late") == 0 && s->udp_count == 1))
        return 0;
    buf_init(&b, 65535);
    buf_put(&b, q->p, q->question_end);
    n = answers(&b, q);
    if (strcmp(q->label, "nx") == 0) {
        flags |= 3;
        record(&b, DNS_SOA, soa, sizeof soa - 1);
        authority = 1;
    } else if (strcmp(q->label, "servfail") == 0) {
        flags |= 2;
    } else if (strcmp(q->label, "refused") == 0 || s->refuse) {
        flags |= 5;
    } else if (strcmp(q->label, "wrongid") == 0) {
        b.data[0] ^= 1;
    } else if (strcmp(q->label, "wrongq") == 0) {
        b.data[13] = 'X';
    } else if (strcmp(q->label, "short") == 0) {
        n = 1;
        put16(&b, 0xc00c);
        put16(&b, 16);
    } else if (strcmp(q->label, "big") == 0 && !q->tcp) {
        flags |= 0x200;
        n = 0;
        b.len = q->question_end;
    }
    const uint8_t head[] = {(uint8_t)(flags >> 8),
                            (uint8_t)flags,
                            0,
                            1,
                            (uint8_t)(n >> 8),
                            (uint8_t)n,
                            0,
                            (uint8_t)authority,
                            0,
                            0};
    memcpy(b.data + 2, head, sizeof head);
    size_t len = b.len <= size ? b.len : 0;
    memcpy(out, b.data, len);
    buf_free(&b);
    return len;
}

static void on_udp(void *arg, int what)
{
    struct dns_server *s = arg;
    uint8_t in[4096], out[65535];
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;

    (void)what;
    ssize_t n = recvfrom(s->udp, in, sizeof in, 0, (struct sockaddr *)&from, &from_len);
    if (n <= 0)
        return;
    s->udp_count++;
    struct query q = {.p = in, .n = (size_t)n};
    size_t len = reply(s, &q, out, sizeof out);
    if (len)
        sendto(s->udp, out, len, 0, (struct sockaddr *)&from, from_len);
}

static void drop_peer(struct dns_server *s, int i)
{
    watch_free(s->peer_watch[i]);
    s->peer_watch[i] = NULL;
    close(s->peers[i]);
    s->peers[i] = -1;
}

static void talk(struct dns_server *s, int i)
{
    uint8_t in[65537], out[65537];
    ssize_t n = recv(s->peers[i], in, sizeof in, 0);
    size_t len;

    if (n <= 2) {
        drop_peer(s, i);
        return;
    }
    s->tcp_count++;
    if (s->echo) {
        len = (size_t)n - 2;
        memcpy(out + 2, in + 2, len);
        out[4] |= 0x80;
    } else {
        struct query q = {.p = in + 2, .n = (size_t)n - 2, .tcp = true};

        len = reply(s, &q, out + 2, sizeof out - 2);
    }
    if (!len)
        return;
    out[0] = (uint8_t)(len >> 8);
    out[1] = (uint8_t)len;
    /* In two parts, for good measure. */
    if (send(s->peers[i], out, 1, MSG_NOSIGNAL) == 1)
        n = send(s->peers[i], out + 1, len + 1, MSG_NOSIGNAL);
    if (s->close_after)
        drop_peer(s, i);
}

static void on_peer(void *arg, int what)
{
    struct dns_server *s = arg;

    (void)what;
    for (int i = 0; i < 16; i++) {
        char c;

        if (s->peers[i] >= 0 && recv(s->peers[i], &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
            talk(s, i);
    }
}

static void on_accept(void *arg, int what)
{
    struct dns_server *s = arg;
    int fd = accept(s->tcp, NULL, NULL);

    (void)what;
    s->connections++;
    if (s->close_at_once) {
        close(fd);
        return;
    }
    for (int i = 0; i < 16; i++) {
        if (s->peers[i] < 0) {
            s->peers[i] = fd;
            s->peer_watch[i] = watch_new(s->loop, fd, LOOP_READ, on_peer, s);
            return;
        }
    }
    close(fd);
}

void dns_server_start(struct dns_server *s, struct loop *l)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&s->addr.sa;
    socklen_t len = sizeof *in;

    memset(s, 0, sizeof *s);
    s->loop = l;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 16; i++)
        s->peers[i] = -1;
    /* One port for both: try until TCP gets the one that UDP has. */
    for (;;) {
        in->sin_port = 0;
        s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(s->udp, (struct sockaddr *)in, len) < 0 ||
            getsockname(s->udp, (struct sockaddr *)in, &len) < 0)
            abort();
        if (bind(s->tcp, (struct sockaddr *)in, len) == 0 && listen(s->tcp, 16) == 0)
            break;
        close(s->udp);
        close(s->tcp);
    }
    s->udp_watch = watch_new(l, s->udp, LOOP_READ, on_udp, s);
    s->tcp_watch = watch_new(l, s->tcp, LOOP_READ, on_accept, s);
}

void dns_server_stop(struct dns_server *s)
{
    for (int i = 0; i < 16; i++)
        if (s->peers[i] >= 0)
            drop_peer(s, i);
    watch_free(s->udp_watch);
    watch_free(s->tcp_watch);
    close(s->udp);
    close(s->tcp);
}

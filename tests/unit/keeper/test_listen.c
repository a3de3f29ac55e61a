/* SPDX-License-Identifier: ISC */
/* Sockets for the responders, and answers in webroots. */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/http01.h"
#include "keeper/listen.h"
#include "keeper/port_holder.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
#define TOKENS ".well-known/acme-challenge"

static const struct listen_given none;

/* ---- sockets ---- */

struct setup {
    struct conf conf;
    struct conf_cert cert;
    struct conf_name name;
    char http[32], alpn[32], *lists[2];
};

static unsigned short free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void set_up(struct setup *s)
{
    *s = (struct setup){.name = {.name = s->lists[0]}};
    snprintf(s->http, sizeof(s->http), "127.0.0.1:%u", free_port());
    snprintf(s->alpn, sizeof(s->alpn), "127.0.0.2:%u", free_port());
    s->lists[0] = s->http;
    s->lists[1] = s->alpn;
    s->name.challenges = (struct conf_challenges){.v = {CONF_HTTP_01, CONF_TLS_ALPN_01}, .n = 2};
    s->cert.challenges = (struct conf_challenges){.v = {CONF_DNS_01}, .n = 1};
    s->cert.names = &s->name;
    s->cert.n_names = 1;
    s->cert.http01.kind = CONF_HTTP01_LISTEN;
    s->cert.http01.listen = (struct conf_strs){&s->lists[0], 1};
    s->cert.alpn_listen = (struct conf_strs){&s->lists[1], 1};
    s->conf.certs = &s->cert;
    s->conf.n_certs = 1;
}

static void test_what_the_configuration_names(void **state)
{
    struct setup s;
    struct err e = ERR_INIT;
    int on = 0;
    socklen_t n = sizeof(on);
    (void)state;
    set_up(&s);
    int http = listen_open(&s.conf, &none, s.http, &e),
        alpn = listen_open(&s.conf, &none, s.alpn, &e);
    assert_true(http >= 0 && alpn >= 0);
    assert_int_equal(getsockopt(http, SOL_SOCKET, SO_ACCEPTCONN, &on, &n), 0);
    assert_int_equal(on, 1);
    assert_true(fcntl(http, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(http, F_GETFD) & FD_CLOEXEC);
    close(http);
    close(alpn);
}

static void test_nothing_else(void **state)
{
    struct setup s;
    struct err e = ERR_INIT;
    (void)state;
    set_up(&s);
    assert_int_equal(listen_open(&s.conf, &none, "127.0.0.1:22", &e), -1);
    assert_int_equal(e.cls, ERR_BUG);
    s.name.challenges.n = 1; /* tls-alpn-01 is not used: the default address is not ours to open */
    assert_int_equal(listen_open(&s.conf, &none, s.alpn, &e), -1);
    assert_int_equal(e.cls, ERR_BUG);
    s.cert.http01.kind = CONF_HTTP01_WEBROOT;
    assert_int_equal(listen_open(&s.conf, &none, s.http, &e), -1);
}

static void test_addresses_as_text(void **state)
{
    static const char *const bad[] = {"",       "127.0.0.1",      "127.0.0.1:0",  "127.0.0.1:65536",
                                      "::1:80", "[127.0.0.1]:80", "localhost:80", "[::1]"};
    struct setup s;
    struct err e = ERR_INIT;
    (void)state;
    set_up(&s);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        str_copy(s.http, sizeof(s.http), bad[i]);
        assert_int_equal(listen_open(&s.conf, &none, s.http, &e), -1);
        assert_int_equal(e.cls, ERR_CONFIG);
    }
}

static void test_ipv6_beside_ipv4(void **state)
{
    struct setup s;
    struct err e = ERR_INIT;
    unsigned short port = free_port();
    (void)state;
    set_up(&s);
    snprintf(s.http, sizeof(s.http), "127.0.0.1:%u", port);
    snprintf(s.alpn, sizeof(s.alpn), "[::1]:%u", port);
    int four = listen_open(&s.conf, &none, s.http, &e);
    assert_true(four >= 0);
    int six = listen_open(&s.conf, &none, s.alpn, &e);
    if (six < 0 && (e.sys == EAFNOSUPPORT || e.sys == EADDRNOTAVAIL))
        skip();
    assert_true(six >= 0);
    int alone = 0; /* so that 0.0.0.0 and [::] do not meet */
    socklen_t n = sizeof(alone);
    assert_int_equal(getsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &alone, &n), 0);
    assert_int_equal(alone, 1);
    close(four);
    close(six);
}

static void test_who_has_the_port(void **state)
{
    struct setup s;
    struct err e = ERR_INIT;
    char text[PORT_HOLDER_TEXT], me[64];
    (void)state;
    set_up(&s);
    int fd = listen_open(&s.conf, &none, s.http, &e);
    assert_true(fd >= 0);
    assert_int_equal(listen_open(&s.conf, &none, s.http, &e), -1);
    assert_int_equal(e.cls, ERR_LOCAL);
    assert_int_equal(e.sys, EADDRINUSE);
    snprintf(me, sizeof(me), "is taken by test_listen (process %d)", (int)getpid());
    assert_non_null(strstr(e.detail, me));
    assert_non_null(strstr(e.detail, "http01: {webroot: PATH}"));
    struct sockaddr_in other = {.sin_family = AF_INET};
    socklen_t n = sizeof(other);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&other, &n), 0);
    snprintf(me, sizeof(me), "test_listen (process %d)", (int)getpid());
    other.sin_addr.s_addr = htonl(INADDR_ANY);
    assert_string_equal(port_holder((struct sockaddr *)&other, text), me);
    other.sin_addr.s_addr = htonl(0x7f4d0001); /* same port, another address */
    assert_string_equal(port_holder((struct sockaddr *)&other, text), "another program");
    close(fd);
}

static void test_given_sockets(void **state)
{
    struct setup s;
    struct err e = ERR_INIT;
    char pid[16];
    (void)state;
    set_up(&s);
    int fd = listen_open(&s.conf, &none, s.http, &e);
    struct listen_given given = {.first = fd, .n = 1};
    int own = listen_open(&s.conf, &given, s.http, &e),
        other = listen_open(&s.conf, &given, s.alpn, &e);
    assert_true(own >= 0 && own != fd && other >= 0);
    close(own);
    close(other);
    close(fd);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_int_equal(listen_given(pid, NULL).n, 0);
    assert_int_equal(listen_given("1", "1").n, 0);
    assert_int_equal(listen_given(pid, "1000").n, 0);
    assert_int_equal(listen_given(pid, "-1").n, 0);
}

/* ---- webroots ---- */

static char root[64];

static int make_root(void **state)
{
    (void)state;
    str_copy(root, sizeof(root), "/tmp/renewd-webroot-XXXXXX");
    return mkdtemp(root) ? chmod(root, 0755) : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return file_remove_tree_at(AT_FDCWD, root, NULL);
}

static const char *in_root(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static bool exists(const char *name)
{
    struct stat st;
    return lstat(in_root(name), &st) == 0;
}

static void test_a_file_comes_and_goes(void **state)
{
    struct webroots *w = webroots_new();
    struct err e = ERR_INIT;
    struct stat st, top;
    CLEANUP_BUF struct buf text;
    (void)state;
    buf_init(&text, 1000);
    if (geteuid() == 0)
        assert_int_equal(chown(root, 33, 33), 0);
    assert_int_equal(stat(root, &top), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(webroots_add(w, root, TOKEN, TOKEN ".thumb", &e), 0);
    assert_int_equal(file_read_at(AT_FDCWD, in_root(TOKENS "/" TOKEN), false, &text, &st, &e), 0);
    assert_string_equal(buf_str(&text), TOKEN ".thumb");
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(st.st_uid, top.st_uid);
    assert_int_equal(stat(in_root(TOKENS), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_gid, top.st_gid);
    assert_int_equal(webroots_remove(w, root, TOKEN, &e), 0);
    assert_false(exists(".well-known"));
    assert_int_equal(webroots_remove(w, root, TOKEN, &e), 0);
    webroots_free(w);
}

static void test_folders_of_others_stay(void **state)
{
    static const char second[] = "0123456789012345678901";
    struct webroots *w = webroots_new();
    struct err e = ERR_INIT;
    (void)state;
    assert_int_equal(mkdir(in_root(".well-known"), 0755), 0);
    assert_int_equal(webroots_add(w, root, TOKEN, "x", &e), 0);
    assert_int_equal(webroots_add(w, root, second, "x", &e), 0);
    assert_int_equal(webroots_remove(w, root, TOKEN, &e), 0);
    assert_true(exists(TOKENS "/0123456789012345678901"));
    assert_int_equal(webroots_remove(w, root, second, &e), 0);
    assert_false(exists(TOKENS));
    assert_true(exists(".well-known"));
    /* After a restart nobody knows who made the folders. */
    assert_int_equal(webroots_add(w, root, TOKEN, "x", &e), 0);
    webroots_free(w);
    w = webroots_new();
    assert_int_equal(webroots_remove(w, root, TOKEN, &e), 0);
    assert_false(exists(TOKENS "/" TOKEN));
    assert_true(exists(TOKENS));
    webroots_free(w);
}

static void test_it_is_found_without_the_configuration(void **state)
{
    struct webroots *w = webroots_new();
    struct err e = ERR_INIT;
    (void)state;
    assert_int_equal(webroots_add(w, root, TOKEN, "x", &e), 0);
    assert_int_equal(webroots_remove(w, "", TOKEN, &e), 0);
    assert_false(exists(".well-known"));
    assert_int_equal(webroots_remove(w, "", TOKEN, &e), 0);
    assert_int_equal(webroots_remove(w, "/does/not/exist", TOKEN, &e), 0);
    webroots_free(w);
}

static void test_links_lead_nowhere_else(void **state)
{
    struct webroots *w = webroots_new();
    struct err e = ERR_INIT;
    char outside[] = "/tmp/renewd-outside-XXXXXX", path[128];
    (void)state;
    assert_non_null(mkdtemp(outside));
    /* Below the webroot a link is fine. */
    assert_int_equal(mkdir(in_root("elsewhere"), 0755), 0);
    assert_int_equal(symlink("elsewhere", in_root(".well-known")), 0);
    assert_int_equal(webroots_add(w, root, TOKEN, "x", &e), 0);
    assert_true(exists("elsewhere/acme-challenge/" TOKEN));
    assert_int_equal(webroots_remove(w, root, TOKEN, &e), 0);
    /* Out of it is not, by whatever way. */
    assert_int_equal(unlink(in_root(".well-known")), 0);
    assert_int_equal(symlink(outside, in_root(".well-known")), 0);
    assert_int_equal(webroots_add(w, root, TOKEN, "x", &e), -1);
    assert_int_equal(e.cls, ERR_CONFIG);
    assert_int_equal(unlink(in_root(".well-known")), 0);
    assert_int_equal(mkdir(in_root(".well-known"), 0755), 0);
    snprintf(path, sizeof(path), "../../%s", strrchr(outside, '/') + 1);
    assert_int_equal(symlink(path, in_root(TOKENS)), 0);
    assert_int_equal(webroots_add(w, root, TOKEN, "x", &e), -1);
    /* Neither does removal reach out. */
    snprintf(path, sizeof(path), "%s/" TOKEN, outside);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(webroots_remove(w, root, TOKEN, &e), 0);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(file_remove_tree_at(AT_FDCWD, outside, &e), 0);
    webroots_free(w);
}

/* A link in the token's place is replaced, what it leads to is left alone. */
static void test_a_link_as_the_token(void **state)
{
    struct webroots *w = webroots_new();
    struct err e = ERR_INIT;
    struct stat st;
    (void)state;
    assert_int_equal(mkdir(in_root(".well-known"), 0755), 0);
    assert_int_equal(mkdir(in_root(TOKENS), 0755), 0);
    close(open(in_root("victim"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(symlink("../../victim", in_root(TOKENS "/" TOKEN)), 0);
    assert_int_equal(webroots_add(w, root, TOKEN, "x", &e), 0);
    assert_int_equal(lstat(in_root(TOKENS "/" TOKEN), &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(stat(in_root("victim"), &st), 0);
    assert_int_equal(st.st_size, 0);
    webroots_free(w);
}

static void test_errors_say_what_to_do(void **state)
{
    struct webroots *w = webroots_new();
    struct err e = ERR_INIT;
    (void)state;
    assert_int_equal(webroots_add(w, "/does/not/exist", TOKEN, "x", &e), -1);
    assert_non_null(strstr(e.detail, "webroot /does/not/exist does not exist: make it"));
    assert_int_equal(e.cls, ERR_CONFIG);
    webroots_free(w);
}

static void test_tokens(void **state)
{
    static const char *const bad[] = {"",
                                      "short",
                                      "../../../../etc/passwd0",
                                      "0123456789012345678901/",
                                      "0123456789012345678901=",
                                      ".123456789012345678901",
                                      "0123456789012345678901%2e",
                                      "0123456789012345678901 "};
    char longest[130];
    (void)state;
    assert_true(http01_token_ok(TOKEN));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(http01_token_ok(bad[i]));
    memset(longest, 'a', sizeof(longest));
    longest[129] = '\0';
    assert_false(http01_token_ok(longest));
    longest[128] = '\0';
    assert_true(http01_token_ok(longest));
}

static void test_what_a_command_reads(void **state)
{
    char name[] = "www";
    const struct conf_cert cert = {.name = name};
    struct err e = ERR_INIT;
    (void)state;
    CLEANUP_FREE char *text = http01_input(&cert, "2001:db8::1", TOKEN, TOKEN ".t", false);
    CLEANUP_JSON struct json *j = json_parse(text, strlen(text), &e);
    assert_string_equal(json_text(j, "action"), "remove");
    assert_string_equal(json_text(j, "token"), TOKEN);
    assert_string_equal(json_text(j, "content"), TOKEN ".t");
    assert_string_equal(json_text(j, "identifier"), "2001:db8::1");
    assert_string_equal(json_text(j, "name"), "www");
    assert_string_equal(json_text(j, "url"),
                        "http://[2001:db8::1]/.well-known/acme-challenge/" TOKEN);
}

int main(void)
{
#define ROOT(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_configuration_names),
        cmocka_unit_test(test_nothing_else),
        cmocka_unit_test(test_addresses_as_text),
        cmocka_unit_test(test_ipv6_beside_ipv4),
        cmocka_unit_test(test_who_has_the_port),
        cmocka_unit_test(test_given_sockets),
        ROOT(test_a_file_comes_and_goes),
        ROOT(test_folders_of_others_stay),
        ROOT(test_it_is_found_without_the_configuration),
        ROOT(test_links_lead_nowhere_else),
        ROOT(test_a_link_as_the_token),
        ROOT(test_errors_say_what_to_do),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_what_a_command_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

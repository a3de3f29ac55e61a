/* SPDX-License-Identifier: ISC */
/*
 * Publications against Knot. 127.0.53.1 and .2 serve example.test, which delegates a.b.example.test
 * (two labels down) to 127.0.53.3; ns3 of example.test, 127.0.53.9, is nobody. Providers are played
 * by knotc.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "dns/publish.h"
#include "loop/child.h"
#include "store/memory.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define V1 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1"
#define V2 "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB2"
#define START_MS 20000

static const char zone_parent[] =
    "$TTL 60\n@ SOA ns1 root 1 60 60 600 60\n NS ns1\n NS ns2\n NS ns3\nns1 A 127.0.53.1\n"
    "ns2 A 127.0.53.2\nns3 A 127.0.53.9\nwww A 127.0.0.1\na.b NS ns.a.b\nns.a.b A 127.0.53.3\n"
    "_acme-challenge.alias CNAME x.a.b\n";
static const char zone_child[] = "$TTL 60\n@ SOA ns root 1 60 60 600 60\n NS ns\nns A 127.0.53.3\n";

struct knot {
    char conf[128], dir[96];
    struct child *child;
};

struct fixture {
    struct loop *loop;
    struct dns *dns;
    struct store *store;
    struct publisher *publisher;
    struct knot knots[2];
    char dir[64];
    struct conf conf;
    struct conf_dns_zone zone;
    struct conf_provider provider;
    struct conf_cert cert;
    struct conf_name name;
    struct publication *running;
    struct timer limit;
    struct err err;
    char warning[2048], text[4096];
    bool timed_out;
};

struct provider_call {
    struct fixture *f;
    struct child *child;
    bool add;
    provider_done_fn *done;
    void *arg;
};

/* ---- the provider ---- */

static void on_knotc(void *arg, const struct child_end *end)
{
    struct provider_call *c = arg;
    struct err e = ERR_INIT;
    if (end->status)
        err_set(&e, ERR_TRANSIENT, "knotc: %.*s", (int)end->output_len, end->output);
    c->done(c->arg, "", &e);
    child_free(c->child);
    free(c);
}

static struct provider_call *knotc(struct fixture *f, bool add, const struct provider_txt *t,
                                   provider_done_fn *done, void *arg)
{
    struct provider_call *c = xnew(struct provider_call);
    struct err e = ERR_INIT;
    bool child = str_ends(t->fqdn, ".a.b.example.test");
    const char *zone = child ? "a.b.example.test" : "example.test";
    CLEANUP_FREE char *set =
        xasprintf("exec 9>%s/lock; flock 9; k='knotc -b -c %s'; $k zone-begin %s && "
                  "$k zone-%s %s %s. %s TXT '\"%s\"' && $k zone-commit %s",
                  f->knots[child].dir, f->knots[child].conf, zone, add ? "set" : "unset", zone,
                  t->fqdn, add ? "60" : "", t->value, zone);
    const char *argv[] = {"/bin/sh", "-c", set, NULL};
    const char *env[] = {"PATH=/usr/sbin:/usr/bin:/bin", NULL};
    struct child_spec spec = {.argv = argv,
                              .env = env,
                              .uid = (uid_t)-1,
                              .gid = (gid_t)-1,
                              .output_max = 4096,
                              .timeout_ms = 10000};
    *c = (struct provider_call){.f = f, .add = add, .done = done, .arg = arg};
    c->child = child_start(f->loop, &spec, on_knotc, c, &e);
    assert_non_null(c->child);
    return c;
}

struct provider_call *provider_add(struct providers *p, const char *provider,
                                   const struct provider_txt *txt, int64_t deadline_ms,
                                   provider_done_fn *done, void *arg)
{
    (void)provider, (void)deadline_ms;
    return knotc((struct fixture *)p, true, txt, done, arg);
}

struct provider_call *provider_remove(struct providers *p, const char *provider,
                                      const struct provider_txt *txt, int64_t deadline_ms,
                                      provider_done_fn *done, void *arg)
{
    (void)provider, (void)deadline_ms;
    return knotc((struct fixture *)p, false, txt, done, arg);
}

void provider_cancel(struct provider_call *c)
{
    if (!c)
        return;
    child_free(c->child);
    free(c);
}

int64_t provider_propagation_ms(const struct providers *p, const char *provider)
{
    (void)p, (void)provider;
    return 0;
}

/* ---- servers ---- */

static void write_file(const char *dir, const char *name, const char *text)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void on_knot_end(void *arg, const struct child_end *end)
{
    (void)arg, (void)end;
}

static void knot_start(struct fixture *f, size_t i, const char *zone, const char *text,
                       const char *listen)
{
    struct knot *k = &f->knots[i];
    struct err e = ERR_INIT;
    CLEANUP_FREE char *dir = xasprintf("%s/k%zu", f->dir, i);
    CLEANUP_FREE char *conf_path = xasprintf("%s/knot.conf", dir);
    str_copy(k->dir, sizeof(k->dir), dir);
    str_copy(k->conf, sizeof(k->conf), conf_path);
    assert_int_equal(file_mkdir_at(AT_FDCWD, k->dir, 0755, NULL), 0);
    CLEANUP_FREE char *conf =
        xasprintf("server:\n  rundir: %s\n%s  user: root\ndatabase:\n  storage: %s/db\n"
                  "control:\n  listen: %s/knot.sock\n"
                  "template:\n  - id: default\n    storage: %s\n    zonefile-load: whole\n"
                  "zone:\n  - domain: %s\n    file: zone\n",
                  k->dir, listen, k->dir, k->dir, k->dir, zone);
    CLEANUP_FREE char *db = xasprintf("%s/db", dir);
    assert_int_equal(file_mkdir_at(AT_FDCWD, db, 0755, NULL), 0);
    write_file(k->dir, "zone", text);
    write_file(k->dir, "knot.conf", conf);
    const char *argv[] = {"/usr/sbin/knotd", "-c", k->conf, NULL};
    const char *env[] = {NULL};
    struct child_spec spec = {.argv = argv,
                              .env = env,
                              .uid = (uid_t)-1,
                              .gid = (gid_t)-1,
                              .output_max = 4096,
                              .own_group = true,
                              .die_with_parent = true};
    k->child = child_start(f->loop, &spec, on_knot_end, k, &e);
    assert_non_null(k->child);
}

static void on_limit(void *arg)
{
    struct fixture *f = arg;
    f->timed_out = true;
    loop_stop(f->loop);
}

static void run(struct fixture *f)
{
    timer_after(f->loop, &f->limit, START_MS, on_limit, f);
    loop_run(f->loop);
    timer_cancel(&f->limit);
    assert_false(f->timed_out);
}

/* Asked until they answer, with a pause of 50 ms. */
struct knock {
    struct fixture *f;
    struct dns_addr addr;
    const char *zone;
    struct timer again;
};

static void knock(void *arg);

static void on_knock(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct knock *k = arg;
    (void)err;
    if (reply && reply->aa && reply->rcode == 0)
        loop_stop(k->f->loop);
    else
        timer_after(k->f->loop, &k->again, 50, knock, k);
}

static void knock(void *arg)
{
    struct knock *k = arg;
    struct dns_query q = {.name = k->zone, .type = DNS_SOA, .server = &k->addr, .timeout_ms = 500};
    dns_ask(k->f->dns, &q, on_knock, k);
}

static void await(struct fixture *f, const char *addr, const char *zone)
{
    struct knock k = {.f = f, .zone = zone};
    assert_true(dns_addr_parse(addr, 53, &k.addr));
    knock(&k);
    run(f);
}

static bool can_run(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(53)};
    inet_pton(AF_INET, "127.0.53.1", &sa.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;
    if (fd >= 0)
        close(fd);
    return ok && access("/usr/sbin/knotd", X_OK) == 0;
}

static void make_conf(struct fixture *f)
{
    f->zone = (struct conf_dns_zone){.suffix = (char *)"", .timeout_ms = 15000};
    f->provider = (struct conf_provider){.name = (char *)"knot", .plugin = (char *)"knotc"};
    f->name = (struct conf_name){.name = (char *)"example.test", .provider = (char *)""};
    f->cert = (struct conf_cert){
        .name = (char *)"cert", .provider = (char *)"", .names = &f->name, .n_names = 1};
    f->conf = (struct conf){.refs = 1000000,
                            .dns_zones = &f->zone,
                            .n_dns_zones = 1,
                            .providers = &f->provider,
                            .n_providers = 1};
}

static int setup(void **state)
{
    struct fixture *f = xnew(struct fixture);
    struct dns_addr resolver;
    *state = f;
    if (!can_run())
        return 0;
    snprintf(f->dir, sizeof(f->dir), "/tmp/test_dns_real.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->loop = loop_new();
    f->dns = dns_new(f->loop);
    assert_true(dns_addr_parse("127.0.53.1", 53, &resolver));
    dns_set_resolvers(f->dns, &resolver, 1);
    f->store = store_memory_new(f->loop);
    knot_start(f, 0, "example.test", zone_parent, "  listen: [127.0.53.1@53, 127.0.53.2@53]\n");
    knot_start(f, 1, "a.b.example.test", zone_child, "  listen: 127.0.53.3@53\n");
    await(f, "127.0.53.1", "example.test");
    await(f, "127.0.53.3", "a.b.example.test");
    make_conf(f);
    struct publisher_env env = {.loop = f->loop,
                                .dns = f->dns,
                                .store = f->store,
                                .providers = (struct providers *)f,
                                .rng = &rng_system};
    f->publisher = publisher_new(&env);
    publisher_configure(f->publisher, &f->conf);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->loop) {
        publication_free(f->running);
        publisher_free(f->publisher);
        child_free(f->knots[0].child);
        child_free(f->knots[1].child);
        store_close(f->store);
        dns_free(f->dns);
        loop_free(f->loop);
        file_remove_tree_at(AT_FDCWD, f->dir, NULL);
    }
    free(f);
    return 0;
}

/* ---- tests ---- */

static void on_ready(void *arg, const struct err *err, const char *warning)
{
    struct fixture *f = arg;
    f->err = *err;
    str_copy(f->warning, sizeof(f->warning), warning);
    loop_stop(f->loop);
}

static void on_done(void *arg, const struct err *err)
{
    struct fixture *f = arg;
    f->err = *err;
    loop_stop(f->loop);
}

static void succeeded(const struct fixture *f)
{
    if (f->err.cls != ERR_NONE)
        print_error("%s: %s\n", f->err.activity, f->err.detail);
    assert_int_equal(f->err.cls, ERR_NONE);
}

static void count_record(void *arg, const struct publish_record *r)
{
    (void)r;
    ++*(unsigned *)arg;
}

static void publish(struct fixture *f, const char *owner)
{
    static const struct publish_handler handler = {.ready = on_ready};
    struct publish_value values[2] = {{.name = &f->name, .owner = owner, .value = V1},
                                      {.name = &f->name, .owner = owner, .value = V2}};
    f->running = publish_start(f->publisher, &f->cert, "order", values, 2, &handler, f);
    run(f);
    succeeded(f);
}

static void clean(struct fixture *f)
{
    unsigned left = 0;
    publication_clean(f->running, on_done, f);
    f->running = NULL;
    run(f);
    succeeded(f);
    publisher_records(f->publisher, count_record, &left);
    assert_int_equal(left, 0);
}

static void on_txt(void *arg, const struct dns_reply *reply, const struct err *err)
{
    struct fixture *f = arg;
    f->err = *err;
    f->text[0] = '\0';
    for (size_t i = 0; reply && i < reply->n; i++)
        if (reply->records[i].type == DNS_TXT)
            snprintf(f->text + strlen(f->text), sizeof(f->text) - strlen(f->text), "%.*s ",
                     (int)reply->records[i].text_len, reply->records[i].text);
    loop_stop(f->loop);
}

static const char *txt(struct fixture *f, const char *server, const char *name)
{
    struct dns_addr a;
    assert_true(dns_addr_parse(server, 53, &a));
    struct dns_query q = {.name = name, .type = DNS_TXT, .server = &a, .timeout_ms = 2000};
    dns_ask(f->dns, &q, on_txt, f);
    run(f);
    return f->text;
}

static void test_two_values_and_a_dead_server(void **state)
{
    struct fixture *f = *state;
    if (!f->loop)
        skip();
    publish(f, "_acme-challenge.example.test");
    assert_string_equal(f->warning, "ns3.example.test (127.0.53.9) unreachable (not waited for)");
    assert_non_null(strstr(txt(f, "127.0.53.2", "_acme-challenge.example.test"), V1));
    assert_non_null(strstr(f->text, V2));
    clean(f);
    assert_string_equal(txt(f, "127.0.53.1", "_acme-challenge.example.test"), "");
}

static void test_cut_two_labels_down(void **state)
{
    struct fixture *f = *state;
    if (!f->loop)
        skip();
    publish(f, "_acme-challenge.www.a.b.example.test");
    assert_string_equal(f->warning, "");
    assert_non_null(strstr(txt(f, "127.0.53.3", "_acme-challenge.www.a.b.example.test"), V1));
    clean(f);
}

static void test_alias(void **state)
{
    struct fixture *f = *state;
    if (!f->loop)
        skip();
    publish(f, "_acme-challenge.alias.example.test");
    assert_non_null(strstr(txt(f, "127.0.53.3", "x.a.b.example.test"), V2));
    clean(f);
}

static void on_filled(void *arg, const char *handle, const struct err *err)
{
    (void)handle;
    on_done(arg, err);
}

/* Too large for one datagram: asked again over TCP. */
static void test_truncated(void **state)
{
    struct fixture *f = *state;
    char value[220];
    struct provider_txt t = {
        .fqdn = "_acme-challenge.big.example.test", .value = value, .handle = ""};
    if (!f->loop)
        skip();
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (char c = 'a'; c < 'i'; c++) {
        value[0] = c;
        knotc(f, true, &t, on_filled, f);
        run(f);
        succeeded(f);
    }
    publish(f, "_acme-challenge.big.example.test");
    clean(f);
}

static void on_look(void *arg, const char *text, const struct err *err)
{
    struct fixture *f = arg;
    f->err = *err;
    str_copy(f->text, sizeof(f->text), text);
    loop_stop(f->loop);
}

static void test_look(void **state)
{
    struct fixture *f = *state;
    if (!f->loop)
        skip();
    f->name.name = (char *)"alias.example.test";
    publish_look_start(f->publisher, &f->cert, &f->name, on_look, f);
    run(f);
    succeeded(f);
    assert_string_equal(f->text,
                        "_acme-challenge.alias.example.test is an alias (CNAME) of "
                        "x.a.b.example.test\n"
                        "the record goes to x.a.b.example.test in the zone a.b.example.test\n"
                        "name servers: ns.a.b.example.test (127.0.53.3)\n"
                        "provider: knot (knotc; it is the only one)\n");
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_two_values_and_a_dead_server),
        T(test_cut_two_labels_down),
        T(test_alias),
        T(test_truncated),
        T(test_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

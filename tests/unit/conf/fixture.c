/* SPDX-License-Identifier: ISC */
#include "conf/fixture.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct conf_plugin_option cloudflare_options[] = {
    {"api_token", CONF_OPT_SECRET, true, "", "", "an API token with DNS:Edit"},
    {"zone_id", CONF_OPT_TEXT, false, "", "", "the zone's id"},
};
static const struct conf_plugin_option rfc2136_options[] = {
    {"server", CONF_OPT_HOST, true, "", "", "the primary server"},
    {"key_name", CONF_OPT_TEXT, false, "", "", "the TSIG key's name"},
    {"key_algorithm", CONF_OPT_ENUM, false, "hmac-sha256", "hmac-sha256|hmac-sha384|hmac-sha512",
     ""},
    {"key_secret", CONF_OPT_SECRET, false, "", "", "the TSIG key"},
    {"retries", CONF_OPT_INT, false, "3", "", "how often"},
    {"tcp", CONF_OPT_BOOL, false, "true", "", "always by TCP"},
    {"wait", CONF_OPT_DURATION, false, "5s", "", "between attempts"},
};
static const struct conf_plugin_option route53_options[] = {
    {"access_key_id", CONF_OPT_TEXT, true, "", "", "the key's id"},
    {"secret_access_key", CONF_OPT_SECRET, true, "", "", "the key"},
};
static const struct conf_plugin_option powerdns_options[] = {
    {"url", CONF_OPT_URL, true, "", "", "the API's URL"},
    {"api_key", CONF_OPT_SECRET, true, "", "", "its key"},
};
static const struct {
    const char *name;
    struct conf_plugin_info info;
} plugins[] = {
    {"cloudflare.so", {cloudflare_options, ARRAY_LEN(cloudflare_options), false, 30}},
    {"rfc2136.so", {rfc2136_options, ARRAY_LEN(rfc2136_options), false, 0}},
    {"route53.so", {route53_options, ARRAY_LEN(route53_options), false, 60}},
    {"powerdns.so", {powerdns_options, ARRAY_LEN(powerdns_options), false, 0}},
    {"shell.so", {NULL, 0, true, 0}},
};

static const struct conf_plugin_info *describe(void *ctx, const char *path, struct err *e)
{
    struct fixture *f = ctx;

    f->described++;
    for (size_t i = 0; i < ARRAY_LEN(plugins); i++)
        if (str_ends(path, plugins[i].name))
            return &plugins[i].info;
    err_set(e, ERR_CONFIG, "%s is no plugin", path);
    return NULL;
}

/* Whose file is called bad.csr, or staple.csr. */
static int check_csr(void *ctx, const struct conf_cert *cert, bool *ret_staple, struct err *e)
{
    (void)ctx;
    *ret_staple = str_ends(cert->csr, "/staple.csr");
    assert_non_null(strstr(cert->csr_pem, "CERTIFICATE REQUEST"));
    if (!str_ends(cert->csr, "/bad.csr"))
        return 0;
    err_set(e, ERR_CONFIG, "its names are others");
    return -1;
}

void fixture_write_bytes(struct fixture *f, const char *name, const void *p, size_t n,
                         unsigned mode)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", f->dir, name);
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), (ssize_t)n);
    assert_int_equal(fchmod(fd, mode), 0);
}

void fixture_write(struct fixture *f, const char *name, const char *text, unsigned mode)
{
    fixture_write_bytes(f, name, text, strlen(text), mode);
}

void fixture_copy(struct fixture *f, const char *from, const char *name)
{
    struct buf b;
    struct err e;
    struct stat st;

    buf_init(&b, 1 << 20);
    assert_int_equal(file_read_at(AT_FDCWD, from, true, &b, &st, &e), 0);
    fixture_write_bytes(f, name, b.data, b.len, 0600);
    buf_free(&b);
}

int fixture_setup(void **state)
{
    struct fixture *f = xnew(struct fixture);

    snprintf(f->dir, sizeof f->dir, "/tmp/renewd-conf-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->main, sizeof f->main, "%s/renewd.yaml", f->dir);
    snprintf(f->resolv, sizeof f->resolv, "%s/resolv.conf", f->dir);
    snprintf(f->plugindir, sizeof f->plugindir, "%s/plugins", f->dir);
    if (mkdir(f->plugindir, 0755) || chmod(f->plugindir, 0755))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(plugins); i++) {
        CLEANUP_FREE char *name = xasprintf("plugins/%s", plugins[i].name);

        fixture_write(f, name, "", 0644);
    }
    fixture_write(f, "resolv.conf", "# local\nsearch x\nnameserver 192.0.2.1\n", 0644);
    f->plugins = (struct conf_plugins){.describe = describe,
                                       .ctx = f,
                                       .dir = f->plugindir,
                                       .resolv_conf = f->resolv,
                                       .check_csr = check_csr};
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    struct err e;

    conf_messages_free(&f->m);
    conf_unref(f->conf);
    file_remove_tree_at(AT_FDCWD, f->dir, &e);
    free(f);
    return 0;
}

struct conf *fixture_reload(struct fixture *f, const struct conf *previous)
{
    struct conf *old = f->conf; /* may be previous */

    conf_messages_free(&f->m);
    f->conf = conf_load(f->main, &f->plugins, previous, &f->m);
    conf_unref(old);
    return f->conf;
}

struct conf *fixture_load_after(struct fixture *f, const char *yaml, const struct conf *previous)
{
    fixture_write(f, "renewd.yaml", yaml, 0600);
    return fixture_reload(f, previous);
}

struct conf *fixture_load(struct fixture *f, const char *yaml)
{
    return fixture_load_after(f, yaml, NULL);
}

size_t fixture_errors(const struct fixture *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->m.n; i++)
        n += !f->m.v[i].warning;
    return n;
}

static void print_all(const struct fixture *f)
{
    for (size_t i = 0; i < f->m.n; i++)
        print_message("  %s:%u:%u: %s%s\n", f->m.v[i].file, f->m.v[i].line, f->m.v[i].column,
                      f->m.v[i].warning ? "warning: " : "", f->m.v[i].text);
}

void fixture_one_error(const struct fixture *f, unsigned line, unsigned column, const char *text)
{
    if (fixture_errors(f) != 1)
        print_all(f);
    assert_int_equal(fixture_errors(f), 1);
    assert_null(f->conf);
    fixture_says(f, false, f->main, line, column, text);
}

void fixture_says(const struct fixture *f, bool warning, const char *file, unsigned line,
                  unsigned column, const char *text)
{
    for (size_t i = 0; i < f->m.n; i++) {
        const struct conf_message *m = &f->m.v[i];

        if (m->warning == warning && (!file || str_ends(m->file, file)) && m->line == line &&
            m->column == column && strstr(m->text, text))
            return;
    }
    print_all(f);
    fail_msg("nothing says %u:%u: %s", line, column, text);
}

void fixture_good(const struct fixture *f)
{
    if (fixture_errors(f) || !f->conf)
        print_all(f);
    assert_int_equal(fixture_errors(f), 0);
    assert_non_null(f->conf);
}

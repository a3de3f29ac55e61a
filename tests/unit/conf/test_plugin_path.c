/* SPDX-License-Identifier: ISC */
#include "conf/fixture.h"

#include "base/mem.h"
#include "conf/plugin_path.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static const char *check(const struct fixture *f, const char *name, uid_t uid)
{
    static char detail[sizeof(((struct err *)0)->detail)];
    CLEANUP_FREE char *path = xasprintf("%s/%s", f->dir, name);
    struct err e = ERR_INIT;

    if (!conf_plugin_check(path, uid, &e))
        return "";
    assert_int_equal(e.cls, ERR_CONFIG);
    memcpy(detail, e.detail, sizeof detail);
    return detail;
}

static void test_modes(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *file = xasprintf("%s/rfc2136.so", f->plugindir);

    assert_string_equal(check(f, "plugins/rfc2136.so", geteuid()), "");
    chmod(file, 0664);
    assert_non_null(strstr(check(f, "plugins/rfc2136.so", geteuid()),
                           "can be written by others (mode 0664): chmod go-w "));
    chmod(file, 0646);
    assert_non_null(strstr(check(f, "plugins/rfc2136.so", geteuid()), "(mode 0646)"));
    chmod(file, 0644);
    chmod(f->plugindir, 0777);
    assert_non_null(strstr(check(f, "plugins/rfc2136.so", geteuid()), "plugins can be written"));
    chmod(f->plugindir, 0755);
    assert_non_null(strstr(check(f, "plugins/absent.so", geteuid()), "No such file"));
    assert_non_null(strstr(check(f, "plugins", geteuid()), "is not a regular file"));
}

static void test_owner(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *file = xasprintf("%s/rfc2136.so", f->plugindir);

    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(file, 12345, (gid_t)-1), 0);
    assert_non_null(strstr(check(f, "plugins/rfc2136.so", 0), "belongs to uid 12345"));
    assert_string_equal(check(f, "plugins/rfc2136.so", 12345), "");
    assert_int_equal(chown(f->plugindir, 54321, (gid_t)-1), 0);
    assert_non_null(strstr(check(f, "plugins/rfc2136.so", 12345), "belongs to uid 54321"));
}

static void test_links(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *link = xasprintf("%s/link.so", f->dir);
    CLEANUP_FREE char *file = xasprintf("%s/rfc2136.so", f->plugindir);
    struct err e;

    assert_int_equal(symlink(file, link), 0);
    assert_string_equal(check(f, "link.so", geteuid()), "");
    chmod(f->dir, 0777);
    assert_non_null(strstr(check(f, "link.so", geteuid()), "can be written by others"));
    chmod(f->dir, 0700);
    chmod(file, 0666);
    assert_non_null(strstr(check(f, "link.so", geteuid()), "can be written by others"));
    assert_int_equal(conf_plugin_check("plugins/x.so", 0, &e), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {T(test_modes), T(test_owner), T(test_links)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
#include "conf/fixture.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static struct conf *load(struct fixture *f, const char *secret)
{
    CLEANUP_FREE char *text =
        xasprintf("providers:\n  cf:\n    plugin: cloudflare\n    api_token: %s\n", secret);

    return fixture_load(f, text);
}

static const struct conf_secret *token(const struct conf *c)
{
    return &c->providers[0].options[0].secret;
}

static void test_file(void **state)
{
    struct fixture *f = *state;
    struct conf *c;

    fixture_write(f, "t", "s3cret\n\n", 0600);
    c = load(f, "{file: t}");
    fixture_good(f);
    assert_int_equal(token(c)->kind, CONF_SECRET_FILE);
    assert_string_equal(secret_bytes(token(c)->value), "s3cret\n"); /* one newline goes */
    assert_true(token(c)->source[0] == '/');
    assert_string_equal(c->providers[0].options[0].text, "");
}

static void test_file_refused(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "t", "x", 0644);
    load(f, "{file: t}");
    fixture_one_error(f, 4, 23, "can be read by others (mode 0644): chmod 600 /");
    load(f, "{file: absent}");
    fixture_one_error(f, 4, 23, "No such file or directory");
    fixture_write(f, "t", "\n", 0600);
    load(f, "{file: t}");
    fixture_one_error(f, 4, 23, "api_token: the secret is empty");
    fixture_write_bytes(f, "t", "a\0b", 3, 0600);
    load(f, "{file: t}");
    fixture_one_error(f, 4, 23, "NUL");
    load(f, "{file: plugins}");
    assert_int_equal(fixture_errors(f), 1);
    load(f, "{fil: t}");
    fixture_one_error(f, 4, 17,
                      "a secret comes from file, env, credential or command; did you mean "
                      "file?");
    load(f, "[a]");
    fixture_one_error(f, 4, 16, "api_token: write the secret, or one of {file: PATH}");
    load(f, "{file: t, env: X}");
    fixture_one_error(f, 4, 16, "api_token: write the secret, or one of");
}

static void test_text(void **state)
{
    struct fixture *f = *state;
    struct conf *c = load(f, "inline");

    fixture_good(f);
    assert_int_equal(token(c)->kind, CONF_SECRET_TEXT);
    assert_string_equal(token(c)->source, "***");
    for (size_t i = 0; i < f->m.n; i++)
        assert_null(strstr(f->m.v[i].text, "a secret in a file"));
    chmod(f->main, 0640);
    fixture_reload(f, NULL);
    fixture_good(f);
    fixture_says(f, true, "renewd.yaml", 4, 16,
                 "a secret in a file that others can read: chmod 600");
}

static void test_environment(void **state)
{
    struct fixture *f = *state;
    struct conf *c;

    setenv("RENEWD_TEST_TOKEN", "from-env", 1);
    c = load(f, "{env: RENEWD_TEST_TOKEN}");
    fixture_good(f);
    assert_string_equal(secret_bytes(token(c)->value), "from-env");
    unsetenv("RENEWD_TEST_TOKEN");
    load(f, "{env: RENEWD_TEST_TOKEN}");
    fixture_one_error(f, 4, 22, "there is no variable RENEWD_TEST_TOKEN");
}

static void test_credential(void **state)
{
    struct fixture *f = *state;
    struct conf *c;

    unsetenv("CREDENTIALS_DIRECTORY");
    load(f, "{credential: cf}");
    fixture_one_error(f, 4, 29, "LoadCredential=cf:PATH");
    fixture_write(f, "cf", "cred", 0444); /* systemd's folder guards it */
    setenv("CREDENTIALS_DIRECTORY", f->dir, 1);
    c = load(f, "{credential: cf}");
    fixture_good(f);
    assert_string_equal(secret_bytes(token(c)->value), "cred");
    load(f, "{credential: ../cf}");
    fixture_one_error(f, 4, 29, "../cf is no name of a credential");
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void test_command(void **state)
{
    struct fixture *f = *state;
    struct conf *c = load(f, "{command: [printf, \"%s\\\\n\", a;b]}");

    fixture_good(f);
    assert_string_equal(secret_bytes(token(c)->value), "a;b"); /* no shell */
    load(f, "{command: [\"false\"]}");
    fixture_one_error(f, 4, 26, "the command false failed: it exited with status 1");
    load(f, "{command: [/nonexistent]}");
    fixture_one_error(f, 4, 26, "the command /nonexistent failed: No such file");
    load(f, "{command: cat /x}");
    fixture_one_error(f, 4, 26, "must be a list, there is no shell: write [cat, /x]");
    load(f, "{command: [head, -c, \"70000\", /dev/zero]}");
    fixture_one_error(f, 4, 26, "its output is longer than 65536 bytes");
    load(f, "{command: [sh, -c, 'kill -9 $$']}");
    fixture_one_error(f, 4, 26, "it was ended by signal 9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_file),        T(test_file_refused), T(test_text),
        T(test_environment), T(test_credential),   T(test_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
#include "conf/fixture.h"

#include "base/json.h"

#include <string.h>

static const struct json *property(const struct json *table, const char *key)
{
    return json_get(json_get(table, "properties"), key);
}

/* Each "$ref" leads somewhere. */
static size_t check_refs(const struct json *defs, const struct json *j)
{
    static const char prefix[] = "#/$defs/";
    const char *ref = json_is_object(j) ? json_text(j, "$ref") : NULL;
    size_t n = ref != NULL;

    if (ref) {
        assert_memory_equal(ref, prefix, sizeof prefix - 1);
        assert_non_null(json_get(defs, ref + sizeof prefix - 1));
    }
    if (json_is_object(j) || json_is_array(j))
        for (const struct json *it = json_first(j); it; it = json_after(it))
            n += check_refs(defs, it);
    return n;
}

static void test_schema(void **state)
{
    struct json *s = conf_schema();
    const struct json *defs = json_get(s, "$defs"), *cert = json_get(defs, "certificate"), *p;

    (void)state;
    assert_false(json_bool(s, "additionalProperties", true));
    assert_non_null(json_get(json_get(s, "patternProperties"), "^x-"));
    assert_non_null(property(s, "certificates"));
    assert_null(property(s, "metrics")); /* not yet available */
    assert_non_null(property(cert, "csr"));
    assert_non_null(property(json_get(defs, "http01"), "webroot"));
    p = property(s, "archive_keep");
    assert_int_equal(json_int(p, "default", 0), 5);
    p = json_at(json_get(p, "anyOf"), 0);
    assert_string_equal(json_text(p, "type"), "integer");
    assert_int_equal(json_int(p, "maximum", 0), 1000);
    p = property(s, "log_level");
    assert_string_equal(json_text(p, "default"), "info");
    assert_int_equal(json_len(json_get(json_at(json_get(p, "anyOf"), 0), "enum")), 4);
    assert_string_equal(json_text(property(cert, "key_mode"), "default"), "0600");
    assert_true(json_bool(property(cert, "ari"), "default", false));
    assert_true(json_bool(json_get(defs, "provider"), "additionalProperties", false));
    assert_true(check_refs(defs, s) > 10);
    json_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_schema)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

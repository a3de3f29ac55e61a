/* SPDX-License-Identifier: ISC */
#include "base/issue_value.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct cursor {
    char *start, *p, *end;
    struct err *e;
};

static int complain(const struct cursor *c, const char *what)
{
    return err_set(c->e, ERR_PEER, "malformed at character %zu: %s", (size_t)(c->p - c->start) + 1,
                   what);
}

static bool is_alnum(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
}

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
        c->p++;
}

/* Letters, digits and, between these, hyphens: a tag or a label. Its length, 0 if it is none. */
static size_t take_word(struct cursor *c)
{
    char *start = c->p;
    while (c->p < c->end && (is_alnum(*c->p) || *c->p == '-'))
        c->p++;
    if (c->p == start || *start == '-' || c->p[-1] == '-')
        return 0;
    return (size_t)(c->p - start);
}

static int take_issuer(struct cursor *c)
{
    if (c->p == c->end || *c->p == ';')
        return 0;
    for (;;) {
        size_t n = take_word(c);
        if (n == 0 || n > 63)
            return complain(c, "an issuer must be a domain name");
        if (c->p == c->end || *c->p != '.')
            return 0;
        c->p++;
    }
}

static int take_value(struct cursor *c, struct issue_parameter *ret)
{
    char *tag = c->p;
    size_t n = take_word(c);
    if (n == 0)
        return complain(c, "a parameter must begin with its tag");
    skip_space(c);
    if (c->p == c->end || *c->p != '=')
        return complain(c, "a parameter must be TAG=VALUE");
    c->p++;
    tag[n] = '\0';
    str_lower(tag);
    skip_space(c);
    ret->tag = tag;
    ret->value = c->p;
    while (c->p<c->end && * c->p> 0x20 && *c->p < 0x7f && *c->p != ';')
        c->p++;
    return 0;
}

static int add_parameter(struct issue_value *v, struct cursor *c)
{
    struct issue_parameter p;
    if (take_value(c, &p))
        return -1;
    char *value_end = c->p;
    skip_space(c);
    if (c->p < c->end && *c->p != ';')
        return complain(c, "a value is printable ASCII without spaces");
    if (issue_value_get(v, p.tag))
        return complain(c, "a tag stands there twice");
    if (v->n == ISSUE_PARAMETERS_MAX)
        return complain(c, "there are too many parameters");
    bool more = c->p < c->end;
    *value_end = '\0';
    v->parameters[v->n++] = p;
    c->p += more;
    return more;
}

static int take_all(struct issue_value *v, struct cursor *c, enum issue_strictness strictness)
{
    skip_space(c);
    char *issuer = c->p;
    if (take_issuer(c))
        return -1;
    char *issuer_end = c->p;
    skip_space(c);
    if (c->p < c->end && *c->p != ';')
        return complain(c, "a semicolon must follow the issuer");
    if (issuer_end == issuer && strictness == ISSUE_PERSIST)
        return complain(c, "there is no issuer");
    int more = c->p < c->end;
    *issuer_end = '\0';
    str_lower(issuer);
    v->issuer = issuer;
    c->p += more;
    while (more > 0) {
        skip_space(c);
        if (c->p == c->end)
            return strictness == ISSUE_CAA ? 0 : complain(c, "nothing follows the last semicolon");
        more = add_parameter(v, c);
    }
    return more;
}

int issue_value_parse(struct issue_value *v, const char *text, size_t n,
                      enum issue_strictness strictness, struct err *e)
{
    *v = (struct issue_value){.issuer = ""};
    if (n > ISSUE_VALUE_MAX)
        return err_set(e, ERR_PEER, "malformed: over %d characters", ISSUE_VALUE_MAX);
    v->text = xcalloc(n + 1, 1);
    if (n)
        memcpy(v->text, text, n);
    struct cursor c = {.start = v->text, .p = v->text, .end = v->text + n, .e = e};
    if (take_all(v, &c, strictness) == 0)
        return 0;
    issue_value_done(v);
    return -1;
}

void issue_value_done(struct issue_value *v)
{
    free(v->text);
    *v = (struct issue_value){.issuer = ""};
}

const char *issue_value_get(const struct issue_value *v, const char *tag)
{
    for (size_t i = 0; i < v->n; i++) {
        if (str_eq(v->parameters[i].tag, tag))
            return v->parameters[i].value;
    }
    return NULL;
}

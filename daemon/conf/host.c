/* SPDX-License-Identifier: ISC */
#include "conf/host.h"

#include "base/mem.h"
#include "base/name.h"
#include "base/str.h"
#include "conf/value.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <libpsl.h>
#include <netinet/in.h>
#include <string.h>

#define FLAGS (IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL)
#define TEXT_MAX 1000 /* octets of UTF-8 that can be a name at all */

static const char *idn_problem(struct arena *a, int rc)
{
    switch (rc) {
    case IDN2_DISALLOWED:
        return "it has a character that host names cannot have (IDNA2008)";
    case IDN2_UNASSIGNED:
        return "it has a character that Unicode does not assign";
    case IDN2_PUNYCODE_BAD_INPUT:
    case IDN2_ENCODING_ERROR:
    case IDN2_ALABEL_ROUNDTRIP_FAILED:
        return "an xn-- label that stands for no name: write it in its own letters";
    case IDN2_BIDI:
        return "letters of both directions in one label";
    case IDN2_TOO_BIG_LABEL:
        return "a label over 63 characters in its xn-- form";
    case IDN2_TOO_BIG_DOMAIN:
        return "a name over 253 characters in its xn-- form";
    case IDN2_2HYPHEN:
        return "a label with -- in its third and fourth place";
    case IDN2_LEADING_COMBINING:
        return "a label that begins with a combining character";
    case IDN2_CONTEXTJ:
    case IDN2_CONTEXTJ_NO_RULE:
    case IDN2_CONTEXTO:
    case IDN2_CONTEXTO_NO_RULE:
        return "a character that cannot stand where it stands (IDNA2008)";
    default:
        return arena_strdup(a, idn2_strerror(rc));
    }
}

static int to_ascii(struct arena *a, const char *text, char **ret)
{
    char *out = NULL;
    int rc = idn2_to_ascii_8z(text, &out, FLAGS);

    if (rc == IDN2_OK) {
        *ret = arena_strdup(a, out);
        idn2_free(out);
    }
    return rc;
}

static int to_unicode(struct arena *a, const char *ascii, char **ret)
{
    char *out = NULL;
    int rc = idn2_to_unicode_8z8z(ascii, &out, 0);

    if (rc == IDN2_OK) {
        *ret = arena_strdup(a, out);
        idn2_free(out);
    }
    return rc;
}

static bool has_a_label(const char *name)
{
    for (const char *p = name; p; p = strchr(p, '.'), p = p ? p + 1 : NULL)
        if (str_starts(p, "xn--"))
            return true;
    return false;
}

static bool is_ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

/* U+0080 to U+00A0: no letters of any version of IDNA. */
static bool has_control(const char *s)
{
    for (s = strchr(s, 0xc2); s; s = strchr(s + 1, 0xc2))
        if ((unsigned char)s[1] <= 0xa0)
            return true;
    return false;
}

/* The U-form of what stands in ret->ascii: it must lead back to it. */
static int check_a_labels(struct arena *a, struct host *ret, const char **why)
{
    char *again;
    int rc = to_unicode(a, ret->ascii, &ret->unicode);

    if (rc == IDN2_OK && (is_ascii(ret->unicode) || has_control(ret->unicode)))
        rc = IDN2_ALABEL_ROUNDTRIP_FAILED; /* "xn--abc-" would be "abc" */
    if (rc == IDN2_OK)
        rc = to_ascii(a, ret->unicode, &again);
    if (rc == IDN2_DISALLOWED || rc == IDN2_UNASSIGNED) {
        ret->doubtful = true;
        return 0;
    }
    if (rc == IDN2_OK && strcmp(again, ret->ascii))
        rc = IDN2_ALABEL_ROUNDTRIP_FAILED;
    if (rc == IDN2_OK)
        return 0;
    *why = idn_problem(a, rc);
    return -1;
}

static bool last_label_is_number(const char *name)
{
    const char *dot = strrchr(name, '.');
    const char *last = dot ? dot + 1 : name;

    return strspn(last, "0123456789") == strlen(last);
}

static int read_any(struct arena *a, const char *text, bool owner, struct host *ret,
                    const char **why)
{
    bool star = !owner && name_is_wildcard(text);
    const char *rest = star ? text + 2 : text;
    char normal[NAME_MAX_TEXT], *ascii = NULL;
    enum name_problem p;
    int rc;

    *ret = (struct host){0};
    if (strlen(text) > TEXT_MAX) {
        *why = name_problem_text(NAME_TOO_LONG);
        return -1;
    }
    if (!is_ascii(rest)) {
        rc = to_ascii(a, rest, &ascii);
        if (rc != IDN2_OK) {
            *why = idn_problem(a, rc);
            return -1;
        }
        text = star ? arena_printf(a, "*.%s", ascii) : ascii;
    }
    p = owner ? name_owner(text, normal) : name_host(text, normal);
    if (p == NAME_OK && !owner && last_label_is_number(normal)) {
        *why = "its last label is a number: neither a name nor an address";
        return -1;
    }
    if (p != NAME_OK) {
        *why = name_problem_text(p);
        return -1;
    }
    ret->ascii = ret->unicode = arena_strdup(a, normal);
    return has_a_label(normal) ? check_a_labels(a, ret, why) : 0;
}

int host_read(struct arena *a, const char *text, struct host *ret, const char **why)
{
    return read_any(a, text, false, ret, why);
}

int host_read_owner(struct arena *a, const char *text, struct host *ret, const char **why)
{
    return read_any(a, text, true, ret, why);
}

char *host_domain(char *ascii)
{
    char *name = str_starts(ascii, "*.") ? ascii + 2 : ascii;
    const char *domain = psl_registrable_domain(psl_builtin(), name);

    return domain ? name + (domain - name) : NULL;
}

char *host_port_normal(struct arena *a, const char *text, bool port_needed)
{
    const char *colon = strrchr(text, ':'), *why;
    char *ascii;
    struct host h;

    if (is_ascii(text))
        return host_port_ok(text, port_needed) ? arena_strdup(a, text) : NULL;
    if (host_read_owner(a, colon ? arena_strndup(a, text, (size_t)(colon - text)) : text, &h, &why))
        return NULL;
    ascii = arena_printf(a, "%s%s", h.ascii, colon ? colon : "");
    return host_port_ok(ascii, port_needed) ? ascii : NULL;
}

/* ---- addresses ---- */

char *host_ip(struct arena *a, const char *text)
{
    char bare[INET6_ADDRSTRLEN], out[INET6_ADDRSTRLEN];
    struct in6_addr six;
    struct in_addr four;
    size_t n = strlen(text);

    if (inet_pton(AF_INET, text, &four) == 1)
        return arena_strdup(a, inet_ntop(AF_INET, &four, out, sizeof out));
    if (n > 2 && text[0] == '[' && text[n - 1] == ']' && n - 2 < sizeof bare) {
        memcpy(bare, text + 1, n - 2);
        bare[n - 2] = '\0';
        text = bare;
    }
    if (inet_pton(AF_INET6, text, &six) != 1)
        return NULL;
    return arena_strdup(a, inet_ntop(AF_INET6, &six, out, sizeof out));
}

static bool four_is_private(uint32_t ip)
{
    static const struct {
        uint32_t net, bits;
    } nets[] = {
        {0x0a000000, 8},  {0xac100000, 12}, {0xc0a80000, 16}, {0x7f000000, 8},
        {0xa9fe0000, 16}, {0x64400000, 10}, {0, 8},
    };

    for (size_t i = 0; i < ARRAY_LEN(nets); i++)
        if ((ip ^ nets[i].net) >> (32 - nets[i].bits) == 0)
            return true;
    return false;
}

bool host_ip_is_private(const char *ip)
{
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, ip, &four) == 1)
        return four_is_private(ntohl(four.s_addr));
    return inet_pton(AF_INET6, ip, &six) == 1 &&
           (IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_UNSPECIFIED(&six) ||
            IN6_IS_ADDR_LINKLOCAL(&six) || (six.s6_addr[0] & 0xfe) == 0xfc ||
            IN6_IS_ADDR_V4MAPPED(&six));
}

/* SPDX-License-Identifier: ISC */
#include "base/name.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <string.h>

static const char *const problem_texts[] = {
    [NAME_OK] = "fine",
    [NAME_EMPTY] = "an empty name",
    [NAME_TOO_LONG] = "a name over 253 characters",
    [NAME_LABEL_LENGTH] = "a label that is empty or over 63 characters",
    [NAME_CHARACTER] = "a character other than letters, digits and hyphens",
    [NAME_HYPHEN] = "a label that begins or ends with a hyphen",
    [NAME_WILDCARD] = "a \"*\" that is not the whole first label of a name",
    [NAME_IP] = "an IP address",
    [NAME_NOT_ASCII] = "letters outside ASCII: write the name in its xn-- form",
};

const char *name_problem_text(enum name_problem p)
{
    return (unsigned)p < sizeof(problem_texts) / sizeof(problem_texts[0]) ? problem_texts[p]
                                                                          : "a bad name";
}

static bool is_ip(const char *text)
{
    unsigned char addr[16];
    char bare[64];
    size_t n = strlen(text);
    if (n > 2 && text[0] == '[' && text[n - 1] == ']' && n - 2 < sizeof(bare)) {
        memcpy(bare, text + 1, n - 2);
        bare[n - 2] = '\0';
        return inet_pton(AF_INET6, bare, addr) == 1;
    }
    return inet_pton(AF_INET, text, addr) == 1 || inet_pton(AF_INET6, text, addr) == 1;
}

static enum name_problem check_label(const char *label, size_t n, bool underscores)
{
    if (n == 0 || n > 63)
        return NAME_LABEL_LENGTH;
    for (size_t i = 0; i < n; i++) {
        char c = label[i];
        if (c == '*')
            return NAME_WILDCARD;
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
              (c == '_' && underscores)))
            return NAME_CHARACTER;
    }
    return label[0] == '-' || label[n - 1] == '-' ? NAME_HYPHEN : NAME_OK;
}

static enum name_problem check_labels(const char *name, bool underscores)
{
    for (const char *label = name;;) {
        size_t n = strcspn(label, ".");
        enum name_problem p = check_label(label, n, underscores);
        if (p != NAME_OK)
            return p;
        if (!label[n])
            return NAME_OK;
        label += n + 1;
    }
}

static enum name_problem normalise(const char *text, char out[NAME_MAX_TEXT], bool host)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] >= 0x80)
            return NAME_NOT_ASCII;
    }
    if (n > 0 && text[n - 1] == '.')
        n--;
    if (n == 0)
        return NAME_EMPTY;
    if (n >= NAME_MAX_TEXT)
        return NAME_TOO_LONG;
    char name[NAME_MAX_TEXT];
    memcpy(name, text, n);
    name[n] = '\0';
    str_lower(name);
    if (is_ip(name))
        return NAME_IP;
    bool wildcard = host && name_is_wildcard(name);
    enum name_problem p = check_labels(wildcard ? name + 2 : name, !host);
    if (p == NAME_LABEL_LENGTH && wildcard && !name[2])
        p = NAME_WILDCARD;
    if (p == NAME_OK)
        memcpy(out, name, n + 1);
    return p;
}

enum name_problem name_host(const char *text, char out[NAME_MAX_TEXT])
{
    return normalise(text, out, true);
}

enum name_problem name_owner(const char *text, char out[NAME_MAX_TEXT])
{
    return normalise(text, out, false);
}

bool name_is_wildcard(const char *name)
{
    return name[0] == '*' && name[1] == '.';
}

bool name_under(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);
    if (s == 0)
        return true;
    if (s > n || strcmp(name + n - s, suffix) != 0)
        return false;
    return s == n || name[n - s - 1] == '.';
}

const char *name_parent(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot ? dot + 1 : "";
}

unsigned name_labels(const char *name)
{
    if (!name[0])
        return 0;
    unsigned n = 1;
    for (; *name; name++)
        n += *name == '.';
    return n;
}

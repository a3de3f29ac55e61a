/* SPDX-License-Identifier: ISC */
#include "keeper/issue_file.h"
#include "base/mem.h"
#include "base/str.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX 100
#define TEXT_LONGEST 512

/* ---- where ---- */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* "DIR/NAME.yaml" if this pattern takes it in. */
static char *path_for(const char *pattern, const char *name)
{
    static const char *const endings[] = {".yaml", ".yml", ".conf", ""};
    const char *slash = strrchr(pattern, '/');
    size_t n = slash ? (size_t)(slash - pattern) : 0;
    CLEANUP_FREE char *dir = xstrndup(pattern, n);
    if (n == 0 || strpbrk(dir, "*?[") || !is_folder(dir))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        char *path = xasprintf("%s/%s%s", dir, name, endings[i]);
        if (fnmatch(pattern, path, FNM_PATHNAME | FNM_PERIOD) == 0)
            return path;
        free(path);
    }
    return NULL;
}

char *issue_file_path(const struct conf *c, const char *name, struct err *e)
{
    for (size_t i = 0; i < c->includes.n; i++) {
        char *path = path_for(c->includes.v[i], name);
        if (path && access(path, F_OK) == 0) {
            err_set(e, ERR_CONFIG, "%s is there already: edit it, or choose another --name", path);
            free(path);
            return NULL;
        }
        if (path)
            return path;
    }
    if (c->includes.n)
        err_set(e, ERR_CONFIG,
                "none of the folders that %s includes would take a new file (%s): make the folder, "
                "or add one",
                c->file, c->includes.v[0]);
    else
        err_set(e, ERR_CONFIG,
                "%s includes no other files: add the line `include: conf.d/*.yaml` to it, make the "
                "folder conf.d beside it, and try again",
                c->file);
    return NULL;
}

/* ---- what ---- */

static const char *const texts[] = {"name",    "ca",  "challenge", "provider",
                                    "webroot", "key", "mail"};

static bool plain(const char *text)
{
    size_t n = strlen(text);
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    }
    return n > 0 && n <= TEXT_LONGEST && str_is_utf8(text, n);
}

int issue_file_check(const struct json *request, char **ret_name, struct err *e)
{
    const struct json *names = json_get(request, "names");
    if (json_len(names) == 0 || json_len(names) > NAMES_MAX)
        return err_set(e, ERR_CONFIG, "between 1 and %d names", NAMES_MAX);
    for (const struct json *it = json_first(names); it; it = json_after(it)) {
        const char *text = json_as_text(it);
        if (!text || !plain(text))
            return err_set(e, ERR_CONFIG, "a name is empty, too long or not readable");
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const char *text = json_text(request, texts[i]);
        if (text && !plain(text))
            return err_set(e, ERR_CONFIG, "%s is empty, too long or not readable", texts[i]);
    }
    const char *first = json_as_text(json_first(names)), *name = json_text(request, "name");
    name = name ? name : str_starts(first, "*.") ? first + 2 : first;
    if (!name[0] || name[0] == '.' || strchr(name, '/'))
        return err_set(e, ERR_CONFIG, "give it a --name that can be a file's");
    *ret_name = xstrdup(name);
    return 0;
}

/* A YAML scalar, whatever is in it. */
static void put(struct buf *out, const char *text)
{
    buf_puts(out, "'");
    for (const char *p = text; *p; p++) {
        if (*p == '\'')
            buf_puts(out, "'");
        buf_put(out, p, 1);
    }
    buf_puts(out, "'");
}

static void put_account(struct buf *out, const char *ca, const char *email, bool agree_tos)
{
    buf_puts(out, "cas:\n  ");
    put(out, ca);
    buf_puts(out, ":\n");
    if (email) {
        buf_puts(out, "    email: ");
        put(out, email);
        buf_puts(out, "\n");
    }
    if (agree_tos)
        buf_puts(out, "    agree_tos: true\n");
}

void issue_file_text(const struct json *request, const char *account_ca, const char *email,
                     bool agree_tos, int64_t now_ms, struct buf *out)
{
    static const char *const keys[] = {"name", "ca", "challenge", "provider", "key"};
    const char *webroot = json_text(request, "webroot");
    const struct json *names = json_get(request, "names");
    char at[32];
    buf_putf(out, "# Written by `renewctl issue` on %s; yours to edit.\n",
             str_from_time(now_ms, at, sizeof(at)));
    if (account_ca)
        put_account(out, account_ca, email, agree_tos);
    buf_puts(out, "certificates:\n  - names: [");
    for (const struct json *it = json_first(names); it; it = json_after(it)) {
        if (it != json_first(names))
            buf_puts(out, ", ");
        put(out, json_as_text(it));
    }
    buf_puts(out, "]\n");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *text = json_text(request, keys[i]);
        if (!text)
            continue;
        buf_putf(out, "    %s: ", keys[i]);
        put(out, text);
        buf_puts(out, "\n");
    }
    if (webroot) {
        buf_puts(out, "    http01: {webroot: ");
        put(out, webroot);
        buf_puts(out, "}\n");
    }
}

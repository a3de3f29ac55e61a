/* SPDX-License-Identifier: ISC */
/* The files: the main one, then what its `include` names, sorted, each once. */
#include "conf/value.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

struct include {
    char *files;
    unsigned on_error;
};

enum { ON_ERROR_FAIL, ON_ERROR_KEEP };

static const struct opt include_opts[] = {
    {"files", &type_text, .offset = offsetof(struct include, files), .required = true,
     .help = "the GLOB"},
    {"on_error", &type_choice, .offset = offsetof(struct include, on_error), .dflt = "fail",
     .choices = "fail|keep", .help = "what a bad file does"},
};
static const struct opt_table include_table = {
    .what = "include", .opts = include_opts, .n = ARRAY_LEN(include_opts)};

static struct source *source_add(struct reader *r, const char *file, bool keep)
{
    struct source *src = arena_new_of(r->trees, struct source);

    src->file = arena_strdup(r->arena, file);
    src->keep = keep;
    r->sources = xrealloc_array(r->sources, r->n_sources + 1, sizeof(struct source *));
    r->sources[r->n_sources++] = src;
    return src;
}

/* at: whom to blame for a file that cannot be read. */
static int read_file(struct reader *r, struct source *src, struct map *seen)
{
    struct conf_where at = {.file = src->file, .line = 1, .column = 1};
    CLEANUP_BUF struct buf text = {0};
    struct err e = ERR_INIT;
    struct stat st;
    const char *id;
    int rc;

    buf_init_secret(&text, TREE_FILE_MAX);
    if (file_read_at(AT_FDCWD, src->file, true, &text, &st, &e))
        return diag_error(&r->diag, at, "%s", e.detail);
    id = arena_printf(r->trees, "%llx:%llx", (unsigned long long)st.st_dev,
                      (unsigned long long)st.st_ino);
    if (map_put(seen, id, src))
        return 0; /* two patterns, or a link: read once */
    src->private = !(st.st_mode & 077);
    if (st.st_mode & S_IWOTH)
        diag_warn(&r->diag, at, "everyone can write this file: chmod o-w %s", src->file);
    rc = tree_parse(r->trees, src->file, buf_str(&text), text.len, &r->diag, &src->root);
    if (!rc)
        rc = tops_read(r, src, src->root);
    return rc;
}

static const char *pattern_of(struct reader *r, const struct node *v, const char *text)
{
    const char *slash = strrchr(v->file, '/');

    if (text[0] == '/' || !slash)
        return text;
    return arena_printf(r->trees, "%.*s/%s", (int)(slash - v->file), v->file, text);
}

/* A folder that is not there holds no match; one that cannot be read is an error. */
static int on_glob_error(const char *path, int sys)
{
    (void)path;
    return sys != ENOENT && sys != ENOTDIR;
}

/* For who is to find a place for another file. */
static void note_pattern(struct reader *r, const char *pattern)
{
    struct conf_strs *all = &r->conf->includes;
    char **v = arena_alloc(r->arena, all->n + 1, sizeof(*v));

    for (size_t i = 0; i < all->n; i++)
        v[i] = all->v[i];
    v[all->n] = path_absolute(r, pattern);
    all->v = v;
    all->n++;
}

static void add_matches(struct reader *r, const struct node *v, const struct include *in,
                        struct map *seen)
{
    glob_t g;
    const char *pattern = pattern_of(r, v, in->files);
    int rc = glob(pattern, 0, on_glob_error, &g);

    note_pattern(r, pattern);
    if (rc == GLOB_NOMATCH)
        return;
    if (rc) {
        READ_ERROR(r, v, "include: %s: %s", in->files,
                   rc == GLOB_NOSPACE ? "out of memory" : "its folder cannot be read");
        return;
    }
    for (size_t i = 0; i < g.gl_pathc; i++) {
        size_t before = r->diag.n;
        struct source *src;

        src = source_add(r, g.gl_pathv[i], in->on_error == ON_ERROR_KEEP);
        if (!read_file(r, src, seen))
            continue;
        src->bad = true;
        if (src->keep)
            diag_demote(&r->diag, before);
    }
    globfree(&g);
}

static void read_one(struct reader *r, const struct node *v, struct map *seen)
{
    struct include in = {0};

    if (v->kind == NODE_MAP) {
        table_defaults(r, &include_table, &in);
        if (table_read(r, &include_table, v, &in, NULL))
            return;
    } else {
        const char *text = value_text(r, "include", v);

        if (!text)
            return;
        in.files = arena_strdup(r->arena, text);
    }
    add_matches(r, v, &in, seen);
}

static int read_text(struct reader *r, struct source *src)
{
    src->private = true;
    if (tree_parse(r->trees, src->file, buf_str(r->text), r->text->len, &r->diag, &src->root))
        return -1;
    tops_read(r, src, src->root);
    return 0;
}

int include_read(struct reader *r, const char *file)
{
    struct map *seen = map_new();
    struct source *top = source_add(r, file, false);
    const struct node *one;
    size_t n = 0;
    int rc;

    rc = r->text ? read_text(r, top) : read_file(r, top, seen);
    if (top->include && !r->text) {
        const struct node *const *items = value_items(top->include, &one, &n);

        for (size_t i = 0; i < n; i++)
            read_one(r, items[i], seen);
    }
    map_free(seen);
    return rc && !top->root ? -1 : 0;
}

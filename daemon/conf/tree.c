/* SPDX-License-Identifier: ISC */
#include "conf/tree.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define LINEAR 16 /* keys in a mapping that are compared one by one */

struct open { /* a list or mapping whose end has not come */
    struct node *node;
    size_t first; /* its first item in builder.items */
    char *anchor;
};

struct builder {
    struct arena *arena;
    struct diag *diag;
    const char *file;
    const char *text;
    size_t len;
    struct open open[TREE_DEPTH_MAX];
    size_t depth;
    const struct node **items;
    size_t n, cap;
    struct map *anchors;
    uint64_t total; /* nodes, aliases written out */
    bool have_root;
};

struct conf_where node_where(const struct node *n)
{
    return (struct conf_where){.file = n->file, .line = n->line, .column = n->column};
}

bool node_is_null(const struct node *n)
{
    return n->kind == NODE_TEXT && n->plain &&
           (!n->n || str_eq(n->text, "~") || str_eq(n->text, "null"));
}

const struct node *node_get(const struct node *map, const char *key)
{
    for (uint32_t i = 0; i < map->n && map->kind == NODE_MAP; i++)
        if (!strcmp(map->pairs[i].key->text, key))
            return map->pairs[i].value;
    return NULL;
}

const char *node_kind_name(const struct node *n)
{
    static const char *const names[] = {
        [NODE_TEXT] = "a text", [NODE_LIST] = "a list", [NODE_MAP] = "a mapping"};

    return names[n->kind];
}

static struct conf_where where_of(const struct builder *b, yaml_mark_t mark)
{
    return (struct conf_where){
        .file = b->file, .line = (unsigned)mark.line + 1, .column = (unsigned)mark.column + 1};
}

/* ---- bytes ---- */

static size_t char_len(const char *p, size_t left)
{
    for (size_t k = 1; k <= 4 && k <= left; k++)
        if (str_is_utf8(p, k))
            return k;
    return 0;
}

/* Line and column (in characters) of the octet at `at`; stops at the first that is no UTF-8. */
static struct conf_where where_octet(const struct builder *b, size_t at, size_t *ret_bad)
{
    struct conf_where w = {.file = b->file, .line = 1, .column = 1};
    size_t i = 0;

    while (i < at) {
        size_t k = char_len(b->text + i, b->len - i);

        if (!k)
            break;
        w.column = b->text[i] == '\n' ? 1 : w.column + 1;
        w.line += b->text[i] == '\n';
        i += k;
    }
    if (ret_bad)
        *ret_bad = i;
    return w;
}

static int check_bytes(struct builder *b)
{
    const char *nul = memchr(b->text, '\0', b->len);
    struct conf_where w;
    size_t bad;

    if (b->len >= 2 && (!memcmp(b->text, "\xff\xfe", 2) || !memcmp(b->text, "\xfe\xff", 2)))
        return diag_error(b->diag, (struct conf_where){b->file, 1, 1},
                          "the file is UTF-16: save it as UTF-8");
    if (str_is_utf8(b->text, b->len))
        return 0;
    w = where_octet(b, b->len, &bad);
    if (nul && (size_t)(nul - b->text) <= bad)
        return diag_error(b->diag, w, "a NUL byte: this is no text file");
    return diag_error(b->diag, w, "the byte 0x%02x is not UTF-8: save the file as UTF-8",
                      (unsigned char)b->text[bad]);
}

/* The octets from a mark of libyaml's on (it counts characters). */
static const char *text_at(const struct builder *b, yaml_mark_t mark, size_t *ret_left)
{
    size_t i = 0, line = 0, column = 0;

    while (i < b->len && line < mark.line)
        line += b->text[i++] == '\n';
    while (i < b->len && column < mark.column) {
        size_t k = char_len(b->text + i, b->len - i);

        i += k ? k : 1;
        column++;
    }
    *ret_left = b->len - i;
    return b->text + i;
}

/* ---- syntax errors ---- */

/* What stands at p up to the end of a plain text, for "write "..."". */
static int word_len(const char *p, size_t left)
{
    size_t n = 0;

    while (n < left && n < 80 && !memchr(" \t\r\n,]}#\"'", p[n], 10))
        n++;
    return (int)n;
}

static int syntax_error(struct builder *b, const yaml_parser_t *p)
{
    const char *problem = p->problem ? p->problem : "not understood", *at;
    struct conf_where w = where_of(b, p->problem_mark);
    size_t left;

    if (p->error == YAML_READER_ERROR)
        return diag_error(b->diag, where_octet(b, p->problem_offset, NULL),
                          "not valid YAML: %s (0x%02x)", problem, (unsigned)p->problem_value);
    if (p->error == YAML_MEMORY_ERROR)
        return diag_error(b->diag, w, "not valid YAML: too large");
    if (p->context && !strcmp(p->context, "while scanning an alias")) {
        at = text_at(b, p->context_mark, &left);
        int n = word_len(at, left);

        return diag_error(b->diag, where_of(b, p->context_mark),
                          "an unquoted * begins a YAML alias: quote it: \"%.*s\"", n, at);
    }
    at = text_at(b, p->problem_mark, &left);
    if (strstr(problem, "cannot start any token") && left) {
        int n = word_len(at, left);

        if (*at == '\t')
            return diag_error(b->diag, w, "a tab: YAML is indented with spaces");
        return diag_error(b->diag, w, "a text cannot begin with %c: quote it: \"%.*s\"", *at, n,
                          at);
    }
    if (p->context && p->context_mark.line != p->problem_mark.line)
        return diag_error(b->diag, w, "not valid YAML: %s (%s that begins in line %zu)", problem,
                          p->context, p->context_mark.line + 1);
    return diag_error(b->diag, w, "not valid YAML: %s%s%s", problem, p->context ? ", " : "",
                      p->context ? p->context : "");
}

/* ---- nodes ---- */

static struct node *node_new(struct builder *b, enum node_kind kind, yaml_mark_t mark)
{
    struct node *n = arena_new_of(b->arena, struct node);

    n->kind = kind;
    n->file = b->file;
    n->line = (uint32_t)mark.line + 1;
    n->column = (uint32_t)mark.column + 1;
    n->weight = 1;
    return n;
}

static int count(struct builder *b, uint64_t weight, yaml_mark_t mark)
{
    b->total += weight;
    if (b->total <= TREE_NODES_MAX)
        return 0;
    return diag_error(b->diag, where_of(b, mark),
                      "too large: with its aliases written out the file has more than %u values",
                      TREE_NODES_MAX);
}

static void push(struct builder *b, const struct node *n)
{
    if (b->n == b->cap) {
        b->cap *= 2;
        b->items = xrealloc_array(b->items, b->cap, sizeof *b->items);
    }
    b->items[b->n++] = n;
}

static void name_anchor(struct builder *b, const char *anchor, const struct node *n)
{
    union {
        const struct node *in;
        void *out;
    } u = {.in = n};

    if (anchor)
        map_put(b->anchors, anchor, u.out);
}

static int check_tag(struct builder *b, const yaml_char_t *tag, yaml_mark_t mark)
{
    if (!tag || str_starts((const char *)tag, "tag:yaml.org,2002:"))
        return 0;
    return diag_error(b->diag, where_of(b, mark),
                      "%s: YAML tags have no meaning here: quote it if "
                      "it is a text",
                      (const char *)tag);
}

static int on_scalar(struct builder *b, const yaml_event_t *ev)
{
    const char *text = (const char *)ev->data.scalar.value;
    size_t len = ev->data.scalar.length;
    struct node *n;

    if (len > TREE_SCALAR_MAX)
        return diag_error(b->diag, where_of(b, ev->start_mark),
                          "a text of %zu bytes: at most %zu are allowed", len, TREE_SCALAR_MAX);
    if (memchr(text, '\0', len))
        return diag_error(b->diag, where_of(b, ev->start_mark), "a text with a NUL in it");
    if (check_tag(b, ev->data.scalar.tag, ev->start_mark) || count(b, 1, ev->start_mark))
        return -1;
    n = node_new(b, NODE_TEXT, ev->start_mark);
    n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !ev->data.scalar.tag;
    n->n = (uint32_t)len;
    n->text = arena_strndup(b->arena, text, len);
    name_anchor(b, (const char *)ev->data.scalar.anchor, n);
    push(b, n);
    return 0;
}

static int on_alias(struct builder *b, const yaml_event_t *ev)
{
    const char *name = (const char *)ev->data.alias.anchor;
    const struct node *n = map_get(b->anchors, name);

    if (!n)
        return diag_error(b->diag, where_of(b, ev->start_mark),
                          "*%s is a YAML alias, and no &%s stands before it; a text that begins "
                          "with * is quoted: \"*%s\"",
                          name, name, name);
    if (count(b, n->weight, ev->start_mark))
        return -1;
    push(b, n);
    return 0;
}

static int on_start(struct builder *b, enum node_kind kind, const yaml_char_t *anchor,
                    const yaml_char_t *tag, yaml_mark_t mark)
{
    if (b->depth == TREE_DEPTH_MAX)
        return diag_error(b->diag, where_of(b, mark), "more than %d levels deep", TREE_DEPTH_MAX);
    if (check_tag(b, tag, mark) || count(b, 1, mark))
        return -1;
    b->open[b->depth++] = (struct open){
        .node = node_new(b, kind, mark),
        .first = b->n,
        .anchor = anchor ? xstrdup((const char *)anchor) : NULL,
    };
    return 0;
}

/* ---- mappings ---- */

struct keys { /* what a mapping holds so far */
    struct pair *pairs;
    size_t n;
    struct map *map; /* NULL while few */
};

static const struct node *keys_find(const struct keys *k, const char *text)
{
    if (k->map)
        return map_get(k->map, text);
    for (size_t i = 0; i < k->n; i++)
        if (!strcmp(k->pairs[i].key->text, text))
            return k->pairs[i].key;
    return NULL;
}

static void keys_add(struct keys *k, const struct node *key, const struct node *value)
{
    union {
        const struct node *in;
        void *out;
    } u = {.in = key};

    k->pairs[k->n++] = (struct pair){key, value};
    if (k->map)
        map_put(k->map, key->text, u.out);
}

static bool is_merge(const struct node *key)
{
    return key->kind == NODE_TEXT && key->plain && str_eq(key->text, "<<");
}

/* Pairs that the value of a merge key can add; 0 when it is no mapping or list of mappings. */
static size_t merge_size(const struct node *value)
{
    size_t n = 0;

    if (value->kind == NODE_MAP)
        return value->n;
    for (uint32_t i = 0; i < value->n && value->kind == NODE_LIST; i++)
        n += value->items[i]->kind == NODE_MAP ? value->items[i]->n : 0;
    return n;
}

static void merge_map(struct keys *k, const struct node *map)
{
    for (uint32_t i = 0; i < map->n; i++)
        if (!keys_find(k, map->pairs[i].key->text))
            keys_add(k, map->pairs[i].key, map->pairs[i].value);
}

static int merge(struct builder *b, struct keys *k, const struct node *value)
{
    if (value->kind == NODE_MAP) {
        merge_map(k, value);
        return 0;
    }
    for (uint32_t i = 0; i < value->n && value->kind == NODE_LIST; i++) {
        if (value->items[i]->kind != NODE_MAP)
            return diag_error(b->diag, node_where(value->items[i]),
                              "<<: must name mappings, this is %s",
                              node_kind_name(value->items[i]));
        merge_map(k, value->items[i]);
    }
    if (value->kind == NODE_TEXT)
        return diag_error(b->diag, node_where(value), "<<: must name a mapping, this is a text");
    return 0;
}

static int add_key(struct builder *b, struct keys *k, const struct node *key,
                   const struct node *value)
{
    const struct node *twin;

    if (key->kind != NODE_TEXT)
        return diag_error(b->diag, node_where(key), "a key must be a text, this is %s",
                          node_kind_name(key));
    twin = keys_find(k, key->text);
    if (twin)
        return diag_error(b->diag, node_where(key),
                          "%s: written twice; it stands in line %u already", key->text,
                          (unsigned)twin->line);
    keys_add(k, key, value);
    return 0;
}

/* Explicit keys win over merged ones, whatever their order. */
static int fill_map(struct builder *b, struct node *map, const struct node **kv, size_t n)
{
    struct keys k = {0};
    size_t room = n / 2;
    int rc = 0;

    for (size_t i = 0; i < n; i += 2)
        if (is_merge(kv[i]))
            room += merge_size(kv[i + 1]);
    k.pairs = room ? arena_alloc(b->arena, room, sizeof *k.pairs) : NULL;
    if (room > LINEAR)
        k.map = map_new();
    for (size_t i = 0; !rc && i < n; i += 2)
        if (!is_merge(kv[i]))
            rc = add_key(b, &k, kv[i], kv[i + 1]);
    for (size_t i = 0; !rc && i < n; i += 2)
        if (is_merge(kv[i]))
            rc = merge(b, &k, kv[i + 1]);
    map_free(k.map);
    map->pairs = k.pairs;
    map->n = (uint32_t)k.n;
    return rc;
}

static int on_end(struct builder *b)
{
    struct open *o = &b->open[--b->depth];
    const struct node **items = b->items + o->first;
    size_t n = b->n - o->first;
    uint64_t weight = 1;
    int rc = 0;

    for (size_t i = 0; i < n; i++)
        weight += items[i]->weight;
    o->node->weight = weight > UINT32_MAX ? UINT32_MAX : (uint32_t)weight;
    if (o->node->kind == NODE_LIST) {
        o->node->items = arena_copy(b->arena, items, n, sizeof *items);
        o->node->n = (uint32_t)n;
    } else {
        rc = fill_map(b, o->node, items, n);
    }
    b->n = o->first;
    name_anchor(b, o->anchor, o->node);
    free(o->anchor);
    push(b, o->node);
    return rc;
}

static int on_event(struct builder *b, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(b, ev);
    case YAML_ALIAS_EVENT:
        return on_alias(b, ev);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(b, NODE_LIST, ev->data.sequence_start.anchor, ev->data.sequence_start.tag,
                        ev->start_mark);
    case YAML_MAPPING_START_EVENT:
        return on_start(b, NODE_MAP, ev->data.mapping_start.anchor, ev->data.mapping_start.tag,
                        ev->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_end(b);
    case YAML_DOCUMENT_START_EVENT:
        if (b->have_root)
            return diag_error(b->diag, where_of(b, ev->start_mark),
                              "a second document: a file holds one, without ---");
        b->have_root = true;
        return 0;
    default:
        return 0;
    }
}

static int run(struct builder *b, yaml_parser_t *p)
{
    yaml_event_type_t type = YAML_NO_EVENT;

    while (type != YAML_STREAM_END_EVENT) {
        yaml_event_t ev;
        int rc;

        if (!yaml_parser_parse(p, &ev))
            return syntax_error(b, p);
        type = ev.type;
        rc = on_event(b, &ev);
        yaml_event_delete(&ev);
        if (rc)
            return -1;
    }
    return 0;
}

int tree_parse(struct arena *a, const char *file, const char *text, size_t n, struct diag *d,
               const struct node **ret)
{
    struct builder b = {.arena = a, .diag = d, .file = file, .text = text, .len = n};
    yaml_parser_t p;
    int rc;

    if (n > TREE_FILE_MAX)
        return diag_error(d, (struct conf_where){file, 1, 1}, "larger than %zu MiB",
                          TREE_FILE_MAX >> 20);
    if (check_bytes(&b))
        return -1;
    if (!yaml_parser_initialize(&p))
        abort();
    b.anchors = map_new();
    b.cap = 64;
    b.items = xcalloc(b.cap, sizeof *b.items);
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)text, n);
    rc = run(&b, &p);
    yaml_parser_delete(&p);
    while (b.depth)
        free(b.open[--b.depth].anchor);
    map_free(b.anchors);
    if (!rc)
        *ret = b.n && !node_is_null(b.items[0]) ? b.items[0] : NULL;
    free(b.items);
    return rc;
}

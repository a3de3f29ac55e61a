/* SPDX-License-Identifier: ISC */
#include "keeper/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "keeper/daemon.h"
#include "keeper/describe.h"
#include "keeper/own_csr.h"

#include <stdio.h>
#include <stdlib.h>

char *check_message(const struct conf_message *m)
{
    return xasprintf("%s:%u:%u: %s%s", m->file ? m->file : "", m->line, m->column,
                     m->warning ? "warning: " : "", m->text);
}

static void add_messages(struct json *to, const struct conf_messages *m)
{
    struct json *list = json_add_array(to, "messages");
    for (size_t i = 0; i < m->n; i++) {
        struct json *o = json_add_object(list, NULL);
        json_add_text(o, "file", m->v[i].file);
        json_add_int(o, "line", m->v[i].line);
        json_add_int(o, "column", m->v[i].column);
        json_add_bool(o, "warning", m->v[i].warning);
        json_add_text(o, "text", m->v[i].text);
    }
}

static void print_json(const struct check_options *o, const struct conf *c,
                       const struct conf_messages *m)
{
    CLEANUP_JSON struct json *j = json_object();
    json_add_bool(j, "ok", c != NULL);
    json_add_int(j, "exit", c ? EXIT_DONE : EXIT_USAGE);
    json_add_text(j, "file", o->file);
    add_messages(j, m);
    if (c)
        json_add_int(j, "certificates", (int64_t)c->n_certs);
    if (c && o->dump)
        json_add(j, "configuration", conf_dump_json(c));
    CLEANUP_FREE char *text = json_print(j, true);
    puts(text);
}

static void print_text(const struct check_options *o, const struct conf *c,
                       const struct conf_messages *m)
{
    for (size_t i = 0; i < m->n; i++) {
        CLEANUP_FREE char *line = check_message(&m->v[i]);
        fprintf(stderr, "%s\n", line);
    }
    if (!c)
        return;
    if (o->dump) {
        CLEANUP_FREE char *text = conf_dump(c);
        fputs(text, stdout);
    } else {
        printf("%s: no errors, %zu certificate%s\n", o->file, c->n_certs,
               c->n_certs == 1 ? "" : "s");
    }
}

int check_run(const struct check_options *o, const struct programs *programs)
{
    struct describer *d = describer_new(programs->worker);
    struct conf_plugins plugins = {
        .describe = describer_ask, .ctx = d, .dir = programs->plugins, .check_csr = own_csr_check};
    struct conf_messages m = {0};
    struct conf *c = conf_load(o->file, &plugins, NULL, &m);
    (o->json ? print_json : print_text)(o, c, &m);
    int exit_code = c ? EXIT_DONE : EXIT_USAGE;
    conf_messages_free(&m);
    conf_unref(c);
    describer_free(d);
    return exit_code;
}

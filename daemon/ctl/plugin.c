/* SPDX-License-Identifier: ISC */
/* plugin list, plugin info: what a throw-away, sandboxed worker says of a plugin; no daemon is
 * needed. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "ctl/ctl.h"
#include "ctl/term.h"
#include "wire/worker_msg.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DESCRIBE_MS 5000

struct args {
    const char *words[2];
    unsigned n;
    const char *dir;
};

static pid_t start_worker(const char *program, const char *path, int fd)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(fd, WORKER_FD_ENGINE) < 0)
            _exit(127);
        execl(program, program, "--describe", path, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* Reads until the worker closes its end, or the time is over. */
static int read_all(int fd, struct buf *in)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char chunk[16384];
        if (poll(&p, 1, DESCRIBE_MS) <= 0)
            return -1;
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n <= 0)
            return n == 0 ? 0 : -1;
        if (buf_put(in, chunk, (size_t)n) < 0)
            return -1;
    }
}

static int decode(const struct buf *in, struct worker_descriptor *ret, struct err *e)
{
    struct frame_head h;
    if (frame_head_read(in->data, in->len, WORKER_KEEPER_MAX, &h) != 1 ||
        in->len < FRAME_HEADER + (size_t)h.len)
        return err_set(e, ERR_PEER, "the worker said nothing of it");
    const char *payload = in->data + FRAME_HEADER;
    if (h.type == WORKER_FAILED) {
        worker_failed_decode(payload, h.len, e);
        return -1;
    }
    if (h.type != WORKER_DESCRIPTOR || worker_descriptor_decode(payload, h.len, ret) < 0)
        return err_set(e, ERR_PEER, "the worker's description is malformed");
    return 0;
}

static int describe(const char *path, struct worker_descriptor *ret, struct err *e)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return err_sys(e, errno, "socketpair");
    CLEANUP_FREE char *program = ctl_program("renewd-worker", RENEWD_LIBEXECDIR);
    pid_t pid = start_worker(program, path, fds[1]);
    close(fds[1]);
    CLEANUP_BUF struct buf in;
    buf_init(&in, WORKER_KEEPER_MAX + FRAME_HEADER);
    int got = pid > 0 ? read_all(fds[0], &in) : -1;
    close(fds[0]);
    if (pid > 0) {
        if (got < 0)
            kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (got < 0 || in.len == 0)
        return err_set(e, ERR_LOCAL, "%s did not describe it", program);
    return decode(&in, ret, e);
}

static char *plugin_dir(const struct args *a)
{
    if (a->dir)
        return xstrdup(a->dir);
    CLEANUP_FREE char *near = ctl_program("../plugins", RENEWD_PLUGINDIR "/..");
    return access(near, X_OK) == 0 ? xstrdup(near) : xstrdup(RENEWD_PLUGINDIR);
}

static const char *model_name(uint32_t model)
{
    static const char *const names[] = {"?", "record", "rrset", "zone", "slot"};
    return names[model < ARRAY_LEN(names) ? model : 0];
}

static const char *type_name(uint32_t type)
{
    static const char *const names[] = {"?",        "text", "secret", "int",   "bool",
                                        "duration", "url",  "host",   "one of"};
    return names[type < ARRAY_LEN(names) ? type : 0];
}

static void add_options(struct json *j, const struct worker_descriptor *d)
{
    struct json *list = json_add_array(j, "options");
    for (uint32_t i = 0; i < d->n_options; i++) {
        const struct worker_option *o = &d->options[i];
        struct json *option = json_add_object(list, NULL);
        json_add_text(option, "name", o->name);
        json_add_text(option, "type", type_name(o->type));
        json_add_bool(option, "required", o->required);
        json_add_text(option, "default", *o->dflt ? o->dflt : NULL);
        json_add_text(option, "choices", *o->choices ? o->choices : NULL);
        json_add_text(option, "help", o->help);
        struct json *env = json_add_array(option, "env");
        for (uint32_t k = 0; k < o->env.n; k++)
            json_add_text(env, NULL, o->env.v[k]);
    }
}

static struct json *to_json(const char *path, const struct worker_descriptor *d)
{
    struct json *j = json_object();
    json_add_text(j, "id", d->id);
    json_add_text(j, "name", d->name);
    json_add_text(j, "version", d->version);
    json_add_text(j, "license", d->license);
    json_add_text(j, "author", d->author);
    json_add_text(j, "homepage", d->homepage);
    json_add_text(j, "path", path);
    json_add_text(j, "model", model_name(d->model));
    if (d->model == WORKER_MODEL_SLOT)
        json_add_int(j, "slots", d->slots);
    json_add_bool(j, "needs_exec", d->caps & WORKER_CAP_EXEC);
    json_add_int(j, "ttl_min", d->ttl_min);
    json_add_int(j, "ttl", d->ttl_default);
    json_add_int(j, "propagation", d->propagation_s);
    struct json *hosts = json_add_array(j, "hosts");
    for (uint32_t i = 0; i < d->hosts.n; i++)
        json_add_text(hosts, NULL, d->hosts.v[i]);
    add_options(j, d);
    return j;
}

static void print_options(const struct worker_descriptor *d)
{
    static const char *const heads[] = {"OPTION", "TYPE", "DEFAULT", "MEANING"};
    struct table *t = table_new(heads, ARRAY_LEN(heads));
    for (uint32_t i = 0; i < d->n_options; i++) {
        const struct worker_option *o = &d->options[i];
        const char *cells[] = {o->name, *o->choices ? o->choices : type_name(o->type),
                               o->required ? "required"
                               : *o->dflt  ? o->dflt
                                           : "-",
                               o->help};
        table_row(t, cells, o->required ? TERM_BOLD : TERM_PLAIN, 0);
    }
    putchar('\n');
    table_print(t);
}

static void print_info(const char *path, const struct worker_descriptor *d)
{
    printf("%s%s%s %s: %s\n", term_on(TERM_BOLD), d->id, term_off(), d->version, d->name);
    printf("file:        %s\n", path);
    if (*d->author || *d->license)
        printf("by:          %s (%s)\n", d->author, d->license);
    if (*d->homepage)
        printf("see:         %s\n", d->homepage);
    printf("model:       %s\n", model_name(d->model));
    printf("ttl:         %u s, at least %u s\n", d->ttl_default, d->ttl_min);
    if (d->propagation_s)
        printf("propagation: typically %u s\n", d->propagation_s);
    printf("may reach:  ");
    for (uint32_t i = 0; i < d->hosts.n; i++)
        printf(" %s", d->hosts.v[i]);
    printf("%s\n", d->hosts.n ? " and hosts named in its options" : " hosts named in its options");
    if (d->n_options)
        print_options(d);
}

static int info(struct ctl *ctl, const struct args *a)
{
    const char *name = a->words[1];
    CLEANUP_FREE char *dir = plugin_dir(a);
    CLEANUP_FREE char *named = strchr(name, '/') ? xstrdup(name) : xasprintf("%s/%s.so", dir, name);
    char *real = realpath(named, NULL);
    CLEANUP_FREE char *path = real ? real : xstrdup(named);
    struct worker_descriptor d = {0};
    struct err e = ERR_INIT;
    if (access(path, F_OK) < 0) {
        fprintf(stderr, "renewctl: no plugin %s: %s: %s (renewctl plugin list shows those there)\n",
                name, path, strerror(errno));
        return EXIT_USAGE;
    }
    if (describe(path, &d, &e) < 0) {
        fprintf(stderr, "renewctl: %s: %s\n", path, e.detail);
        return EXIT_FAILED;
    }
    if (ctl->json) {
        CLEANUP_JSON struct json *j = to_json(path, &d);
        CLEANUP_FREE char *text = json_print(j, true);
        puts(text);
    } else {
        print_info(path, &d);
    }
    worker_descriptor_free(&d);
    return EXIT_DONE;
}

static int is_plugin(const struct dirent *e)
{
    return e->d_name[0] != '.' && str_ends(e->d_name, ".so");
}

static int list(struct ctl *ctl, const struct args *a)
{
    static const char *const heads[] = {"NAME", "VERSION", "MODEL", "FOR"};
    CLEANUP_FREE char *dir = plugin_dir(a);
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, is_plugin, alphasort), exit = EXIT_DONE;
    if (n < 0) {
        fprintf(stderr, "renewctl: cannot read %s: %s\n", dir, strerror(errno));
        return EXIT_FAILED;
    }
    struct table *t = table_new(heads, ARRAY_LEN(heads));
    CLEANUP_JSON struct json *all = json_array();
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *path = xasprintf("%s/%s", dir, entries[i]->d_name);
        struct worker_descriptor d = {0};
        struct err e = ERR_INIT;
        if (describe(path, &d, &e) == 0) {
            const char *cells[] = {d.id, d.version, model_name(d.model), d.name};
            table_row(t, cells, TERM_BOLD, 0);
            json_add(all, NULL, to_json(path, &d));
            worker_descriptor_free(&d);
        } else {
            const char *cells[] = {entries[i]->d_name, "-", "-", e.detail};
            table_row(t, cells, TERM_RED, 0);
            exit = EXIT_FAILED;
        }
        free(entries[i]);
    }
    free(entries);
    if (ctl->json) {
        CLEANUP_FREE char *text = json_print(all, true);
        puts(text);
        table_free(t);
    } else {
        table_print(t);
    }
    return exit;
}

static void set_arg(void *arg, const char *option, const char *value)
{
    struct args *a = arg;
    (void)option;
    a->dir = value;
}

static void add_word(void *arg, const char *text)
{
    struct args *a = arg;
    if (a->n < 2)
        a->words[a->n] = text;
    a->n++;
}

int verb_plugin(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_option options[] = {{"dir", "DIR", "where the plugins are"}};
    static const struct ctl_usage usage = {"plugin list | plugin info NAME|PATH",
                                           "List the provider plugins that are there; show the "
                                           "options, the update model and the hosts of one.",
                                           options, ARRAY_LEN(options), NULL};
    struct args a = {.n = 0};
    int exit = ctl_parse(ctl, &usage, argc, argv, &(struct ctl_args){set_arg, add_word, &a});
    if (exit >= 0)
        return exit;
    signal(SIGPIPE, SIG_IGN);
    if (a.n == 1 && str_eq(a.words[0], "list"))
        return list(ctl, &a);
    if (a.n == 2 && str_eq(a.words[0], "info"))
        return info(ctl, &a);
    if (a.n >= 1 &&
        (str_eq(a.words[0], "run") || str_eq(a.words[0], "test") || str_eq(a.words[0], "new"))) {
        fprintf(stderr, "renewctl plugin %s: not yet available\n", a.words[0]);
        return EXIT_USAGE;
    }
    return ctl_usage_error(ctl, "say list, or info and a plugin's name");
}

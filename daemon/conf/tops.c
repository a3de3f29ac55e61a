/* SPDX-License-Identifier: ISC */
/* The top level of a file. */
#include "conf/value.h"

#include "base/str.h"

#include <string.h>

static int read_version(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    const char *text = value_text(r, o->name, v);

    if (!text)
        return -1;
    if (!str_eq(text, "1"))
        return READ_ERROR(r, v, "version: %s: this renewd reads version 1", text);
    *(int64_t *)dst = 1;
    return 0;
}

/* sun_path of unix(7) has 108 bytes, and admin.sock is put beside it. */
static int read_socket(struct reader *r, const struct opt *o, const struct node *v, void *dst)
{
    char *path;
    size_t dir;

    if (type_path.read(r, o, v, &path))
        return -1;
    dir = (size_t)(strrchr(path, '/') - path);
    if (strlen(path) > 107 || dir + sizeof "/admin.sock" > 108)
        return READ_ERROR(r, v, "%s: a socket's path has at most 107 bytes", o->name);
    if (str_eq(path + dir, "/admin.sock"))
        return READ_ERROR(r, v, "%s: admin.sock is the keeper's own socket: take another name",
                          o->name);
    *(char **)dst = path;
    return 0;
}

static const struct opt_type type_socket = {"{\"type\":\"string\",\"minLength\":1}", read_socket};
static const struct opt_type type_version = {"{\"const\":1}", read_version};

#define NODE_TYPE(id, json) static const struct opt_type type_##id = {json, node_keep}

NODE_TYPE(includes, "{\"$ref\":\"#/$defs/include\"}");
NODE_TYPE(defaults, "{\"$ref\":\"#/$defs/defaults\"}");
NODE_TYPE(cas, "{\"type\":\"object\",\"additionalProperties\":{\"$ref\":\"#/$defs/ca\"}}");
NODE_TYPE(dns, "{\"$ref\":\"#/$defs/dns\"}");
NODE_TYPE(providers, "{\"type\":\"object\",\"additionalProperties\":"
                     "{\"$ref\":\"#/$defs/provider\"}}");
NODE_TYPE(deployments, "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"array\","
                       "\"items\":{\"$ref\":\"#/$defs/step\"}}}");
NODE_TYPE(certificates, "{\"type\":\"array\",\"items\":{\"oneOf\":[{\"type\":\"string\"},"
                        "{\"$ref\":\"#/$defs/certificate\"}]}}");

#define AT(field) .offset = offsetof(struct source, field)

/* What included files may hold too. */
static const struct opt shared_opts[] = {
    {"version", &type_version, AT(version),
     .help = "the version of this file's language; optional, any value but 1 is refused"},
    {"defaults", &type_defaults, AT(defaults),
     .help = "values for every certificate of the file (and, in the main file, of the included "
             "ones): any key of a certificate but name and names, and email and agree_tos"},
    {"cas", &type_cas, AT(cas),
     .help = "certification authorities by name; an entry with a preset's name adds to the preset"},
    {"providers", &type_providers, AT(providers),
     .help = "DNS provider plugins with their options, by name"},
    {"deployments", &type_deployments, AT(deployments),
     .help = "lists of steps by name; each runs, fails and is retried on its own"},
    {"certificates", &type_certificates, AT(certificates),
     .help = "the inventory: a list of certificates; a bare name is a certificate for that name"},
};

static const struct opt_table shared_table = {
    .what = "top level", .opts = shared_opts, .n = ARRAY_LEN(shared_opts), .x_keys = true};

static const struct opt main_opts[] = {
    {"state_dir", &type_path, AT(state_dir), .dflt = "/var/lib/renewd",
     .help = "folder of keys, certificates and state"},
    {"control_socket", &type_socket, AT(control_socket), .dflt = "/run/renewd/control.sock",
     .help = "socket that renewctl talks to; the keeper's admin.sock is in the same folder"},
    {"control_group", &type_user, AT(control_group),
     .help = "group whose members may look; only root and the daemon's user may act"},
    {"user", &type_user, AT(user), .dflt = "renewd",
     .help = "user that the engine runs as; when not set and absent: nobody"},
    {"worker_user", &type_user, AT(worker_user), .dflt = "renewd-worker",
     .help = "user that the plugins' workers run as; when not set and absent: nobody"},
    {"include", &type_includes, AT(include),
     .help = "further files: GLOB, {files: GLOB, on_error: fail|keep}, or a list of these"},
    {"log_level", &type_choice, AT(log_level), .dflt = "info", .choices = "error|warn|info|debug",
     .help = "how much is logged"},
    {"archive_keep", &type_u32, AT(archive_keep), .dflt = "5", .min = 0, .max = 1000,
     .help = "old sets kept per certificate; unexpired ones are not counted"},
    {"dns", &type_dns, AT(dns), .help = "how names are looked up and propagation is checked"},
    {"http_proxy", &type_never, .refuse = NOT_YET, .help = "proxy for all HTTP"},
    {"no_proxy", &type_never, .refuse = NOT_YET, .help = "suffixes and networks without the proxy"},
    {"metrics", &type_never, .refuse = NOT_YET, .help = "metrics: listen, textfile"},
    {"notify", &type_never, .refuse = NOT_YET, .help = "who is told of what"},
};

const struct opt_table top_table = {.what = "top level",
                                    .opts = main_opts,
                                    .n = ARRAY_LEN(main_opts),
                                    .more = &shared_table,
                                    .x_keys = true};

#define MAIN_ONLY "belongs in the main file, not in an included one"

static const struct opt included_opts[] = {
    {"state_dir", &type_never, .refuse = MAIN_ONLY},
    {"control_socket", &type_never, .refuse = MAIN_ONLY},
    {"control_group", &type_never, .refuse = MAIN_ONLY},
    {"user", &type_never, .refuse = MAIN_ONLY},
    {"worker_user", &type_never, .refuse = MAIN_ONLY},
    {"include", &type_never, .refuse = MAIN_ONLY},
    {"log_level", &type_never, .refuse = MAIN_ONLY},
    {"archive_keep", &type_never, .refuse = MAIN_ONLY},
    {"dns", &type_never, .refuse = MAIN_ONLY},
    {"http_proxy", &type_never, .refuse = NOT_YET},
    {"no_proxy", &type_never, .refuse = NOT_YET},
    {"metrics", &type_never, .refuse = NOT_YET},
    {"notify", &type_never, .refuse = NOT_YET},
};

static const struct opt_table included_table = {.what = "top level",
                                                .opts = included_opts,
                                                .n = ARRAY_LEN(included_opts),
                                                .more = &shared_table,
                                                .x_keys = true};

int tops_read(struct reader *r, struct source *src, const struct node *root)
{
    const struct opt_table *t = src == r->sources[0] ? &top_table : &included_table;

    table_defaults(r, t, src);
    if (!src->control_group)
        src->control_group = arena_strdup(r->arena, "");
    return root ? table_read(r, t, root, src, NULL) : 0;
}

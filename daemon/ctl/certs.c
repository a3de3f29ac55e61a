/* SPDX-License-Identifier: ISC */
/* revoke, delete: the end of certificates. */
#include "base/mem.h"
#include "base/str.h"
#include "ctl/admin.h"

struct end {
    struct json *request;
    const char *name;
    bool force, replace, too_many;
};

static void set(void *arg, const char *option, const char *value)
{
    struct end *e = arg;
    if (str_eq(option, "force"))
        e->force = true;
    else if (str_eq(option, "replace"))
        e->replace = true;
    if (value)
        json_add_text(e->request, option, value);
}

static void operand(void *arg, const char *text)
{
    struct end *e = arg;
    e->too_many = e->name != NULL;
    e->name = text;
}

static int parse(struct ctl *ctl, const struct ctl_usage *usage, int argc, char **argv,
                 struct end *e)
{
    json_add_text(e->request, "verb", argv[0]);
    int exit = ctl_parse(ctl, usage, argc, argv, &(struct ctl_args){set, operand, e});
    if (exit >= 0)
        return exit;
    if (!e->name || e->too_many)
        return ctl_usage_error(ctl, "name one certificate");
    json_add_text(e->request, "name", e->name);
    return -1;
}

int verb_revoke(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_option options[] = {
        {"reason", "R",
         "unspecified keyCompromise affiliationChanged superseded cessationOfOperation"},
        {"replace", NULL, "first put a new one, with a new key, in its place"},
        {"with", "cert-key", "sign by the certificate's own key, not the account's"},
        {"serial", "HEX", "a former one, which is in archive/, instead of the installed one"},
        {"force", NULL, "do not ask"},
    };
    static const struct ctl_usage usage = {
        "revoke NAME [--reason R] [--replace] [--with cert-key] [--serial HEX] [--force]",
        "Revoke a certificate, which cannot be taken back. With --replace a new one with a new key "
        "is ordered and deployed first, and only then the old one is revoked, so that what it "
        "serves does not break; without, nothing is ordered until you ask (renewctl renew NAME). "
        "Of an entry with several keys NAME means all of them, NAME+KEY one.",
        options, ARRAY_LEN(options), NULL};
    CLEANUP_JSON struct json *request = json_object();
    struct end e = {.request = request};
    int exit = parse(ctl, &usage, argc, argv, &e);
    if (exit >= 0)
        return exit;
    const char *with = json_text(request, "with");
    if (with && !str_eq(with, "cert-key"))
        return ctl_usage_error(ctl, "--with takes cert-key, or is left out");
    if (!e.force) {
        CLEANUP_FREE char *question =
            xasprintf("Revoke the certificate of %s%s?", e.name,
                      e.replace ? ", once a new one is in its place" : "");
        e.force = admin_confirm(ctl, question);
    }
    json_add_bool(request, "force", e.force);
    json_add_bool(request, "replace", e.replace);
    return admin_ask(ctl, request, NULL);
}

int verb_delete(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_usage usage = {
        "delete NAME",
        "Put the files of a certificate that is not in the configuration any more into its folder "
        "in archive/, and forget its state. Nothing is revoked.",
        NULL, 0, NULL};
    CLEANUP_JSON struct json *request = json_object();
    struct end e = {.request = request};
    int exit = parse(ctl, &usage, argc, argv, &e);
    return exit >= 0 ? exit : admin_ask(ctl, request, NULL);
}

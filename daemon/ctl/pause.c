/* SPDX-License-Identifier: ISC */
/* pause, resume. */
#include "base/mem.h"
#include "base/str.h"
#include "ctl/client.h"

#include <stdio.h>

struct pause {
    struct json *names;
};

static void operand(void *arg, const char *text)
{
    struct pause *p = arg;
    json_add_text(p->names, NULL, text);
}

static int one(struct ctl *ctl, bool pause, const char *name)
{
    CLEANUP_JSON struct json *request = json_object();
    struct json *reply = NULL;
    json_add_text(request, "verb", pause ? "pause" : "resume");
    json_add_text(request, "name", name);
    int exit = client_simple(ctl, request, &reply);
    bool was = json_bool(reply, "was_paused", false);
    if (reply && pause)
        printf(was ? "%s was paused already.\n" : "%s is paused: nothing is ordered.\n", name);
    else if (reply)
        printf(was ? "%s goes on.\n" : "%s was not paused.\n", name);
    json_free(reply);
    return exit;
}

int verb_pause(struct ctl *ctl, int argc, char **argv)
{
    static const struct ctl_usage usages[] = {
        {"resume NAME|ca:X|provider:X ...", "Go on with what was paused.", NULL, 0, NULL},
        {"pause NAME|ca:X|provider:X ...",
         "Order nothing for these certificates, for those whose CA it is, or whose records that "
         "provider makes, until resume; also over restarts. What is installed goes on being "
         "deployed, and warnings of expiry go on.",
         NULL, 0, NULL},
    };
    bool pause = str_eq(argv[0], "pause");
    CLEANUP_JSON struct json *names = json_array();
    struct pause p = {names};
    int exit = ctl_parse(ctl, &usages[pause], argc, argv, &(struct ctl_args){NULL, operand, &p});
    if (exit >= 0)
        return exit;
    if (json_len(names) == 0)
        return ctl_usage_error(ctl, "name a certificate, ca:NAME or provider:NAME");
    exit = EXIT_DONE;
    for (const struct json *it = json_first(names); it && exit == EXIT_DONE; it = json_after(it))
        exit = one(ctl, pause, json_as_text(it));
    return exit;
}

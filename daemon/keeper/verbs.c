/* SPDX-License-Identifier: ISC */
#include "keeper/verbs.h"

struct conf *verbs_conf(const struct verbs_env *env, struct admin_call *c)
{
    struct conf *conf = services_parts(env->services).conf;
    if (conf)
        return conf_ref(conf);
    admin_end(c, ADMIN_FAILED, "renewd is still starting: try again in a moment");
    return NULL;
}

int verbs_exit(const struct err *e)
{
    if (!err_is(e))
        return ADMIN_DONE;
    return e->cls == ERR_CONFIG ? ADMIN_USAGE : ADMIN_FAILED;
}

void verbs_serve(const struct verbs_env *env)
{
    verbs_account_serve(env);
    verbs_cert_serve(env);
    verbs_issue_serve(env);
    verbs_backup_serve(env);
}

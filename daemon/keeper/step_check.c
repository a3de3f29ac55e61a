/* SPDX-License-Identifier: ISC */
#include "keeper/step_check.h"
#include "base/str.h"

static const struct conf_step *find_step(const struct conf_cert *cert,
                                         const struct keeper_msg_step *m, const char **ret_what)
{
    for (size_t i = 0; i < cert->n_deployments; i++) {
        const struct conf_deployment *d = &cert->deployments[i];
        if (str_eq(d->name, m->deployment) && m->step < d->n_steps) {
            *ret_what = d->name;
            return &d->steps[m->step];
        }
    }
    return NULL;
}

const struct conf_step *step_check(const struct conf *c, const struct keeper_msg_step *m,
                                   const struct conf_cert **certs, const char **ret_what,
                                   struct err *e)
{
    const struct conf_step *step = NULL;
    for (size_t i = 0; i < m->certs.n; i++) {
        certs[i] = conf_find_cert(c, m->certs.v[i]);
        if (!certs[i]) {
            err_set(e, ERR_BUG, "the configuration has no certificate \"%s\"", m->certs.v[i]);
            return NULL;
        }
        const struct conf_step *its = find_step(certs[i], m, ret_what);
        if (!its) {
            err_set(e, ERR_BUG, "certificate %s has no step %u of deployment %s", certs[i]->name,
                    m->step, m->deployment);
            return NULL;
        }
        step = step ? step : its;
    }
    bool merges =
        step && (step->kind == CONF_STEP_RELOAD || (step->kind == CONF_STEP_RUN && step->once));
    if (m->certs.n == 0 || (m->certs.n > 1 && !merges)) {
        err_set(e, ERR_BUG, "step %u of deployment %s is not for %zu certificates", m->step,
                m->deployment, m->certs.n);
        return NULL;
    }
    return step;
}

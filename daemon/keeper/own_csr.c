/* SPDX-License-Identifier: ISC */
#include "keeper/own_csr.h"
#include "base/str.h"

#include <string.h>

struct csr_info *own_csr_read(const struct conf_cert *cert, struct err *e)
{
    return csr_info_read(cert->csr_pem, strlen(cert->csr_pem), e);
}

static bool asks_for(const struct csr_info *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++) {
        if (str_eq(c->names[i], name))
            return true;
    }
    return false;
}

static bool is_configured(const struct conf_cert *cert, const char *name)
{
    for (size_t i = 0; i < cert->n_names; i++) {
        if (str_eq(cert->names[i].name, name))
            return true;
    }
    return false;
}

static int check_names(const struct csr_info *c, const struct conf_cert *cert, struct err *e)
{
    for (size_t i = 0; i < cert->n_names; i++) {
        if (!asks_for(c, cert->names[i].name))
            return err_set(e, ERR_CONFIG,
                           "the CSR lacks %s: take that out of names, or make the CSR with it",
                           cert->names[i].name);
    }
    for (size_t i = 0; i < c->n; i++) {
        if (!is_configured(cert, c->names[i]))
            return err_set(e, ERR_CONFIG,
                           "the CSR is for %s, too: add that to names, or make the CSR without it",
                           c->names[i]);
    }
    return 0;
}

int own_csr_check(void *ctx, const struct conf_cert *cert, bool *ret_staple, struct err *e)
{
    (void)ctx;
    struct csr_info *c = own_csr_read(cert, e);
    if (!c)
        return -1;
    int rc = 0;
    if (c->key_refused)
        rc = err_set(e, ERR_CONFIG,
                     "its key is %s: CAs take ecdsa-p256, ecdsa-p384 and RSA of 2048 to 4096 bits",
                     c->key_type);
    else if (c->wants_ca)
        rc = err_set(e, ERR_CONFIG, "the CSR asks for a CA's certificate: make it without CA:TRUE");
    else
        rc = check_names(c, cert, e);
    *ret_staple = c->must_staple;
    csr_info_free(c);
    return rc;
}

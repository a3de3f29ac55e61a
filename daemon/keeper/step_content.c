/* SPDX-License-Identifier: ISC */
#include "keeper/step_content.h"
#include "base/file.h"
#include "base/mem.h"
#include "digest/x509.h"
#include "keys/pkcs12.h"
#include "keys/pkey.h"

struct source {
    int set;
    const struct conf_step *step;
    const struct conf_cert *cert;
    struct buf *out;
};

static int read_part(const struct source *s, const char *file, struct buf *out, struct err *e)
{
    return file_read_at(s->set, file, true, out, NULL, e);
}

/* ---- as it is ---- */

static int put_privkey(const struct source *s, struct err *e)
{
    return read_part(s, "privkey.pem", s->out, e);
}

static int put_cert(const struct source *s, struct err *e)
{
    return read_part(s, "cert.pem", s->out, e);
}

static int put_chain(const struct source *s, struct err *e)
{
    return read_part(s, "chain.pem", s->out, e);
}

static int put_fullchain(const struct source *s, struct err *e)
{
    return read_part(s, "fullchain.pem", s->out, e);
}

/* ---- in another form ---- */

static struct pkey *read_key(const struct source *s, struct err *e)
{
    CLEANUP_BUF struct buf pem;
    buf_init_secret(&pem, STEP_CONTENT_MAX);
    if (read_part(s, "privkey.pem", &pem, e))
        return NULL;
    return pkey_from_pem(buf_str(&pem), pem.len, e);
}

static int put_privkey_der(const struct source *s, struct err *e)
{
    CLEANUP_PKEY struct pkey *key = read_key(s, e);
    return key ? pkey_to_der(key, s->out, e) : -1;
}

static int put_cert_der(const struct source *s, struct err *e)
{
    CLEANUP_BUF struct buf pem;
    buf_init(&pem, STEP_CONTENT_MAX);
    if (read_part(s, "cert.pem", &pem, e))
        return -1;
    return cert_pem_to_der(buf_str(&pem), pem.len, s->out, e);
}

static int put_p12(const struct source *s, enum pkcs12_form form, struct err *e)
{
    CLEANUP_BUF struct buf pem;
    CLEANUP_PKEY struct pkey *key = read_key(s, e);
    buf_init(&pem, STEP_CONTENT_MAX);
    if (!key || read_part(s, "fullchain.pem", &pem, e))
        return -1;
    struct cert_chain *chain = cert_chain_read(buf_str(&pem), pem.len, NULL, e);
    if (!chain)
        return -1;
    const struct pkcs12_want want = {
        .form = form,
        .password = s->step->password.value,
        .allow_empty = s->step->password.kind != CONF_SECRET_NONE,
        .name = s->cert->name,
    };
    int rc = pkcs12_put(key, chain, &want, s->out, e);
    cert_chain_free(chain);
    return rc;
}

static int put_pkcs12(const struct source *s, struct err *e)
{
    return put_p12(s, PKCS12_MODERN, e);
}

static int put_pkcs12_legacy(const struct source *s, struct err *e)
{
    return put_p12(s, PKCS12_LEGACY, e);
}

static int (*const parts[])(const struct source *, struct err *) = {
    [CONF_PRIVKEY] = put_privkey,
    [CONF_CERT] = put_cert,
    [CONF_CHAIN] = put_chain,
    [CONF_FULLCHAIN] = put_fullchain,
    [CONF_PKCS12] = put_pkcs12,
    [CONF_PKCS12_LEGACY] = put_pkcs12_legacy,
    [CONF_PRIVKEY_DER] = put_privkey_der,
    [CONF_CERT_DER] = put_cert_der,
};

int step_content(int set, const struct conf_step *step, const struct conf_cert *cert,
                 struct buf *out, struct err *e)
{
    const struct source s = {set, step, cert, out};
    if (step->n_content == 0)
        return put_fullchain(&s, e);
    for (size_t i = 0; i < step->n_content; i++) {
        size_t what = step->content[i];
        if (what >= ARRAY_LEN(parts) || !parts[what])
            return err_set(e, ERR_BUG, "an unknown content of a file");
        if (parts[what](&s, e))
            return -1;
    }
    return 0;
}

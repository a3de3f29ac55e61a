/* SPDX-License-Identifier: ISC */
#include "keys/jws.h"
#include "base/str.h"
#include "digest/base64.h"

#include <string.h>

#define JWS_MAX (256u << 10) /* a header and a payload with a CSR of 100 names are under 20 KiB */

/* RFC 8259 section 7. */
static void put_quoted(struct buf *out, const char *s)
{
    buf_putc(out, '"');
    for (;;) {
        size_t plain = 0;
        while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\')
            plain++;
        buf_put(out, s, plain);
        s += plain;
        if (!*s)
            break;
        if ((unsigned char)*s < 0x20)
            buf_putf(out, "\\u%04x", (unsigned)*s);
        else
            buf_putf(out, "\\%c", *s);
        s++;
    }
    buf_putc(out, '"');
}

static void put_member(struct buf *out, const char *key, const char *value)
{
    buf_putc(out, out->len ? ',' : '{');
    put_quoted(out, key);
    buf_putc(out, ':');
    put_quoted(out, value);
}

/* "PROTECTED.PAYLOAD" in base64url: what is signed. Returns the length of the first part. */
static size_t put_signing_input(struct buf *out, const struct buf *header, const char *payload)
{
    base64url_put(out, buf_str(header), header->len);
    size_t n = out->len;
    buf_putc(out, '.');
    base64url_put(out, payload, strlen(payload));
    return n;
}

static int put_jws(struct buf *out, const struct buf *input, size_t header_n, const void *signature,
                   size_t signature_n, struct err *e)
{
    buf_puts(out, "{\"protected\":\"");
    buf_put(out, input->data, header_n);
    buf_puts(out, "\",\"payload\":\"");
    buf_put(out, input->data + header_n + 1, input->len - header_n - 1);
    buf_puts(out, "\",\"signature\":\"");
    base64url_put(out, signature, signature_n);
    if (buf_puts(out, "\"}"))
        return err_set(e, ERR_LOCAL, "a signed request is too long");
    return 0;
}

static int check_text(const char *text, struct err *e)
{
    if (text && !str_is_utf8(text, strlen(text)))
        return err_set(e, ERR_PEER, "a text to be signed is not UTF-8");
    return 0;
}

int jws_sign(struct pkey *key, const struct jws_protected *protect, const char *payload,
             struct buf *out, struct err *e)
{
    CLEANUP_BUF struct buf header, input;
    uint8_t signature[PKEY_SIGNATURE_MAX];
    size_t n;
    buf_init(&header, JWS_MAX);
    buf_init(&input, 2 * JWS_MAX);
    if (check_text(protect->nonce, e) || check_text(protect->url, e) ||
        check_text(protect->kid, e) || check_text(payload, e))
        return -1;
    put_member(&header, "alg", pkey_jws_alg(key));
    if (protect->nonce)
        put_member(&header, "nonce", protect->nonce);
    put_member(&header, "url", protect->url);
    if (protect->kid)
        put_member(&header, "kid", protect->kid);
    else
        buf_putf(&header, ",\"jwk\":%s", pkey_jwk(key));
    buf_putc(&header, '}');
    size_t header_n = put_signing_input(&input, &header, payload ? payload : "");
    if (buf_failed(&header) || buf_failed(&input))
        return err_set(e, ERR_LOCAL, "a request to be signed is too long");
    if (pkey_sign_jws(key, input.data, input.len, signature, &n, e))
        return -1;
    return put_jws(out, &input, header_n, signature, n, e);
}

int jws_bind_account(const char *kid, const char *url, const void *mac_key, size_t mac_key_n,
                     const char *jwk, struct buf *out, struct err *e)
{
    CLEANUP_BUF struct buf header, input;
    uint8_t mac[HASH_MAX];
    buf_init(&header, JWS_MAX);
    buf_init(&input, 2 * JWS_MAX);
    if (check_text(kid, e) || check_text(url, e))
        return -1;
    put_member(&header, "alg", "HS256");
    put_member(&header, "kid", kid);
    put_member(&header, "url", url);
    buf_putc(&header, '}');
    size_t header_n = put_signing_input(&input, &header, jwk);
    if (buf_failed(&header) || buf_failed(&input))
        return err_set(e, ERR_LOCAL, "an external account binding is too long");
    size_t n = hmac(HASH_SHA256, mac_key, mac_key_n, input.data, input.len, mac);
    return put_jws(out, &input, header_n, mac, n, e);
}

int jws_key_change(struct pkey *new_key, struct pkey *old_key, const char *account_url,
                   const char *url, struct buf *out, struct err *e)
{
    const struct jws_protected protect = {.url = url};
    CLEANUP_BUF struct buf payload;
    buf_init(&payload, JWS_MAX);
    if (check_text(account_url, e))
        return -1;
    put_member(&payload, "account", account_url);
    if (buf_putf(&payload, ",\"oldKey\":%s}", pkey_jwk(old_key)))
        return err_set(e, ERR_LOCAL, "a key change is too long");
    return jws_sign(new_key, &protect, payload.data, out, e);
}

int jws_revocation(const void *cert_der, size_t n, int reason, struct buf *out, struct err *e)
{
    if (reason < -1 || reason > 10 || reason == 7)
        return err_set(e, ERR_CONFIG,
                       "there is no reason %d for a revocation: 0 unspecified, 1 keyCompromise, "
                       "3 affiliationChanged, 4 superseded and 5 cessationOfOperation are usual",
                       reason);
    buf_puts(out, "{\"certificate\":\"");
    base64url_put(out, cert_der, n);
    buf_puts(out, "\"");
    if (reason >= 0)
        buf_putf(out, ",\"reason\":%d", reason);
    return buf_puts(out, "}") ? err_set(e, ERR_LOCAL, "a revocation is too long") : 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * Certificates, read once. A chain's PEM text is taken apart into one `struct cert_info` for each
 * certificate, which holds everything that the daemon ever asks about it; nothing is parsed again.
 *
 * The reading is strict, for the text comes from a CA (RFC 8555 section 9.1, 11.4): nothing but
 * blocks of CERTIFICATE and white space, 1 to 16 of them, the leaf first. What is not so is
 * ERR_PEER.
 *
 * Objects belong to one thread. A cache keeps intermediates, so that each is decoded once and each
 * signature between two of them is checked once.
 */
#ifndef RENEWD_DIGEST_X509_H
#define RENEWD_DIGEST_X509_H

#include "base/buf.h"
#include "base/err.h"
#include "digest/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CERT_CHAIN_MAX 16
#define CERT_PEM_MAX (1u << 20) /* bytes of a chain's text */

struct cert_private;

/* All texts are never NULL. */
struct cert_info {
    int64_t not_before_ms, not_after_ms; /* wall clock; the second of notAfter is still valid */
    char *serial;                        /* lower-case hexadecimal, no leading zero octet */
    char *subject_cn, *issuer_cn;        /* "" if there is none */
    char **dns;                          /* dNSNames, lower case, in the certificate's order */
    size_t dns_n;
    char **ips; /* iPAddresses as text, RFC 5952 */
    size_t ips_n;
    size_t other_names; /* SAN entries that are neither */
    bool is_ca;         /* basicConstraints */
    char key_type[32];  /* "ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-N", "ed25519", "other" */
    uint8_t spki[SHA256_LEN];     /* SHA-256 of the SubjectPublicKeyInfo */
    char fingerprint[SHA256_HEX]; /* SHA-256 of the DER */
    char *aki;                    /* authority key identifier, lower-case hexadecimal; "" */
    char *ski;                    /* subject key identifier, likewise */
    bool must_staple;             /* TLS feature status_request (RFC 7633) */
    char *cert_id;                /* RFC 9773 section 4.1; "" without an authority key identifier */
    struct cert_private *priv;
};

struct cert_chain {
    size_t n;
    const struct cert_info *certs[CERT_CHAIN_MAX]; /* [0] is the leaf */
};

struct cert_cache;
struct cert_cache *cert_cache_new(void);
void cert_cache_free(struct cert_cache *c); /* chains that were read with it stay good */

/* cache may be NULL. The caller frees the chain; NULL on error. */
struct cert_chain *cert_chain_read(const char *pem, size_t n, struct cert_cache *cache,
                                   struct err *e);
void cert_chain_free(struct cert_chain *c);
/* Each certificate names the next as its issuer and is signed by it; else ERR_PEER. The last one's
 * issuer is nobody's business here. */
int cert_chain_verify_links(const struct cert_chain *c, struct err *e);

/* PEM text of the certificates [first, end), 64 columns, LF. -1 only if out has failed. */
int cert_chain_put_pem(const struct cert_chain *c, size_t first, size_t end, struct buf *out);
/* cert.pem, chain.pem (empty if there is only a leaf) and fullchain.pem; each appended. */
int cert_chain_split(const struct cert_chain *c, struct buf *leaf, struct buf *rest,
                     struct buf *full);
/* DER; valid as long as the chain. */
const void *cert_der(const struct cert_info *c, size_t *ret_n);

/* The names of the certificate are exactly these: DNS names (lower case) and addresses (as
 * ip_normalise() writes them) in either order; none of another kind. */
bool cert_has_names(const struct cert_info *c, const char *const *names, size_t n);

/*
 * How well a chain answers `preferred_chain`. text: an issuer's common name (ASCII case does not
 * matter), or in hexadecimal (colons, spaces and either case allowed) a root's subject key
 * identifier or SHA-256 fingerprint. A root's fingerprint is found only where the CA sends the
 * root; its key identifier always. The topmost issuer is that of the last certificate.
 */
enum chain_match {
    CHAIN_MATCH_NONE = 0,
    CHAIN_MATCH_WITHIN, /* an issuer on the way, for instance of a longer, cross-signed chain */
    CHAIN_MATCH_TOP,    /* the topmost issuer: to be taken before the others */
};
enum chain_match cert_chain_match(const struct cert_chain *c, const char *text);
/* "CN (key identifier HEX)" of the topmost issuer, for messages; the caller frees. */
char *cert_chain_top(const struct cert_chain *c);

/* Fingerprint of the first certificate of a text, without reading more of it. */
int cert_pem_fingerprint(const char *pem, size_t n, char out[SHA256_HEX], struct err *e);
/* DER of the first certificate of a text, appended. */
int cert_pem_to_der(const char *pem, size_t n, struct buf *out, struct err *e);

/* RFC 9773 section 4.1 from the key identifier's octets and the serial INTEGER's content octets. */
char *ari_cert_id(const void *aki, size_t aki_n, const void *serial, size_t serial_n);

#endif

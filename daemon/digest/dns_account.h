/* SPDX-License-Identifier: ISC */
/* Owner names of dns-account-01 (draft-ietf-acme-dns-account-label-03). */
#ifndef RENEWD_DIGEST_DNS_ACCOUNT_H
#define RENEWD_DIGEST_DNS_ACCOUNT_H

#define DNS_ACCOUNT_LABEL 18 /* "_", 16 characters and a NUL */

/* The label before "._acme-challenge.NAME"; account_url as the CA gave it. */
void dns_account_label(const char *account_url, char out[DNS_ACCOUNT_LABEL]);

#endif

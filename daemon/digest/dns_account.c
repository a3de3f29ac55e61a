/* SPDX-License-Identifier: ISC */
#include "digest/dns_account.h"
#include "digest/base64.h"
#include "digest/hash.h"

#include <string.h>

#define HASHED 10 /* octets of the digest that are kept */

void dns_account_label(const char *account_url, char out[DNS_ACCOUNT_LABEL])
{
    uint8_t sum[SHA256_LEN];
    CLEANUP_BUF struct buf label;
    buf_init(&label, DNS_ACCOUNT_LABEL);
    sha256(account_url, strlen(account_url), sum);
    buf_putc(&label, '_');
    base32_put(&label, sum, HASHED);
    memcpy(out, buf_str(&label), DNS_ACCOUNT_LABEL);
}

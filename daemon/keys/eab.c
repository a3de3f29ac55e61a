/* SPDX-License-Identifier: ISC */
#include "keys/eab.h"
#include "base/buf.h"
#include "digest/base64.h"

#define KEY_MIN 8 /* octets; CAs give 32 and more */

struct secret *eab_key_decode(const struct secret *text, struct err *e)
{
    CLEANUP_BUF struct buf key;
    buf_init_secret(&key, secret_len(text) + 1);
    if (base64_decode_lenient(&key, secret_bytes(text), secret_len(text))) {
        err_set(e, ERR_CONFIG,
                "the hmac_key of the external account binding is neither base64url nor base64: "
                "copy it again from the CA's page, whole and without the key id");
        return NULL;
    }
    if (key.len < KEY_MIN) {
        err_set(e, ERR_CONFIG,
                "the hmac_key of the external account binding has only %zu bytes: copy it again "
                "from the CA's page, whole",
                key.len);
        return NULL;
    }
    return secret_new(key.data, key.len);
}

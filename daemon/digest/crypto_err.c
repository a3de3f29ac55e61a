/* SPDX-License-Identifier: ISC */
#include "digest/crypto_err.h"

#include <openssl/err.h>

int crypto_err(struct err *e, enum err_class cls, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return reason ? err_set(e, cls, "%s: %s", what, reason) : err_set(e, cls, "%s", what);
}

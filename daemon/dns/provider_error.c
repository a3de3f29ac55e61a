/* SPDX-License-Identifier: ISC */
#include "dns/provider_error.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

#define RETRY_DEFAULT_S 300
#define RETRY_MAX_S 86400

/* type: for programs, in struct err's type. divides: see the header. */
static const struct {
    enum err_class cls;
    const char *type;
    bool divides;
} classes[WORKER_E_CLASSES] = {
    [WORKER_E_OK] = {ERR_NONE, "", false},
    [WORKER_E_CONFIG] = {ERR_CONFIG, "provider-config", false},
    [WORKER_E_AUTH] = {ERR_DENIED, "provider-auth", true},
    [WORKER_E_PERMISSION] = {ERR_DENIED, "provider-permission", true},
    [WORKER_E_NO_ZONE] = {ERR_DENIED, "provider-no-zone", true},
    [WORKER_E_RATE_LIMIT] = {ERR_RATE_LIMITED, "provider-rate-limit", false},
    [WORKER_E_QUOTA] = {ERR_DENIED, "provider-quota", true},
    [WORKER_E_CONFLICT] = {ERR_TRANSIENT, "provider-conflict", true},
    [WORKER_E_TEMPORARY] = {ERR_TRANSIENT, "provider-temporary", false},
    [WORKER_E_REJECTED] = {ERR_DENIED, "provider-rejected", true},
    [WORKER_E_USER_ACTION] = {ERR_BLOCKED, "provider-user-action", true},
    [WORKER_E_UNSUPPORTED] = {ERR_CONFIG, "provider-unsupported", true},
    [WORKER_E_PROTOCOL] = {ERR_PEER, "provider-protocol", true},
    [WORKER_E_CANCELLED] = {ERR_TRANSIENT, "provider-deadline", false},
    [WORKER_E_DEADLINE] = {ERR_TRANSIENT, "provider-deadline", false},
};

void provider_error(const char *instance, const struct worker_done *d, int64_t now_wall_ms,
                    struct err *ret)
{
    CLEANUP_BUF struct buf text = {0};
    buf_init(&text, 512);
    str_escape(&text, d->detail, strlen(d->detail), 400);
    err_clear(ret);
    err_set(ret, classes[d->cls].cls, "provider %s: %s", instance,
            text.len ? buf_str(&text) : "the plugin gave no reason");
    str_copy(ret->type, sizeof(ret->type), classes[d->cls].type);
    ret->http = d->http;
    if (d->cls == WORKER_E_RATE_LIMIT) {
        int64_t s = d->retry_after_s ? d->retry_after_s : RETRY_DEFAULT_S;
        ret->retry_at = now_wall_ms + 1000 * (s > RETRY_MAX_S ? RETRY_MAX_S : s);
    }
}

enum worker_class provider_error_class(enum err_class cls)
{
    switch (cls) {
    case ERR_CONFIG:
    case ERR_BLOCKED:
        return WORKER_E_CONFIG;
    case ERR_DENIED:
        return WORKER_E_PERMISSION;
    case ERR_PEER:
        return WORKER_E_PROTOCOL;
    case ERR_RATE_LIMITED:
        return WORKER_E_RATE_LIMIT;
    default:
        return WORKER_E_TEMPORARY;
    }
}

bool provider_error_divides(uint32_t cls)
{
    return classes[cls].divides;
}

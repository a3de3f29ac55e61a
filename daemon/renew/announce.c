/* SPDX-License-Identifier: ISC */
#include "renew/announce.h"
#include "base/str.h"
#include "renew/flow.h"

#include <stdio.h>

/* "2027-02-19"; with the time where a day says too little. */
static const char *day(int64_t at_ms, int64_t lifetime_ms, char *buf, size_t size)
{
    str_from_time(at_ms, buf, size);
    if (lifetime_ms >= 3 * POLICY_DAY)
        buf[10] = '\0';
    return buf;
}

static const char *in_time(int64_t at_ms, int64_t now_ms, char *buf, size_t size)
{
    char span[32], at[32];
    str_from_duration(at_ms > now_ms ? at_ms - now_ms : 0, span, sizeof(span));
    snprintf(buf, size, "%s (in %s)", str_from_time(at_ms, at, sizeof(at)), span);
    return buf;
}

void announce(struct cert *c)
{
    struct log_ctx log = renew_log(c);
    struct flow_next next;
    char until[32], at[32];
    int64_t life = cert_lifetime(c);
    if (!c->announce)
        return;
    c->announce = false;
    flow_next(c, &next);
    log_info(&log, "renewed: valid until %s, serial %s, issuer %s, next renewal %s (%s)",
             day(c->in.not_after_ms, life, until, sizeof(until)), c->in.serial, c->in.issuer,
             next.at_ms ? day(next.at_ms, life, at, sizeof(at)) : "not planned", next.why);
    struct policy_life l = cert_life(c);
    struct policy_rule rule = {c->conf->renew_before_ms, c->conf->renew_before_percent};
    struct policy_due due = policy_due(&l, &rule, &c->st.window, 0);
    if (due.reason == POLICY_UNFIT)
        log_warn(&log, "%s", policy_reason_text(due.reason));
    if (policy_is_fresh(due.at_ms, c->st.issued_ms, life))
        log_error(&log,
                  "the new certificate is due already (%s): is the clock right, does the CA issue "
                  "what was asked for? Not ordered again before %s",
                  policy_reason_text(due.reason), str_from_time(next.at_ms, at, sizeof(at)));
}

static bool is_urgent(const struct cert *c)
{
    int64_t left = c->in.not_after_ms - renew_now(c->renew);
    return !c->in.present || left < cert_lifetime(c) / 10;
}

void announce_failure(struct cert *c, bool next_ca, bool retried)
{
    struct log_ctx log = renew_log(c);
    char text[700], at[80], until[32];
    int64_t now = renew_now(c->renew);
    err_text(c->st.error, text, sizeof(text));
    in_time(c->st.retry_ms, now, at, sizeof(at));
    str_from_time(c->in.not_after_ms, until, sizeof(until));
    log_write(&log, is_urgent(c) ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
              "failed (attempt %u, %s): %s; %s%s%s%s%s%s%s", c->st.failures,
              err_class_name(c->st.error->cls), text, retried ? "next try " : "it was not due yet",
              retried ? at : "", next_ca && retried ? " with CA " : "",
              next_ca && retried ? flow_ca(c)->name : "", c->in.present ? "; valid until " : "",
              c->in.present ? until : "",
              c->in.present && c->in.not_after_ms <= now ? " (expired)" : "");
}

void announce_blocked(struct cert *c)
{
    struct log_ctx log = renew_log(c);
    char text[700], at[80];
    log_write(&log, is_urgent(c) ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
              "waits for you: %s; looked at again %s", err_text(c->st.error, text, sizeof(text)),
              in_time(c->st.retry_ms, renew_now(c->renew), at, sizeof(at)));
}

void announce_deployed(struct cert *c)
{
    struct log_ctx log = renew_log(c);
    log_info(&log, "deployed: serial %s", c->in.serial);
}

void announce_deploy_failed(struct cert *c, const struct err *err)
{
    struct log_ctx log = renew_log(c);
    char text[700], at[80];
    log_warn(&log, "installed, but not deployed: %s; tried again %s (attempt %u)",
             err_text(err, text, sizeof(text)),
             in_time(deploy_next_ms(c->deploy), renew_now(c->renew), at, sizeof(at)),
             deploy_failures(c->deploy));
}

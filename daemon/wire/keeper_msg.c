/* SPDX-License-Identifier: ISC */
#include "wire/keeper_msg.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum kind { END, U32, U64, I64, BOOL, TEXT, BYTES, TEXTS, ERR };

/* A member of a message: where it lies in the struct, and the largest value (U32), count (TEXTS) or
 * number of bytes that is taken. */
struct field {
    enum kind kind;
    uint32_t max;
    size_t at;
};
#define F(kind, type, member, max)                                                                 \
    {                                                                                              \
        kind, max, offsetof(struct keeper_msg_##type, member)                                      \
    }
#define NAME(type, member) F(TEXT, type, member, KEEPER_MSG_NAME_MAX)
#define URL(type, member) F(TEXT, type, member, KEEPER_MSG_URL_MAX)
#define DIR_MAX 4095

static const struct field no_fields[] = {{END, 0, 0}};
static const struct field start_fields[] = {F(TEXT, start, version, 64),
                                            F(BOOL, start, once, 0),
                                            F(BOOL, start, dry_run, 0),
                                            F(TEXT, start, engine_dir, DIR_MAX),
                                            F(TEXT, start, run_as, KEEPER_MSG_TEXT_MAX),
                                            F(U32, start, log_level, 3),
                                            {END, 0, 0}};
static const struct field config_fields[] = {
    F(U64, config, generation, 0), F(U64, config, size, 0), {END, 0, 0}};
static const struct field failed_fields[] = {F(ERR, failed, err, 0), {END, 0, 0}};
static const struct field signed_fields[] = {F(BYTES, signed, jws, KEEPER_MSG_JWS_MAX),
                                             {END, 0, 0}};
static const struct field account_is_fields[] = {
    URL(account_is, url), F(TEXT, account_is, thumbprint, 64), {END, 0, 0}};
static const struct field installed_is_fields[] = {
    NAME(installed_is, cert),
    F(BOOL, installed_is, present, 0),
    F(I64, installed_is, not_before_ms, 0),
    F(I64, installed_is, not_after_ms, 0),
    F(TEXT, installed_is, serial, 256),
    F(TEXT, installed_is, fingerprint, 64),
    F(TEXT, installed_is, cert_id, 1024),
    URL(installed_is, directory),
    URL(installed_is, account),
    F(TEXT, installed_is, issuer, 1024),
    F(BOOL, installed_is, names_match, 0),
    F(BOOL, installed_is, staging, 0),
    F(TEXT, installed_is, leaf_pem, KEEPER_MSG_CHAIN_MAX),
    {END, 0, 0}};
static const struct field list_end_fields[] = {F(U32, list_end, next, 0), {END, 0, 0}};
static const struct field step_done_fields[] = {
    F(TEXT, step_done, text, KEEPER_MSG_TEXT_MAX), F(ERR, step_done, err, 0), {END, 0, 0}};
static const struct field task_fields[] = {F(U64, task, task, 0),
                                           F(U32, task, kind, KEEPER_MSG_TASK_KINDS - 1),
                                           NAME(task, ca),
                                           NAME(task, cert),
                                           URL(task, url),
                                           F(I64, task, life_ms, 0),
                                           F(TEXT, task, thumbprint, 64),
                                           F(BOOL, task, force, 0),
                                           {END, 0, 0}};
static const struct field task_end_fields[] = {F(U64, task_end, task, 0), {END, 0, 0}};

static const struct field accept_fields[] = {F(U64, accept, generation, 0), {END, 0, 0}};
static const struct field reject_fields[] = {
    F(U64, reject, generation, 0), F(ERR, reject, err, 0), {END, 0, 0}};
static const struct field once_done_fields[] = {F(U32, once_done, exit, 1), {END, 0, 0}};
static const struct field status_fields[] = {F(TEXT, status, text, 512), {END, 0, 0}};
static const struct field sign_fields[] = {F(U32, sign, what, KEEPER_MSG_SIGN_KINDS - 1),
                                           F(U32, sign, flags, KEEPER_MSG_SIGN_FLAGS),
                                           NAME(sign, ca),
                                           NAME(sign, cert),
                                           URL(sign, url),
                                           F(TEXT, sign, nonce, KEEPER_MSG_NONCE_MAX),
                                           F(U64, sign, task, 0),
                                           {END, 0, 0}};
static const struct field account_fields[] = {NAME(account, ca), {END, 0, 0}};
static const struct field set_account_fields[] = {
    NAME(set_account, ca), URL(set_account, url), {END, 0, 0}};
static const struct field set_eab_fields[] = {NAME(set_eab, ca),
                                              F(TEXT, set_eab, kid, KEEPER_MSG_EAB_MAX),
                                              F(TEXT, set_eab, hmac_key, KEEPER_MSG_EAB_MAX),
                                              {END, 0, 0}};
static const struct field prepare_fields[] = {
    NAME(prepare, cert), F(BOOL, prepare, fresh, 0), F(BOOL, prepare, dry, 0), {END, 0, 0}};
static const struct field install_fields[] = {
    NAME(install, cert),       NAME(install, ca),
    URL(install, account_url), F(BYTES, install, chain, KEEPER_MSG_CHAIN_MAX),
    F(BOOL, install, dry, 0),  {END, 0, 0}};
static const struct field installed_fields[] = {NAME(installed, cert), {END, 0, 0}};
static const struct field list_fields[] = {F(U32, list, from, 0), {END, 0, 0}};
static const struct field step_fields[] = {NAME(step, deployment),
                                           F(U32, step, step, 0),
                                           F(TEXTS, step, certs, KEEPER_MSG_CERTS_MAX),
                                           {END, 0, 0}};
static const struct field worker_fields[] = {NAME(worker, provider), {END, 0, 0}};
static const struct field listen_fields[] = {F(TEXT, listen, addr, KEEPER_MSG_ADDR_MAX),
                                             {END, 0, 0}};
static const struct field http01_fields[] = {
    NAME(http01, cert),      NAME(http01, ca),
    NAME(http01, name),      F(TEXT, http01, token, KEEPER_MSG_TOKEN_MAX),
    F(BOOL, http01, add, 0), {END, 0, 0}};
static const struct field task_note_fields[] = {
    F(U64, task_note, task, 0), F(TEXT, task_note, text, KEEPER_MSG_TEXT_MAX), {END, 0, 0}};
static const struct field task_done_fields[] = {
    F(U64, task_done, task, 0), F(U32, task_done, key, 2),
    URL(task_done, url),        F(TEXT, task_done, status, 64),
    URL(task_done, orders),     F(TEXTS, task_done, contact, 16),
    F(ERR, task_done, err, 0),  {END, 0, 0}};

struct message {
    enum keeper_msg_type type;
    enum keeper_msg_from from;
    const char *name;
    const struct field *fields;
};
#define K(type, name, fields)                                                                      \
    {                                                                                              \
        KEEPER_MSG_##type, KEEPER_MSG_FROM_KEEPER, name, fields                                    \
    }
#define E(type, name, fields)                                                                      \
    {                                                                                              \
        KEEPER_MSG_##type, KEEPER_MSG_FROM_ENGINE, name, fields                                    \
    }

static const struct message messages[] = {
    K(START, "start", start_fields),
    K(CONFIG, "config", config_fields),
    K(PING, "ping", no_fields),
    K(STOP, "stop", no_fields),
    K(FAILED, "failed", failed_fields),
    K(SIGNED, "signed", signed_fields),
    K(ACCOUNT_IS, "account-is", account_is_fields),
    K(DONE, "done", no_fields),
    K(INSTALLED_IS, "installed-is", installed_is_fields),
    K(LIST_END, "list-end", list_end_fields),
    K(STEP_DONE, "step-done", step_done_fields),
    K(WORKER_IS, "worker-is", no_fields),
    K(LISTEN_IS, "listen-is", no_fields),
    K(TASK, "task", task_fields),
    K(TASK_END, "task-end", task_end_fields),
    E(ACCEPT, "accept", accept_fields),
    E(REJECT, "reject", reject_fields),
    E(PONG, "pong", no_fields),
    E(ONCE_DONE, "once-done", once_done_fields),
    E(STATUS, "status", status_fields),
    E(CANCEL, "cancel", no_fields),
    E(SIGN, "sign", sign_fields),
    E(ACCOUNT, "account", account_fields),
    E(SET_ACCOUNT, "set-account", set_account_fields),
    E(SET_EAB, "set-eab", set_eab_fields),
    E(PREPARE, "prepare", prepare_fields),
    E(INSTALL, "install", install_fields),
    E(INSTALLED, "installed", installed_fields),
    E(LIST, "list", list_fields),
    E(STEP, "step", step_fields),
    E(WORKER, "worker", worker_fields),
    E(WORKER_KILL, "worker-kill", worker_fields),
    E(TASK_NOTE, "task-note", task_note_fields),
    E(TASK_DONE, "task-done", task_done_fields),
    E(LISTEN, "listen", listen_fields),
    E(HTTP01, "http01", http01_fields),
};

static const struct message *find(unsigned type)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        if (messages[i].type == type)
            return &messages[i];
    }
    return NULL;
}

const char *keeper_msg_name(enum keeper_msg_type type)
{
    const struct message *m = find(type);
    return m ? m->name : "?";
}

/* Members are read and written in place through these. */
static const void *member(const void *msg, const struct field *f)
{
    return (const char *)msg + f->at;
}
#define MEMBER(T, msg, f) (*(T *)((char *)(msg) + (f)->at))
#define MEMBER_CONST(T, msg, f) (*(const T *)member(msg, f))

static bool put_text(struct buf *out, const char *s, size_t max)
{
    if (s && strlen(s) > max)
        return false;
    frame_put_text(out, s);
    return true;
}

static bool put_texts(struct buf *out, const struct keeper_msg_texts *t, size_t max)
{
    if (t->n > max)
        return false;
    frame_put_u32(out, (uint32_t)t->n);
    for (size_t i = 0; i < t->n; i++) {
        if (!put_text(out, t->v[i], KEEPER_MSG_NAME_MAX))
            return false;
    }
    return true;
}

static bool put_bytes(struct buf *out, const struct keeper_msg_bytes *b, size_t max)
{
    if (b->n > max)
        return false;
    frame_put_bytes(out, b->p, b->n);
    return true;
}

/* false: over a maximum. */
static bool put_field(struct buf *out, const struct field *f, const void *msg)
{
    switch (f->kind) {
    case U32:
        frame_put_u32(out, MEMBER_CONST(uint32_t, msg, f));
        return f->max == 0 || MEMBER_CONST(uint32_t, msg, f) <= f->max;
    case U64:
        frame_put_u64(out, MEMBER_CONST(uint64_t, msg, f));
        return true;
    case I64:
        frame_put_i64(out, MEMBER_CONST(int64_t, msg, f));
        return true;
    case BOOL:
        frame_put_bool(out, MEMBER_CONST(bool, msg, f));
        return true;
    case TEXT:
        return put_text(out, MEMBER_CONST(char *, msg, f), f->max);
    case BYTES:
        return put_bytes(out, member(msg, f), f->max);
    case TEXTS:
        return put_texts(out, member(msg, f), f->max);
    case ERR:
        frame_put_err(out, member(msg, f));
        return true;
    case END:
        break;
    }
    return false;
}

int keeper_msg_encode(struct buf *out, enum keeper_msg_type type, uint32_t id, const void *msg)
{
    const struct message *m = find(type);
    if (!m || out->failed)
        return -1;
    size_t before = out->len;
    size_t mark = frame_begin(out, (uint16_t)type, id);
    for (const struct field *f = m->fields; f->kind != END; f++) {
        if (!put_field(out, f, msg)) {
            out->len = before;
            if (out->data)
                out->data[before] = '\0';
            return -1;
        }
    }
    return frame_end(out, mark);
}

static void get_texts(struct frame_reader *r, struct keeper_msg_texts *t, uint32_t max)
{
    size_t n = frame_get_count(r, max, 4);
    const char **v = xcalloc(n + 1, sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i] = frame_get_text(r, KEEPER_MSG_NAME_MAX);
    *t = (struct keeper_msg_texts){.v = v, .n = n};
}

static void get_field(struct frame_reader *r, const struct field *f, union keeper_msg *m)
{
    struct keeper_msg_bytes *b;
    switch (f->kind) {
    case U32:
        MEMBER(uint32_t, m, f) = frame_get_u32(r);
        if (f->max && MEMBER(uint32_t, m, f) > f->max)
            r->bad = true;
        break;
    case U64:
        MEMBER(uint64_t, m, f) = frame_get_u64(r);
        break;
    case I64:
        MEMBER(int64_t, m, f) = frame_get_i64(r);
        break;
    case BOOL:
        MEMBER(bool, m, f) = frame_get_bool(r);
        break;
    case TEXT:
        MEMBER(char *, m, f) = frame_get_text(r, f->max);
        break;
    case BYTES:
        b = &MEMBER(struct keeper_msg_bytes, m, f);
        b->p = frame_get_bytes(r, f->max, &b->n);
        break;
    case TEXTS:
        get_texts(r, &MEMBER(struct keeper_msg_texts, m, f), f->max);
        break;
    case ERR:
        frame_get_err(r, &MEMBER(struct err, m, f));
        break;
    case END:
        break;
    }
}

int keeper_msg_decode(const struct frame_head *h, const void *payload, enum keeper_msg_from from,
                      union keeper_msg *ret)
{
    const struct message *m = find(h->type);
    if (!m || m->from != from)
        return -1;
    union keeper_msg got = {0};
    struct frame_reader r;
    frame_reader_init(&r, payload, h->len);
    for (const struct field *f = m->fields; f->kind != END; f++)
        get_field(&r, f, &got);
    if (!frame_reader_done(&r)) {
        keeper_msg_free(m->type, &got);
        return -1;
    }
    *ret = got;
    return 0;
}

void keeper_msg_free(enum keeper_msg_type type, union keeper_msg *msg)
{
    const struct message *m = find(type);
    for (const struct field *f = m ? m->fields : no_fields; f->kind != END; f++) {
        if (f->kind == TEXT) {
            free(MEMBER(char *, msg, f));
            MEMBER(char *, msg, f) = NULL;
        } else if (f->kind == TEXTS) {
            struct keeper_msg_texts *t = &MEMBER(struct keeper_msg_texts, msg, f);
            for (size_t i = 0; i < t->n; i++)
                free((char *)(uintptr_t)t->v[i]);
            free((void *)(uintptr_t)t->v);
            *t = (struct keeper_msg_texts){0};
        }
    }
}

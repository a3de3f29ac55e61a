/* SPDX-License-Identifier: ISC */
/*
 * What keeper and engine say to each other over their socketpair (descriptor 3 of the engine), one
 * frame a message. A request carries an id of the engine's choice (not 0); what answers it carries
 * the same id; everything else carries 0.
 *
 *   engine                                     keeper
 *      | <------------------------------ START --|  once, first
 *      | <-------------- CONFIG + sealed memfd --|  then, and again at each reload
 *      |-- ACCEPT / REJECT generation ---------> |  the only answers; keeper commits on ACCEPT
 *      |-- SIGN, INSTALL, ... id -------------->  |  any number at once
 *      | <------------ SIGNED, ... / FAILED id --|  in any order
 *      |-- CANCEL id -------------------------->  |  no answer is awaited any more
 *      | <-------------------- TASK / TASK_END --|  what came over the admin socket (link/keeper.h)
 *      |-- TASK_NOTE ... TASK_DONE ------------> |  any number, then one; not after TASK_END
 *      | <------------------------------- PING --|  only under a watchdog; PONG when progress was
 * made
 *      |-- ONCE_DONE exit ---------------------> |  START said once: all that was due has ended
 *      | <------------------------------- STOP --|  or ONCE_DONE was taken: the engine ends itself
 *
 * Requests mean the generation that was accepted last before them: the stream keeps the order, so
 * they need not name it.
 *
 * Decoding is strict and bounded. The texts of a decoded message are copies, freed by
 * keeper_msg_free(); its bytes point into the payload.
 */
#ifndef RENEWD_WIRE_KEEPER_MSG_H
#define RENEWD_WIRE_KEEPER_MSG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Largest texts, without the NUL. */
#define KEEPER_MSG_NAME_MAX 255u
#define KEEPER_MSG_URL_MAX 2048u
#define KEEPER_MSG_NONCE_MAX 512u
#define KEEPER_MSG_EAB_MAX 1024u
#define KEEPER_MSG_TOKEN_MAX 128u
#define KEEPER_MSG_ADDR_MAX 64u
#define KEEPER_MSG_CHAIN_MAX (256u << 10)
#define KEEPER_MSG_JWS_MAX (1u << 20)
#define KEEPER_MSG_TEXT_MAX 8192u
#define KEEPER_MSG_CERTS_MAX 20000u
#define KEEPER_MSG_PAYLOAD_MAX FRAME_MAX
#define KEEPER_MSG_SIGN_KINDS 11u /* of enum keeper_sign */
#define KEEPER_MSG_SIGN_FLAGS 63u /* all KEEPER_F_ together */
#define KEEPER_MSG_TASK_KINDS 11u /* of enum keeper_task_kind */
/* LIST is answered in portions of this many, so that no queue grows with the inventory. */
#define KEEPER_MSG_LIST_PORTION 256u

enum keeper_msg_type {
    /* keeper to engine */
    KEEPER_MSG_START = 1,
    KEEPER_MSG_CONFIG,
    KEEPER_MSG_PING, /* those without a struct below have no members */
    KEEPER_MSG_STOP,
    KEEPER_MSG_FAILED, /* answers any request */
    KEEPER_MSG_SIGNED,
    KEEPER_MSG_ACCOUNT_IS, /* answers ACCOUNT, SET_ACCOUNT */
    KEEPER_MSG_DONE,       /* answers PREPARE, HTTP01 */
    KEEPER_MSG_INSTALLED_IS,
    KEEPER_MSG_LIST_END,
    KEEPER_MSG_STEP_DONE,
    KEEPER_MSG_WORKER_IS, /* with the descriptor of the channel to it */
    KEEPER_MSG_TASK = 48,
    KEEPER_MSG_TASK_END,  /* it is given up: no TASK_DONE any more */
    KEEPER_MSG_LISTEN_IS, /* with the listening socket */
    /* engine to keeper */
    KEEPER_MSG_ACCEPT = 64,
    KEEPER_MSG_REJECT,
    KEEPER_MSG_PONG,
    KEEPER_MSG_ONCE_DONE,
    KEEPER_MSG_STATUS,
    KEEPER_MSG_CANCEL, /* the id is that of the request */
    KEEPER_MSG_SIGN,
    KEEPER_MSG_ACCOUNT,
    KEEPER_MSG_SET_ACCOUNT,
    KEEPER_MSG_PREPARE,
    KEEPER_MSG_INSTALL,
    KEEPER_MSG_INSTALLED,
    KEEPER_MSG_LIST,
    KEEPER_MSG_STEP,
    KEEPER_MSG_WORKER,
    KEEPER_MSG_WORKER_KILL,
    KEEPER_MSG_LISTEN,
    KEEPER_MSG_HTTP01,
    KEEPER_MSG_SET_EAB,
    KEEPER_MSG_TASK_NOTE = 112,
    KEEPER_MSG_TASK_DONE,
};
enum keeper_msg_from { KEEPER_MSG_FROM_KEEPER, KEEPER_MSG_FROM_ENGINE };

struct keeper_msg_bytes {
    const void *p;
    size_t n;
};
struct keeper_msg_texts {
    const char *const *v;
    size_t n;
};

struct keeper_msg_start {
    const char *version;
    bool once;
    bool dry_run;
    const char *engine_dir; /* absolute; the engine's own */
    const char *run_as;     /* "" or what to warn of: "user renewd is absent: nobody" */
    uint32_t log_level;     /* enum log_level; that of CONFIG holds from then on */
};
struct keeper_msg_config { /* the memfd holds conf_encode()'s frame payload, size bytes */
    uint64_t generation, size;
};
struct keeper_msg_failed {
    struct err err;
};
struct keeper_msg_signed {
    struct keeper_msg_bytes jws;
};
struct keeper_msg_account_is {
    const char *url, *thumbprint;
};
struct keeper_msg_installed_is { /* members as struct keeper_installed has them */
    const char *cert;
    bool present;
    int64_t not_before_ms, not_after_ms;
    const char *serial, *fingerprint, *cert_id, *directory, *account, *issuer;
    bool names_match, staging;
    const char *leaf_pem; /* "" in a list */
};
struct keeper_msg_list_end {
    uint32_t next; /* 0: that was all; else LIST again from here */
};
struct keeper_msg_step_done {
    const char *text;
    struct err err; /* class ERR_NONE: done */
};
struct keeper_msg_task { /* as struct keeper_task */
    uint64_t task;
    uint32_t kind; /* enum keeper_task_kind */
    const char *ca, *cert, *url;
    int64_t life_ms;
    const char *thumbprint;
    bool force;
};
struct keeper_msg_task_end {
    uint64_t task;
};

struct keeper_msg_accept {
    uint64_t generation;
};
struct keeper_msg_reject {
    uint64_t generation;
    struct err err;
};
struct keeper_msg_once_done {
    uint32_t exit; /* 0 or 1 */
};
struct keeper_msg_status {
    const char *text; /* one line for the service manager */
};
struct keeper_msg_sign {
    uint32_t what; /* enum keeper_sign */
    uint32_t flags;
    const char *ca, *cert, *url, *nonce;
    uint64_t task; /* 0: of none */
};
struct keeper_msg_account {
    const char *ca;
};
struct keeper_msg_set_account {
    const char *ca, *url;
};
struct keeper_msg_set_eab {
    const char *ca, *kid, *hmac_key;
};
struct keeper_msg_prepare {
    const char *cert;
    bool fresh;
    bool dry; /* a key for a rehearsal, in memory */
};
struct keeper_msg_install {
    const char *cert, *ca, *account_url;
    struct keeper_msg_bytes chain;
    bool dry; /* only checked, against the rehearsal's key */
};
struct keeper_msg_installed {
    const char *cert;
};
struct keeper_msg_list {
    uint32_t from; /* place in the configuration, 0 first */
};
struct keeper_msg_step {
    const char *deployment;
    uint32_t step;
    struct keeper_msg_texts certs;
};
struct keeper_msg_worker { /* also WORKER_KILL */
    const char *provider;
};
struct keeper_msg_listen {
    const char *addr; /* ADDR:PORT, as the configuration has it */
};
struct keeper_msg_http01 {
    const char *cert, *ca, *name, *token;
    bool add;
};
struct keeper_msg_task_note {
    uint64_t task;
    const char *text;
};
struct keeper_msg_task_done { /* as struct keeper_task_result */
    uint64_t task;
    uint32_t key;
    const char *url, *status, *orders;
    struct keeper_msg_texts contact;
    struct err err; /* class ERR_NONE: done */
};

union keeper_msg {
    struct keeper_msg_start start;
    struct keeper_msg_config config;
    struct keeper_msg_failed failed;
    struct keeper_msg_signed signed_;
    struct keeper_msg_account_is account_is;
    struct keeper_msg_installed_is installed_is;
    struct keeper_msg_list_end list_end;
    struct keeper_msg_step_done step_done;
    struct keeper_msg_accept accept;
    struct keeper_msg_reject reject;
    struct keeper_msg_once_done once_done;
    struct keeper_msg_status status;
    struct keeper_msg_sign sign;
    struct keeper_msg_account account;
    struct keeper_msg_set_account set_account;
    struct keeper_msg_set_eab set_eab;
    struct keeper_msg_prepare prepare;
    struct keeper_msg_install install;
    struct keeper_msg_installed installed;
    struct keeper_msg_list list;
    struct keeper_msg_step step;
    struct keeper_msg_worker worker;
    struct keeper_msg_listen listen;
    struct keeper_msg_http01 http01;
    struct keeper_msg_task task;
    struct keeper_msg_task_end task_end;
    struct keeper_msg_task_note task_note;
    struct keeper_msg_task_done task_done;
};

/* Appends one whole frame. msg: the struct of that type, NULL where it has no members. Returns -1
 * when the buffer has failed or a text is over its maximum (nothing is appended then). */
int keeper_msg_encode(struct buf *out, enum keeper_msg_type type, uint32_t id, const void *msg);
/* -1: the frame is not one that `from` may send, or malformed; ret is untouched then. */
int keeper_msg_decode(const struct frame_head *h, const void *payload, enum keeper_msg_from from,
                      union keeper_msg *ret);
void keeper_msg_free(enum keeper_msg_type type, union keeper_msg *m);
const char *keeper_msg_name(enum keeper_msg_type type); /* "sign"; "?" when unknown */

#endif

/* SPDX-License-Identifier: ISC */
/*
 * A call's life:
 *
 *     FREE -> SENT -> (answer) -> FREE
 *                `--> (cancel) -> FREE, CANCEL is sent; a late answer finds no call and is dropped
 *     FREE -> DOOMED -> (deferred failure) -> FREE    the keeper is gone, or a text is too long
 *     FREE -> HELD -> SENT                            enough keys are being made already
 *
 * The keeper answers in turn, and a key takes it long: only so many PREPAREs are sent ahead that
 * the signatures for the orders that are under way do not wait behind all of them.
 *
 * Ids are the slot's number and how often it was used, so that a late answer never meets the next
 * call of the slot.
 */
#include "link/keeper_client.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/channel.h"
#include "wire/keeper_msg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(KEEPER_SIGN_KINDS == KEEPER_MSG_SIGN_KINDS, "keeper_msg.h counts them");
_Static_assert(KEEPER_TASK_KINDS == KEEPER_MSG_TASK_KINDS, "likewise");

#define SLOT_BITS 16
#define SLOTS_MAX (1u << SLOT_BITS)
#define PREPARES_AHEAD 64
#define CONFIG_MAX ((uint64_t)256 << 20)
#define FRAME_ROOM (KEEPER_MSG_PAYLOAD_MAX + FRAME_HEADER)

struct keeper_call {
    struct keeper_client *client;
    struct list node; /* in calls, in held or in doomed */
    uint32_t id;
    bool ahead;      /* counted in n_ahead */
    struct buf held; /* the frame, while it is held back */
    enum keeper_msg_type type;
    union {
        keeper_signed_fn *signed_;
        keeper_account_fn *account;
        keeper_installed_fn *installed;
        keeper_done_fn *done;
        keeper_step_fn *step;
        keeper_worker_fn *worker;
        keeper_listen_fn *listen;
    } fn;
    void *arg;
    struct err doom;
};

struct keeper_client {
    struct keeper keeper; /* first: the interface's functions cast back */
    struct loop *loop;
    struct channel *channel; /* NULL once closed */
    struct keeper_client_handler handler;
    void *arg;
    struct keeper_call **slots;
    uint32_t *rounds;
    uint32_t n_slots, free_hint;
    struct list calls, held, doomed;
    unsigned n_ahead; /* PREPAREs that are sent and not answered */
    struct defer defer;
    struct err gone;
    bool busy, freed; /* in fail_doomed(), and one of the callbacks freed us there */
};

static struct keeper_client *client_of(struct keeper *k)
{
    return CONTAINER_OF(k, struct keeper_client, keeper);
}

/* ---- slots ---- */

static void grow(struct keeper_client *c)
{
    uint32_t n = c->n_slots ? c->n_slots * 2 : 64;
    c->slots = xrealloc_array(c->slots, n, sizeof(*c->slots));
    c->rounds = xrealloc_array(c->rounds, n, sizeof(*c->rounds));
    for (uint32_t i = c->n_slots; i < n; i++) {
        c->slots[i] = NULL;
        c->rounds[i] = 0;
    }
    c->free_hint = c->n_slots;
    c->n_slots = n;
}

/* 0 when there is no more room. */
static uint32_t take_id(struct keeper_client *c, struct keeper_call *call)
{
    for (uint32_t tried = 0; tried < c->n_slots; tried++) {
        uint32_t i = (c->free_hint + tried) % c->n_slots;
        if (!c->slots[i]) {
            c->slots[i] = call;
            c->free_hint = (i + 1) % c->n_slots;
            c->rounds[i] = c->rounds[i] % (UINT32_MAX >> SLOT_BITS) + 1;
            return c->rounds[i] << SLOT_BITS | i;
        }
    }
    if (c->n_slots >= SLOTS_MAX)
        return 0;
    grow(c);
    return take_id(c, call);
}

static struct keeper_call *find(struct keeper_client *c, uint32_t id)
{
    uint32_t i = id & (SLOTS_MAX - 1);
    struct keeper_call *call = i < c->n_slots ? c->slots[i] : NULL;
    return call && call->id == id ? call : NULL;
}

static void send_held(struct keeper_client *c)
{
    if (!c->channel || list_empty(&c->held) || c->n_ahead >= PREPARES_AHEAD)
        return;
    struct keeper_call *call = list_item(c->held.next, struct keeper_call, node);
    list_remove(&call->node);
    list_append(&c->calls, &call->node);
    call->ahead = true;
    c->n_ahead++;
    channel_send(c->channel, &call->held, -1); /* what fails ends the channel */
    buf_free(&call->held);
}

/* Out of the tables; the caller frees. */
static void forget(struct keeper_call *call)
{
    struct keeper_client *c = call->client;
    if (call->id)
        c->slots[call->id & (SLOTS_MAX - 1)] = NULL;
    call->id = 0;
    list_remove(&call->node);
    buf_free(&call->held);
    if (!call->ahead)
        return;
    call->ahead = false;
    c->n_ahead--;
    send_held(c);
}

/* ---- sending ---- */

static int send_message(struct keeper_client *c, enum keeper_msg_type type, uint32_t id,
                        const void *msg)
{
    CLEANUP_BUF struct buf out;
    buf_init(&out, FRAME_ROOM);
    if (!c->channel || keeper_msg_encode(&out, type, id, msg))
        return -1;
    return channel_send(c->channel, &out, -1);
}

static int send_call(struct keeper_call *call, const void *msg)
{
    struct keeper_client *c = call->client;
    int r;
    if (call->type != KEEPER_MSG_PREPARE) {
        r = send_message(c, call->type, call->id, msg);
        list_append(&c->calls, &call->node);
        return r;
    }
    buf_init(&call->held, FRAME_ROOM);
    r = keeper_msg_encode(&call->held, KEEPER_MSG_PREPARE, call->id, msg);
    list_append(&c->held, &call->node);
    if (r == 0)
        send_held(c);
    return r;
}

static void run_doomed(void *arg);

static void doom(struct keeper_call *call, const struct err *why)
{
    struct keeper_client *c = call->client;
    if (call->id)
        forget(call);
    call->doom = *why;
    list_append(&c->doomed, &call->node);
    loop_defer(c->loop, &c->defer, run_doomed, c);
}

static struct keeper_call *start(struct keeper *k, enum keeper_msg_type type, const void *msg,
                                 void *arg)
{
    struct keeper_client *c = client_of(k);
    struct keeper_call *call = xnew(struct keeper_call);
    struct err why = ERR_INIT;
    call->client = c;
    call->type = type;
    call->arg = arg;
    list_init(&call->node);
    call->id = c->channel ? take_id(c, call) : 0;
    if (!c->channel)
        why = c->gone;
    else if (!call->id)
        err_set(&why, ERR_LOCAL, "more than %u calls of the keeper at once", SLOTS_MAX);
    else if (send_call(call, msg))
        err_set(&why, ERR_PEER, "a \"%s\" request is longer than the keeper takes",
                keeper_msg_name(type));
    if (why.cls != ERR_NONE)
        doom(call, &why);
    return call;
}

/* ---- completion: each kind of call has its failure and its success ---- */

static void fail(struct keeper_call *call, const struct err *why)
{
    switch (call->type) {
    case KEEPER_MSG_SIGN:
        call->fn.signed_(call->arg, "", 0, why);
        break;
    case KEEPER_MSG_ACCOUNT:
    case KEEPER_MSG_SET_ACCOUNT:
        call->fn.account(call->arg, &(struct keeper_account){"", ""}, why);
        break;
    case KEEPER_MSG_PREPARE:
    case KEEPER_MSG_HTTP01:
    case KEEPER_MSG_SET_EAB:
        call->fn.done(call->arg, why);
        break;
    case KEEPER_MSG_STEP:
        call->fn.step(call->arg, "", why);
        break;
    case KEEPER_MSG_WORKER:
        call->fn.worker(call->arg, -1, why);
        break;
    case KEEPER_MSG_LISTEN:
        call->fn.listen(call->arg, -1, why);
        break;
    default:
        call->fn.installed(call->arg, NULL, why);
        break;
    }
}

/* false: one of the callbacks has freed the client. */
static bool fail_doomed(struct keeper_client *c)
{
    c->busy = true;
    while (!list_empty(&c->doomed)) {
        struct keeper_call *call = list_item(c->doomed.next, struct keeper_call, node);
        list_remove(&call->node);
        fail(call, &call->doom);
        free(call);
    }
    c->busy = false;
    if (!c->freed)
        return true;
    free(c);
    return false;
}

static void run_doomed(void *arg)
{
    fail_doomed(arg);
}

static const struct err no_error = ERR_INIT;

static void give_installed(struct keeper_call *call, const struct keeper_msg_installed_is *m)
{
    struct keeper_installed i = {
        .cert = m->cert,
        .present = m->present,
        .not_before_ms = m->not_before_ms,
        .not_after_ms = m->not_after_ms,
        .serial = m->serial,
        .fingerprint = m->fingerprint,
        .cert_id = m->cert_id,
        .directory = m->directory,
        .account = m->account,
        .issuer = m->issuer,
        .names_match = m->names_match,
        .staging = m->staging,
        .leaf_pem = m->leaf_pem,
    };
    call->fn.installed(call->arg, &i, &no_error);
}

static void give_worker(struct keeper_call *call, int *fd)
{
    int given = *fd;
    struct err why = ERR_INIT;
    *fd = -1;
    if (given < 0)
        err_set(&why, ERR_BUG, "the keeper started a worker and sent no channel to it");
    call->fn.worker(call->arg, given, given < 0 ? &why : &no_error);
}

static void give_listening(struct keeper_call *call, int *fd)
{
    int given = *fd;
    struct err why = ERR_INIT;
    *fd = -1;
    if (given < 0)
        err_set(&why, ERR_BUG, "the keeper opened a socket and did not send it");
    call->fn.listen(call->arg, given, given < 0 ? &why : &no_error);
}

/* The one answer to a call but for lists. */
static void complete(struct keeper_call *call, enum keeper_msg_type type, const union keeper_msg *m,
                     int *fd)
{
    switch (type) {
    case KEEPER_MSG_SIGNED:
        call->fn.signed_(call->arg, m->signed_.jws.p, m->signed_.jws.n, &no_error);
        break;
    case KEEPER_MSG_ACCOUNT_IS:
        call->fn.account(call->arg,
                         &(struct keeper_account){m->account_is.url, m->account_is.thumbprint},
                         &no_error);
        break;
    case KEEPER_MSG_DONE:
        call->fn.done(call->arg, &no_error);
        break;
    case KEEPER_MSG_INSTALLED_IS:
        give_installed(call, &m->installed_is);
        break;
    case KEEPER_MSG_STEP_DONE:
        call->fn.step(call->arg, m->step_done.text, &m->step_done.err);
        break;
    case KEEPER_MSG_WORKER_IS:
        give_worker(call, fd);
        break;
    case KEEPER_MSG_LISTEN_IS:
        give_listening(call, fd);
        break;
    case KEEPER_MSG_LIST_END:
        call->fn.installed(call->arg, NULL, NULL);
        break;
    default:
        fail(call, &m->failed.err);
        break;
    }
}

/* What may answer a request, besides FAILED. */
static enum keeper_msg_type answer_to(enum keeper_msg_type request)
{
    static const struct {
        enum keeper_msg_type request, answer;
    } table[] = {
        {KEEPER_MSG_SIGN, KEEPER_MSG_SIGNED},
        {KEEPER_MSG_ACCOUNT, KEEPER_MSG_ACCOUNT_IS},
        {KEEPER_MSG_SET_ACCOUNT, KEEPER_MSG_ACCOUNT_IS},
        {KEEPER_MSG_SET_EAB, KEEPER_MSG_DONE},
        {KEEPER_MSG_PREPARE, KEEPER_MSG_DONE},
        {KEEPER_MSG_INSTALL, KEEPER_MSG_INSTALLED_IS},
        {KEEPER_MSG_INSTALLED, KEEPER_MSG_INSTALLED_IS},
        {KEEPER_MSG_LIST, KEEPER_MSG_LIST_END},
        {KEEPER_MSG_STEP, KEEPER_MSG_STEP_DONE},
        {KEEPER_MSG_WORKER, KEEPER_MSG_WORKER_IS},
        {KEEPER_MSG_LISTEN, KEEPER_MSG_LISTEN_IS},
        {KEEPER_MSG_HTTP01, KEEPER_MSG_DONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].request == request)
            return table[i].answer;
    }
    return KEEPER_MSG_FAILED;
}

static int answered(struct keeper_client *c, const struct frame_head *h, const union keeper_msg *m,
                    int *fd)
{
    struct keeper_call *call = find(c, h->id);
    if (!call)
        return 0;
    if (call->type == KEEPER_MSG_LIST && h->type == KEEPER_MSG_INSTALLED_IS) {
        give_installed(call, &m->installed_is);
        return 0;
    }
    if (h->type != KEEPER_MSG_FAILED && h->type != answer_to(call->type))
        return -1;
    if (h->type == KEEPER_MSG_LIST_END && m->list_end.next)
        return send_message(c, KEEPER_MSG_LIST, call->id,
                            &(struct keeper_msg_list){.from = m->list_end.next});
    forget(call);
    complete(call, h->type, m, fd);
    free(call);
    return 0;
}

/* ---- what the keeper says by itself ---- */

static bool is_sealed(int fd, uint64_t size)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    struct stat st;
    int got = fcntl(fd, F_GET_SEALS);
    return got >= 0 && (got & seals) == seals && fstat(fd, &st) == 0 &&
           (uint64_t)st.st_size == size && size > 0 && size <= CONFIG_MAX;
}

static int take_config(struct keeper_client *c, const struct keeper_msg_config *m, int fd)
{
    if (fd < 0 || !is_sealed(fd, m->size))
        return -1;
    void *p = mmap(NULL, (size_t)m->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        struct err e = ERR_INIT;
        err_sys(&e, errno, "cannot map the configuration");
        keeper_client_reject(c, m->generation, &e);
        return 0;
    }
    c->handler.config(c->arg, m->generation, p, (size_t)m->size);
    munmap(p, (size_t)m->size);
    return 0;
}

static void take_start(struct keeper_client *c, const struct keeper_msg_start *m)
{
    struct keeper_client_start s = {
        .version = m->version,
        .once = m->once,
        .dry_run = m->dry_run,
        .engine_dir = m->engine_dir,
        .run_as = m->run_as,
        .log_level = (enum log_level)m->log_level,
    };
    c->handler.start(c->arg, &s);
}

static void take_task(struct keeper_client *c, const struct keeper_msg_task *m)
{
    struct keeper_task t = {.id = m->task,
                            .kind = (enum keeper_task_kind)m->kind,
                            .ca = m->ca,
                            .cert = m->cert,
                            .url = m->url,
                            .life_ms = m->life_ms,
                            .thumbprint = m->thumbprint,
                            .force = m->force};
    if (c->handler.task)
        c->handler.task(c->arg, &t);
}

static int dispatch(struct keeper_client *c, const struct frame_head *h, const union keeper_msg *m,
                    int *fd)
{
    switch (h->type) {
    case KEEPER_MSG_START:
        take_start(c, &m->start);
        return 0;
    case KEEPER_MSG_CONFIG:
        return take_config(c, &m->config, *fd);
    case KEEPER_MSG_PING:
        c->handler.ping(c->arg);
        return 0;
    case KEEPER_MSG_STOP:
        c->handler.stop(c->arg);
        return 0;
    case KEEPER_MSG_TASK:
        take_task(c, &m->task);
        return 0;
    case KEEPER_MSG_TASK_END:
        if (c->handler.task_end)
            c->handler.task_end(c->arg, m->task_end.task);
        return 0;
    default:
        return answered(c, h, m, fd);
    }
}

static int on_frame(void *arg, const struct frame_head *h, const void *payload, int fd)
{
    CLEANUP_CLOSE int own = fd;
    union keeper_msg m;
    if (keeper_msg_decode(h, payload, KEEPER_MSG_FROM_KEEPER, &m))
        return -1;
    int rc = dispatch(arg, h, &m, &own);
    keeper_msg_free(h->type, &m);
    return rc;
}

static void on_closed(void *arg, const struct err *why)
{
    struct keeper_client *c = arg;
    c->gone = *why; /* lives in the channel */
    channel_free(c->channel);
    c->channel = NULL;
    c->gone.cls = ERR_LOCAL;
    err_prefix(&c->gone, "the keeper is gone");
    list_each(it, &c->calls) doom(list_item(it, struct keeper_call, node), &c->gone);
    list_each(it, &c->held) doom(list_item(it, struct keeper_call, node), &c->gone);
    if (fail_doomed(c))
        c->handler.closed(c->arg, &c->gone);
}

/* ---- the interface ---- */

static struct keeper_call *do_sign(struct keeper *k, const struct keeper_sign_request *r,
                                   keeper_signed_fn *fn, void *arg)
{
    struct keeper_msg_sign m = {.what = (uint32_t)r->what,
                                .flags = r->flags,
                                .ca = r->ca,
                                .cert = r->cert,
                                .url = r->url,
                                .nonce = r->nonce,
                                .task = r->task};
    struct keeper_call *call = start(k, KEEPER_MSG_SIGN, &m, arg);
    call->fn.signed_ = fn;
    return call;
}

static struct keeper_call *do_account(struct keeper *k, const char *ca, keeper_account_fn *fn,
                                      void *arg)
{
    struct keeper_call *call =
        start(k, KEEPER_MSG_ACCOUNT, &(struct keeper_msg_account){.ca = ca}, arg);
    call->fn.account = fn;
    return call;
}

static struct keeper_call *do_set_account(struct keeper *k, const char *ca, const char *url,
                                          keeper_account_fn *fn, void *arg)
{
    struct keeper_msg_set_account m = {.ca = ca, .url = url};
    struct keeper_call *call = start(k, KEEPER_MSG_SET_ACCOUNT, &m, arg);
    call->fn.account = fn;
    return call;
}

static struct keeper_call *do_set_eab(struct keeper *k, const char *ca, const char *kid,
                                      const char *hmac_key, keeper_done_fn *fn, void *arg)
{
    struct keeper_msg_set_eab m = {.ca = ca, .kid = kid, .hmac_key = hmac_key};
    struct keeper_call *call = start(k, KEEPER_MSG_SET_EAB, &m, arg);
    call->fn.done = fn;
    return call;
}

static struct keeper_call *prepare(struct keeper *k, const struct keeper_msg_prepare *m,
                                   keeper_done_fn *fn, void *arg)
{
    struct keeper_call *call = start(k, KEEPER_MSG_PREPARE, m, arg);
    call->fn.done = fn;
    return call;
}

static struct keeper_call *do_prepare(struct keeper *k, const char *cert, bool fresh,
                                      keeper_done_fn *fn, void *arg)
{
    return prepare(k, &(struct keeper_msg_prepare){.cert = cert, .fresh = fresh}, fn, arg);
}

static struct keeper_call *do_rehearse_prepare(struct keeper *k, const char *cert,
                                               keeper_done_fn *fn, void *arg)
{
    return prepare(k, &(struct keeper_msg_prepare){.cert = cert, .fresh = true, .dry = true}, fn,
                   arg);
}

static struct keeper_call *install(struct keeper *k, const struct keeper_msg_install *m,
                                   keeper_installed_fn *fn, void *arg)
{
    struct keeper_call *call = start(k, KEEPER_MSG_INSTALL, m, arg);
    call->fn.installed = fn;
    return call;
}

static struct keeper_call *do_install(struct keeper *k, const char *cert, const char *ca,
                                      const char *account_url, const char *chain_pem, size_t n,
                                      keeper_installed_fn *fn, void *arg)
{
    return install(k,
                   &(struct keeper_msg_install){
                       .cert = cert, .ca = ca, .account_url = account_url, .chain = {chain_pem, n}},
                   fn, arg);
}

static struct keeper_call *do_rehearse_install(struct keeper *k, const char *cert, const char *ca,
                                               const char *account_url, const char *chain_pem,
                                               size_t n, keeper_installed_fn *fn, void *arg)
{
    return install(k,
                   &(struct keeper_msg_install){.cert = cert,
                                                .ca = ca,
                                                .account_url = account_url,
                                                .chain = {chain_pem, n},
                                                .dry = true},
                   fn, arg);
}

static struct keeper_call *do_installed(struct keeper *k, const char *cert, keeper_installed_fn *fn,
                                        void *arg)
{
    struct keeper_call *call =
        start(k, KEEPER_MSG_INSTALLED, &(struct keeper_msg_installed){.cert = cert}, arg);
    call->fn.installed = fn;
    return call;
}

static struct keeper_call *do_list(struct keeper *k, keeper_installed_fn *fn, void *arg)
{
    struct keeper_call *call = start(k, KEEPER_MSG_LIST, &(struct keeper_msg_list){0}, arg);
    call->fn.installed = fn;
    return call;
}

static struct keeper_call *do_step(struct keeper *k, const char *deployment, unsigned step,
                                   const char *const *certs, size_t n, keeper_step_fn *fn,
                                   void *arg)
{
    struct keeper_msg_step m = {.deployment = deployment, .step = step, .certs = {certs, n}};
    struct keeper_call *call = start(k, KEEPER_MSG_STEP, &m, arg);
    call->fn.step = fn;
    return call;
}

static struct keeper_call *do_worker(struct keeper *k, const char *provider, keeper_worker_fn *fn,
                                     void *arg)
{
    struct keeper_call *call =
        start(k, KEEPER_MSG_WORKER, &(struct keeper_msg_worker){.provider = provider}, arg);
    call->fn.worker = fn;
    return call;
}

static void do_worker_kill(struct keeper *k, const char *provider)
{
    send_message(client_of(k), KEEPER_MSG_WORKER_KILL, 0,
                 &(struct keeper_msg_worker){.provider = provider});
}

static struct keeper_call *do_listen(struct keeper *k, const char *addr_port, keeper_listen_fn *fn,
                                     void *arg)
{
    struct keeper_call *call =
        start(k, KEEPER_MSG_LISTEN, &(struct keeper_msg_listen){.addr = addr_port}, arg);
    call->fn.listen = fn;
    return call;
}

static struct keeper_call *do_http01(struct keeper *k, const struct keeper_http01_request *r,
                                     keeper_done_fn *fn, void *arg)
{
    struct keeper_msg_http01 m = {
        .cert = r->cert, .ca = r->ca, .name = r->name, .token = r->token, .add = r->add};
    struct keeper_call *call = start(k, KEEPER_MSG_HTTP01, &m, arg);
    call->fn.done = fn;
    return call;
}

static void do_cancel(struct keeper_call *call)
{
    if (call->id && !call->held.len)
        send_message(call->client, KEEPER_MSG_CANCEL, call->id, NULL);
    forget(call);
    free(call);
}

static const struct keeper_ops ops = {
    .sign = do_sign,
    .account = do_account,
    .set_account = do_set_account,
    .set_eab = do_set_eab,
    .prepare = do_prepare,
    .install = do_install,
    .rehearse_prepare = do_rehearse_prepare,
    .rehearse_install = do_rehearse_install,
    .installed = do_installed,
    .list = do_list,
    .step = do_step,
    .worker = do_worker,
    .worker_kill = do_worker_kill,
    .listen = do_listen,
    .http01 = do_http01,
    .cancel = do_cancel,
};

/* ---- the engine's own words ---- */

void keeper_client_accept(struct keeper_client *c, uint64_t generation)
{
    send_message(c, KEEPER_MSG_ACCEPT, 0, &(struct keeper_msg_accept){.generation = generation});
}

void keeper_client_reject(struct keeper_client *c, uint64_t generation, const struct err *why)
{
    struct keeper_msg_reject m = {.generation = generation, .err = *why};
    send_message(c, KEEPER_MSG_REJECT, 0, &m);
}

void keeper_client_pong(struct keeper_client *c)
{
    send_message(c, KEEPER_MSG_PONG, 0, NULL);
}

void keeper_client_once_done(struct keeper_client *c, unsigned failed)
{
    struct keeper_msg_once_done m = {.exit = failed ? 1 : 0};
    send_message(c, KEEPER_MSG_ONCE_DONE, 0, &m);
}

void keeper_client_status(struct keeper_client *c, const char *text)
{
    char line[512];
    str_copy(line, sizeof(line), text);
    send_message(c, KEEPER_MSG_STATUS, 0, &(struct keeper_msg_status){.text = line});
}

void keeper_client_task_note(struct keeper_client *c, uint64_t task, const char *text)
{
    char line[1024];
    str_copy(line, sizeof(line), text);
    send_message(c, KEEPER_MSG_TASK_NOTE, 0,
                 &(struct keeper_msg_task_note){.task = task, .text = line});
}

void keeper_client_task_done(struct keeper_client *c, uint64_t task,
                             const struct keeper_task_result *r, const struct err *err)
{
    struct keeper_msg_task_done m = {.task = task, .url = "", .status = "", .orders = ""};
    if (r) {
        m.key = (uint32_t)r->key;
        m.url = r->url ? r->url : "";
        m.status = r->status ? r->status : "";
        m.orders = r->orders ? r->orders : "";
        m.contact = (struct keeper_msg_texts){r->contact, r->n_contact};
    }
    if (err)
        m.err = *err;
    if (send_message(c, KEEPER_MSG_TASK_DONE, 0, &m) == 0)
        return;
    m.contact = (struct keeper_msg_texts){0};
    m.status = m.orders = "";
    send_message(c, KEEPER_MSG_TASK_DONE, 0, &m);
}

struct keeper_client *keeper_client_new(struct loop *l, int fd,
                                        const struct keeper_client_handler *h, void *arg)
{
    static const struct channel_handler handler = {.frame = on_frame, .closed = on_closed};
    struct keeper_client *c = xnew(struct keeper_client);
    c->keeper.ops = &ops;
    c->loop = l;
    c->handler = *h;
    c->arg = arg;
    list_init(&c->calls);
    list_init(&c->held);
    list_init(&c->doomed);
    c->channel = channel_new(l, fd, KEEPER_MSG_PAYLOAD_MAX, &handler, c);
    channel_accept_fds(c->channel);
    return c;
}

struct keeper *keeper_client_keeper(struct keeper_client *c)
{
    return &c->keeper;
}

static void free_calls(struct list *calls)
{
    list_each(it, calls)
    {
        struct keeper_call *call = list_item(it, struct keeper_call, node);
        list_remove(it);
        buf_free(&call->held);
        free(call);
    }
}

void keeper_client_free(struct keeper_client *c)
{
    if (!c)
        return;
    defer_cancel(&c->defer);
    channel_free(c->channel);
    c->channel = NULL;
    free_calls(&c->calls);
    free_calls(&c->held);
    free_calls(&c->doomed);
    free(c->slots);
    free(c->rounds);
    c->slots = NULL;
    c->rounds = NULL;
    c->n_slots = 0;
    c->freed = true;
    if (!c->busy)
        free(c);
}

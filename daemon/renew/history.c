/* SPDX-License-Identifier: ISC */
#include "renew/history.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_GROWTH 8u

struct step {
    int64_t at_ms;
    const char *state; /* static text */
    char *text;
    bool note;
};

struct history {
    int64_t began_ms, ended_ms, next_ms;
    char *reason, *ca, *order, *outcome, *error;
    struct step *steps; /* room for `room` of them */
    unsigned room, n, notes, dropped;
};

struct history *history_new(int64_t at_ms, const char *reason, const char *ca)
{
    struct history *h = xnew(struct history);
    h->began_ms = at_ms;
    h->reason = xstrdup(reason);
    h->ca = xstrdup(ca);
    return h;
}

void history_free(struct history *h)
{
    if (!h)
        return;
    for (unsigned i = 0; i < h->n; i++)
        free(h->steps[i].text);
    free(h->steps);
    free(h->reason);
    free(h->ca);
    free(h->order);
    free(h->outcome);
    free(h->error);
    free(h);
}

static void add(struct history *h, int64_t at_ms, const char *state, const char *text, bool note)
{
    if (h->n == HISTORY_STEPS) {
        h->dropped++;
        return;
    }
    if (h->n == h->room) {
        h->room += STEPS_GROWTH;
        h->steps = xrealloc_array(h->steps, h->room, sizeof(*h->steps));
    }
    h->steps[h->n++] = (struct step){at_ms, state, xstrndup(text, HISTORY_TEXT), note};
}

void history_step(struct history *h, int64_t at_ms, const char *state, const char *text)
{
    if (h)
        add(h, at_ms, state, text, false);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The same but for its numbers: "... lacks 1 of 2 values for 12 s" */
static bool same_words(const char *a, const char *b)
{
    for (;;) {
        while (is_digit(*a))
            a++;
        while (is_digit(*b))
            b++;
        if (*a != *b)
            return false;
        if (!*a)
            return true;
        a++;
        b++;
    }
}

void history_note(struct history *h, int64_t at_ms, const char *state, const char *text)
{
    if (!h)
        return;
    struct step *last = h->n ? &h->steps[h->n - 1] : NULL;
    bool replaces = last && last->note && str_eq(last->state, state) &&
                    (h->notes >= HISTORY_NOTES || same_words(last->text, text));
    if (!replaces) {
        add(h, at_ms, state, text, true);
        h->notes++;
        return;
    }
    free(last->text);
    last->text = xstrndup(text, HISTORY_TEXT);
}

static void set(char **to, const char *text)
{
    free(*to);
    *to = xstrdup(text);
}

void history_order(struct history *h, const char *url)
{
    if (h)
        set(&h->order, url);
}

void history_end(struct history *h, int64_t at_ms, const char *outcome, const struct err *err,
                 int64_t next_ms)
{
    if (!h)
        return;
    char text[700] = "";
    if (err_is(err))
        err_text(err, text, sizeof(text));
    h->ended_ms = at_ms;
    h->next_ms = next_ms;
    set(&h->outcome, outcome);
    set(&h->error, text);
}

static void add_time(struct json *to, const char *key, int64_t ms)
{
    char text[32];
    if (ms)
        json_add_text(to, key, str_from_time(ms, text, sizeof(text)));
}

struct json *history_json(const struct history *h)
{
    struct json *j = json_object();
    add_time(j, "began", h->began_ms);
    add_time(j, "ended", h->ended_ms);
    json_add_text(j, "reason", h->reason);
    json_add_text(j, "ca", h->ca);
    if (h->order)
        json_add_text(j, "order", h->order);
    json_add_text(j, "outcome", h->outcome ? h->outcome : "running");
    if (h->error && h->error[0])
        json_add_text(j, "error", h->error);
    add_time(j, "next", h->next_ms);
    struct json *steps = json_add_array(j, "steps");
    for (unsigned i = 0; i < h->n; i++) {
        struct json *s = json_add_object(steps, NULL);
        add_time(s, "at", h->steps[i].at_ms);
        json_add_text(s, "state", h->steps[i].state);
        json_add_text(s, "text", h->steps[i].text);
    }
    if (h->dropped)
        json_add_int(j, "steps_left_out", h->dropped);
    return j;
}

static void put_time(struct json_out *o, const char *key, int64_t ms)
{
    char text[32];
    if (ms)
        json_out_text(o, key, str_from_time(ms, text, sizeof(text)));
}

/* As history_json(), without a tree: each order writes one. */
char *history_text(const struct history *h)
{
    struct json_out o;
    json_out_init(&o);
    json_out_open(&o, NULL, '{');
    put_time(&o, "began", h->began_ms);
    put_time(&o, "ended", h->ended_ms);
    json_out_text(&o, "reason", h->reason);
    json_out_text(&o, "ca", h->ca);
    if (h->order)
        json_out_text(&o, "order", h->order);
    json_out_text(&o, "outcome", h->outcome ? h->outcome : "running");
    if (h->error && h->error[0])
        json_out_text(&o, "error", h->error);
    put_time(&o, "next", h->next_ms);
    json_out_open(&o, "steps", '[');
    for (unsigned i = 0; i < h->n; i++) {
        json_out_open(&o, NULL, '{');
        put_time(&o, "at", h->steps[i].at_ms);
        json_out_text(&o, "state", h->steps[i].state);
        json_out_text(&o, "text", h->steps[i].text);
        json_out_close(&o, '}');
    }
    json_out_close(&o, ']');
    if (h->dropped)
        json_out_int(&o, "steps_left_out", h->dropped);
    json_out_close(&o, '}');
    return json_out_end(&o);
}

char *history_key(const char *cert, unsigned run)
{
    return xasprintf("history/%s/%u", cert, run % HISTORY_RUNS);
}

char *history_prefix(const char *cert)
{
    return xasprintf("history/%s/", cert);
}

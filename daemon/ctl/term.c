/* SPDX-License-Identifier: ISC */
#include "ctl/term.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_COLUMNS 8

struct table {
    unsigned columns;
    char **cells; /* rows x columns, the heads first */
    enum term_colour *colours;
    unsigned *coloured;
    size_t rows;
};

bool term_live(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

/* As locale(7) has it: the first of these that is set counts. */
bool term_unicode(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *locale = NULL;
    for (size_t i = 0; i < ARRAY_LEN(names) && !(locale && *locale); i++)
        locale = getenv(names[i]);
    return isatty(STDOUT_FILENO) && locale &&
           (strstr(locale, "UTF-8") || strstr(locale, "utf8") || strstr(locale, "utf-8"));
}

static struct winsize size_now(void)
{
    struct winsize w = {0};
    if (isatty(STDOUT_FILENO))
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
    return w;
}

unsigned term_width(void)
{
    return size_now().ws_col;
}

unsigned term_height(void)
{
    return size_now().ws_row;
}

static bool coloured(void)
{
    const char *no = getenv("NO_COLOR");
    return term_live() && !(no && *no);
}

const char *term_on(enum term_colour c)
{
    static const char *const codes[] = {
        [TERM_PLAIN] = "",         [TERM_RED] = "\033[31m",  [TERM_YELLOW] = "\033[33m",
        [TERM_GREEN] = "\033[32m", [TERM_CYAN] = "\033[36m", [TERM_DIM] = "\033[2m",
        [TERM_BOLD] = "\033[1m",
    };
    return coloured() ? codes[c] : "";
}

const char *term_off(void)
{
    return coloured() ? "\033[0m" : "";
}

enum term_colour term_state_colour(const char *state)
{
    static const struct {
        const char *state;
        enum term_colour colour;
    } table[] = {
        {"ok", TERM_GREEN},     {"renewing", TERM_CYAN},     {"deploying", TERM_CYAN},
        {"due", TERM_CYAN},     {"missing", TERM_YELLOW},    {"blocked", TERM_YELLOW},
        {"failed", TERM_RED},   {"deploy-failed", TERM_RED}, {"expired", TERM_RED},
        {"disabled", TERM_DIM}, {"paused", TERM_DIM},        {"revoked", TERM_RED},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (str_eq(table[i].state, state))
            return table[i].colour;
    return TERM_PLAIN;
}

struct table *table_new(const char *const *heads, unsigned columns)
{
    struct table *t = xnew(struct table);
    t->columns = columns < MAX_COLUMNS ? columns : MAX_COLUMNS;
    table_row(t, heads, TERM_BOLD, UINT32_MAX);
    return t;
}

void table_row(struct table *t, const char *const *cells, enum term_colour colour,
               unsigned coloured_column)
{
    t->cells = xrealloc_array(t->cells, (t->rows + 1) * t->columns, sizeof(*t->cells));
    t->colours = xrealloc_array(t->colours, t->rows + 1, sizeof(*t->colours));
    t->coloured = xrealloc_array(t->coloured, t->rows + 1, sizeof(*t->coloured));
    for (unsigned i = 0; i < t->columns; i++)
        t->cells[t->rows * t->columns + i] = xstrdup(cells[i] ? cells[i] : "-");
    t->colours[t->rows] = colour;
    t->coloured[t->rows] = coloured_column;
    t->rows++;
}

/* Places on the screen, but for letters that are twice as wide. */
static size_t width_of(const char *cell)
{
    size_t n = 0;
    for (; *cell; cell++)
        n += ((unsigned char)*cell & 0xc0) != 0x80;
    return n;
}

static void widths_of(const struct table *t, size_t ret[MAX_COLUMNS])
{
    for (unsigned c = 0; c < t->columns; c++) {
        ret[c] = 0;
        for (size_t r = 0; r < t->rows; r++) {
            size_t n = width_of(t->cells[r * t->columns + c]);
            ret[c] = n > ret[c] ? n : ret[c];
        }
    }
}

static void print_row(const struct table *t, size_t row, const size_t widths[MAX_COLUMNS],
                      unsigned edge)
{
    size_t at = 0;
    for (unsigned c = 0; c < t->columns; c++) {
        const char *cell = t->cells[row * t->columns + c];
        bool last = c + 1 == t->columns;
        size_t room = edge > at + 4 ? edge - at : 4;
        int cut = last && edge && strlen(cell) > room ? (int)room - 3 : -1;
        bool paint = t->coloured[row] == c || t->coloured[row] == UINT32_MAX;
        printf("%s", paint ? term_on(t->colours[row]) : "");
        printf("%.*s%s", cut, cell, cut >= 0 ? "..." : "");
        printf("%s", paint ? term_off() : "");
        if (!last)
            printf("%*s", (int)(widths[c] - width_of(cell) + 2), "");
        at += widths[c] + 2;
    }
    putchar('\n');
}

void table_print(struct table *t)
{
    size_t widths[MAX_COLUMNS];
    widths_of(t, widths);
    unsigned edge = term_width();
    for (size_t r = 0; r < t->rows; r++)
        print_row(t, r, widths, edge);
    table_free(t);
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->rows * t->columns; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t->colours);
    free(t->coloured);
    free(t);
}

int64_t term_now_ms(void)
{
    return clock_wall_ms(&clock_system);
}

const char *term_when(const char *rfc3339, char *buf, size_t size)
{
    int64_t at;
    char span[40];
    if (!rfc3339 || !str_to_time(rfc3339, &at)) {
        str_copy(buf, size, "-");
        return buf;
    }
    int64_t left = at - term_now_ms();
    str_from_duration(left < 0 ? -left : left, span, sizeof(span));
    if (left >= 0)
        snprintf(buf, size, "in %s", span);
    else
        snprintf(buf, size, "%s ago", span);
    return buf;
}

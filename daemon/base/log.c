/* SPDX-License-Identifier: ISC */
#include "base/log.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1000

static const struct {
    const char *name;
    char priority; /* syslog's */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", '3'},
    [LOG_LEVEL_WARN] = {"warn", '4'},
    [LOG_LEVEL_INFO] = {"info", '6'},
    [LOG_LEVEL_DEBUG] = {"debug", '7'},
};

/* systemd.exec(5): "DEVICE:INODE" of the stream that goes to the journal; a child whose stderr was
 * redirected inherits the variable all the same. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char own[64];
    if (!stream || fstat(2, &st))
        return false;
    snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return str_eq(stream, own);
}

void log_init(struct log *l, const char *program)
{
    *l = (struct log){
        .level = LOG_LEVEL_INFO,
        .fd = 2,
        .journal = stderr_is_journal(),
        .clock = &clock_system,
        .program = program,
    };
}

bool log_level_parse(const char *text, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (str_eq(text, levels[i].name)) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static size_t put_head(char *line, size_t size, const struct log_ctx *c, enum log_level level)
{
    const struct log *log = c->log;
    char start[40] = "", when[32];
    if (log->journal)
        snprintf(start, sizeof(start), "<%c>", levels[level].priority);
    if (!log->journal && log->clock) {
        int64_t now = clock_wall_ms(log->clock);
        str_from_time(now, when, sizeof(when));
        snprintf(start, sizeof(start), "%.19s.%03dZ ", when, (int)(now % 1000));
    }
    int n = snprintf(line, size, "%s%s%s%s%s%s: ", start, log->program ? log->program : "",
                     log->program ? " " : "", levels[level].name, c->scope ? " " : "",
                     c->scope ? c->scope : "");
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static void write_all(int fd, const char *p, size_t n)
{
    ssize_t done;
    do
        done = write(fd, p, n);
    while (done < 0 && errno == EINTR);
}

void log_write(const struct log_ctx *c, enum log_level level, const char *fmt, ...)
{
    if (!c || !c->log || c->log->fd < 0 || level > c->log->level)
        return;
    int saved = errno;
    char line[LINE_MAX_BYTES + 1];
    size_t room = sizeof(line) - 1; /* the newline's place is kept */
    size_t n = put_head(line, room, c, level);
    va_list ap;
    va_start(ap, fmt);
    int more = vsnprintf(line + n, room - n, fmt, ap);
    va_end(ap);
    if (more > 0 && (size_t)more >= room - n) {
        memcpy(line + room - 4, "...", 3);
        n = room - 1;
    } else if (more > 0) {
        n += (size_t)more;
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    }
    line[n++] = '\n';
    write_all(c->log->fd, line, n);
    errno = saved;
}

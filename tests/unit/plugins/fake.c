/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugins/fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void fake_start(struct fake *f, const char *const *args)
{
    int out[2];
    const char *argv[40] = {"python3", RENEWD_SOURCE_DIR "/tests/servers/fake_cloudflare.py"};
    for (int i = 0; args[i]; i++)
        argv[i + 2] = args[i];
    assert_int_equal(pipe(out), 0);
    f->pid = fork();
    if (f->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(out[1]);
    FILE *said = fdopen(out[0], "r");
    char line[128] = ""; /* all of it, up to its end: the writer dies of a pipe closed too early */
    if (!fgets(line, sizeof(line), said) ||
        sscanf(line, "listening on http://127.0.0.1:%d/", &f->port) != 1)
        fail_msg("the fake did not start");
    fclose(said);
    snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d/client/v4", f->port);
}

void fake_stop(struct fake *f)
{
    kill(f->pid, SIGTERM);
    waitpid(f->pid, NULL, 0);
}

static int connected(const struct fake *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

const char *fake_call(const struct fake *f, const char *method, const char *target,
                      const struct worker_pair *headers, uint32_t n_headers, const void *body,
                      size_t body_len, int *ret_status, char *ret_retry_after, size_t size)
{
    static char text[300000];
    size_t n = (size_t)snprintf(
        text, sizeof(text),
        "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n", method, target,
        body_len);
    for (uint32_t i = 0; i < n_headers; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s: %s\r\n", headers[i].name,
                              headers[i].value);
    n +=
        (size_t)snprintf(text + n, sizeof(text) - n, "\r\n%.*s", (int)body_len, (const char *)body);
    int fd = connected(f);
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
    n = 0;
    for (ssize_t got; (got = recv(fd, text + n, sizeof(text) - 1 - n, 0)) > 0;)
        n += (size_t)got;
    close(fd);
    text[n] = '\0';
    char *end = strstr(text, "\r\n\r\n"), *retry = strstr(text, "Retry-After: ");
    if (ret_status)
        *ret_status = end ? (int)strtol(text + 9, NULL, 10) : 0;
    if (size) {
        ret_retry_after[0] = '\0';
        if (end && retry && retry < end)
            snprintf(ret_retry_after, size, "%.*s", (int)strcspn(retry + 13, "\r"), retry + 13);
    }
    return end ? end + 4 : "";
}

void fake_http(struct driver *d, const struct worker_http *q, struct worker_http_reply *ret)
{
    static char retry[64];
    static struct worker_pair header;
    const struct fake *f = d->arg;
    int status;
    assert_memory_equal(q->url, f->url, strlen(f->url) - strlen("/client/v4"));
    const char *body =
        fake_call(f, q->method, q->url + strlen(f->url) - strlen("/client/v4"), q->headers,
                  q->n_headers, q->body, q->body_len, &status, retry, sizeof(retry));
    if (!status) {
        *ret = (struct worker_http_reply){.cls = WORKER_E_TEMPORARY, .detail = "connection closed"};
        return;
    }
    header = (struct worker_pair){"retry-after", retry};
    *ret = (struct worker_http_reply){
        .status = (uint32_t)status, .body = body, .body_len = strlen(body)};
    ret->headers = &header;
    ret->n_headers = retry[0] ? 1 : 0;
}

const char *fake_records(const struct fake *f)
{
    return fake_call(f, "GET", "/_test/records", NULL, 0, "", 0, NULL, NULL, 0);
}

const char *fake_requests(const struct fake *f)
{
    return fake_call(f, "GET", "/_test/requests", NULL, 0, "", 0, NULL, NULL, 0);
}

void fake_fault(const struct fake *f, const char *json)
{
    fake_call(f, "POST", "/_test/faults", NULL, 0, json, strlen(json), NULL, NULL, 0);
}

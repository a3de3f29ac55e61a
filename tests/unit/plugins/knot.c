/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugins/knot.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEY(id, algorithm)                                                                         \
    "  - id: " id "\n    algorithm: " algorithm "\n    secret: " KNOT_SECRET "\n"
static const char config[] =
    "server:\n"
    "  rundir: %s\n"
    "  listen: 127.0.0.1@%d\n"
    "  tcp-workers: 1\n"
    "  udp-workers: 1\n"
    "  background-workers: 1\n"
    "database:\n"
    "  storage: %s\n"
    "key:\n" KEY("acme", "hmac-sha256") KEY("acme384", "hmac-sha384") KEY("acme512", "hmac-sha512")
        KEY("narrow", "hmac-sha256") "acl:\n"
                                     "  - id: all\n"
                                     "    key: [acme, acme384, acme512]\n"
                                     "    action: [update, query]\n"
                                     "  - id: some\n"
                                     "    key: narrow\n"
                                     "    action: update\n"
                                     "    update-owner: name\n"
                                     "    update-owner-match: sub-or-equal\n"
                                     "    update-owner-name: [sub]\n"
                                     "zone:\n"
                                     "  - domain: example.org\n"
                                     "    storage: %s\n"
                                     "    file: zone\n"
                                     "    acl: [all, some]\n"
                                     "    zonefile-sync: -1\n"
                                     "    journal-content: changes\n";
#define BIND_KEY(id) "key " id " { algorithm hmac-sha256; secret \"" KNOT_SECRET "\"; };\n"
static const char bind_config[] =
    "options { directory \"%s\"; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };\n"
    "  pid-file none; recursion no; session-keyfile none; managed-keys-directory \"%s\";\n"
    "  dnssec-validation no; };\n"
    "controls { };\n" BIND_KEY("acme")
        BIND_KEY("narrow") "zone example.org { type primary; file \"%s/zone\"; update-policy {\n"
                           "  grant acme zonesub TXT; grant narrow name "
                           "_acme-challenge.www.sub.example.org. TXT; }; };\n";
static const char zone[] = "$ORIGIN example.org.\n"
                           "@ 300 SOA ns1 admin 1 3600 600 86400 60\n"
                           "@ 300 NS ns1\n"
                           "ns1 300 A 127.0.0.1\n";

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static FILE *create(const struct knot *k, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", k->folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    return f;
}

static void run(const struct knot *k, const char *const *argv)
{
    char path[128];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(path, sizeof(path), "%s/log", k->folder);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, 1);
    dup2(log, 2);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static bool answers(const struct knot *k)
{
    static const uint8_t soa[] = {0,   1,   0,   0,   0,   1, 0,   0,   0,   0, 0, 0, 7, 'e', 'x',
                                  'a', 'm', 'p', 'l', 'e', 3, 'o', 'r', 'g', 0, 0, 6, 0, 1};
    uint8_t answer[512];
    int n = knot_ask(k, soa, sizeof(soa), answer, sizeof(answer));
    return n > 12 && (answer[3] & 15) == 0;
}

static void prepare(struct knot *k)
{
    strcpy(k->folder, "/tmp/renewd-knot-XXXXXX");
    assert_non_null(mkdtemp(k->folder));
    k->port = free_port();
    snprintf(k->server, sizeof(k->server), "127.0.0.1:%d", k->port);
    FILE *f = create(k, "zone");
    fputs(zone, f);
    fclose(f);
}

static void start(struct knot *k, const char *const *argv)
{
    k->pid = fork();
    if (k->pid == 0)
        run(k, argv);
    for (int i = 0; i < 1000; i++) { /* until it answers: it has no other sign of readiness */
        struct timespec t = {.tv_nsec = 20000000};
        if (answers(k))
            return;
        if (waitpid(k->pid, NULL, WNOHANG) != 0)
            break;
        nanosleep(&t, NULL);
    }
    fail_msg("%s did not start: see %s/log", argv[0], k->folder);
}

bool knot_start(struct knot *k)
{
    char path[128];
    const char *const argv[] = {"/usr/sbin/knotd", "-c", path, NULL};
    if (access(argv[0], X_OK) != 0)
        return false;
    prepare(k);
    snprintf(path, sizeof(path), "%s/conf", k->folder);
    FILE *f = create(k, "conf");
    fprintf(f, config, k->folder, k->port, k->folder, k->folder);
    fclose(f);
    start(k, argv);
    return true;
}

bool bind_start(struct knot *k)
{
    char path[128];
    const char *const argv[] = {"/usr/sbin/named", "-g", "-n", "1", "-c", path, NULL};
    if (access(argv[0], X_OK) != 0)
        return false;
    prepare(k);
    snprintf(path, sizeof(path), "%s/conf", k->folder);
    FILE *f = create(k, "conf");
    fprintf(f, bind_config, k->folder, k->port, k->folder, k->folder);
    fclose(f);
    start(k, argv);
    return true;
}

void knot_stop(struct knot *k)
{
    char command[128];
    kill(k->pid, SIGTERM);
    waitpid(k->pid, NULL, 0);
    snprintf(command, sizeof(command), "rm -rf %s", k->folder);
    assert_int_equal(system(command), 0);
}

const char *knot_txt(const struct knot *k, const char *name)
{
    static char text[65536];
    char command[512];
    snprintf(command, sizeof(command), "kdig @127.0.0.1 -p %d +tcp +short TXT %s | sort", k->port,
             name);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    pclose(f);
    return text;
}

int knot_ask(const struct knot *k, const void *message, size_t n, void *answer, size_t size)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)k->port)};
    uint8_t framed[65537], head[2];
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), got = -1;
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
        goto out;
    framed[0] = (uint8_t)(n >> 8);
    framed[1] = (uint8_t)n;
    memcpy(framed + 2, message, n);
    if (send(fd, framed, n + 2, MSG_NOSIGNAL) != (ssize_t)n + 2 ||
        recv(fd, head, 2, MSG_WAITALL) != 2)
        goto out;
    size_t want = (size_t)head[0] << 8 | head[1];
    if (want <= size && recv(fd, answer, want, MSG_WAITALL) == (ssize_t)want)
        got = (int)want;
out:
    close(fd);
    return got;
}

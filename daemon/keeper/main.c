/* SPDX-License-Identifier: ISC */
/*
 * renewd: the keeper.
 *
 *     renewd [-c FILE] [--once]        runs in the foreground
 *     renewd -t | -T [-c FILE]         checks the configuration | and prints it as understood
 *     renewd --generate-key TYPE       itself, as the process that makes RSA keys (keygen.h)
 */
#include "base/mem.h"
#include "base/str.h"
#include "keeper/check.h"
#include "keeper/daemon.h"
#include "keeper/keygen.h"
#include "keeper/programs.h"
#include "keys/pkey.h"
#include "link/harden.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ENV_MAX 8
#define DEFAULT_FILE "/etc/renewd/renewd.yaml"

static const char usage[] =
    "usage: renewd [-c FILE] [--once [--dry-run]] [--plugin-dir DIR]\n"
    "       renewd -t|-T [-c FILE] [--json] [--plugin-dir DIR]\n"
    "\n"
    "  -c FILE            the configuration; " DEFAULT_FILE "\n"
    "  -t                 check it, print errors and warnings, exit\n"
    "  -T                 also print it as understood, secrets masked\n"
    "  --once             do all that is due, one attempt each, then exit\n"
    "  --dry-run          with --once: order at the staging CA, install nothing\n"
    "  --plugin-dir DIR   where plugins are looked for by their names\n"
    "  --json             with -t and -T: print JSON\n"
    "  --version, --help\n"
    "\n"
    "Exit: 0 done, 1 failed, 2 usage or configuration, 4 another renewd holds state_dir.\n";

struct args {
    const char *file, *plugin_dir, *generate;
    bool check, dump, json, once, dry_run, help, version;
};

enum { OPT_ONCE = 256, OPT_DRY_RUN, OPT_PLUGIN_DIR, OPT_JSON, OPT_VERSION, OPT_HELP, OPT_GENERATE };

static const struct option long_options[] = {
    {"once", no_argument, NULL, OPT_ONCE},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"plugin-dir", required_argument, NULL, OPT_PLUGIN_DIR},
    {"json", no_argument, NULL, OPT_JSON},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {"generate-key", required_argument, NULL, OPT_GENERATE},
    {0},
};

static int take(struct args *a, int opt)
{
    switch (opt) {
    case 'c':
        a->file = optarg;
        return 0;
    case 'T':
        a->dump = true;
        /* fall through */
    case 't':
        a->check = true;
        return 0;
    case OPT_ONCE:
        a->once = true;
        return 0;
    case OPT_DRY_RUN:
        a->dry_run = true;
        return 0;
    case OPT_PLUGIN_DIR:
        a->plugin_dir = optarg;
        return 0;
    case OPT_JSON:
        a->json = true;
        return 0;
    case OPT_VERSION:
        a->version = true;
        return 0;
    case 'h':
    case OPT_HELP:
        a->help = true;
        return 0;
    case OPT_GENERATE:
        a->generate = optarg;
        return 0;
    default:
        return -1;
    }
}

static int parse(int argc, char **argv, struct args *a)
{
    int opt;
    while ((opt = getopt_long(argc, argv, "c:tTh", long_options, NULL)) != -1) {
        if (take(a, opt))
            return -1;
    }
    if (optind < argc) {
        fprintf(stderr, "renewd: what is %s? (the configuration is given by -c)\n", argv[optind]);
        return -1;
    }
    if (a->json && !a->check) {
        fputs("renewd: --json goes with -t or -T\n", stderr);
        return -1;
    }
    return 0;
}

/* What the engine may see of our environment. */
static void make_env(char *env[ENV_MAX])
{
    static const char *const names[] = {"JOURNAL_STREAM", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                                        "LSAN_OPTIONS"};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]);
        if (value)
            env[n++] = xasprintf("%s=%s", names[i], value);
    }
    /* Of the C library's cache of small blocks: libcurl takes and gives hundreds at a time. */
    env[n++] = xstrdup("GLIBC_TUNABLES=glibc.malloc.tcache_count=512:glibc.malloc.tcache_max=8192");
    env[n] = NULL;
}

static int run_daemon(const struct args *a, const struct programs *programs)
{
    char *env[ENV_MAX];
    struct log log;
    make_env(env);
    struct daemon_options o = {.file = a->file,
                               .once = a->once,
                               .dry_run = a->dry_run,
                               .engine_env = (const char *const *)env,
                               .notify_socket = getenv("NOTIFY_SOCKET"),
                               .watchdog_usec = getenv("WATCHDOG_USEC"),
                               .watchdog_pid = getenv("WATCHDOG_PID"),
                               .given = listen_given(getenv("LISTEN_PID"), getenv("LISTEN_FDS"))};
    log_init(&log, "renewd");
    int code = daemon_run(&o, programs, &log);
    for (char **p = env; *p; p++)
        free(*p);
    return code;
}

/* Descriptors 0 to 2 are open, whoever started us. */
static void fill_descriptors(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= 2)
        ;
    if (fd > 2)
        close(fd);
}

int main(int argc, char **argv)
{
    struct args a = {.file = DEFAULT_FILE};
    struct programs programs;
    struct err e = ERR_INIT;
    pkey_wiping_allocator_install();
    if (harden_process(&e)) {
        fprintf(stderr, "renewd: %s\n", e.detail);
        return EXIT_FAILED;
    }
    if (parse(argc, argv, &a)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (a.help || a.version) {
        fputs(a.help ? usage : "renewd " RENEWD_VERSION "\n", stdout);
        return EXIT_DONE;
    }
    if (a.dry_run && !a.once) {
        fputs("renewd: --dry-run goes with --once; for one certificate: renewctl renew NAME "
              "--dry-run\n",
              stderr);
        return EXIT_USAGE;
    }
    if (a.generate)
        return keygen_main(a.generate);
    fill_descriptors();
    programs_find(&programs, a.plugin_dir);
    struct check_options check = {.file = a.file, .dump = a.dump, .json = a.json};
    int code = a.check ? check_run(&check, &programs) : run_daemon(&a, &programs);
    programs_done(&programs);
    return code;
}

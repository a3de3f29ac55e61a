/* SPDX-License-Identifier: ISC */
#include "link/harden.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

int harden_process(struct err *e)
{
    struct rlimit none = {0, 0};
    umask(077);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_CORE, &none))
        return err_sys(e, errno, "cannot forbid core files");
#ifndef RENEWD_SANITIZE /* whose leak checker traces its own process */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return err_sys(e, errno, "cannot forbid that this process is traced");
#endif
    return 0;
}

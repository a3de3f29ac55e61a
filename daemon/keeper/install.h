/* SPDX-License-Identifier: ISC */
/*
 * New sets in archive/ and the switch of live/ to them (the folders: keeper/live.h), in the steps
 * of keeper/disk.h. Killed between any two system calls, what live/NAME shows is a whole set, old
 * or new; a run again completes it.
 *
 *     write  | archive/NAME/SET with its files; for a certificate that has no folder of ours in
 *            | live/, also that folder, as live/.new-NAME
 *     ...    | durable
 *     show   | live/NAME/.current is renamed over; or .new-NAME takes its name, or the place of
 *            | another tool's folder, by way of .swap-NAME in one exchange
 *     ...    | durable
 *     end    | the other tool's folder goes to archive/NAME/adopted-TIME; old sets are removed
 */
#ifndef RENEWD_KEEPER_INSTALL_H
#define RENEWD_KEEPER_INSTALL_H

#include "base/err.h"
#include "keeper/archive.h"
#include "keeper/disk.h"
#include "keeper/live.h"
#include "keeper/statedir.h"

enum install_readme { README_IS_SHARED, README_IS_NEW, README_IS_FULL };

struct install {
    /* The caller's; texts and buffers live as long. */
    const struct statedir *dir;
    const char *name;
    char set[64]; /* archive_set_name() */
    struct archive_files files;
    struct file_attr key; /* mode and owner of privkey.pem */
    int64_t now_ms;
    uint32_t keep; /* archive_prune() */
    bool again; /* live/NAME leads to the set already, maybe not durably: only that is made sure */
    /* Its own. */
    int dest, live; /* archive/NAME; live/NAME, if it is ours, or what will be it; -1 */
    char *target;
    bool fresh; /* live is .new-NAME */
    bool aside; /* another tool's folder lies under .swap-NAME */
    enum install_readme readme;
};

void install_init(struct install *i);
void install_done(struct install *i);
/* The steps of a job (struct disk_work). */
int install_write(struct install *i, struct disk_batch *b, struct disk_job *j, struct err *e);
int install_show(struct install *i, struct disk_batch *b, struct disk_job *j, struct err *e);
void install_undo(struct install *i);
void install_end(struct install *i);

/* Once after a start: finishes moves that a crash interrupted. */
int install_recover(const struct statedir *s, int64_t now_ms, struct err *e);

#endif

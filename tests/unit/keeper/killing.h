/* SPDX-License-Identifier: ISC */
#ifndef RENEWD_TESTS_KEEPER_KILLING_H
#define RENEWD_TESTS_KEEPER_KILLING_H

#include "keeper/fixture.h"

/* Runs act in a child that dies before its n-th call that may change files; false: it ended first.
 */
bool kill_before(struct fixture *f, void (*act)(struct fixture *), int n);

#endif

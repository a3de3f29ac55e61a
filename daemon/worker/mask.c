/* SPDX-License-Identifier: ISC */
#include "worker/mask.h"

#include <string.h>

/* Length of the longest secret that begins at s; 0: none. */
static size_t secret_at(const struct worker_config *c, const char *s)
{
    size_t best = 0;
    for (uint32_t i = 0; c && i < c->n_settings; i++) {
        const struct worker_setting *o = &c->settings[i];
        size_t n = o->secret ? strlen(o->value) : 0;
        if (n >= MASK_MIN && n > best && strncmp(s, o->value, n) == 0)
            best = n;
    }
    return best;
}

void mask_copy(const struct worker_config *c, const char *text, char *dst, size_t size)
{
    size_t used = 0;
    while (*text && used + 1 < size) {
        size_t n = secret_at(c, text);
        if (n) {
            for (int i = 0; i < 3 && used + 1 < size; i++)
                dst[used++] = '*';
            text += n;
        } else {
            dst[used++] = *text++;
        }
    }
    dst[used] = '\0';
}

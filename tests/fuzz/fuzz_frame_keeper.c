/* SPDX-License-Identifier: ISC */
/* Whole frames as either side of the keeper's channel gets them. First byte: who sends. What is
 * taken must come out the same when it is written again. */
#include "wire/keeper_msg.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct frame_head *h, const union keeper_msg *m, const uint8_t *frame)
{
    struct buf b;
    buf_init(&b, KEEPER_MSG_PAYLOAD_MAX + FRAME_HEADER);
    if (keeper_msg_encode(&b, h->type, h->id, m) || b.len != FRAME_HEADER + h->len ||
        memcmp(b.data, frame, b.len) != 0)
        abort();
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_head h;
    union keeper_msg m;
    if (size == 0)
        return 0;
    enum keeper_msg_from from = data[0] & 1 ? KEEPER_MSG_FROM_ENGINE : KEEPER_MSG_FROM_KEEPER;
    for (data++, size--; frame_head_read(data, size, KEEPER_MSG_PAYLOAD_MAX, &h) == 1;) {
        if (h.len > size - FRAME_HEADER)
            break;
        if (keeper_msg_decode(&h, data + FRAME_HEADER, from, &m) == 0) {
            write_again(&h, &m, data);
            keeper_msg_free(h.type, &m);
        }
        data += FRAME_HEADER + h.len;
        size -= FRAME_HEADER + h.len;
    }
    return 0;
}
